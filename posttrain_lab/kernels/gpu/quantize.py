"""Rows of floats to int8 codes: one program for each row, which reads it twice, the second time from the cache.

Rounding is (y + 1.5 * 2^23) - 1.5 * 2^23: between 2^23 and 2^24 floats are the whole numbers, so the addition rounds, ties to
even. y must be rounded first, hence no fused multiply-add here. Comparing floats as integers finds NaN for nothing: without
their sign, floats are ordered like integers, NaN on top.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from .launch import Launch, TiledKernel, empty, power_of_two, tile

INFINITY_BITS = tl.constexpr(0x7F800000)
ROUNDER = tl.constexpr(12582912.0)  # 1.5 * 2^23


@triton.jit
def row_scale(largest):
    """(inverse, scale) of a row from the bits of max |row|: 127 / max and max / 127; 0, 0 for zeros; scale NaN if not finite."""
    top = largest.to(tl.float32, bitcast=True)
    inverse = tl.div_rn(127.0, top)
    usable = inverse < float("inf")
    scale = tl.where(usable, tl.div_rn(top, 127.0), 0.0)
    return tl.where(usable, inverse, 0.0), tl.where(largest >= INFINITY_BITS, float("nan"), scale)


@triton.jit
def quantize(x, codes, scale, k_size, x_stride, k_stride, codes_stride, SPLIT: constexpr, BK: constexpr):
    """codes[r, k] = round(x[r, k] * (127 / max |x[r]|)), scale[r] = max / 127; program r.

    SPLIT: of every 8 codes the first 4 go to the first half of the row, the others to the second, as int4 weights need them.
    """
    row = tl.program_id(0).to(tl.int64)
    line = x + row * x_stride
    largest = tl.zeros((BK,), tl.int32)
    for start in range(0, k_size, BK):
        k = start + tl.arange(0, BK)
        value = tl.load(line + k.to(tl.int64) * k_stride, mask=k < k_size, other=0.0)
        largest = tl.maximum(largest, value.to(tl.int32, bitcast=True) & 0x7FFFFFFF)
    inverse, found = row_scale(tl.max(largest, 0))
    tl.store(scale + row, found)
    for start in range(0, k_size, BK):
        k = start + tl.arange(0, BK)
        value = tl.load(line + k.to(tl.int64) * k_stride, mask=k < k_size, other=0.0)
        code = (value * inverse + ROUNDER) - ROUNDER
        place = k // 8 * 4 + k % 4 + k % 8 // 4 * (k_size // 2) if SPLIT else k
        tl.store(codes + row * codes_stride + place, code.to(tl.int8), mask=k < k_size)


QUANTIZE = TiledKernel(quantize, tile(4, 1, BK=1024), fused=False)


def plan(x: Tensor, codes: Tensor, scale: Tensor, split: bool) -> Launch:
    """x [M, K] float32, of any strides -> codes int8 [M, K], scale float32 [M]."""
    m, k = x.shape
    strides = {"x_stride": x.stride(0), "k_stride": x.stride(1), "codes_stride": codes.stride(0)}
    arguments = {"x": x, "codes": codes, "scale": scale, "k_size": k, **strides}
    return Launch(QUANTIZE, arguments, {"SPLIT": split}, lambda sizes: (m,), (m, 1, k)).with_default(BK=power_of_two(k, 32, 2048))


def quantized(op: str, x: Tensor, split: bool = False) -> tuple[Tensor, Tensor]:
    """Codes int8 [M, K], rows aligned to 16 bytes, and scales [M] of x; ValueError for NaN or infinity.

    Waits for the GPU, since whether to raise is known only then.
    """
    m, k = x.shape
    codes, scale = empty(x, m, -(-k // 16) * 16, dtype=torch.int8)[:, :k], empty(x, m)
    plan(x, codes, scale, split).run()
    broken = ~torch.isfinite(scale)
    if bool(broken.any()):
        bad = int(broken.nonzero()[0])
        raise ValueError(f"{op} wants finite x, got NaN or infinity in row {bad}; look at what came before this layer.")
    return codes, scale
