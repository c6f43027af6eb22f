"""Cases and known mistakes of `certified_radius`: within which L2 distance can the smoothed model not change its answer?

Conventions that the notebook states in the same words:
- top_count of n noisy copies (new ones, on which the class was not chosen) were given the class; sigma: the noise's standard deviation;
- p: the one-sided lower Clopper-Pearson bound: the p for which `top_count` or more of n have the probability alpha; 0 for top_count 0;
- sigma Phi^-1(p) when p > 1/2, else 0.0 (abstain); a plain float.

The oracle sums binomial terms in float64 and halves an interval until it cannot be halved: exact to 1e-10. The judge allows 1e-5.
"""

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import torch

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw

PHI = NormalDist().inv_cdf


@cache
def _bound(count: int, n: int, alpha: float) -> float:
    """The p for which `count` or more of n have the probability alpha."""
    if count == 0:
        return 0.0
    k = torch.arange(count, n + 1, dtype=torch.float64)
    choose = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        tail = float((choose + k * math.log(p) + (n - k) * math.log1p(-p)).exp().sum())
        low, high = (p, high) if tail < alpha else (low, p)
    return low


def right_radius(top_count: int, n: int, sigma: float, alpha: float) -> float:
    p = _bound(top_count, n, alpha)
    return sigma * PHI(p) if p > 0.5 else 0.0


