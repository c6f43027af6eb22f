"""What runs in a race. A maker takes a Problem and returns a function without arguments that computes the op once.

A maker imports what it needs and raises, with a reason, where this machine lacks it. Inputs are laid out beforehand as each
library likes them best. The "onednn" engine of quantized torch is never chosen: it ends the process on some machines.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F

from posttrain_lab import kernels

from .problems import IMAGE_SCALE, SPARSE, Problem

Workload = Callable[[], Any]
Maker = Callable[[Problem], Workload]
ENGINE = "x86"  # FBGEMM; with VNNI torch hands some shapes of it to oneDNN


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: torch says that quantized dtypes will go and that sparse ones are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def quantized_engine() -> Iterator[None]:
    """torch's quantized ops on FBGEMM inside the block; RuntimeError where torch has none for this processor."""
    if ENGINE not in torch.backends.quantized.supported_engines:
        raise RuntimeError(f"torch has no quantized engine {ENGINE} on this processor")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        with quiet():
            yield
    finally:
        torch.backends.quantized.engine = before


def our_int8_matmul(p: Problem) -> Workload:
    a, b = p.codes
    return lambda: kernels.int8_matmul(a, b.T)


def our_int8_linear(p: Problem) -> Workload:
    x, weight, bias = p.x, p.int8, p.bias
    return lambda: kernels.int8_linear(x, weight, bias)


def our_int4_linear(p: Problem) -> Workload:
    x, weight, bias = p.x, p.int4, p.bias
    return lambda: kernels.int4_linear(x, weight, bias)


def our_sparse_linear(p: Problem) -> Workload:
    x, weight = p.x, p.csr
    return lambda: kernels.sparse_linear(x, weight)


def our_block_sparse_linear(p: Problem) -> Workload:
    x, weight = p.x, p.blocks
    return lambda: kernels.block_sparse_linear(x, weight)


def our_nm_linear(p: Problem) -> Workload:
    x, weight = p.x, p.nm
    return lambda: kernels.nm_linear(x, weight)


def our_int8_conv2d(p: Problem) -> Workload:
    x, weight, bias, padding = p.images, p.conv_weight, p.bias, p.shape.padding
    scale = torch.full((len(x),), IMAGE_SCALE)
    return lambda: kernels.int8_conv2d(x, weight, 1, padding, 0, scale, bias)


def torch_fp32(p: Problem) -> Workload:
    x, weight, bias = p.x, p.w, None if p.op in SPARSE else p.bias
    return lambda: F.linear(x, weight, bias)


def torch_int_mm(p: Problem) -> Workload:
    """A private function of torch: AttributeError where it went away."""
    (a, b), product = p.codes, getattr(torch, "_int_mm")  # noqa: B009
    return lambda: product(a, b.T)


def torch_quantized(p: Problem) -> Workload:
    """Dynamic quantization as in torch.ao, without reduce_range: with it one bit of the activations is given away."""
    zeros = torch.zeros(p.n, dtype=torch.int64)
    with quantized_engine():
        weight = torch.quantize_per_channel(p.w, p.int8.scale, zeros, 0, torch.qint8)
        packed, x = torch.ops.quantized.linear_prepack(weight, p.bias), p.x
    return lambda: torch.ops.quantized.linear_dynamic(x, packed)


def torch_csr(p: Problem) -> Workload:
    with quiet():
        x, weight = p.x, p.w.to_sparse_csr()
    return lambda: F.linear(x, weight)


def scipy_csr(p: Problem) -> Workload:
    """scipy multiplies from the left: its x is laid out [k, m] beforehand, its result is [n, m]."""
    from scipy.sparse import csr_matrix

    x, weight = p.x.T.contiguous().numpy(), csr_matrix(p.w.numpy())
    return lambda: weight @ x


def torch_conv(p: Problem) -> Workload:
    x, filters, bias, padding = p.float_images, p.conv_weight.dense().contiguous(), p.bias, p.shape.padding
    return lambda: F.conv2d(x, filters, bias, padding=padding)


def torch_conv_channels_last(p: Problem) -> Workload:
    last = torch.channels_last
    x, filters = p.float_images.contiguous(memory_format=last), p.conv_weight.dense().contiguous(memory_format=last)
    bias, padding = p.bias, p.shape.padding
    return lambda: F.conv2d(x, filters, bias, padding=padding)


def output_scale(p: Problem) -> float:
    """The step of 8-bit outputs that just holds the largest."""
    return float(p.expected("conv").abs().max()) / 127


def torch_quantized_conv(p: Problem) -> Workload:
    """uint8 in with zero point 128 (the same codes, raised), uint8 out: what a quantized network of torch runs."""
    conv, weight = p.shape, p.conv_weight
    step, zeros = output_scale(p), torch.zeros(conv.cout, dtype=torch.int64)
    with quantized_engine():
        images = p.float_images.contiguous(memory_format=torch.channels_last)
        x = torch.quantize_per_tensor(images, IMAGE_SCALE, 128, torch.quint8)
        filters = torch.quantize_per_channel(weight.dense(), p.filter_scale, zeros, 0, torch.qint8)
        ones, sides = [1, 1], [conv.padding, conv.padding]
        packed = torch.ops.quantized.conv2d_prepack(filters, p.bias, ones, sides, ones, 1)
    return lambda: torch.ops.quantized.conv2d(x, packed, step, 128)
