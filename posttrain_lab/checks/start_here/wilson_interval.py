"""Cases and known mistakes of `wilson_interval`: how sure are we of an accuracy?

A pair (low, high) of plain floats; z is an argument.
"""

import math

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw


def _wilson(hits: int, n: int, z: float, **change: float) -> tuple[float, float]:
    """The interval with its three corrections; a mistake may leave one of them out."""
    p = hits / n
    center = p + change.get("shift", 1.0) * z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + change.get("inner", 1.0) * z * z / (4 * n * n))
    scale = 1 + change.get("shrink", 1.0) * z * z / n
    return (center - half) / scale, (center + half) / scale


def _right_wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    return _wilson(hits, n, z)


def _wald(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    p = hits / n
    half = z * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


def _agresti_coull(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    return _wald(hits + z * z / 2, n + z * z, z)  # type: ignore[arg-type]


def wilson_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "wilson")
    n, many = 2 * draw.whole(6, 20) + 1, draw.whole(4000, 10000)
    z = round(draw.real(2.2, 3.3), 2)
    return [
        Case("a few hits", (draw.whole(2, n // 3), n)),
        Case("one miss, where a symmetric interval leaves [0, 1]", (n - 1, n)),
        Case("no hit at all", (0, n)),
        Case("all hits", (n, n)),
        Case("a single example", (draw.whole(0, 1), 1)),
        Case("another z", (draw.whole(3, n - 3), n, z)),
        Case("z given by name", (draw.whole(3, n - 3), n), {"z": 1.0}),
        Case("thousands of examples", (draw.whole(many // 2, many - 100), many)),
    ]


def wilson_workload(seed: int) -> list[Case]:
    """Test sets of the notebook, and larger ones: the normal approximation is 1e-5 away even for a hundred thousand examples."""
    draw = Draw(seed, "wilson at work")
    large = draw.whole(80_000, 120_000)
    return [
        Case("ten thousand test images", (draw.whole(8500, 9500), 10_000)),
        Case("a hundred thousand examples, most of them hits", (large - draw.whole(500, 3000), large)),
        Case("a thousand examples, a small z", (draw.whole(30, 90), 1000, round(draw.real(0.3, 0.9), 3))),
        Case("a few examples, a large z", (draw.whole(1, 4), 5, round(draw.real(4.0, 6.0), 3))),
    ]


WILSON_MISTAKES = (
    Mistake(
        "normal approximation",
        "That is p plus or minus z sqrt(p(1-p)/n): it leaves [0, 1], and at 0 hits it has no width; use Wilson's formula.",
        _wald,
    ),
    Mistake(
        "clamped normal approximation",
        "Clamping the normal approximation to [0, 1] hides the problem: at 0 hits it still has no width; use Wilson's formula.",
        lambda hits, n, z=1.96: (max(0.0, _wald(hits, n, z)[0]), min(1.0, _wald(hits, n, z)[1])),
    ),
    Mistake("z ignored", "You always use 1.96; z is an argument.", lambda hits, n, z=1.96: _wilson(hits, n, 1.96)),
    Mistake(
        "center not moved",
        "Wilson's center is p + z^2/(2n), not p: with few examples it is moved towards one half.",
        lambda hits, n, z=1.96: _wilson(hits, n, z, shift=0.0),
    ),
    Mistake("not divided", "You forgot to divide by 1 + z^2/n.", lambda hits, n, z=1.96: _wilson(hits, n, z, shrink=0.0)),
    Mistake(
        "inner term missing",
        "The term z^2/(4n^2) is missing under the root; without it the interval has no width at 0 hits.",
        lambda hits, n, z=1.96: _wilson(hits, n, z, inner=0.0),
    ),
    Mistake(
        "inner term doubled",
        "Under the root you add z^2/(2n^2); it is z^2/(4n^2), the square of z/(2n).",
        lambda hits, n, z=1.96: _wilson(hits, n, z, inner=2.0),
    ),
    Mistake(
        "inner term by n",
        "Under the root you divide z^2 by 4n; divide it by 4n^2, the square of 2n.",
        lambda hits, n, z=1.96: _wilson(hits, n, z, inner=float(n)),
    ),
    Mistake(
        "Agresti-Coull",
        "That is the Agresti-Coull interval (a few hits added, then the normal formula): the same center, another width.",
        _agresti_coull,
    ),
    Mistake(
        "center and half",
        "You return the center and half the width; return the two ends, center - half and center + half.",
        lambda hits, n, z=1.96: (sum(_wilson(hits, n, z)) / 2, (_wilson(hits, n, z)[1] - _wilson(hits, n, z)[0]) / 2),
    ),
    Mistake(
        "ends swapped",
        "You return the upper end first; the lower end comes first.",
        lambda hits, n, z=1.96: _wilson(hits, n, z)[::-1],
    ),
)


wilson_interval = Exercise(
    name="wilson_interval",
    unit="00_start_here",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=_right_wilson,
    cases=wilson_cases,
    workload=wilson_workload,
    mistakes=WILSON_MISTAKES,
    judge=close(0.0, 1e-06),
    library="metrics:wilson_interval",
)
