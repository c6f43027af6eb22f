"""Cases, laws and known mistakes of `allocate_sparsity`: which layer gives how much, so that the curves promise the least loss.

Conventions that the notebook states in the same words: curves[name][i] is the accuracy at sparsity i / (len - 1), linear between the
points; sizes[name] counts its parameters; sum of size * (1 - sparsity) is at most the budget and at least 0.999 of it; the predicted
loss is the sum over the layers of curve(0) - curve(sparsity).

Many answers are right, so the laws ask for the result. With L the predicted loss and B the best one (cheapest steps first, which is
optimal on curves that bend one way), the share (L - B) / (even - B) says how much of what can be won over one sparsity for all was
missed. Seen in 150 drawn problems, worst: steps of 1 to 10 % of a layer 1 %, of 20 % 15 %. Problems are drawn again until each of
these wrong ways misses 30 % or more: steps chosen by loss alone, equal losses, whole layers, the largest layers first. Limit 20 %.
The plain cases have one answer each; 0.011 allows for what 0.1 % of a budget is in a layer.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from posttrain_lab.checks.draw import Draw
from posttrain_lab.checks.exercise import Call, Case, Law, Mistake

Curves = dict[str, list[float]]
Sizes = dict[str, int]
Shares = dict[str, float]
Allocate = Callable[[Curves, Sizes, int], Any]
LIMIT, CLEAR, STEP = 0.20, 0.30, 0.01


def _at(curve: list[float], share: float) -> float:
    place = min(max(share, 0.0), 1.0) * (len(curve) - 1)
    low = min(int(place), len(curve) - 2)
    return curve[low] + (place - low) * (curve[low + 1] - curve[low])


def _loss(curves: Curves, shares: Shares) -> float:
    return sum(curve[0] - _at(curve, shares[name]) for name, curve in curves.items())


def _kept(sizes: Sizes, shares: Shares) -> float:
    return sum(size * (1 - shares[name]) for name, size in sizes.items())


def _greedy(price: Callable[[float, float], float], step: float = STEP, exact: bool = True) -> Allocate:
    """Again and again prune the layer whose next step has the smallest price(loss, parameters) a little more."""

    def allocate_sparsity(curves: Curves, sizes: Sizes, budget: int) -> Shares:
        shares = dict.fromkeys(curves, 0.0)
        while (surplus := _kept(sizes, shares) - budget) > 1e-7 * max(1, budget):
            ends = {name: min(1.0, share + step) for name, share in shares.items() if share < 1}
            prices = {
                name: price(_at(curves[name], shares[name]) - _at(curves[name], end), (end - shares[name]) * sizes[name])
                for name, end in ends.items()
            }
            best = min(prices, key=lambda name: prices[name])
            shares[best] = min(ends[best], shares[best] + surplus / sizes[best]) if exact else ends[best]
        return shares

    return allocate_sparsity


right_allocate = _greedy(lambda loss, parameters: loss / parameters)


def _even(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    return dict.fromkeys(curves, 1 - budget / sum(sizes.values()))


def _equal_losses(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """Every layer as far as the same loss of its own."""
    grid, limits = [k / 200 for k in range(201)], (0.0, 1.0)

    def shares(limit: float) -> Shares:
        return {name: max(s for s in grid if curve[0] - _at(curve, s) <= limit + 1e-12) for name, curve in curves.items()}

    for _ in range(14):
        middle = sum(limits) / 2
        limits = (limits[0], middle) if _kept(sizes, shares(middle)) <= budget else (middle, limits[1])
    found = shares(limits[1])
    short = budget - _kept(sizes, found)
    for name in sorted(found, key=lambda name: -found[name]):  # give back what the coarse grid took too much
        back = min(found[name], short / sizes[name])
        found[name], short = found[name] - back, short - back * sizes[name]
    return found


def _whole_layers(key: Callable[[list[float], int], float]) -> Allocate:
    """One layer after the other, each as far as it goes."""

    def allocate_sparsity(curves: Curves, sizes: Sizes, budget: int) -> Shares:
        shares = dict.fromkeys(curves, 0.0)
        for name in sorted(curves, key=lambda name: key(curves[name], sizes[name])):
            shares[name] = min(1.0, max(0.0, _kept(sizes, shares) - budget) / sizes[name])
        return shares

    return allocate_sparsity


_by_loss = _greedy(lambda loss, parameters: loss, 0.05)
_tolerant_first = _whole_layers(lambda curve, size: curve[0] - curve[len(curve) // 2])
_tolerant_for_size = _whole_layers(lambda curve, size: (curve[0] - curve[-1]) / size)
_largest_first = _whole_layers(lambda curve, size: -size)
WRONG_WAYS = (_by_loss, _equal_losses, _tolerant_first, _tolerant_for_size, _largest_first)


def _bent(draw: Draw, points: int, start: float) -> list[float]:
    """Flat at first, then ever steeper."""
    power, end = draw.real(1.5, 6.0), draw.real(0.05, 0.8)
    return [start - end * (k / (points - 1)) ** power for k in range(points)]


def _straight(start: float, end: float, points: int = 5) -> list[float]:
    return [start - end * k / (points - 1) for k in range(points)]


@lru_cache(maxsize=64)
def _problem(seed: int, number: int) -> tuple[Curves, Sizes, int]:
    """Layers of different size and patience, where much is to be won and each wrong way misses it."""
    draw = Draw(seed, f"alloc {number}")
    while True:
        points, start = draw.pick((6, 11, 21)), draw.real(0.85, 0.95)
        names = [f"{3 * k}" for k in range(draw.whole(4, 6))]
        curves = {name: _bent(draw, points, start) for name in names}
        sizes = {name: int(10 ** draw.real(2.0, 4.3)) for name in names}
        budget = int(sum(sizes.values()) * draw.real(0.15, 0.5))
        best, even = (_loss(curves, way(curves, sizes, budget)) for way in (right_allocate, _even))
        missed = ((_loss(curves, way(curves, sizes, budget)) - best) / (even - best) for way in WRONG_WAYS)
        if best < 0.6 * even and all(share > CLEAR for share in missed):
            return curves, sizes, budget


def allocate_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "allocate_sparsity")
    a, b, c = draw.whole(400, 600), draw.whole(1500, 2500), draw.whole(700, 900)
    start, patient = draw.real(0.8, 0.95), [draw.real(0.8, 0.95)] * 5
    frail = _bent(draw, 5, start)
    sizes = {"first": a, "second": b, "third": c}
    equal = {name: _straight(start, 0.3) for name in sizes}
    costly = {"first": _straight(start, 0.05), "second": _straight(start, 0.8), "third": _straight(start, 0.03)}
    bent = {name: _bent(draw, 11, start) for name in sizes}
    total = a + b + c
    return [
        Case("straight curves, all alike: the largest layer is the cheapest", (equal, sizes, total - b + draw.whole(300, 900))),
        Case("straight curves: two layers are cheaper than the largest", (costly, sizes, b + draw.whole(-400, -300))),
        Case("one layer", ({"only": frail}, {"only": b}, draw.whole(400, 1200))),
        Case(
            "one layer loses nothing",
            ({"frail": frail, "patient": patient}, {"frail": a, "patient": b}, a + draw.whole(200, 900)),
        ),
        Case("everything may stay", (bent, sizes, total)),
        Case("nothing may stay", (bent, sizes, 0)),
    ]


def _result(call: Call, seed: int) -> str | None:
    for number in range(2):
        curves, sizes, budget = _problem(seed, number)
        shares = call(curves, sizes, budget)
        if not isinstance(shares, dict) or set(shares) != set(curves):
            return f"expected a dict with the keys {sorted(curves)}."
        if not all(type(share) in (int, float) and -1e-9 <= share <= 1 + 1e-9 for share in shares.values()):
            return "expected a plain number between 0 and 1 for each layer."
        if found := _complaint(curves, sizes, budget, shares):
            return found
    return None


def _complaint(curves: Curves, sizes: Sizes, budget: int, shares: Shares) -> str | None:
    kept = _kept(sizes, shares)
    if kept > budget * (1 + 1e-6):
        return f"you keep {kept:.1f} parameters, the budget is {budget}."
    if kept < 0.999 * budget:
        return f"you keep {kept:.1f} parameters of a budget of {budget}; use at least 0.999 of it."
    loss, best, even = (
        _loss(curves, some) for some in (shares, right_allocate(curves, sizes, budget), _even(curves, sizes, budget))
    )
    missed = (loss - best) / (even - best)
    if missed <= LIMIT:
        return None
    return (
        f"the curves predict a loss of {loss:.4f}, where {best:.4f} is possible and one sparsity for all gives {even:.4f}: "
        f"you miss {missed:.0%} of what can be won; a right answer misses less than {LIMIT:.0%}."
    )


ALLOCATE_LAWS = (Law("budget and predicted loss", _result),)


def _by_size(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """A sparsity in proportion to the size of the layer, at most 1."""
    limits = (0.0, 1.0)
    for _ in range(60):
        middle = sum(limits) / 2
        enough = _kept(sizes, {name: min(1.0, middle * size) for name, size in sizes.items()}) <= budget
        limits = (limits[0], middle) if enough else (middle, limits[1])
    return {name: min(1.0, limits[1] * size) for name, size in sizes.items()}


def _since_dense(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """The price of a step counts what was lost before it."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := _kept(sizes, shares) - budget) > 1e-7 * max(1, budget):
        open_ones = [name for name, share in shares.items() if share < 1]
        best = min(open_ones, key=lambda name: (curves[name][0] - _at(curves[name], shares[name] + STEP)) / sizes[name])
        shares[best] = min(1.0, shares[best] + STEP, shares[best] + surplus / sizes[best])
    return shares


