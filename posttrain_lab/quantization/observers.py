"""Observers: which range should the codes cover? Four methods, from the smallest and largest value to the smallest error.

A wide range rounds coarsely; a narrow one clips the tails. Every method returns (low, high) for `affine_qparams`.

Left out: moving averages over batches. A method here gets the whole calibration set at once.
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .affine import affine_qparams, code_range, dequantize, quantize

Method = Literal["minmax", "percentile", "mse", "kl"]

PERCENTILE = 0.001  # the share of values that may be clipped at each end
MSE_GRID = torch.linspace(0.01, 1.0, 100)  # factors by which the observed range is shrunk
KL_BINS = 2048  # bins of the histogram of magnitudes
SMOOTHING = 1e-4  # mixed into the coarse histogram, so that a clipped tail on an empty bin gives a large, finite divergence


def observe(x: Float[Tensor, "..."], method: Method = "minmax", bits: int = 8) -> tuple[float, float]:
    """Which real range (low, high) should `bits` bits cover, given the values x?

    minmax      (min x, max x): nothing is clipped, and one outlier determines the range.
    percentile  the quantiles PERCENTILE and 1 - PERCENTILE of x itself, linearly interpolated: both tails are clipped.
    mse         f * (min x, max x) for the factor f of MSE_GRID with the smallest squared error after quantizing and
                dequantizing with asymmetric codes (clipping and rounding together); ties go to the larger range.
    kl          (max(min x, -t), min(max x, t)) for the threshold t whose clipped and coarsened histogram of |x|
                diverges least from the original (Kullback-Leibler). Exact zeros do not count: every grid contains zero.

    x: any shape, float, at least one value. The result has the units of x; it need not contain 0 (`affine_qparams`
    widens it).

    Raises TypeError for x that is not float; ValueError for an empty x, NaN or infinity, an unknown method, bits
    outside 2..8.
    Sources: percentile McKinstry et al. 2018; mse Choukroun et al. 2019; kl Migacz 2017 (TensorRT's calibrator).

    >>> observe(torch.tensor([-1.0, 0.5, 3.0]))
    (-1.0, 3.0)
    """
    code_range(bits, caller="observe")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"observe wants a float tensor x, got {kind}; convert with .float().")
    if x.numel() == 0:
        raise ValueError(f"observe wants at least one value, got shape {tuple(x.shape)}; give it calibration data.")
    low, high = (value.item() for value in torch.aminmax(x.detach()))
    if not np.isfinite([low, high]).all():
        raise ValueError("observe wants finite values in x, got NaN or infinity; find where they came from.")
    if method == "minmax":
        return low, high
    if method == "percentile":
        return _percentile(x)
    if method == "mse":
        return _mse(x, low, high, bits)
    if method == "kl":
        return _kl(x, low, high, bits)
    raise ValueError(f'observe wants method "minmax", "percentile", "mse" or "kl", got {method!r}; choose one of them.')


def _percentile(x: Tensor) -> tuple[float, float]:
    values = x.detach().double().flatten().cpu().numpy()  # numpy has no limit on the number of values
    low, high = np.quantile(values, [PERCENTILE, 1 - PERCENTILE])
    return float(low), float(high)


def _mse(x: Tensor, low: float, high: float, bits: int) -> tuple[float, float]:
    values = x.detach().float()
    best, best_error = (low, high), squared_error(values, low, high, bits)
    for factor in MSE_GRID[:-1].flip(0).tolist():  # from wide to narrow: a tie keeps the wider range
        error = squared_error(values, factor * low, factor * high, bits)
        if error < best_error:
            best, best_error = (factor * low, factor * high), error
    return best


def squared_error(x: Float[Tensor, "..."], low: float, high: float, bits: int = 8) -> float:
    """The squared error of quantizing x to the codes of [low, high]: the sum of (x - dequantize(quantize(x)))^2.

    Rounding inside the range and clipping outside it count together. In squared units of x; asymmetric codes.

    x: any shape, float. Raises what `affine_qparams` and `quantize` raise.

    >>> squared_error(torch.tensor([0.0, 3.0, 5.0]), 0.0, 3.0, bits=2)
    4.0
    """
    scale, zero_point = affine_qparams(low, high, bits)
    if not isinstance(x, Tensor) or x.dtype != torch.float32:
        return (x - dequantize(quantize(x, scale, zero_point, bits), scale, zero_point)).double().square().sum().item()
    # The same numbers a few times faster, for `mse` asks a hundred times: float32 holds the codes, and no step is checked twice.
    step, (qmin, qmax) = torch.tensor(scale), code_range(bits, caller="squared_error")
    codes = (x.detach() / step).round_().clamp_(qmin - zero_point, qmax - zero_point)
    error = (x.detach() - codes.mul_(step)).double().square_().sum().item()
    if math.isnan(error):
        raise ValueError("squared_error wants numbers in x, got NaN, for which there is no code; find its source.")
    return error


def _kl(x: Tensor, low: float, high: float, bits: int) -> tuple[float, float]:
    magnitudes = x.detach().double().abs().flatten().cpu().numpy()
    top = magnitudes.max()
    if top == 0:
        return low, high
    counts = np.histogram(magnitudes[magnitudes > 0], bins=KL_BINS, range=(0.0, top))[0].astype(np.float64)
    levels = 2**bits if low >= 0 else 2 ** (bits - 1)  # codes on one side of zero
    kept = range(levels, KL_BINS + 1)
    divergences = [_coarsening_divergence(counts, keep, levels) for keep in kept]
    best = len(divergences) - 1 - int(np.argmin(divergences[::-1]))  # ties: the larger range
    threshold = float(kept[best] * top / KL_BINS)
    return max(low, -threshold), min(high, threshold)


def _coarsening_divergence(counts: np.ndarray, keep: int, levels: int) -> float:
    """KL(p || q): p keeps `keep` bins, the tail in the last; q has these bins merged into `levels` and spread again."""
    p = counts[:keep].copy()
    filled = p > 0
    starts = np.arange(levels) * keep // levels
    mass, bins = np.add.reduceat(p, starts), np.add.reduceat(filled.astype(np.float64), starts)
    widths = np.diff(np.append(starts, keep))
    q = np.repeat(mass / np.maximum(bins, 1), widths) * filled  # each level's mass on the bins that were not empty
    q = (1 - SMOOTHING) * q / max(q.sum(), 1.0) + SMOOTHING / keep
    p[-1] += counts[keep:].sum()
    p, q = p[p > 0] / p.sum(), q[p > 0]
    return float((p * np.log(p / q)).sum())
