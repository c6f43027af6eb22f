"""Weights in codes: scales against torchao, codes against a loop over the parts, and what finer scales promise."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.quantization import (
    PerChannel,
    PerGroup,
    PerTensor,
    channel_qparams,
    code_range,
    dequantize_weight,
    fake_quantize_weight,
    quantize_weight,
)
from tests.quantization.nets import randn

LAWS = settings(max_examples=60, deadline=None, derandomize=True)
BITS = st.integers(2, 8)


GRANULARITIES = [PerTensor(), PerChannel(), PerChannel(1), PerChannel(-1), PerGroup(1), PerGroup(3), PerGroup(12)]


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_channel_scales_equal_torchao(torchao, bits):
    weight = randn(5, 12)
    top = code_range(bits, symmetric=True)[1]
    for group, block in [(None, (1, 12)), (4, (1, 4))]:
        want, _ = torchao.choose_qparams_affine(
            weight,
            torchao.MappingType.SYMMETRIC_NO_CLIPPING_ERR,
            block,
            torch.int8,
            -top,
            top,
            eps=1e-30,
        )
        got = channel_qparams(weight, bits, group)
        assert got.shape == ((5,) if group is None else (5, 3))
        assert torch.allclose(got, want.reshape(got.shape), rtol=1e-6, atol=0)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_equal_a_loop_over_their_parts(granularity, bits):
    weight, top = randn(4, 3, 2, 2), code_range(bits, symmetric=True)[1]
    if isinstance(granularity, PerTensor):
        parts = [weight.reshape(-1)]
    elif isinstance(granularity, PerChannel):
        parts = [part.reshape(-1) for part in weight.unbind(granularity.axis)]
    else:
        parts = list(weight.reshape(-1, granularity.size))
    codes, scale = quantize_weight(weight, bits, granularity)
    back = fake_quantize_weight(weight, bits, granularity)
    assert (codes.dtype, codes.shape, back.dtype, back.shape) == (torch.int8, weight.shape, torch.float32, weight.shape)
    assert scale.shape == {PerTensor: (), PerChannel: (len(parts),)}.get(type(granularity), (4, len(parts) // 4))
    assert torch.equal(back, dequantize_weight(codes, scale, granularity))
    moved = [t.movedim(granularity.axis, 0) if isinstance(granularity, PerChannel) else t for t in (codes, back)]
    for i, part in enumerate(parts):
        one = part.abs().max().item() / top
        assert scale.reshape(-1)[i].item() == pytest.approx(one, rel=1e-6)
        want = (part / scale.reshape(-1)[i]).round().clamp(-top, top)
        assert torch.equal(moved[0].reshape(len(parts), -1)[i].float(), want)
        assert torch.equal(moved[1].reshape(len(parts), -1)[i], want * scale.reshape(-1)[i])


@LAWS
@given(st.integers(0, 10**6), BITS, st.integers(1, 4))
def test_more_scales_never_give_a_larger_bound(seed, bits, halvings):
    """Every weight's own bound, half its scale, shrinks with the group; so does the largest error's bound."""
    weight = randn(4, 16, seed=seed)
    scales = [channel_qparams(weight, bits)[:, None], channel_qparams(weight, bits, 16 >> halvings)]
    assert (scales[1] <= scales[0]).all()
    assert (scales[0] <= quantize_weight(weight, bits, PerTensor())[1]).all()


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_per_channel_has_less_squared_error_than_per_tensor_where_channels_differ(bits):
    for seed in range(20):
        weight = randn(8, 64, seed=seed) * torch.logspace(-2, 0, 8)[:, None]
        errors = [
            (fake_quantize_weight(weight, bits, g) - weight).square().sum() for g in (PerGroup(8), PerChannel(), PerTensor())
        ]
        assert errors[0] < errors[1] < errors[2]


def test_zero_channels_have_scale_one_and_stay_zero():
    weight = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    assert channel_qparams(weight, 4).tolist() == pytest.approx([1.0, 2 / 7])
    assert (fake_quantize_weight(weight, 4, PerChannel())[0] == 0).all()


def test_vectors_half_precision_and_gradients():
    bias = randn(6)
    assert torch.allclose(fake_quantize_weight(bias, 8, PerChannel()), bias, rtol=1e-6)
    assert quantize_weight(bias, 8, PerTensor())[1].shape == ()
    half = randn(3, 4).half()
    assert torch.equal(fake_quantize_weight(half, 4, PerChannel()), fake_quantize_weight(half.float(), 4, PerChannel()))
    assert not fake_quantize_weight(bias.requires_grad_(), 8, PerTensor()).requires_grad


@pytest.mark.parametrize(
    ("weight", "granularity", "error", "message"),
    [
        (torch.empty(0, 3), PerTensor(), ValueError, r"wants weights \[out, ...\], got \(0, 3\)"),
        (torch.tensor(1.0), PerTensor(), ValueError, r"wants weights \[out, ...\], got \(\)"),
        (torch.tensor([[1.0, float("nan")]]), PerTensor(), ValueError, "wants finite weights"),
        (torch.tensor([[1.0, float("inf")]]), PerChannel(), ValueError, "wants finite weights"),
        (torch.ones(2, 3, dtype=torch.int8), PerTensor(), TypeError, "wants a float tensor, got torch.int8"),
        (torch.ones(2, 3), PerChannel(2), ValueError, r"wants an axis of \(2, 3\), got 2"),
        (torch.ones(2, 3), PerGroup(2), ValueError, "wants a group that divides the 3 weights of a channel, got 2"),
        (torch.ones(2, 3), "channel", TypeError, r"wants PerTensor\(\), PerChannel\(\) or PerGroup\(size\), got 'channel'"),
    ],
)
def test_bad_weights(weight, granularity, error, message):
    with pytest.raises(error, match=f"quantize_weight {message}"):
        quantize_weight(weight, 8, granularity)


def test_bad_channel_weights_and_scales():
    with pytest.raises(ValueError, match=r"channel_qparams wants weights \[out, ...\], got \(2, 0\)"):
        channel_qparams(torch.empty(2, 0))
    with pytest.raises(ValueError, match="channel_qparams wants a group that divides the 3 weights"):
        channel_qparams(torch.ones(2, 3), group=2)
    with pytest.raises(ValueError, match="PerGroup wants a size of at least 1, got 0"):
        channel_qparams(torch.ones(2, 3), group=0)
    with pytest.raises(ValueError, match=r"dequantize_weight wants 2 scales .* got 3"):
        dequantize_weight(torch.ones(2, 3, dtype=torch.int8), torch.ones(3), PerChannel())
