"""A budget for the whole network: how sparse should each layer be, so that together they lose the least accuracy?

Each layer's curve of loss against cost is replaced by its lower convex hull; then the cheapest steps of all layers are taken first,
until the budget is met. On convex curves this greedy choice is optimal (Fox 1966); it is the idea behind allocation by
sensitivity. Left out: interactions between layers (the curves come from pruning one layer at a time).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .arguments import check_sparsity

Curves = Mapping[str, Sequence[float]]


def allocate_sparsity(curves: Curves, sizes: Mapping[str, int], budget: float) -> dict[str, float]:
    """How sparse should each layer be so that `budget` parameters stay and the predicted accuracy is best?

    minimise sum over layers of (curve(0) - curve(s))   so that   sum over layers of size * (1 - s) <= budget

    curves: by layer, the accuracy at evenly spaced sparsities from 0 to 1 (`sensitivity_scan`), linear in between; sizes: the
    parameters of each layer; budget: the parameters to keep, in all. Returns the sparsity of each layer; together they keep at most
    `budget` parameters and at least 99.9 % of it. Never worse on the curves than one sparsity for all.

    Raises ValueError for other layers in sizes than in curves, a curve with fewer than 2 points or NaN, a size below 1, a budget
    below 0. A budget above the total prunes nothing.

    >>> shares = allocate_sparsity({"tough": [0.9, 0.9, 0.9], "frail": [0.9, 0.5, 0.1]}, {"tough": 100, "frail": 100}, budget=100)
    >>> {name: round(share, 3) for name, share in shares.items()}
    {'tough': 1.0, 'frail': 0.0}
    """
    _check_curves("allocate_sparsity", curves, sizes, budget)
    if any(isinstance(size, bool) or size < 1 for size in sizes.values()):
        raise ValueError(f"allocate_sparsity wants sizes of 1 parameter or more, got {dict(sizes)}; leave empty layers out.")
    total = sum(sizes.values())
    target = min(total, budget * (1 - 1e-9))  # rounding of floats must not exceed the budget
    grids = {name: [i / (len(curve) - 1) for i in range(len(curve))] for name, curve in curves.items()}
    costs = {name: [sizes[name] * (1 - s) for s in grid] for name, grid in grids.items()}
    greedy = _greedy(curves, costs, grids, target)
    even = dict.fromkeys(curves, 1 - target / total)
    return min((greedy, even), key=lambda shares: predicted_loss(curves, shares))


def predicted_loss(curves: Curves, sparsities: Mapping[str, float]) -> float:
    """Which loss of accuracy do the curves predict, added up over the layers? Linear between the points of a curve.

    >>> round(predicted_loss({"a": [0.9, 0.8, 0.4]}, {"a": 0.25}), 6)
    0.05
    """
    return sum(curves[name][0] - _at(curves[name], check_sparsity("predicted_loss", s, name)) for name, s in sparsities.items())


def allocate_cost(curves: Curves, costs: Curves, budget: float) -> dict[str, float]:
    """How sparse should each layer be so that the whole costs at most `budget`, in bytes, MACs, seconds or any unit?

    curves: accuracy, and costs: the cost of the layer, both at evenly spaced sparsities from 0 to 1 (`layer_costs` counts or measures
    them; a cost need not fall evenly). Returns sparsities from these points only, so that each cost is one that was counted.

    Raises ValueError as `allocate_sparsity`, and for a budget below the smallest possible cost.

    >>> allocate_cost({"a": [0.9, 0.8, 0.1], "b": [0.9, 0.9, 0.2]}, {"a": [8, 8, 0], "b": [8, 6, 0]}, budget=14)
    {'a': 0.0, 'b': 0.5}
    """
    _check_curves("allocate_cost", curves, costs, budget)
    for name, curve in curves.items():
        if len(costs[name]) != len(curve) or not all(math.isfinite(cost) and cost >= 0 for cost in costs[name]):
            raise ValueError(f"allocate_cost wants a finite cost for each point of layer '{name}', got {list(costs[name])}.")
    cheapest = sum(min(cost) for cost in costs.values())
    if budget < cheapest:
        raise ValueError(f"allocate_cost wants a budget of {cheapest} or more, the cheapest there is, got {budget}.")
    grids = {name: [i / (len(curve) - 1) for i in range(len(curve))] for name, curve in curves.items()}
    return _greedy(curves, costs, grids, budget, whole_steps=True)


@dataclass(frozen=True)
class _Step:
    """From one point of a layer's hull to the next: cost saved, accuracy lost, the sparsities at both ends."""

    layer: str
    saved: float
    lost: float
    start: float
    end: float


def _greedy(curves: Curves, costs: Curves, grids: Curves, target: float, whole_steps: bool = False) -> dict[str, float]:
    """Take hull steps, the smallest loss for each unit of cost first, until the cost is down to the target."""
    steps = [step for name in curves for step in _hull(name, curves[name], costs[name], grids[name])]
    shares = {name: 0.0 for name in curves}
    cost = sum(costs[name][0] for name in curves)
    rounding = 1e-12 * cost  # of the sums of floats
    for step in sorted(steps, key=lambda step: step.lost / step.saved):
        if cost <= target:
            break
        whole = whole_steps or cost - target > step.saved - rounding
        part = 1.0 if whole else (cost - target) / step.saved
        shares[step.layer] = step.end if whole else step.start + part * (step.end - step.start)
        cost -= part * step.saved
    return shares


def _hull(name: str, curve: Sequence[float], costs: Sequence[float], grid: Sequence[float]) -> list[_Step]:
    """The lower convex hull of (cost saved, accuracy lost), from the dense layer on."""
    points = [(costs[0] - cost, curve[0] - right, share) for cost, right, share in zip(costs, curve, grid, strict=True)]
    hull, best = [], points[0]
    while True:
        ahead = [point for point in points if point[0] > best[0]]
        if not ahead:
            return hull
        after = min(ahead, key=lambda point: ((point[1] - best[1]) / (point[0] - best[0]), -point[0]))
        hull.append(_Step(name, after[0] - best[0], after[1] - best[1], best[2], after[2]))
        best = after


def _at(curve: Sequence[float], share: float) -> float:
    place = share * (len(curve) - 1)
    low = min(int(place), len(curve) - 2)
    return curve[low] + (place - low) * (curve[low + 1] - curve[low])


def _check_curves(caller: str, curves: Curves, others: Mapping[str, object], budget: float) -> None:
    if not curves or set(curves) != set(others):
        raise ValueError(f"{caller} wants the same layers twice, at least one, got {list(curves)} and {list(others)}.")
    for name, curve in curves.items():
        if len(curve) < 2 or not all(math.isfinite(value) for value in curve):
            raise ValueError(f"{caller} wants 2 or more finite accuracies for layer '{name}', got {list(curve)}.")
    if isinstance(budget, bool) or not budget >= 0:
        raise ValueError(f"{caller} wants a budget of 0 or more, got {budget}; it is what may stay.")