def radius_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "radius")
    n, sigma = draw.whole(80, 150), round(draw.real(0.15, 0.9), 3)
    most = n - draw.whole(4, 9)
    half = n // 2 + 1 + round(0.3 * n**0.5)  # above one half; its bound is not
    return [
        Case("most copies agree", (most, n, sigma, 0.05)),
        Case("an error in a thousand", (most, n, sigma, 0.001)),
        Case("all copies agree", (n, n, sigma, 0.001)),
        Case("a little more than half", (half, n, sigma, 0.05)),
        Case("the bound is a little above one half", (round(n / 2 + 1.3 * n**0.5), n, sigma, 0.05)),
        Case("exactly half", (n // 2, 2 * (n // 2), sigma, 0.01)),
        Case("fewer than half", (n // 5, n, sigma, 0.05)),
        Case("no copy", (0, n, sigma, 0.05)),
        Case("one copy", (1, 1, sigma, 0.01)),
        Case("sigma is 0", (most, n, 0.0, 0.05)),
        Case("much noise, by name", (), {"top_count": most, "n": n, "sigma": 3.0 + sigma, "alpha": 0.01}),
    ]


def radius_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "radius at work")
    return [
        Case("1,000 copies", (draw.whole(900, 995), 1000, 0.25, 0.001)),
        Case("5,000 copies", (draw.whole(4200, 4990), 5000, 0.5, 0.001)),
        Case("all of 1,500 copies", (1500, 1500, round(draw.real(0.1, 0.4), 4), 1e-6)),
    ]


def _grows_with_sigma(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "radius law")
    n, sigma = 100, draw.real(0.2, 0.6)
    one, two = (call(n - 5, n, s, 0.01) for s in (sigma, 2 * sigma))
    return (
        None if abs(two - 2 * one) < 1e-6 else f"twice the sigma must give twice the radius; it went from {one:.4g} to {two:.4g}."
    )


def _from(p: Callable[[int, int, float], float], scale: Callable[[float], float] = lambda sigma: sigma) -> Callable[..., float]:
    def mistaken(top_count: int, n: int, sigma: float, alpha: float) -> float:
        found = p(top_count, n, alpha)
        return scale(sigma) * PHI(min(found, 1 - 1e-12)) if found > 0.5 else 0.0

    return mistaken


def _wald(count: int, n: int, alpha: float) -> float:
    share = count / n
    return share - PHI(1 - alpha) * math.sqrt(share * (1 - share) / n)


def _wilson(count: int, n: int, alpha: float) -> float:
    z, share = PHI(1 - alpha), count / n
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n)


def _hoeffding(count: int, n: int, alpha: float) -> float:
    return count / n - math.sqrt(math.log(1 / alpha) / (2 * n))


def _rootless(top_count: int, n: int, sigma: float, alpha: float) -> float:
    return 0.0


def _negative_kept(top_count: int, n: int, sigma: float, alpha: float) -> float:
    return sigma * PHI(max(_bound(top_count, n, alpha), 1e-300))


def _abstain_by_share(top_count: int, n: int, sigma: float, alpha: float) -> float:
    return _negative_kept(top_count, n, sigma, alpha) if top_count > n / 2 else 0.0


RADIUS_MISTAKES = (
    Mistake(
        "two-sided",
        "Your bound is that of a two-sided interval, with alpha / 2; only a lower bound is needed, with alpha.",
        _from(lambda k, n, alpha: _bound(k, n, alpha / 2)),
    ),
    Mistake(
        "point estimate",
        "You use the share top_count / n itself; it may be too high by chance, so use its lower bound.",
        _from(lambda k, n, alpha: k / n),
    ),
    Mistake(
        "sigma squared",
        "You multiply by the variance; multiply by sigma, the standard deviation.",
        _from(_bound, lambda sigma: sigma**2),
    ),
    Mistake(
        "sigma forgotten",
        "You return Phi^-1(p); multiply it by sigma: with more noise the answer holds farther away.",
        _from(_bound, lambda sigma: 1.0),
    ),
    Mistake(
        "selection's samples used again",
        "You add the samples on which the class was chosen, where it leads by construction; count the new ones alone: top_count of n.",
        _from(lambda k, n, alpha: _bound(k + n // 10, n + n // 10, alpha) if k else 0.0),
    ),
    Mistake(
        "normal approximation",
        "You use share - z sqrt(share (1 - share) / n), which is no guarantee and is 1 when all agree; use Clopper-Pearson.",
        _from(_wald),
    ),
    Mistake(
        "Wilson",
        "You use Wilson's bound, which may be too high, so it is no guarantee; use Clopper-Pearson.",
        _from(_wilson),
    ),
    Mistake(
        "Hoeffding",
        "You use Hoeffding's bound, which holds but is wider; the page asks for Clopper-Pearson.",
        _from(_hoeffding),
    ),
    Mistake(
        "one more than the tail",
        "You ask for more than top_count successes; top_count itself belongs to the tail, P(X >= top_count).",
        _from(lambda k, n, alpha: _bound(k + 1, n, alpha) if k < n else 1.0),
    ),
    Mistake(
        "confidence for alpha",
        "You use 1 - alpha in place of alpha, which is the upper bound; the tail has the probability alpha.",
        _from(lambda k, n, alpha: _bound(k, n, 1 - alpha)),
    ),
    Mistake(
        "never abstains",
        "You return a negative radius when the bound is below 1/2; nothing is certified there, so return 0.0.",
        _negative_kept,
    ),
    Mistake(
        "abstains by the share",
        "You compare top_count / n with 1/2; compare its lower bound, or the radius is negative.",
        _abstain_by_share,
    ),
    Mistake(
        "never certified",
        "Your radius is 0; `root` needs a function that grows from below 0 to above 0: the tail minus alpha.",
        _rootless,
    ),
    Mistake(
        "probability for quantile",
        "You multiply sigma by p - 1/2; Phi^-1(p), the quantile of the normal distribution, says how far p is.",
        lambda k, n, sigma, alpha: sigma * max(0.0, _bound(k, n, alpha) - 0.5),
    ),
    Mistake(
        "tensor",
        "You return a tensor; return a plain float.",
        lambda *case: torch.tensor(right_radius(*case)),
    ),
)


certified_radius = Exercise(
    name="certified_radius",
    unit="07_auditing",
    points=2,
    difficulty=3,
    minutes=9,
    oracle=right_radius,
    cases=radius_cases,
    workload=radius_workload,
    mistakes=RADIUS_MISTAKES,
    judge=close(1e-5, 1e-7),
    laws=(Law("in proportion to sigma", _grows_with_sigma),),
    library="auditing:certified_radius tails:lower_bound",
)
