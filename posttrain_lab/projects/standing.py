"""Who stands where? Points by bands in place of ranks, and one place for entries whose difference may be chance."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


def band_points(score: float, naive: float, excellent: float, most: float) -> float:
    """Points on the line from the naive to the excellent solution, both scored on the same instances; lower scores are better.

    points = most * (naive - score) / (naive - excellent), cut at 0 and most. Raises ValueError unless excellent < naive.

    >>> round(band_points(0.30, naive=0.45, excellent=0.25, most=20), 6)
    15.0
    """
    if not excellent < naive:
        raise ValueError(f"band_points wants the excellent score below the naive one, got {excellent} and {naive}.")
    share = (naive - score) / (naive - excellent)
    return most * min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0


def paired_intervals(
    rows: Float[Tensor, "entries n"],
) -> tuple[Float[Tensor, "entries entries"], Float[Tensor, "entries entries"]]:
    """(difference of means, half the width of its 95 % interval) of every pair of entries, scored on the same n instances.

    difference[i, j] = mean(rows[i] - rows[j]); half = 1.96 sqrt(var(rows[i] - rows[j]) / n), by the central limit theorem: n is in the
    thousands. All pairs come from one covariance matrix: var(a - b) = var(a) + var(b) - 2 cov(a, b).

    >>> difference, half = paired_intervals(torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64))
    >>> round(difference[0, 1].item(), 2), round(half[0, 1].item(), 2)
    (0.25, 0.49)
    """
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(f"paired_intervals wants scores [entries, instances], two instances at least, got {list(rows.shape)}.")
    mean = rows.double().mean(1)
    covariance = torch.cov(rows.double()).reshape(len(rows), len(rows))
    own = covariance.diagonal()
    variance = (own[:, None] + own[None, :] - 2 * covariance).clamp_min(0)
    return mean[:, None] - mean[None, :], Z * (variance / rows.shape[1]).sqrt()


def places(rows: Float[Tensor, "entries n"]) -> Sequence[int]:
    """The place of each entry, the lowest mean first. Two entries whose paired interval holds 0 share a place, and with them all between.

    >>> sure = torch.tensor([[0.1] * 50, [0.5] * 50, [0.1] * 49 + [0.2]], dtype=torch.float64)
    >>> places(sure)
    [1, 3, 1]
    """
    difference, half = paired_intervals(rows)
    order = rows.double().mean(1).argsort(stable=True)
    ties = (difference.abs() <= half)[order][:, order]
    numbers = torch.arange(len(order))
    reach = torch.where(ties, numbers, 0).amax(1).cummax(0).values.tolist()  # the last entry that shares with one up to here
    found, first = [0] * len(order), 0
    for rank, entry in enumerate(order.tolist()):
        if rank and reach[rank - 1] < rank:
            first = rank
        found[entry] = first + 1
    return found
