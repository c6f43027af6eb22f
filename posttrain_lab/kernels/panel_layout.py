"""How int8 codes lie in memory for the CPU: panels of 16 outputs, and saturation outliers beside them.

With AVX2, `vpmaddubsw` multiplies unsigned by signed bytes and adds two products in 16 bits, where they saturate. Inputs are shifted to
0..255, so a pair of weights is safe up to a sum of 128: 255 * 128 < 2^15. Where the sum is larger, the panel holds a smaller weight, and
the outlier, what is missing, goes into `corrections` as compressed sparse columns; kernels add its products afterwards (see
`cpu/saturation_outliers.py`). Every sum is exact, and few pairs need it.

| int32 of `corrections` | meaning                                                                                  |
|------------------------|------------------------------------------------------------------------------------------|
| out + 1                | pointers: where the outliers of each output begin and end, counted from 0                |
| out                    | compensation: what shifted inputs add to each sum, SHIFT * the sum of the output's codes |
| one for each such pair | outliers: 256 * k + the missing part of the weight of input k, as a byte                 |
"""

import torch
from jaxtyping import Int8, Int32
from torch import Tensor
from torch.nn import functional as F

PANEL = 16  # outputs side by side
CHUNK = 256  # outputs that are looked at together
SAFE = 128  # what the weights of a pair may add up to


def steps() -> int:
    """What the processor multiplies at once: four codes on x86 with AVX2, else two."""
    from .processor import STEP

    return STEP


def to_panels(codes: Int8[Tensor, "out k"], step: int | None = None) -> Int8[Tensor, "panels steps 16 step"]:
    """Rows to panels of 16 outputs [panels][steps][16][step]; inside, steps of k follow one another. What is missing is 0."""
    step, (n, k) = step or steps(), codes.shape
    padded = F.pad(codes, (0, -k % step, 0, -n % PANEL))
    return padded.reshape(-1, PANEL, padded.shape[1] // step, step).transpose(1, 2).contiguous()


def from_panels(panels: Int8[Tensor, "panels steps 16 step"], n: int, k: int) -> Int8[Tensor, "out k"]:
    """The inverse of `to_panels`."""
    return panels.transpose(1, 2).reshape(-1, panels.shape[1] * panels.shape[3])[:n, :k].contiguous()


def split(codes: Int8[Tensor, "out k"]) -> tuple[Int8[Tensor, "out k"], Int32[Tensor, " numbers"]]:
    """Codes whose pairs cannot saturate, and `corrections`: together they are the codes that came in."""
    from .processor import PAIRS_SATURATE, SHIFT

    sums = SHIFT * codes.sum(1, dtype=torch.int32)
    counts, entries = [torch.zeros(1, dtype=torch.int64)], []
    if PAIRS_SATURATE:
        codes = codes.clone()
        for part in codes.split(CHUNK):  # some outputs at a time: what is in between is larger than the codes
            many, found = _made_safe(part)
            counts.append(many)
            entries.append(found)
    else:
        counts.append(torch.zeros(len(codes), dtype=torch.int64))
    return codes, torch.cat([torch.cat(counts).cumsum(0), sums, *entries]).to(torch.int32)


def _made_safe(codes: Tensor) -> tuple[Tensor, Tensor]:
    """How many entries each output has, and the entries; the codes become safe in place.

    Both weights of a pair that is not safe have one sign; the larger gives all of the rest.
    """
    pairs = F.pad(codes, (0, codes.shape[1] % 2)).unflatten(1, (-1, 2)).to(torch.int16)
    total = pairs.sum(2, dtype=torch.int16)
    rest = total - total.clamp(-SAFE, SAFE)
    output, pair = rest.nonzero().unbind(1)
    k = 2 * pair + pairs[output, pair].abs().argmax(1)
    byte = rest[output, pair].to(torch.int8)
    codes[output, k] -= byte
    return torch.bincount(output, minlength=len(codes)), 256 * k + byte.view(torch.uint8)


def join(codes: Int8[Tensor, "out k"], corrections: Int32[Tensor, " numbers"]) -> Int8[Tensor, "out k"]:
    """The inverse of `split`."""
    n, whole = len(codes), codes.clone()
    entries = corrections[2 * n + 1 :]
    output = torch.repeat_interleave(torch.arange(n), corrections[: n + 1].diff().long())
    whole[output, (entries >> 8).long()] += entries.to(torch.uint8).view(torch.int8)
    return whole
