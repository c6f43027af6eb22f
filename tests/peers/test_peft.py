"""LoRA against peft on networks of several kinds: start, outputs, gradients, merged weights, number of weights; and adapters taken away.

peft's own tests ask the same of its models: the adapter starts as the identity, merging keeps the outputs, and without the adapter
the base is as before.
"""

import copy
import re

import pytest
import torch
from torch import nn

from posttrain_lab.finetuning import add_lora, merge_lora, without_adapter

pytestmark = pytest.mark.peers


class Block(nn.Module):
    """A transformer's block with its products as layers."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v))
        return x + self.down(nn.functional.gelu(self.up(x)))


def resnet():
    from torchvision.models import resnet18

    return resnet18(weights=None, num_classes=5).eval(), torch.randn(2, 3, 32, 32)


def perceptron():
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2)), torch.randn(9, 10)  # peft's own test network


def convolutions():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, (1, 3)), nn.Flatten(), nn.Linear(6 * 4 * 2, 3))
    return net, torch.randn(4, 3, 8, 8)


def transformer():
    return nn.Sequential(Block(), Block(), nn.Linear(16, 4)), torch.randn(2, 7, 16)


NETWORKS = {"perceptron": perceptron, "convolutions": convolutions, "transformer": transformer, "resnet18": resnet}


def pair(name, rank, alpha):
    """Our network and peft's on one base, with the same A and B drawn for each layer."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base, x = NETWORKS[name]()
    layers = [one for one, module in base.named_modules() if type(module) in (nn.Linear, nn.Conv2d)]
    layers = layers[:1] + layers[1:-1:3] + layers[-1:]  # some of them
    ours = add_lora(base, rank, alpha, layers=layers)
    wanted = LoraConfig(r=rank, lora_alpha=alpha, target_modules="|".join(map(re.escape, layers)), lora_dropout=0.0)
    theirs = get_peft_model(copy.deepcopy(base), wanted)
    start = ours.eval()(x), theirs.eval()(x), base.eval()(x)
    couples = [(ours.get_submodule(one), theirs.base_model.model.get_submodule(one)) for one in layers]
    for mine, other in couples:
        nn.init.normal_(mine.B, std=0.1)
        a, b = other.lora_A["default"].weight, other.lora_B["default"].weight
        a.data, b.data = mine.A.data.reshape(a.shape).clone(), mine.B.data.reshape(b.shape).clone()
    return base, ours, theirs, x, couples, start


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1), (2, 8)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_network(name, rank, alpha):
    _, ours, theirs, x, couples, start = pair(name, rank, alpha)
    assert torch.equal(start[0], start[2])
    torch.testing.assert_close(start[1], start[2])
    got, wanted = ours(x), theirs(x)
    assert not torch.allclose(got, start[2], atol=1e-3)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    got.square().mean().backward()
    wanted.square().mean().backward()
    for mine, other in couples:
        for ours_one, theirs_one in ((mine.A, other.lora_A), (mine.B, other.lora_B)):
            gradient = theirs_one["default"].weight.grad.reshape(ours_one.shape)
            torch.testing.assert_close(ours_one.grad, gradient, rtol=1e-2, atol=1e-4)
    trained = sum(p.numel() for p in ours.parameters() if p.requires_grad)
    assert trained == theirs.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_merged_and_without(name):
    base, ours, theirs, x, _, start = pair(name, 2, 4)
    merged, peft_merged = merge_lora(ours), copy.deepcopy(theirs).merge_and_unload()
    assert merged.state_dict().keys() == peft_merged.state_dict().keys() == base.state_dict().keys()
    for key, value in merged.state_dict().items():
        torch.testing.assert_close(value, peft_merged.state_dict()[key], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(merged(x), ours(x), rtol=1e-4, atol=1e-4)
    with theirs.disable_adapter():
        torch.testing.assert_close(without_adapter(ours)(x), theirs(x))
    assert torch.equal(without_adapter(ours)(x), start[2])
