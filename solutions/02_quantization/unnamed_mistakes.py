"""Unit 02: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

import math
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))
ends = right.ends


# ---- the right answer, changed
def affine_of(change):
    return lambda low, high, bits=8, symmetric=False: change(*right.affine_exact(low, high, bits, symmetric), low, high)


def channel_of(change):
    return lambda weight, bits=8, group=None: change(right.channel_by_norm(weight, bits, group), weight, bits)


def observe_but(**methods):
    return lambda x, method="minmax", bits=8: methods.get(method, right.observe_plainly)(x, method, bits)


def fold_of(change):
    def fold_batchnorm(conv, bn):
        new = right.fold_new_layer(conv, bn)
        with torch.no_grad():
            return change(new, conv, bn) or new

    return fold_batchnorm


def requantize_of(change):
    return lambda acc, multiplier, zero_point, bits=8: change(acc, multiplier, zero_point, bits).clamp(*ends(bits)).to(torch.int8)


def fake_of(forward=right.fake_by_torch, backward=lambda grad, x, scale, zero_point, bits: grad):
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, *rest):
            ctx.args = (x.detach(), *rest)
            return forward(x.detach(), *rest)

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, *ctx.args), None, None, None

    return Wrong


def inside(x, scale, zero_point, bits):
    code = (x / scale).round() + zero_point
    return code.clamp(*ends(bits)) == code


# ---- longer wrong answers
def few_factors(x, method, bits):
    low, high = x.min().item(), x.max().item()
    return min([(f * low, f * high) for f in (1.0, 0.9, 0.8, 0.7)], key=lambda pair: right.error_of(x, *pair, bits))


def finer_factors(x, method, bits):
    """Steps of 0.5 %, where the page names those of 1 %."""
    low, high = x.min().item(), x.max().item()
    factors = (torch.arange(200, 0, -1) / 200).tolist()
    return min([(f * low, f * high) for f in factors], key=lambda pair: right.error_of(x, *pair, bits))


def two_shifts(acc, multiplier, zero_point, bits):
    """Rounds twice, as some libraries do: to 2^-8 of a code first, then to the code."""
    m, shift = right.split(multiplier)
    first = shift - min(8, shift - 1)
    return ((((acc.long() * m + (1 << (first - 1))) >> first) + (1 << (shift - first - 1))) >> (shift - first)) + zero_point


def coarse_multiplier(acc, multiplier, zero_point, bits):
    """15 bits of the multiplier instead of 31."""
    m, shift = right.split(multiplier)
    return ((acc.long() * (m >> 16) + (1 << (shift - 17))) >> (shift - 16)) + zero_point


def bits_of_m(acc, multiplier, bits, whole):
    """The page's arithmetic with another m: fewer bits, or cut off in place of rounded."""
    fraction, exponent = math.frexp(multiplier)
    return (acc.long() * whole(fraction * 2**bits) + (1 << (bits - exponent - 1))) >> (bits - exponent)


def fold_by_running(conv, bn):
    """The statistics of one batch in place of the running ones."""
    new = right.fold_new_layer(conv, bn)
    y = conv(torch.randn(8, conv.in_channels, 9, 9))
    factor = bn.weight / (y.var((0, 2, 3)) + bn.eps).sqrt()
    new.weight.data, new.bias.data = conv.weight * factor.view(-1, 1, 1, 1), bn.bias - y.mean((0, 2, 3)) * factor
    return new


def fold_in_place(conv, bn):
    new = right.fold_new_layer(conv, bn)
    conv.weight.data = new.weight.data
    conv.bias = new.bias
    return conv


def float_codes(xq, x_scale, x_zero, wq, w_scale, bias=None):
    """Exact, but with a product of floats."""
    acc = torch.einsum("ni,oi->no", xq.double(), wq.double()).long() - x_zero * wq.long().sum(1)
    return acc * (x_scale * w_scale) + (0 if bias is None else bias)


def linear_of(**change):
    def int8_linear(xq, x_scale, x_zero, wq, w_scale, bias=None):
        given = {"xq": xq, "x_scale": x_scale, "x_zero": x_zero, "wq": wq, "w_scale": w_scale, "bias": bias}
        return right.linear_shifted_first(**{**given, **{name: new(given[name]) for name, new in change.items()}})

    return int8_linear