def _beyond_one(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """A layer of which nothing is left goes on for nothing."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := _kept(sizes, shares) - budget) > 1e-7 * max(1, budget):
        losses = {name: _at(curve, shares[name]) - _at(curve, shares[name] + STEP) for name, curve in curves.items()}
        best = min(losses, key=lambda name: losses[name] / sizes[name])
        shares[best] += min(STEP, surplus / sizes[best])
    return shares


def _over_budget(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """Stops before the step that would meet the budget."""
    shares, step = right_allocate(curves, sizes, budget), 0.05
    return {name: int(share / step) * step if share < 1 else share for name, share in shares.items()}


ALLOCATE_MISTAKES = (
    Mistake("one sparsity for all", "Every layer gets the same sparsity; the curves say which layers can give more.", _even),
    Mistake(
        "sizes ignored",
        "You look for the step that loses least; look for the smallest loss for each parameter that goes: divide by the size.",
        _by_loss,
    ),
    Mistake(
        "loss since the start",
        "Your price counts all that the layer has lost so far; count what this step loses, curve(s) - curve(s + 0.01).",
        _since_dense,
    ),
    Mistake(
        "in proportion to the size",
        "Your sparsities follow the sizes of the layers alone; the curves say what a layer can give.",
        _by_size,
    ),
    Mistake(
        "beyond 1",
        "A layer goes beyond sparsity 1, where nothing is left of it and a step seems free; offer no step from 1 on.",
        _beyond_one,
    ),
    Mistake(
        "equal losses",
        "You let each layer lose the same accuracy; a large layer gives more parameters for that, so it should lose more.",
        _equal_losses,
    ),
    Mistake(
        "most tolerant first",
        "You empty the most tolerant layer, then the next; a curve gets steep near 1, so go on in small steps.",
        _tolerant_first,
    ),
    Mistake(
        "whole layers",
        "You empty whole layers, the cheapest for its size first; a curve gets steep near 1, so go on in small steps.",
        _tolerant_for_size,
    ),
    Mistake(
        "largest layer first",
        "You prune the largest layer first, whatever its curve says; weigh the loss against the parameters that go.",
        _largest_first,
    ),
    Mistake(
        "dearest step first",
        "You take the step that loses most for each parameter; take the one that loses least.",
        _greedy(lambda loss, parameters: -loss / parameters, 0.05),
    ),
    Mistake(
        "ratio upside down",
        "You multiply the loss by the parameters that go; divide by them: many parameters for a small loss is cheap.",
        _greedy(lambda loss, parameters: loss * parameters, 0.05),
    ),
    Mistake(
        "densities returned",
        "You return which share of each layer stays; the sparsity, the share that goes, is wanted.",
        lambda curves, sizes, budget: {name: 1 - share for name, share in right_allocate(curves, sizes, budget).items()},
    ),
    Mistake(
        "budget removed",
        "You remove as many parameters as the budget; the budget is what stays.",
        lambda curves, sizes, budget: right_allocate(curves, sizes, sum(sizes.values()) - budget),
    ),
    Mistake(
        "over budget",
        "You stop one step too early and keep more than the budget; take a part of the last step.",
        _over_budget,
    ),
    Mistake(
        "last step too long",
        "Your last step goes far below the budget; take only the part of it that is needed.",
        _greedy(lambda loss, parameters: loss / parameters, 0.05, exact=False),
    ),
)
