"""Cases, laws and known mistakes of `allocate_sparsity`: a sparsity for each layer, so that the curves predict the least loss.

Conventions that the notebook states in the same words: curves[name][i] is the accuracy at sparsity i / (len - 1), linear between the
points; sizes[name] counts its parameters; sum of size * (1 - sparsity) is at most the budget and at least 0.999 of it; the predicted
loss is the sum over the layers of curve(0) - curve(sparsity).

Many answers are right, so the laws judge the result. With L the predicted loss, B the smallest possible one (cheapest steps first, which
is optimal for concave curves) and `even` that of one sparsity for all layers, the share of the possible gain that is missed is
(L - B) / (even - B). The largest shares in 150 drawn problems: 1 % for steps of 1 to 10 % of a layer, 15 % for steps of 20 %. Problems are
drawn again until each of these wrong methods misses 30 % or more: steps chosen by loss alone, equal losses, whole layers, the largest
layers first. Limit 20 %. A third problem has curves with a knee, so that each point counts: who reads every second one misses 30 %, who
takes steps of 10 % of a layer at most 10 %, of a 80th of all weights 9 % (25 drawn). Two more ask for the budget where a step is one
weight, and in the notebook's network. The other cases have one answer each; the tolerance 0.011 is what 0.1 % of a budget can be in one
layer.
"""

from functools import lru_cache
from itertools import accumulate

from torch import Size

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.pruning.allocate_sparsity_mistakes import ALLOCATE_MISTAKES
from posttrain_lab.checks.pruning.allocate_sparsity_oracle import (
    CLEAR,
    LIMIT,
    Curves,
    Shares,
    Sizes,
    accuracy_at,
    by_loss,
    coarse_steps,
    equal_losses,
    even_sparsity,
    every_second_point,
    kept_weights,
    largest_first,
    right_allocate,
    tolerant_first,
    tolerant_for_size,
)
from posttrain_lab.checks.pruning.separated_weights import NETWORK


def _loss(curves: Curves, shares: Shares) -> float:
    return sum(curve[0] - accuracy_at(curve, shares[name]) for name, curve in curves.items())


BUDGETS = (0.4, 0.3, 0.2, 0.15, 0.1, 0.06)
WRONG_WAYS = (by_loss, equal_losses, tolerant_first, tolerant_for_size, largest_first)


def _bent(draw: Draw, points: int, start: float) -> list[float]:
    """Flat at first, then steeper and steeper."""
    power, end = draw.real(1.5, 6.0), draw.real(0.05, 0.8)
    return [start - end * (k / (points - 1)) ** power for k in range(points)]


def _straight(start: float, end: float, points: int = 5) -> list[float]:
    return [start - end * k / (points - 1) for k in range(points)]


@lru_cache(maxsize=64)
def _problem(seed: int, number: int) -> tuple[Curves, Sizes, int]:
    """Layers of different size and sensitivity, where the possible gain is large and each wrong method misses it."""
    draw = Draw(seed, f"alloc {number}")
    while True:
        points, start = draw.pick((6, 11, 21)), draw.real(0.85, 0.95)
        names = [f"{3 * k}" for k in range(draw.whole(4, 6))]
        curves = {name: _bent(draw, points, start) for name in names}
        sizes = {name: int(10 ** draw.real(2.0, 4.3)) for name in names}
        budget = int(sum(sizes.values()) * draw.real(0.15, 0.5))
        best, even = (_loss(curves, way(curves, sizes, budget)) for way in (right_allocate, even_sparsity))
        missed = ((_loss(curves, way(curves, sizes, budget)) - best) / (even - best) for way in WRONG_WAYS)
        if best < 0.6 * even and all(share > CLEAR for share in missed):
            return curves, sizes, budget


@lru_cache(maxsize=64)
def _knees(seed: int) -> tuple[Curves, Sizes, int]:
    """Curves of five points, flat up to the second or fourth."""
    draw = Draw(seed, "alloc knees")
    while True:
        start, names = draw.real(0.85, 0.95), [f"{3 * k}" for k in range(5)]
        curves = {name: _knee(start, draw.real(0.0, 0.02), draw.real(0.3, 0.8), draw.pick((1, 3))) for name in names}
        sizes = {name: int(10 ** draw.real(2.7, 3.7)) for name in names}
        budget = int(sum(sizes.values()) * draw.real(0.15, 0.5))
        ways = (right_allocate, even_sparsity, every_second_point, coarse_steps)
        best, even, half, coarse = (_loss(curves, way(curves, sizes, budget)) for way in ways)
        if best < 0.6 * even and half - best > CLEAR * (even - best) > 3 * (coarse - best):
            return curves, sizes, budget


def _knee(start: float, first: float, then: float, knee: int) -> list[float]:
    return [start - first * min(k, knee) / knee - then * max(0, k - knee) / (4 - knee) for k in range(5)]


