"""Cases, laws and known mistakes of `allocate_sparsity`: a sparsity for each layer, so that the curves predict the least loss.

Conventions that the notebook states in the same words: curves[name][i] is the accuracy at sparsity i / (len - 1), linear between the
points; sizes[name] counts its parameters; sum of size * (1 - sparsity) is at most the budget and at least 0.999 of it; the predicted
loss is the sum over the layers of curve(0) - curve(sparsity).

Many answers are right, so the laws judge the result. With L the predicted loss, B the smallest possible one (cheapest steps first, which
is optimal for concave curves) and `even` that of one sparsity for all layers, the share of the possible gain that is missed is
(L - B) / (even - B). The largest shares in 150 drawn problems: 1 % for steps of 1 to 10 % of a layer, 15 % for steps of 20 %. Problems are
drawn again until each of these wrong methods misses 30 % or more: steps chosen by loss alone, equal losses, whole layers, the largest
layers first. Limit 20 %. The other cases have one answer each; the tolerance 0.011 is what 0.1 % of a budget can be in one layer.
"""

from functools import lru_cache

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
    equal_losses,
    even_sparsity,
    kept_weights,
    largest_first,
    right_allocate,
    tolerant_first,
    tolerant_for_size,
)


def _loss(curves: Curves, shares: Shares) -> float:
    return sum(curve[0] - accuracy_at(curve, shares[name]) for name, curve in curves.items())


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
        Case("a budget of all parameters", (bent, sizes, total)),
        Case("a budget of 0", (bent, sizes, 0)),
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
    kept = kept_weights(sizes, shares)
    if kept > budget * (1 + 1e-6):
        return f"you keep {kept:.1f} parameters, the budget is {budget}."
    if kept < 0.999 * budget:
        return f"you keep {kept:.1f} parameters of a budget of {budget}; use at least 0.999 of it."
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
    minutes=18,
    oracle=right_allocate,
    cases=allocate_cases,
    mistakes=ALLOCATE_MISTAKES,
    judge=close(0.0, 0.011),
    laws=ALLOCATE_LAWS,
    library="pruning:allocate_sparsity",
)
