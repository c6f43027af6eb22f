"""Random small networks of every kind that can be deployed, and the shipped ones, quantized to integers."""

import functools
import random

import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import load_fashion
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import QuantizationConfig, quantize_model


@functools.cache
def shipped(name):
    """A shipped network in integers, calibrated on 300 images."""
    images = load_fashion().calibration.images[:300]
    return quantize_model(load_pretrained(name), images, QuantizationConfig(mode="integer"))


def convolution(choose, channels):
    """One convolution with what may follow it, and its channels."""
    groups = choose.choice([1, 1, channels])
    out = groups * choose.choice([1, 2, 3, 4])
    options = {"stride": choose.choice([1, 1, 2]), "padding": choose.choice([0, 1]), "dilation": choose.choice([1, 1, 2])}
    conv = nn.Conv2d(channels, out, choose.choice([1, 2, 3, (3, 2)]), groups=groups, bias=choose.choice([True, False]), **options)
    after = choose.choice([[nn.ReLU()], [], [nn.BatchNorm2d(out), nn.ReLU()]])
    pools = [
        [],
        [nn.MaxPool2d(2)],
        [nn.MaxPool2d(3, 2, 1)],
        [nn.MaxPool2d(3, 2)],
        [nn.AvgPool2d(2)],
        [nn.AvgPool2d(2), nn.ReLU()],
    ]
    return [conv, *after, *choose.choice(pools)], out


@functools.cache
def random_network(seed):
    """(integer network, images): a graph for every third seed, else a chain."""
    choose = random.Random(seed)
    if seed % 3 == 0:
        return random_graph(choose)
    while (made := random_chain(choose)) is None:
        pass
    return made


def random_chain(choose):
    """(integer chain, images), or None where an image became too small."""
    shape = choose.choice([1, 2, 3]), choose.choice([9, 12, 13]), choose.choice([8, 11, 14])
    layers, channels = [], shape[0]
    for _ in range(choose.choice([1, 2, 3])):
        more, channels = convolution(choose, channels)
        layers += more
    torch.manual_seed(choose.randrange(10**6))
    try:
        features = nn.Sequential(*layers, nn.Flatten()).eval()(torch.zeros(1, *shape)).shape[1]
    except RuntimeError:
        return None
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 7), nn.ReLU(), nn.Linear(7, 5)).eval()
    config = QuantizationConfig(mode="integer", bits=choose.choice([8, 8, 4]))
    return quantize_model(model, torch.randn(40, *shape), config), 1.5 * torch.randn(40, *shape)


class Branches(nn.Module):
    """A stem, residual blocks with depthwise convolutions, and a mean over the image; padding before the stem, as TensorFlow does it."""

    def __init__(self, choose):
        super().__init__()
        width = choose.choice([4, 6])
        self.pad = choose.choice([nn.Identity(), nn.ZeroPad2d((0, 1, 0, 1))])
        self.stem = nn.Sequential(
            nn.Conv2d(2, width, 3, choose.choice([1, 2]), padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        self.pool = choose.choice([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Identity()])
        self.depthwise = nn.Conv2d(width, width, choose.choice([3, 5]), padding="same", groups=width)
        self.point = nn.Conv2d(width, width, 1)
        self.shortcut = choose.choice([nn.Identity(), nn.Conv2d(width, width, 1)])
        self.subtract = choose.choice([True, False])
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.pool(self.stem(self.pad(x)))
        y = self.point(F.relu6(self.depthwise(x)))
        y = F.relu(y - self.shortcut(x) if self.subtract else y + self.shortcut(x))
        return self.head((y + x).mean((2, 3)))


def random_graph(choose):
    """(integer graph network, images)."""
    torch.manual_seed(choose.randrange(10**6))
    model = Branches(choose).eval()
    images = torch.randn(40, 2, choose.choice([9, 12]), choose.choice([8, 11]))
    return quantize_model(model, images, QuantizationConfig(mode="integer")), 1.5 * torch.randn_like(images)