def gptq_with(steps=lambda factor, hessian: factor / factor.diagonal()[:, None], backwards=False, clamp=True, inputs_of=None):
    """Wrong updates of the columns."""

    def optimal_rounding(weight, inputs, bits):
        hessian = right.hessian_of((inputs_of or torch.Tensor.double)(inputs))
        share = steps(torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True), hessian)
        left, scale = weight.double().clone(), right.grid(weight, bits)
        for j in reversed(range(weight.shape[1])) if backwards else range(weight.shape[1]):
            before = left[:, j].clone()
            left[:, j] = right.nearest(before, scale[:, 0], bits) if clamp else (before / scale[:, 0]).round() * scale[:, 0]
            left[:, j + 1 :] -= (before - left[:, j])[:, None] * share[j, j + 1 :]
        return left.float()

    return optimal_rounding


def gptq_in_blocks_of_32(weight, inputs, bits):
    """Errors are compensated only within blocks of 32 columns, as if these did not meet in the output."""
    parts = [
        right.rounding_by_elimination(torch.cat([w, weight.abs().amax(1, keepdim=True)], 1), F.pad(x, (0, 1)), bits)[:, :-1]
        for w, x in zip(weight.split(32, 1), inputs.split(32, 1), strict=True)
    ]
    return torch.cat(parts, 1)


def fixed_damping(weight, inputs, bits, amount):
    """The same number on the diagonal, however large the inputs are."""
    scale, left = right.grid(weight, bits), weight.clone()
    factor = torch.linalg.cholesky(torch.linalg.inv(inputs.T @ inputs + amount * torch.eye(inputs.shape[1])), upper=True)
    for j in range(weight.shape[1]):
        before = left[:, j : j + 1].clone()
        left[:, j : j + 1] = right.nearest(before, scale, bits)
        left[:, j + 1 :] -= (before - left[:, j : j + 1]) / factor[j, j] * factor[j, j + 1 :]
    return left


def half_of_the_rows(weight, inputs, bits):
    result = right.rounding_by_elimination(weight, inputs, bits)
    half = len(weight) // 2
    result[half:] = right.nearest(weight[half:], right.grid(weight, bits)[half:], bits)
    return result


def float_products_one_by_one(xq, x_scale, x_zero, wq, w_scale, bias=None):
    """The right values, but with float64 arithmetic."""
    acc = ((xq.double() - x_zero)[:, None] * wq.double()).sum(-1)
    return (acc * (x_scale * w_scale) + (0 if bias is None else bias)).float()


