"""The cases of torchao's tests of its quantization primitives, derived anew: same shapes and settings, ours against torchao and ATen.

| torchao's case                                             | here                                                     |
|------------------------------------------------------------|----------------------------------------------------------|
| qparams: groups, channels and tensor, symmetric            | test_symmetric_scales                                    |
| qparams: tensor and tokens, asymmetric                     | test_asymmetric_qparams                                  |
| quantize, dequantize: groups, channels, tensor, 4-D        | test_codes_and_back                                      |
| activations per token, largest magnitude                   | test_symmetric_scales, test_fake_quantize                |
| input of zeros, and its eps                                | docs/conventions.md (test_conventions.py)                |
| fake quantization, its mask                                | test_fake_quantize, test_mask                            |
| raises                                                     | test_wrong_inputs_are_refused                            |
| tinygemm's float zero points, bfloat16 scales, GPU memory  | left out: ours has whole zero points and float32 scales  |
"""

import pytest
import torch

from posttrain_lab.quantization import (
    FakeQuantize,
    PerChannel,
    PerGroup,
    PerTensor,
    affine_qparams,
    channel_qparams,
    dequantize,
    fake_quantize_weight,
    quantize,
    quantize_weight,
)

pytestmark = pytest.mark.peers
EPS = torch.finfo(torch.float32).eps


@pytest.fixture(scope="module")
def torchao():
    from torchao.quantization import quant_primitives

    return quant_primitives


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(123))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    ("shape", "block"), [((10, 10), (1, 2)), ((10, 10), (1, 10)), ((100, 256), (1, 256)), ((10, 256), (1, 128))]
)
def test_symmetric_scales(torchao, bits, shape, block):
    """Their ends are -top ... top when said so; then the scale is max |w| / top, as ours."""
    weight, top = drawn(*shape), 2 ** (bits - 1) - 1
    kind = torchao.MappingType.SYMMETRIC
    scale, zero = torchao.choose_qparams_affine(weight, kind, block, torch.int8, -top, top, eps=EPS)
    ours = channel_qparams(weight, bits, group=block[1])
    assert torch.equal(ours.flatten(), scale.flatten())
    assert not zero.any()
    codes = quantize_weight(weight, bits, PerGroup(block[1]))[0]
    theirs = torchao.quantize_affine(weight, block, scale, zero, torch.int8, -top, top)
    assert_codes_equal_but_at_ties(codes, theirs, weight.reshape(-1, block[1]) / scale.reshape(-1, 1))


def assert_codes_equal_but_at_ties(ours, theirs, exact):
    """torchao multiplies by 1 / scale: next to a tie, codes may differ by one."""
    apart = (ours.int() - theirs.reshape(ours.shape).int()).abs().flatten()
    assert apart.max() <= 1
    near_a_tie = ((exact.flatten() - exact.flatten().floor()) - 0.5).abs() < 1e-4
    assert not (apart.bool() & ~near_a_tie).any()


@pytest.mark.parametrize(("shape", "block"), [((10, 10), (10, 10)), ((10, 10), (1, 10))])
def test_asymmetric_qparams(torchao, shape, block):
    x = drawn(*shape)
    scale, zero = torchao.choose_qparams_affine(x, torchao.MappingType.ASYMMETRIC, block, torch.int8, eps=EPS)
    for part, s, z in zip(x.reshape(scale.numel(), -1), scale.flatten(), zero.flatten(), strict=True):
        ours, our_zero = affine_qparams(part.min().item(), part.max().item())
        assert ours == pytest.approx(s.item(), rel=1e-6)
        assert our_zero == z


@pytest.mark.parametrize(
    ("shape", "block", "axes"),
    [
        ((10, 10), (1, 2), "groups"),
        ((10, 10), (10, 1), (0,)),
        ((10, 10), (10, 10), (0, 1)),
        ((3, 3, 10, 10), (3, 3, 1, 10), (0, 1, 3)),
    ],
)
def test_codes_and_back(torchao, shape, block, axes):
    """Asymmetric (for groups symmetric), quantized and back: the same codes and the same numbers as torchao's."""
    x = drawn(*shape)
    kind = torchao.MappingType.SYMMETRIC if axes == "groups" else torchao.MappingType.ASYMMETRIC
    scale, zero = torchao.choose_qparams_affine(x, kind, block, torch.int8, eps=EPS)
    zero = zero.int()
    theirs = torchao.quantize_affine(x, block, scale, zero, torch.int8)
    back = torchao.dequantize_affine(theirs, block, scale, zero, torch.int8, output_dtype=torch.float32)
    rows = x.reshape(-1, 2) if axes == "groups" else x
    shape_of_scale = (-1, 1) if axes == "groups" else [1 if axis in axes else n for axis, n in enumerate(shape)]
    s, z = scale.reshape(shape_of_scale), zero.reshape(shape_of_scale)
    codes = quantize(rows, s, z)
    assert_codes_equal_but_at_ties(codes, theirs, rows / s)
    assert torch.equal(dequantize(theirs.reshape(rows.shape), s, z), back.reshape(rows.shape))


@pytest.mark.parametrize("shape", [(10, 10), (3, 5, 7)])
def test_fake_quantize(torchao, shape):
    x = drawn(*shape)
    block = (*[1] * (len(shape) - 1), shape[-1])
    scale, zero = torchao.choose_qparams_affine(x, torchao.MappingType.SYMMETRIC, block, torch.int8, -127, 127, eps=1e-5)
    theirs = torchao._fake_quantize_affine(x, block, scale, zero, torch.int8, -127, 127)
    ours = fake_quantize_weight(x.reshape(-1, shape[-1]), 8, PerChannel(0)).reshape(shape)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_mask():
    """The gradient passes where torch's own fake quantization passes it. (torchao's mask: a row in docs/conventions.md.)"""
    scale, zero = affine_qparams(-1.0, 1.5)
    gradients = []
    for fake in (FakeQuantize.apply, lambda x, *rest: torch.fake_quantize_per_tensor_affine(x, *rest[:2], -128, 127)):
        x = drawn(10, 10).requires_grad_()
        fake(x, scale, zero, 8).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)
    assert 0 < gradients[0].sum() < 100


def test_wrong_inputs_are_refused(torchao):
    """They refuse whole numbers and scales of another shape; so do ours."""
    x = drawn(10, 10)
    with pytest.raises(AssertionError):
        torchao.quantize_affine(x.int(), (10, 10), torch.tensor([[0.1]]), torch.tensor([[0]]), torch.int8)
    with pytest.raises(TypeError, match="quantize wants a float tensor"):
        quantize(x.int(), 0.1, 0)
    with pytest.raises(ValueError, match="broadcasts against"):
        quantize(x, torch.full((3,), 0.1), 0)


def test_per_tensor_is_one_channel():
    x = drawn(10, 10)
    assert torch.equal(
        fake_quantize_weight(x, 8, PerTensor()), fake_quantize_weight(x.reshape(1, -1), 8, PerChannel(0)).reshape(10, 10)
    )
