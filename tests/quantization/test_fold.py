"""Folding against torch's own fusion and against the layers it replaces."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from posttrain_lab.models import fashion_cnn
from posttrain_lab.quantization import fold_batchnorm, fold_model

pytestmark = pytest.mark.portable


def lived_in(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and statistic away from its default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 1.5 + 0.25)
            tensor.mul_(torch.where(torch.rand(tensor.shape, generator=generator) < 0.3, -1.0, 1.0))
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
                layer.running_var.abs_()
    return module.eval()


CONVS = {
    "plain": lambda bias: nn.Conv2d(4, 6, 3, bias=bias),
    "grouped": lambda bias: nn.Conv2d(4, 6, (3, 1), stride=2, padding=(1, 0), groups=2, bias=bias),
    "depthwise": lambda bias: nn.Conv2d(4, 4, 3, padding="same", dilation=2, groups=4, bias=bias),
    "reflecting": lambda bias: nn.Conv2d(4, 5, 3, padding=1, padding_mode="reflect", bias=bias),
}


@pytest.mark.parametrize("kind", CONVS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_folded_equals_torchs_fusion_and_the_pair(kind, bias, eps):
    conv = lived_in(CONVS[kind](bias))
    bn = lived_in(nn.BatchNorm2d(conv.out_channels, eps=eps), seed=1)
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(2))
    folded, want = fold_batchnorm(conv, bn), fuse_conv_bn_eval(conv, bn)
    assert torch.allclose(folded.weight, want.weight, rtol=1e-5, atol=1e-6)
    assert torch.allclose(folded.bias, want.bias, rtol=1e-5, atol=1e-5)
    exact = copy.deepcopy(bn).double()(copy.deepcopy(conv).double()(x.double()))
    assert torch.allclose(folded(x).double(), exact, rtol=1e-5, atol=1e-5)


def test_without_affine_parameters():
    conv, bn = lived_in(nn.Conv2d(2, 3, 1)), lived_in(nn.BatchNorm2d(3, affine=False), seed=1)
    x = torch.ones(1, 2, 2, 2)
    assert torch.allclose(fold_batchnorm(conv, bn)(x), bn(conv(x)), atol=1e-5)


def test_the_given_layers_stay_and_share_nothing():
    conv, bn = lived_in(nn.Conv2d(2, 3, 1, bias=False)), lived_in(nn.BatchNorm2d(3), seed=1)
    before = [t.clone() for t in [*conv.state_dict().values(), *bn.state_dict().values()]]
    folded = fold_batchnorm(conv, bn)
    with torch.no_grad():
        folded.weight.zero_()
        folded.bias.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, [*conv.state_dict().values(), *bn.state_dict().values()], strict=True))
    assert conv.bias is None
    assert folded.weight.requires_grad


def test_dtype_is_the_convolutions():
    folded = fold_batchnorm(lived_in(nn.Conv2d(2, 3, 1)).half(), lived_in(nn.BatchNorm2d(3), seed=1))
    assert folded.weight.dtype == folded.bias.dtype == torch.float16


def test_a_network_keeps_its_outputs():
    model = lived_in(fashion_cnn())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.1)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    folded = fold_model(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert len(folded) == len(model) - 3
    exact = copy.deepcopy(model).double()(x.double())
    assert torch.allclose(folded(x).double(), exact, rtol=1e-4, atol=1e-5 * exact.abs().max().item())


def test_only_what_follows_a_convolution_is_folded():
    model = nn.Sequential(
        nn.BatchNorm2d(2),
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)),
        nn.ReLU(),
        nn.BatchNorm2d(3),
    )
    folded = fold_model(lived_in(model))
    assert [type(layer) for layer in folded] == [nn.BatchNorm2d, nn.Sequential, nn.ReLU, nn.BatchNorm2d]
    assert [type(layer) for layer in folded[1]] == [nn.Conv2d]  # the second folds into the folded one
    x = torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(folded(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_models_keep_their_mode_and_their_weights(training):
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout()).train(training)
    folded = fold_model(model)
    assert folded.training == folded[-1].training == training
    assert model[0].weight.data_ptr() != folded[0].weight.data_ptr()
    assert len(model) == 3


def test_nothing_to_fold_is_a_copy():
    assert len(fold_model(nn.Sequential())) == 0
    assert isinstance(fold_model(nn.Sequential(nn.Linear(2, 2)))[0], nn.Linear)


def test_bad_input():
    conv, bn = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
    with pytest.raises(TypeError, match="fold_batchnorm wants a Conv2d and a BatchNorm2d, got Linear and BatchNorm2d"):
        fold_batchnorm(nn.Linear(1, 2), bn)
    with pytest.raises(TypeError, match="got Conv2d and BatchNorm1d"):
        fold_batchnorm(conv, nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="equally many channels, got 2 and 3"):
        fold_batchnorm(conv, nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="wants running statistics, got none"):
        fold_batchnorm(conv, nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(TypeError, match=r"fold_model wants an nn\.Sequential, got Conv2d"):
        fold_model(conv)
