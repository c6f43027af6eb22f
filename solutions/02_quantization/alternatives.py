"""Unit 02: right answers, written in another way. They prove that the grader accepts every right answer."""

import copy
import math
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from posttrain_lab import quantization as lib


def ends(bits):
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


# ---- affine_qparams
def affine_in_float32(low, high, bits=8, symmetric=False):
    low, high = torch.tensor([low, 0.0]).min(), torch.tensor([high, 0.0]).max()
    if low == high:
        return 1.0, 0
    if symmetric:
        return (torch.maximum(-low, high) / ends(bits)[1]).item(), 0
    scale = (high - low) / (2**bits - 1)
    return scale.item(), int(torch.round(ends(bits)[0] - low / scale))


def affine_from_the_top(low, high, bits=8, symmetric=False):
    low, high, (qmin, qmax) = min(low, 0), max(high, 0), ends(bits)
    if symmetric:
        low, high, qmin = -max(-low, high), max(-low, high), -qmax
    scale = (high - low) / (qmax - qmin) or 1.0
    return scale, 0 if symmetric or low == high else qmax - round(high / scale)


def affine_exact(low, high, bits=8, symmetric=False):
    low, high, top = min(Fraction(low), 0), max(Fraction(high), 0), ends(bits)[1]
    if high == low:
        return 1.0, 0
    if symmetric:
        return float(max(-low, high) / top), 0
    return float((high - low) / (2**bits - 1)), math.floor(-low * (2**bits - 1) / (high - low) + Fraction(1, 2)) - top - 1


# ---- quantize, dequantize
def quantize_in_numpy(x, scale, zero_point, bits=8):
    codes = np.rint(x.numpy().astype(np.float64) / scale) + zero_point
    return torch.from_numpy(np.asarray(np.clip(codes, *ends(bits)))).to(torch.int8)


def quantize_by_reciprocal(x, scale, zero_point, bits=8):
    return torch.round(x * (1 / scale)).add(zero_point).clamp(*ends(bits)).char()


def quantize_clamps_steps(x, scale, zero_point, bits=8):
    low, high = ends(bits)
    return (x.double() / scale).clamp(low - zero_point, high - zero_point).round().add(zero_point).to(torch.int8)


def dequantize_by_table(q, scale, zero_point):
    """A table of the codes that occur."""
    codes, places = q.unique(return_inverse=True)
    return ((codes.double() - zero_point) * scale).float()[places]


def dequantize_distributed(q, scale, zero_point):
    return q.float() * scale - zero_point * scale


def dequantize_in_float64(q, scale, zero_point):
    return torch.sub(q.double(), zero_point).mul(scale).float()


# ---- channel_qparams
def channel_by_loop(weight, bits=8, group=None):
    rows = [row.flatten().split(group or row.numel()) for row in weight]
    numbers = [[float(part.abs().max()) / ends(bits)[1] or 1.0 for part in row] for row in rows]
    scale = torch.tensor(numbers, dtype=weight.dtype)
    return scale if group else scale.squeeze(1)


def channel_by_norm(weight, bits=8, group=None):
    parts = weight.flatten(1)[:, None] if group is None else weight.flatten(1).unflatten(1, (-1, group))
    scale = torch.linalg.vector_norm(parts, ord=float("inf"), dim=2) / ends(bits)[1]
    scale[scale == 0] = 1
    return scale.flatten() if group is None else scale


def channel_by_ends(weight, bits=8, group=None):
    parts = weight.reshape(len(weight), -1, group or weight[0].numel()).double()
    largest = torch.maximum(parts.amax(2), -parts.amin(2)) / ends(bits)[1]
    largest = largest.masked_fill(largest == 0, 1.0)
    return (largest if group else largest[:, 0]).to(weight.dtype)


# ---- observe
def error_of(x, low, high, bits):
    scale, zero_point = affine_exact(low, high, bits)
    return (dequantize_in_float64(quantize_in_numpy(x, scale, zero_point, bits), scale, zero_point) - x).square().mean().item()


def observe_plainly(x, method="minmax", bits=8):
    if method == "percentile":
        return tuple(torch.quantile(x.flatten(), torch.tensor([0.001, 0.999])).tolist())
    low, high = float(x.min()), float(x.max())
    if method == "minmax":
        return low, high
    return min(((f * low, f * high) for f in np.linspace(1, 0.01, 100)), key=lambda ends: error_of(x, *ends, bits))


def observe_in_numpy(x, method="minmax", bits=8):
    x = x.numpy()
    if method == "percentile":
        low, high = np.percentile(x, [0.1, 99.9])
        return float(low), float(high)
    if method == "minmax":
        return x.min().item(), x.max().item()
    factors = np.linspace(1, 0.01, 100)
    errors = [error_of(torch.from_numpy(x), f * x.min().item(), f * x.max().item(), bits) for f in factors]
    best = factors[int(np.argmin(errors))]
    return float(best * x.min()), float(best * x.max())


