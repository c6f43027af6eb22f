"""The right answer to `fit_isotonic`, by the min-max formula of isotonic regression (Barlow et al. 1972), which pools nothing.

Value i is the largest, over starts j <= i, of the smallest mean of j..k with k >= i.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.checks.engine.random_cases import plain

Curve = Callable[[Tensor], Tensor]


Points = tuple[Tensor, Tensor, Tensor]  # different scores in rising order, mean labels, weights


def distinct(scores: Tensor, labels: Tensor) -> Points:
    values = scores.double().unique()
    place = torch.searchsorted(values, scores.double().contiguous())
    weights, ones = (torch.bincount(place, weights=w.double(), minlength=len(values)) for w in (torch.ones_like(labels), labels))
    return values, ones / weights, weights


def curve(values: Tensor, heights: Tensor) -> Curve:
    """Linear between neighbours, constant outside."""

    def at(points: Tensor) -> Tensor:
        x = points.double().contiguous()
        right = torch.searchsorted(values, x).clamp(1, max(1, len(values) - 1))
        if len(values) == 1:
            return heights.expand(len(x)).clone()
        share = ((x - values[right - 1]) / (values[right] - values[right - 1])).clamp(0, 1)
        return heights[right - 1] + share * (heights[right] - heights[right - 1])

    return at


def min_max(means: Tensor, weights: Tensor) -> Tensor:
    total, mass = (np.concatenate([[0.0], plain(part).cumsum()]) for part in (means * weights, weights))
    before = np.tri(len(means), k=-1, dtype=bool)  # rows: starts, columns: ends; an end before the start makes no mean
    weight = np.where(before, 1.0, mass[1:] - mass[:-1, None])
    mean = np.where(before, np.inf, (total[1:] - total[:-1, None]) / weight)
    smallest = np.minimum.accumulate(mean[:, ::-1], axis=1)[:, ::-1]  # over the ends from each column on
    smallest[before] = -np.inf
    return torch.from_numpy(smallest.max(axis=0))


def right_isotonic(scores: Tensor, labels: Tensor) -> Curve:
    values, means, weights = distinct(scores, labels)
    return curve(values, min_max(means, weights))
