"""From int32 sums to int8 codes on machines without 64-bit integers: in halves of 16 bits, or in doubles where these are exact.

A double holds every integer up to 2^53. JavaScript has no other number, a 32-bit chip multiplies 64 bits slowly: both can use the
split, each of whose products stays below 2^53. Source: Jacob et al. 2018, section 2.2, for the fixed-point multiplier itself.
"""

import torch
from jaxtyping import Bool, Int, Int8, Int32
from torch import Tensor

EXACT = 2**53  # doubles hold every integer up to here


def multiply_shift(
    sums: Int32[Tensor, "n out"], multiplier: Int[Tensor, " out"], shift: Int[Tensor, " out"]
) -> Int[Tensor, "n out"]:
    """(sums * multiplier + 2^(shift-1)) >> shift with no number above 2^53: ties go up, towards +infinity; int64.

    With multiplier = high * 2^16 + low and 0 <= low < 2^16:
        (sums * high + floor(sums * low / 2^16) + 2^(shift-17)) >> (shift - 16)
    Floors of a quotient nest, so this is exact for |sums| < 2^30 and shift 17..62.
    Raises ValueError for another shift: below 17 the two halves do not separate.

    >>> multiply_shift(torch.tensor([[5], [-5]], dtype=torch.int32), torch.tensor([2**30]), torch.tensor([31]))  # 2.5 and -2.5
    tensor([[ 3],
            [-2]])
    """
    if shift.numel() and not (int(shift.min()) >= 17 and int(shift.max()) <= 62):
        raise ValueError(f"multiply_shift wants shifts in 17..62, got {int(shift.min())}..{int(shift.max())}; see fixed_point.")
    wide, shift = sums.long(), shift.long()
    high, low = multiplier.long() >> 16, multiplier.long() & 65535
    half = torch.ones_like(shift) << (shift - 17)
    return (wide * high + (wide * low >> 16) + half) >> (shift - 16)


def double_is_exact(
    weight: Int8[Tensor, "out k"],
    bias: Int[Tensor, " out"],
    multiplier: Int[Tensor, " out"],
    shift: Int[Tensor, " out"],
    bits: int = 8,
) -> Bool[Tensor, " out"]:
    """For which channels is floor(sum * (multiplier / 2^shift) + 0.5) in doubles the right code for every sum that can occur?

    Where |sum| * multiplier + 2^(shift-1) <= 2^53, with |sum| <= 128 * sum_k |weight| + |bias|: nothing is rounded. And where
    shift <= 51 - bits, 43 for 8 bits: a product beyond 2^52 is then beyond 2^(bits+1) after the shift, where every code is
    saturated, and rounding, which is monotone, cannot bring it back. `bits`: of the codes that come out.

    >>> one = torch.tensor([[1]], dtype=torch.int8), torch.tensor([2**29]), torch.tensor([2**31 - 1])
    >>> double_is_exact(*one, torch.tensor([43])).item(), double_is_exact(*one, torch.tensor([44])).item()
    (True, False)
    """
    reach = 128 * weight.long().abs().sum(1) + bias.long().abs()
    return torch.tensor(
        [
            int(s) <= 51 - bits or int(r) * abs(int(m)) + (1 << (int(s) - 1)) <= EXACT
            for r, m, s in zip(reach, multiplier, shift, strict=True)
        ],
        dtype=torch.bool,
    )


def pool_first(
    sums: Int32[Tensor, "h w out"],
    bias: Int[Tensor, " out"],
    multiplier: Int[Tensor, " out"],
    shift: Int[Tensor, " out"],
    size: int,
) -> Int8[Tensor, "ph pw out"]:
    """Max pooling of sums, then bias and rescaling: the same codes as the other way round, with 1 / size^2 of the rescalings.

    A multiplier is not negative, so the largest sum has the largest code. Rows and columns that fill no window are left out.
    The zero point is 0, the codes' ends -128 and 127. Raises ValueError for an image smaller than the window.

    >>> sums = torch.tensor([[[4], [8]], [[6], [-9]]], dtype=torch.int32)
    >>> pool_first(sums, torch.tensor([2]), torch.tensor([2**30]), torch.tensor([31]), size=2)
    tensor([[[5]]], dtype=torch.int8)
    """
    h, w = sums.shape[0] // size, sums.shape[1] // size
    if h < 1 or w < 1:
        raise ValueError(f"pool_first wants an image of at least {size} x {size}, got {sums.shape[0]} x {sums.shape[1]}.")
    best = sums[: h * size, : w * size].unflatten(1, (w, size)).unflatten(0, (h, size)).amax((1, 3)).long() + bias
    half = torch.ones_like(shift.long()) << (shift.long() - 1)
    return ((best * multiplier + half) >> shift).clamp(-128, 127).to(torch.int8)