def observe_by_sorting(x, method="minmax", bits=8):
    """Both ends times the factor as one float32 product; the quantiles from the sorted numbers."""
    ordered = x.flatten().sort().values
    if method == "percentile":
        places = [share * (len(ordered) - 1) for share in (0.001, 0.999)]
        below, above = (ordered[[kind(place) for place in places]] for kind in (math.floor, math.ceil))
        return tuple((below + (above - below) * torch.tensor([place % 1 for place in places])).tolist())
    best = None
    for low, high in (torch.linspace(0.01, 1, 100)[:, None] * ordered[[0, -1]]).tolist() if method == "mse" else ():
        error = lib.squared_error(x, low, high, bits)
        best = (error, low, high) if best is None or error <= best[0] else best
    return list(best[1:]) if best else [ordered[0].item(), ordered[-1].item()]


# ---- fold_batchnorm
def fold_new_layer(conv, bn):
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    new = nn.Conv2d(**{name: getattr(conv, name) for name in names})
    factor = torch.rsqrt(bn.running_var + bn.eps) * bn.weight
    with torch.no_grad():
        new.weight.copy_(torch.einsum("o,oikl->oikl", factor, conv.weight))
        new.bias.copy_(torch.addcmul(bn.bias, (0 if conv.bias is None else conv.bias) - bn.running_mean, factor))
    return new


def fold_by_torch(conv, bn):
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    return fuse_conv_bn_eval(copy.deepcopy(conv).eval(), copy.deepcopy(bn).eval())


def fold_in_float64(conv, bn):
    new, norm = copy.deepcopy(conv).double(), copy.deepcopy(bn).double()
    factor = norm.weight.detach() / (norm.running_var + norm.eps) ** 0.5
    bias = 0.0 if new.bias is None else new.bias.detach()
    new.weight.data.mul_(factor.view(-1, 1, 1, 1))
    new.bias = nn.Parameter((bias - norm.running_mean) * factor + norm.bias.detach())
    return new.float()


# ---- requantize
def split(multiplier):
    shift = 0
    while not 2**30 <= round(multiplier * 2.0**shift) < 2**31:
        shift += 1
    return round(multiplier * 2.0**shift), shift


def requantize_in_python(acc, multiplier, zero_point, bits=8):
    m, shift = split(multiplier)
    codes = [((a * m + 2 ** (shift - 1)) >> shift) + zero_point for a in acc.flatten().tolist()]
    clamped = [max(ends(bits)[0], min(ends(bits)[1], code)) for code in codes]
    return torch.tensor(clamped, dtype=torch.int8).reshape(acc.shape)


def requantize_by_division(acc, multiplier, zero_point, bits=8):
    m, shift = split(multiplier)
    product = acc.to(torch.int64) * m + (zero_point << shift) + (1 << (shift - 1)) if shift < 55 else None
    code = acc.long().mul(m).add(1 << (shift - 1)).div(1 << shift, rounding_mode="floor") + zero_point
    code = code if product is None else product.div(1 << shift, rounding_mode="floor")
    return torch.clamp(code, *ends(bits)).char()


def requantize_in_numpy(acc, multiplier, zero_point, bits=8):
    m, shift = split(multiplier)
    product = acc.numpy().astype(np.int64) * m
    low_bit = (product >> (shift - 1)) & 1
    code = (product >> shift) + low_bit + zero_point
    return torch.from_numpy(np.asarray(np.clip(code, *ends(bits)), dtype=np.int8))


# ---- int8_linear
def linear_shifted_first(xq, x_scale, x_zero, wq, w_scale, bias=None):
    y = ((xq.int() - x_zero) @ wq.int().T) * (w_scale * x_scale)
    return y if bias is None else y + bias


def linear_by_rows(xq, x_scale, x_zero, wq, w_scale, bias=None):
    x, w = xq.numpy().astype(np.int32), wq.numpy().astype(np.int32)
    acc = np.array([[np.dot(a, b) - x_zero * b.sum() for b in w] for a in x], dtype=np.int32)
    return torch.from_numpy(acc) * w_scale * x_scale + (0.0 if bias is None else bias)


def linear_by_broadcast(xq, x_scale, x_zero, wq, w_scale, bias=None):
    acc = (xq.int()[:, None, :] * wq.int()).sum(2) - wq.int().sum(1) * x_zero
    return torch.zeros(len(wq)).add(0 if bias is None else bias) + acc.double().mul(x_scale * w_scale).float()


