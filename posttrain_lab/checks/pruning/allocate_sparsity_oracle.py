"""The best answer to `allocate_sparsity` and some worse ones, with which the law compares an answer.

The best allocation takes the cheapest steps first, which is optimal for concave curves.
"""

from collections.abc import Callable
from typing import Any

Curves = dict[str, list[float]]


Sizes = dict[str, int]


Shares = dict[str, float]


Allocate = Callable[[Curves, Sizes, int], Any]


LIMIT, CLEAR, STEP = 0.20, 0.30, 0.01


def accuracy_at(curve: list[float], share: float) -> float:
    place = min(max(share, 0.0), 1.0) * (len(curve) - 1)
    low = min(int(place), len(curve) - 2)
    return curve[low] + (place - low) * (curve[low + 1] - curve[low])


def kept_weights(sizes: Sizes, shares: Shares) -> float:
    return sum(size * (1 - shares[name]) for name, size in sizes.items())


def greedy(price: Callable[[float, float], float], step: float = STEP, exact: bool = True) -> Allocate:
    """Again and again prune the layer whose next step has the smallest price(loss, parameters) a little more."""

    def allocate_sparsity(curves: Curves, sizes: Sizes, budget: int) -> Shares:
        shares = dict.fromkeys(curves, 0.0)
        while (surplus := kept_weights(sizes, shares) - budget) > 1e-7 * max(1, budget):
            ends = {name: min(1.0, share + step) for name, share in shares.items() if share < 1}
            prices = {
                name: price(
                    accuracy_at(curves[name], shares[name]) - accuracy_at(curves[name], end), (end - shares[name]) * sizes[name]
                )
                for name, end in ends.items()
            }
            best = min(prices, key=lambda name: prices[name])
            shares[best] = min(ends[best], shares[best] + surplus / sizes[best]) if exact else ends[best]
        return shares

    return allocate_sparsity


right_allocate = greedy(lambda loss, parameters: loss / parameters)


def even_sparsity(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    return dict.fromkeys(curves, 1 - budget / sum(sizes.values()))


def equal_losses(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """Each layer alone loses the same accuracy."""
    grid, limits = [k / 200 for k in range(201)], (0.0, 1.0)

    def shares(limit: float) -> Shares:
        return {name: max(s for s in grid if curve[0] - accuracy_at(curve, s) <= limit + 1e-12) for name, curve in curves.items()}

    for _ in range(14):
        middle = sum(limits) / 2
        limits = (limits[0], middle) if kept_weights(sizes, shares(middle)) <= budget else (middle, limits[1])
    found = shares(limits[1])
    short = budget - kept_weights(sizes, found)
    for name in sorted(found, key=lambda name: -found[name]):  # undo what the coarse grid removed too much
        back = min(found[name], short / sizes[name])
        found[name], short = found[name] - back, short - back * sizes[name]
    return found


def _whole_layers(key: Callable[[list[float], int], float]) -> Allocate:
    """One layer after the other, each as far as possible."""

    def allocate_sparsity(curves: Curves, sizes: Sizes, budget: int) -> Shares:
        shares = dict.fromkeys(curves, 0.0)
        for name in sorted(curves, key=lambda name: key(curves[name], sizes[name])):
            shares[name] = min(1.0, max(0.0, kept_weights(sizes, shares) - budget) / sizes[name])
        return shares

    return allocate_sparsity


coarse_steps = greedy(lambda loss, parameters: loss / parameters, 0.1)


def every_second_point(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    return right_allocate({name: curve[::2] for name, curve in curves.items()}, sizes, budget)


by_loss = greedy(lambda loss, parameters: loss, 0.05)


tolerant_first = _whole_layers(lambda curve, size: curve[0] - curve[len(curve) // 2])


tolerant_for_size = _whole_layers(lambda curve, size: (curve[0] - curve[-1]) / size)


largest_first = _whole_layers(lambda curve, size: -size)
