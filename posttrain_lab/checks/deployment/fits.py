"""Cases and known mistakes of `fits`: the most accurate network inside a budget.

Conventions that the notebook states in the same words:
- candidates: a list of `Facts` (name, accuracy, flash, ram, ms, joules); a limit that is met exactly counts as kept;
- of equally accurate ones the one with less flash; None when no candidate keeps all four limits.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close, show
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.deployment.budget import Facts

Limits = tuple[int, int, float, float]
NAMES = ("flash", "ram", "ms", "joules")


@adapter
def with_facts(function: Callable[..., Any], candidates: list[dict[str, Any]], *limits: float, **named: float) -> Any:
    """The answer for candidates as `Facts`, as a dict again."""
    found = function([Facts(**one) for one in candidates], *limits, **named)
    return asdict(found) if isinstance(found, Facts) else found


def _who(value: Any) -> str:
    return f"the candidate {value['name']!r}" if isinstance(value, dict) and "name" in value else show(value)


def names_the_candidate(want: Outcome, got: Outcome) -> str | None:
    """As exactly as usual; the sentence says which candidate was expected, and which one came."""
    complaint = close(0.0, 0.0)(want, got)
    if complaint is None or _who(want.value) == _who(got.value):
        return complaint
    return f"expected {_who(want.value)}, got {_who(got.value)}."


def _inside(one: Facts, limits: tuple[float, ...]) -> list[bool]:
    return [getattr(one, name) <= limit for name, limit in zip(NAMES, limits, strict=True)]


def right_fits(candidates: list[Facts], flash: int, ram: int, ms: float, joules: float) -> Facts | None:
    best = None
    for one in candidates:
        if all(_inside(one, (flash, ram, ms, joules))):
            better = best is None or (one.accuracy, -one.flash) > (best.accuracy, -best.flash)
            best = one if better else best
    return best


def _facts(draw: Draw, number: int, **changes: float) -> dict[str, Any]:
    """Accuracy grows with the size, the other costs have an order of their own."""
    made = {
        "name": f"network {number}",
        "accuracy": round(0.8 + 0.012 * number + draw.real(0, 0.01), 4),
        "flash": 40_000 + 9_000 * number + draw.whole(0, 900),
        "ram": 4_000 + 100 * draw.whole(0, 40) + number,
        "ms": round(0.3 + 0.05 * draw.whole(0, 40) + number / 1000, 4),
        "joules": round(1e-6 * (10 + draw.whole(0, 60) + number / 50), 9),
    }
    return made | changes


def _candidates(draw: Draw, n: int) -> list[dict[str, Any]]:
    return draw.shuffled([_facts(draw, number) for number in range(n)])


def _over(draw: Draw, name: str) -> tuple[list[dict[str, Any]], *tuple[float, ...]]:
    """The most accurate candidate breaks one limit only, by a little."""
    small, large = _facts(draw, 1), _facts(draw, 8)
    limits = {key: max(small[key], large[key]) for key in NAMES}
    large[name] = limits[name] * 1.001 if name in ("ms", "joules") else limits[name] + 1
    return (draw.shuffled([small, large, _facts(draw, 0)]), *limits.values())


def _equal(draw: Draw) -> tuple[list[dict[str, Any]], *tuple[float, ...]]:
    """Seven are equally accurate: the first, the last, and those with the least flash, RAM, time, energy, and the most flash."""
    base = _facts(draw, 5)
    apart = {
        "the first": {},
        "with less RAM": {"ram": base["ram"] - 9},
        "with less flash": {"flash": base["flash"] - 500, "ram": base["ram"] + 7, "ms": base["ms"] + 0.2},
        "the faster one": {"ms": base["ms"] - 0.1},
        "with less energy": {"joules": base["joules"] * 0.9},
        "the largest one": {"flash": base["flash"] + 300},
        "the last": {"ram": base["ram"] + 3},
    }
    equal = [base | {"name": name} | other for name, other in apart.items()]
    return ([*equal[:4], _facts(draw, 2), *equal[4:]], 10**6, 10**6, 9.0, 1.0)


def fits_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "fits")
    many = _candidates(draw, 9)
    middle = [sorted(one[name] for one in many)[6] for name in NAMES]
    edge = _facts(draw, 3)
    return [
        *(Case(f"the most accurate one needs too much: {name}", _over(draw, name)) for name in NAMES),
        Case("nine candidates", (many, *middle)),
        Case(
            "exactly at all limits",
            ([_facts(draw, 1, flash=10, ram=10, ms=0.1, joules=1e-6), edge], *(edge[name] for name in NAMES)),
        ),
        Case("equally accurate ones", _equal(draw)),
        Case("none keeps the limits", (_candidates(draw, 4), 100, 10**6, 9.0, 1.0)),
        Case("no candidates", ([], 100, 100, 1.0, 1.0)),
        Case(
            "each keeps three limits",
            (
                [_facts(draw, i, **{name: (10**9, 1e9)[name in NAMES[2:]]}) for i, name in enumerate(NAMES)],
                10**6,
                10**6,
                9.0,
                1.0,
            ),
        ),
        Case("by name", (many,), dict(zip(NAMES, (10**6, 10**6, 9.0, 1.0), strict=True))),
    ]


def fits_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "fits at work")
    return [Case("70 candidates", (_candidates(draw, 70), 400_000, 7_000, 1.7, 55e-6))]


def _more_room(call: Call, seed: int) -> str | None:
    many = _candidates(Draw(seed, "fits law"), 12)
    limits = [sorted(one[name] for one in many)[7] for name in NAMES]
    tight, loose = call(many, *limits), call(many, *(2 * one for one in limits))
    if tight is None or (loose is not None and loose["accuracy"] >= tight["accuracy"]):
        return None
    return "with larger limits the accuracy fell."


def _choosing(
    key: Callable[[Facts], Any],
    keep: Callable[[list[bool]], bool] = all,
    after: Callable[[Any], Any] = lambda found: found,
    inside: Callable[[Facts, tuple[float, ...]], list[bool]] = _inside,
) -> Callable[..., Any]:
    def mistaken(candidates: list[Facts], flash: int, ram: int, ms: float, joules: float) -> Any:
        kept = [one for one in candidates if keep(inside(one, (flash, ram, ms, joules)))]
        return after(max(kept, key=key, default=None))

    return lambda candidates, flash, ram, ms, joules: mistaken(candidates, flash, ram, ms, joules)


def _best(one: Facts) -> tuple[float, int]:
    return one.accuracy, -one.flash


def _ratio(one: Facts, limits: tuple[float, ...]) -> list[bool]:
    """The mean of the shares of the limits."""
    return [sum(getattr(one, name) / limit for name, limit in zip(NAMES, limits, strict=True)) <= len(NAMES)]


def _removing(candidates: list[Facts], flash: int, ram: int, ms: float, joules: float) -> Facts | None:
    kept = list(candidates)
    for one in kept:
        if not all(_inside(one, (flash, ram, ms, joules))):
            kept.remove(one)
    return max(kept, key=_best, default=None)


FITS_MISTAKES = (
    Mistake(
        "strict",
        "You ask for less than the limit; exactly at the limit is inside.",
        _choosing(
            _best, inside=lambda one, limits: [getattr(one, name) < limit for name, limit in zip(NAMES, limits, strict=True)]
        ),
    ),
    Mistake("any limit", "You take a candidate that keeps one limit; it must keep all four.", _choosing(_best, any)),
    Mistake(
        "flash only", "You look at flash only; RAM, time and energy have limits too.", _choosing(_best, lambda kept: kept[0])
    ),
    Mistake("flash forgotten", "You forget the flash, the first limit.", _choosing(_best, lambda kept: all(kept[1:]))),
    Mistake("RAM forgotten", "You forget RAM, the second limit.", _choosing(_best, lambda kept: kept[0] and all(kept[2:]))),
    Mistake("time forgotten", "You forget the time, ms.", _choosing(_best, lambda kept: all(kept[:2]) and kept[3])),
    Mistake("energy forgotten", "You forget the energy, joules.", _choosing(_best, lambda kept: all(kept[:3]))),
    Mistake(
        "limits balanced", "You let one cost make up for another; each limit holds by itself.", _choosing(_best, inside=_ratio)
    ),
    Mistake(
        "limits exchanged",
        "You compare flash with the limit of RAM, and RAM with that of flash.",
        _choosing(_best, inside=lambda one, limits: _inside(replace(one, flash=one.ram, ram=one.flash), limits)),
    ),
    Mistake(
        "removed while looping",
        "You remove from the list over which you loop, so the next one is skipped; make a new list.",
        _removing,
    ),
    Mistake(
        "smallest",
        "You return the smallest candidate; inside the budget the most accurate one wins.",
        _choosing(lambda one: -one.flash),
    ),
    Mistake(
        "fastest",
        "You return the fastest candidate; inside the budget the most accurate one wins.",
        _choosing(lambda one: -one.ms),
    ),
    Mistake(
        "larger of two equal",
        "Of equally accurate candidates you take the larger one; take the one with less flash.",
        _choosing(lambda one: (one.accuracy, one.flash)),
    ),
    Mistake(
        "first of equal ones",
        "Of equally accurate candidates you take the first in the list; take the one with less flash.",
        _choosing(lambda one: one.accuracy),
    ),
    Mistake(
        "last of equal ones",
        "Of equally accurate candidates you take the last in the list; take the one with less flash.",
        lambda candidates, *limits: _choosing(lambda one: one.accuracy)(candidates[::-1], *limits),
    ),
    Mistake(
        "less time of equal ones",
        "Of equally accurate candidates you take the fastest; take the one with less flash.",
        _choosing(lambda one: (one.accuracy, -one.ms)),
    ),
    Mistake(
        "less energy of equal ones",
        "Of equally accurate candidates you take the one with less energy; take the one with less flash.",
        _choosing(lambda one: (one.accuracy, -one.joules)),
    ),
    Mistake(
        "less RAM of two",
        "Of equally accurate candidates you take the one with less RAM; take the one with less flash.",
        _choosing(lambda one: (one.accuracy, -one.ram)),
    ),
    Mistake(
        "the name",
        "You return the name; return the candidate itself.",
        _choosing(_best, after=lambda found: found and found.name),
    ),
    Mistake(
        "a list",
        "You return a list; return the best candidate, or None.",
        _choosing(_best, after=lambda found: [found.name] if found else []),
    ),
    Mistake(
        "best of all, or None",
        "You look whether the most accurate of all fits; when it does not, the next one may.",
        lambda candidates, flash, ram, ms, joules: (
            best if (best := max(candidates, key=_best, default=None)) and all(_inside(best, (flash, ram, ms, joules))) else None
        ),
    ),
)


fits = Exercise(
    name="fits",
    unit="08_deployment",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_fits,
    cases=fits_cases,
    workload=fits_workload,
    mistakes=FITS_MISTAKES,
    judge=names_the_candidate,
    laws=(Law("more room", _more_room),),
    through="deployment.fits:with_facts",
    library="deployment.budget:fits",
)