def float_products_in_a_loop(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = torch.zeros(len(xq), len(wq), dtype=torch.float64)
    for x, w in zip(xq.double().T - x_zero, wq.double().T, strict=True):
        acc += x[:, None] * w
    return (acc * (x_scale * w_scale) + (0 if bias is None else bias)).float()


def float_products_in_numpy(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = (xq.numpy().astype(np.float64) - x_zero) @ wq.numpy().T
    return torch.from_numpy(acc * x_scale) * w_scale + (0 if bias is None else bias)


def sparse_float_products(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = torch.sparse.mm((xq.double() - x_zero).to_sparse(), wq.double().T)
    return (acc * (x_scale * w_scale)).float() + (0 if bias is None else bias)


def float_row_sums(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = xq.int() @ wq.int().T - x_zero * wq.float().sum(1)
    return (acc * (x_scale * w_scale) + (0 if bias is None else bias)).float()


def einsum_in_numpy(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = np.einsum("nk,ok->no", np.asarray(xq, dtype=float) - x_zero, np.asarray(wq))
    return torch.tensor(acc * x_scale).float() * w_scale + (0 if bias is None else bias)


def quantize_in_place(x, scale, zero_point, bits=8):
    return x.div_(scale).round_().add_(zero_point).clamp_(*ends(bits)).to(torch.int8)


WRONG = {
    "affine_qparams": (
        affine_of(lambda scale, zero, low, high: (scale, float(zero))),
        affine_of(lambda scale, zero, low, high: (zero, scale)),
        affine_of(lambda scale, zero, low, high: (1 / scale, zero)),
        affine_of(lambda scale, zero, low, high: (round(scale, 3), zero)),
        affine_of(lambda scale, zero, low, high: (scale, zero + 1)),
        affine_of(lambda scale, zero, low, high: (max(scale, 1e-10), zero)),
        lambda low, high, bits=8, symmetric=False: right.affine_exact(max(low, -1e5), min(high, 1e5), bits, symmetric),
        affine_of(lambda scale, zero, low, high: (scale + 1e-5, zero)),
        lambda low, high, bits=8, symmetric=False: right.affine_exact(low, high, 8 if bits > 4 else 4, symmetric),
        lambda low, high, bits=8, symmetric=False: right.affine_exact(low, high + 1e-9, bits, symmetric),
        lambda low, high, bits=8, symmetric=False: right.affine_exact(low, high),
    ),
    "quantize": (
        quantize_in_place,
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x.float(), scale, zero_point, bits),
        lambda x, scale, zero_point, bits=8: (
            (x / scale).clamp(-(2.0**40), 2.0**40).round().to(torch.int32).add(zero_point).clamp(*ends(bits)).to(torch.int8)
        ),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, zero_point, bits).abs(),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x.contiguous().flatten(), scale, zero_point, bits),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, zero_point, bits).clamp(max=2 ** (bits - 1) - 2),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, zero_point, bits).to(torch.int32),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, zero_point, bits).clamp(min=-127),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, 0, bits).add(zero_point),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, round(scale, 2) or scale, zero_point, bits),
        lambda x, scale, zero_point, bits=8: right.quantize_in_numpy(x, scale, zero_point, min(bits, 4)),
        lambda x, scale, zero_point, bits=8: (x * (1 / scale) + zero_point).round().clamp(*ends(bits)).to(torch.int8),
    ),
    "dequantize": (
        lambda q, scale, zero_point: right.dequantize_in_float64(q, scale, zero_point).to(torch.bfloat16),
        lambda q, scale, zero_point: right.dequantize_in_float64(q.clamp(-127), scale, zero_point).float(),
        lambda q, scale, zero_point: right.dequantize_in_float64(q, round(scale, 3), zero_point).float(),
        lambda q, scale, zero_point: right.dequantize_in_float64(q, scale, abs(zero_point)).float(),
        lambda q, scale, zero_point: right.dequantize_in_float64(q.contiguous().view(-1), scale, zero_point).float(),
        lambda q, scale, zero_point: right.dequantize_in_float64(q, scale, zero_point).clamp(-128, 127).float(),
        lambda q, scale, zero_point: right.dequantize_in_float64(q, scale, zero_point).double(),
        lambda q, scale, zero_point: (q - torch.tensor(zero_point, dtype=torch.int8)) * scale,
        lambda q, scale, zero_point: (q.to(torch.int16) - zero_point) * scale,
        lambda q, scale, zero_point: ((torch.arange(-128, 128) - zero_point) * scale)[q.long() + 128],
    ),
    "channel_qparams": (
        channel_of(lambda scale, weight, bits: scale.half().float()),
        channel_of(lambda scale, weight, bits: scale.flatten()),
        channel_of(lambda scale, weight, bits: scale.clamp(min=1e-10)),
        lambda weight, bits=8, group=None: right.channel_by_norm(weight.flatten(1)[:, :1024], bits, group),
        channel_of(lambda scale, weight, bits: scale + 1e-6),
        channel_of(lambda scale, weight, bits: scale.clamp(max=1.0)),
        channel_of(lambda scale, weight, bits: scale.tolist()),
        channel_of(lambda scale, weight, bits: 1 / scale),
        lambda weight, bits=8, group=None: right.channel_by_norm(weight, max(bits, 4), group),
        lambda weight, bits=8, group=None: right.channel_by_norm(weight[:, :1] if weight.ndim > 2 else weight, bits, group),
        lambda weight, bits=8, group=None: weight.flatten(1).std(1) * 3 / ends(bits)[1],
    ),
    "observe": (
        observe_but(mse=few_factors),
        observe_but(mse=finer_factors),
        observe_but(mse=lambda x, method, bits: right.observe_plainly(x.half().float(), "mse", bits)),
        observe_but(mse=lambda x, method, bits: right.observe_plainly(x.flatten()[:1000], "mse", bits)),
        lambda x, method="percentile", bits=8: right.observe_plainly(x, method, bits),
        lambda x, method="minmax", bits=4: right.observe_plainly(x, method, bits),
        observe_but(mse=lambda x, method, bits: right.observe_plainly(x, "percentile")),
        observe_but(mse=lambda x, method, bits: tuple(0.5 * end for end in right.observe_plainly(x, "minmax"))),
        observe_but(mse=lambda x, method, bits: right.observe_plainly(x, "mse", bits + 1)),
        observe_but(mse=lambda x, method, bits: right.observe_plainly(x, "mse", bits)[::-1]),
        observe_but(percentile=lambda x, method, bits: right.observe_plainly(x, "minmax")),
        observe_but(percentile=lambda x, method, bits: right.observe_plainly(x.flatten()[:1000], "percentile")),
        observe_but(minmax=lambda x, method, bits: (x.min().item(), x.mean().item() + 3 * x.std().item())),
        lambda x, method="minmax", bits=8: right.observe_plainly(x, "minmax"),
    ),
    "fold_batchnorm": (
        fold_by_running,
        fold_in_place,
        fold_of(lambda new, conv, bn: setattr(new, "padding_mode", "zeros")),
        fold_of(lambda new, conv, bn: new.weight.mul_((bn.weight.abs() > 0.01).view(-1, 1, 1, 1)) is None),
        fold_of(lambda new, conv, bn: new.double()),
        fold_of(lambda new, conv, bn: new.weight.abs_() is None),
        fold_of(lambda new, conv, bn: nn.Sequential(conv, bn)),
        fold_of(lambda new, conv, bn: new.bias.mul_(torch.sign(bn.weight)) is None),
        fold_of(lambda new, conv, bn: new.weight.copy_(conv.weight * bn.weight.abs().view(-1, 1, 1, 1)) is None),
        fold_of(lambda new, conv, bn: setattr(new, "bias", None)),
        lambda conv, bn: right.fold_new_layer(conv, bn.eval()),
        lambda conv, bn: (right.fold_new_layer(conv, bn), bn.running_mean.zero_())[0],
    ),
    "requantize": (
        requantize_of(two_shifts),
        requantize_of(coarse_multiplier),
        requantize_of(lambda acc, multiplier, zero_point, bits: bits_of_m(acc, multiplier, 30, round) + zero_point),
        requantize_of(lambda acc, multiplier, zero_point, bits: bits_of_m(acc, multiplier, 31, int) + zero_point),
        requantize_of(lambda acc, multiplier, zero_point, bits: (acc.double() * multiplier).round() + zero_point),
        requantize_of(lambda acc, multiplier, zero_point, bits: (acc * multiplier + 0.5).floor() + zero_point),
        requantize_of(
            lambda acc, multiplier, zero_point, bits: torch.div(acc, round(1 / multiplier), rounding_mode="floor") + zero_point
        ),
        requantize_of(
            lambda acc, multiplier, zero_point, bits: right.requantize_in_python(acc, multiplier, zero_point, bits).abs()
        ),
        requantize_of(
            lambda acc, multiplier, zero_point, bits: right.requantize_in_python(
                acc.clamp(-(2**24), 2**24), multiplier, zero_point
            )
        ),
        lambda acc, multiplier, zero_point, bits=8: right.requantize_in_python(acc, multiplier, zero_point, bits).to(torch.int32),
        lambda acc, multiplier, zero_point, bits=8: right.requantize_in_python(acc, multiplier, zero_point, bits).clamp(min=-127),
    ),
    "int8_linear": (
        float_codes,
        linear_of(xq=lambda xq: xq.clamp(min=-127)),
        linear_of(w_scale=lambda scale: scale.flip(0)),
        linear_of(bias=lambda bias: None if bias is None else bias.round()),
        linear_of(x_zero=lambda zero: max(-127, min(126, zero))),
        linear_of(x_zero=lambda zero: zero + 128),
        linear_of(x_scale=lambda scale: round(scale, 2)),
        linear_of(bias=lambda bias: None if bias is None else bias[0]),
        float_products_one_by_one,
        float_products_in_a_loop,
        float_products_in_numpy,
        einsum_in_numpy,
        sparse_float_products,
        float_row_sums,
        lambda *args: right.linear_shifted_first(*args).double(),
        lambda xq, x_scale, x_zero, wq, w_scale, bias=None: right.linear_shifted_first(
            xq, x_scale, x_zero, torch.from_numpy(np.rint(wq.numpy().astype(float).dot(np.eye(wq.shape[1])))), w_scale, bias
        ),
        lambda *args: right.linear_shifted_first(*args).half(),
        lambda *args: right.linear_shifted_first(*args).relu(),
        lambda *args: right.linear_shifted_first(*args).T.contiguous(),
        lambda xq, x_scale, x_zero, wq, w_scale, bias=None: F.linear(xq.float() * x_scale, wq.float() * w_scale[:, None], bias),
    ),
    "fake_quantize": (
        lambda x, scale, zero_point, bits: right.fake_by_torch(x.detach(), scale, zero_point, bits),
        lambda x, scale, zero_point, bits: ((x / scale).round() + zero_point).clamp(*ends(bits)).sub(zero_point) * scale,
        lambda x, scale, zero_point, bits: x + (right.fake_by_torch(x, scale, zero_point, bits) - x).detach(),
        fake_of(backward=lambda grad, x, scale, zero_point, bits: grad * (x.abs() <= scale * ends(bits)[1])),
        fake_of(backward=lambda grad, x, scale, zero_point, bits: grad * inside(x, scale, zero_point, 8)),
        fake_of(backward=lambda grad, x, scale, zero_point, bits: grad * (x >= (ends(bits)[0] - zero_point) * scale)),
        fake_of(
            backward=lambda grad, x, scale, zero_point, bits: (
                grad * ((x / scale + zero_point).clamp(*ends(bits)) == x / scale + zero_point)
            )
        ),
        fake_of(backward=lambda grad, x, *rest: -grad * inside(x, *rest)),
        fake_of(backward=lambda grad, x, *rest: grad.clamp(-2, 2) * inside(x, *rest)),
        fake_of(lambda x, *rest: right.fake_by_torch(x.float(), *rest), lambda grad, x, *rest: grad * inside(x, *rest)),
        fake_of(backward=lambda grad, x, scale, *rest: grad * inside(x, torch.as_tensor(scale).mean(), *rest)),
        fake_of(backward=lambda grad, x, *rest: grad.sum() * inside(x, *rest)),
        fake_of(backward=lambda grad, x, *rest: grad * inside(x, *rest) * 0.5),
        fake_of(lambda x, *rest: right.fake_by_torch(x, *rest).clamp(-1, 1), lambda grad, x, *rest: grad * inside(x, *rest)),
        fake_of(
            lambda x, scale, zero_point, bits: right.fake_by_torch(x, scale, 0, bits),
            lambda grad, x, *rest: grad * inside(x, *rest),
        ),
    ),
    "optimal_rounding": (
        half_of_the_rows,
        gptq_with(clamp=False),
        gptq_with(backwards=True),
        gptq_with(lambda factor, hessian: factor),
        gptq_with(lambda factor, hessian: factor / factor.diagonal()[:, None] ** 2),
        gptq_with(lambda factor, hessian: factor / factor.diagonal()[:, None] / 2),
        gptq_with(lambda factor, hessian: torch.ones_like(factor)),
        gptq_in_blocks_of_32,
        lambda weight, inputs, bits: fixed_damping(weight, inputs, bits, 0.01),
        lambda weight, inputs, bits: fixed_damping(weight, inputs, bits, 1.0),
        lambda weight, inputs, bits: fixed_damping(weight, inputs, bits, inputs.square().sum(0).mean()),
        gptq_with(inputs_of=lambda inputs: inputs.double().abs()),
        gptq_with(inputs_of=lambda inputs: torch.eye(inputs.shape[1], dtype=torch.float64)),
        lambda weight, inputs, bits: weight.clone(),
        lambda weight, inputs, bits: torch.zeros_like(weight),
        lambda weight, inputs, bits: right.rounding_by_elimination(weight, inputs, max(bits, 4)),
    ),
}