def _hundred(seed: int) -> tuple[Curves, Sizes, int]:
    """Layers so small that a step of 0.01 is one weight."""
    draw = Draw(seed, "alloc 100")
    return {"tough": [0.9, 0.9, 0.9], "frail": [0.9, 0.5, 0.1]}, {"tough": 100, "frail": 100}, draw.whole(110, 170)


def _measured(seed: int) -> tuple[Curves, Sizes, int]:
    """The network of the notebook: accuracies on 400 images, so the curves have steps, and no way is the best one for sure."""
    draw, grid = Draw(seed, "alloc net"), range(11)
    curves = {name: _bent(draw, 11, 0.9) for name in NETWORK}
    noisy = {name: [round(400 * (curve[k] + draw.real(-0.01, 0.01))) / 400 for k in grid] for name, curve in curves.items()}
    sizes = {name: Size(shape).numel() for name, shape in NETWORK.items()}
    return {name: list(accumulate(c, min)) for name, c in noisy.items()}, sizes, round(draw.pick(BUDGETS) * sum(sizes.values()))


def allocate_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "allocate_sparsity")
    a, b, c = draw.whole(400, 600), draw.whole(1500, 2500), draw.whole(700, 900)
    start, patient = draw.real(0.8, 0.95), [draw.real(0.8, 0.95)] * 5
    frail = _bent(draw, 5, start)
    sizes = {"first": a, "second": b, "third": c}
    alike = {"first": _straight(start, 0.63), "second": _straight(start, 0.60), "third": _straight(start, 0.57)}
    costly = {"first": _straight(start, 0.05), "second": _straight(start, 0.8), "third": _straight(start, 0.03)}
    bent = {name: _bent(draw, 11, start) for name in sizes}
    two = {name: [start, start - part] for name, part in (("first", 0.7), ("second", 0.1), ("third", 0.7))}
    slight = {name: [0.9, 0.9 - part] for name, part in (("first", 4e-4), ("second", 1e-4), ("third", 4e-4))}
    total = a + b + c
    return [
        Case(
            "straight curves, nearly alike: the largest layer is the cheapest", (alike, sizes, total - b + draw.whole(300, 900))
        ),
        Case("straight curves: two layers are cheaper than the largest", (costly, sizes, b + draw.whole(-400, -300))),
        Case("one layer", ({"only": frail}, {"only": b}, draw.whole(400, 1200))),
        Case(
            "one layer loses nothing",
            ({"frail": frail, "patient": patient}, {"frail": a, "patient": b}, a + draw.whole(200, 900)),
        ),
        Case("curves of two points", (two, sizes, a + c + draw.whole(200, 900))),
        Case("losses of less than a thousandth", (slight, sizes, a + c + draw.whole(200, 900))),
        Case("a budget of all parameters", (bent, sizes, total)),
        Case("a budget of 0", (bent, sizes, 0)),
    ]


def _result(call: Call, seed: int) -> str | None:
    problems = (_problem(seed, 0), _problem(seed, 1), _knees(seed), _hundred(seed), _measured(seed))
    for curves, sizes, budget in problems:
        shares = call(curves, sizes, budget)
        if not isinstance(shares, dict) or set(shares) != set(curves):
            return f"expected a dict with the keys {sorted(curves)}."
        if not all(type(share) in (int, float) and -1e-9 <= share <= 1 + 1e-9 for share in shares.values()):
            return "expected a plain number between 0 and 1 for each layer."
        found = _spent(sizes, budget, shares) or (set(sizes) != set(NETWORK) and _missed(curves, sizes, budget, shares))
        if found:
            return found
    return None


def _spent(sizes: Sizes, budget: int, shares: Shares) -> str | None:
    kept = kept_weights(sizes, shares)
    if kept > budget * (1 + 1e-6):
        return f"you keep {kept:.1f} parameters, the budget is {budget}."
    if kept < 0.999 * budget:
        return f"you keep {kept:.1f} parameters of a budget of {budget}; use at least 0.999 of it."
    return None


def _missed(curves: Curves, sizes: Sizes, budget: int, shares: Shares) -> str | None:
    loss, best, even = (
        _loss(curves, some) for some in (shares, right_allocate(curves, sizes, budget), even_sparsity(curves, sizes, budget))
    )
    missed = (loss - best) / (even - best)
    if missed <= LIMIT:
        return None
    return (
        f"the curves predict a loss of {loss:.4f}, where {best:.4f} is possible and one sparsity for all layers gives {even:.4f}: "
        f"you miss {missed:.0%} of the possible gain; a right answer misses at most {LIMIT:.0%}."
    )


ALLOCATE_LAWS = (Law("budget and predicted loss", _result),)


allocate_sparsity = Exercise(
    name="allocate_sparsity",
    unit="01_pruning",
    points=3,
    difficulty=4,
    minutes=25,
    oracle=right_allocate,
    cases=allocate_cases,
    mistakes=ALLOCATE_MISTAKES,
    judge=close(0.0, 0.011),
    laws=ALLOCATE_LAWS,
    library="pruning:allocate_sparsity",
)