def linear_by_diagonals(xq, x_scale, x_zero, wq, w_scale, bias=None):
    """Integer sums, scaled by a product with a diagonal matrix."""
    acc = (
        torch.cat([xq.short().long(), torch.full((len(xq), 1), -x_zero)], 1)
        @ torch.cat([wq, wq.sum(1, keepdim=True)], 1).long().T
    )
    return acc.float() @ torch.diag(x_scale * w_scale) + (0 if bias is None else bias)


# ---- FakeQuantize
class CodeMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, zero_point, bits):
        code = torch.round(x / scale).add(zero_point)
        ctx.inside = code.eq(code.clamp(*ends(bits)))
        return code.clamp(*ends(bits)).sub(zero_point).mul(scale)

    @staticmethod
    def backward(ctx, grad):
        return torch.where(ctx.inside, grad, 0.0), None, None, None


def fake_by_torch(x, scale, zero_point, bits):
    if isinstance(scale, torch.Tensor):
        zeros = torch.full((scale.numel(),), zero_point, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(x, scale.flatten(), zeros, 0, *ends(bits))
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, *ends(bits))


def fake_by_detour(x, scale, zero_point, bits):
    """Without a Function: the value of one tensor with the gradient of another."""
    low, high = (end - zero_point for end in ends(bits))
    steps = (x.detach() / scale).round()
    passes = torch.where((steps < low) | (steps > high), x.detach(), x)
    return steps.clamp(low, high) * scale + (passes - passes.detach())


# ---- optimal_rounding
def grid(weight, bits):
    return channel_by_norm(weight, bits)[:, None]


def nearest(weight, scale, bits):
    return (weight / scale).round().clamp(-ends(bits)[1], ends(bits)[1]) * scale


def hessian_of(inputs, damping=0.01):
    hessian = inputs.T @ inputs / len(inputs)
    return hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian))


def rounding_by_elimination(weight, inputs, bits):
    """The inverse for the remaining columns, column by column (Optimal Brain Surgeon), in float64."""
    scale, left, inverse = grid(weight, bits), weight.double().clone(), hessian_of(inputs.double(), 0.02).inverse()
    for j in range(weight.shape[1]):
        point = nearest(left[:, j], scale[:, 0], bits)
        left[:, j:] -= (left[:, j] - point)[:, None] * inverse[0] / inverse[0, 0]
        left[:, j] = point
        inverse = inverse[1:, 1:] - inverse[1:, :1] * inverse[:1, 1:] / inverse[0, 0]
    return left.float()


def rounding_large_first(weight, inputs, bits):
    """Columns of large inputs first, the inverse factored in float32."""
    order = inputs.square().sum(0).argsort(descending=True)
    factor = torch.linalg.cholesky(hessian_of(inputs, 0.005)[order][:, order].inverse(), upper=True)
    left, scale = weight[:, order].clone(), grid(weight, bits)
    for j in range(len(order)):
        point = nearest(left[:, j : j + 1], scale, bits)
        left[:, j + 1 :] -= (left[:, j : j + 1] - point) / factor[j, j] * factor[j, j + 1 :]
        left[:, j : j + 1] = point
    return left[:, order.argsort()]


def rounding_by_descent(weight, inputs, bits):
    """Another method, coordinate descent: starts with rounding to nearest, then chooses the best column given all others."""
    scale, hessian = grid(weight, bits), hessian_of(inputs.double())
    result = nearest(weight.double(), scale, bits)
    for j in list(range(weight.shape[1])) * 4:
        pull = ((weight - result) @ hessian[:, j] - (weight - result)[:, j] * hessian[j, j]) / hessian[j, j]
        result[:, j] = nearest(weight[:, j] + pull, scale[:, 0], bits)
    return result.float()


ALTERNATIVES = {
    "affine_qparams": (affine_in_float32, affine_from_the_top, affine_exact),
    "quantize": (quantize_in_numpy, quantize_by_reciprocal, quantize_clamps_steps),
    "dequantize": (dequantize_by_table, dequantize_distributed, dequantize_in_float64),
    "channel_qparams": (channel_by_loop, channel_by_norm, channel_by_ends),
    "observe": (observe_plainly, observe_in_numpy, observe_by_sorting),
    "fold_batchnorm": (fold_new_layer, fold_by_torch, fold_in_float64),
    "requantize": (requantize_in_python, requantize_by_division, requantize_in_numpy),
    "int8_linear": (linear_shifted_first, linear_by_rows, linear_by_broadcast, linear_by_diagonals),
    "fake_quantize": (CodeMask, fake_by_torch, fake_by_detour),
    "optimal_rounding": (rounding_by_elimination, rounding_large_first, rounding_by_descent),
}
