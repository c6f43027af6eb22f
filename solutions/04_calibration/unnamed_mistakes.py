"""Unit 04: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

import math
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


# ---- the right answer with changed arguments or a changed result
def ece_of(
    before=lambda confidence, correct, bins: (confidence, correct, bins), after=lambda value: value, ece=right.ece_in_numpy
):
    return lambda confidence, correct, bins=15: after(ece(*before(confidence, correct, bins)))


def adaptive_of(before=lambda confidence, correct, bins: (confidence, correct, bins), after=lambda value: value):
    return ece_of(before, after, right.adaptive_by_groups)


def temperature_of(before=lambda logits, labels: (logits, labels), after=lambda value: value):
    return lambda logits, labels: after(right.temperature_by_newton(*before(logits, labels)))


def platt_of(before=lambda scores, labels: (scores, labels), after=lambda a, b: (a, b)):
    return lambda scores, labels: after(*right.platt_by_newton(*before(scores, labels)))


def isotonic_of(change, before=lambda scores, labels: (scores, labels)):
    """`change(curve)` is another curve."""
    return lambda scores, labels: change(right.isotonic_by_hull(*before(scores, labels)))


def cost_of(change):
    """`change` returns other arguments."""
    return lambda p, y, threshold, cost_fp, cost_fn: right.cost_by_where(*change(p, y, threshold, cost_fp, cost_fn))


def coverage_of(change):
    return lambda confidence, correct: change(*right.coverage_by_thresholds(confidence, correct))


# ---- longer wrong answers
def ece_two_open_ends(confidence, correct, bins=15):
    """Both ends open: examples on an edge are lost."""
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence < (b + 1) / bins)
        if inside.any():
            total += inside.double().mean() * (correct[inside].double().mean() - confidence[inside].double().mean()).abs()
    return float(total)


def ece_two_closed_ends(confidence, correct, bins=15):
    """Both ends closed: examples on an edge count twice."""
    total = 0.0
    for b in range(bins):
        inside = (confidence >= b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            total += inside.double().mean() * (correct[inside].double().mean() - confidence[inside].double().mean()).abs()
    return float(total)


def ece_of_large_bins(confidence, correct, bins=15):
    """Bins with a single example are left out."""
    place = (confidence.double() * bins).ceil().long().clamp(1, bins)
    kept = torch.bincount(place)[place] > 1
    return right.ece_in_numpy(confidence[kept], correct[kept], bins) if kept.any() else 0.0


def ece_rounded_bins(confidence, correct, bins=15):
    """Bins around multiples of 1/bins."""
    return right.of_bins(confidence, correct, (confidence.double() * bins).round().long())


def adaptive_first_edges(confidence, correct, bins=15):
    """Edges taken at every (n // bins)-th confidence, left-closed."""
    values = confidence.sort().values
    edges = values[:: max(1, len(values) // bins)][1:bins]
    return right.of_bins(confidence, correct, torch.searchsorted(edges.contiguous(), confidence.contiguous(), right=True))


def adaptive_distinct(confidence, correct, bins=15):
    """Bins with equally many different confidences, not answers."""
    levels, place = confidence.unique(return_inverse=True)
    return right.of_bins(confidence, correct, place * bins // len(levels))


def adaptive_ceil(confidence, correct, bins=15):
    smaller = (confidence[None, :] < confidence[:, None]).sum(1)
    return right.of_bins(confidence, correct, -(-smaller * bins // len(confidence)))


def adaptive_up_to_whole(confidence, correct, bins=15):
    """Bins of ceil(n / bins) answers: the last ones stay small or empty."""
    smaller = (confidence[None, :] < confidence[:, None]).sum(1)
    return right.of_bins(confidence, correct, smaller // -(-len(confidence) // bins))


def adaptive_divided_first(confidence, correct, bins=15):
    """floor(r / n * bins), whose rounding errors move answers to the bin below."""
    rising = confidence.sort().values
    share = torch.searchsorted(rising, confidence.contiguous()).double() / len(rising)
    return right.of_bins(confidence, correct, (share * bins).long())


def temperature_from_wide_bounds(logits, labels):
    """Six iterations of ternary search: not converged."""
    low, high = 0.05, 20.0
    for _ in range(6):
        left, right_end = low + (high - low) / 3, high - (high - low) / 3
        losses = [F.cross_entropy(logits.double() / t, labels) for t in (left, right_end)]
        low, high = (low, right_end) if losses[0] < losses[1] else (left, high)
    return (low + high) / 2


def temperature_by_few_newton_steps(logits, labels):
    """Two Newton steps in T from 1."""
    t = torch.ones(1, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        loss = F.cross_entropy(logits.double() / t, labels)
        (slope,) = torch.autograd.grad(loss, t, create_graph=True)
        (curve,) = torch.autograd.grad(slope, t)
        t = (t - slope / curve.abs()).detach().clamp(min=0.05).requires_grad_()
    return t.item()


def temperature_of_hits(logits, labels):
    """Fits the confidence to right or wrong, as in a problem with two classes."""
    hits = (logits.argmax(1) == labels).double()
    grid = np.geomspace(0.05, 20.0, 100)
    loss = [F.binary_cross_entropy((logits.double() / t).softmax(1).amax(1).clamp(max=1 - 1e-12), hits).item() for t in grid]
    return float(grid[int(np.argmin(loss))])


def temperature_smoothed(logits, labels):
    """Label smoothing, as in training."""
    grid = np.geomspace(0.05, 20.0, 100)
    loss = [F.cross_entropy(logits.double() / t, labels, label_smoothing=0.05).item() for t in grid]
    return float(grid[int(np.argmin(loss))])


def platt_in_probability(scores, labels):
    """a and b of a line that is clamped to 0..1."""
    x, y = scores.double(), labels.double()
    a = ((x - x.mean()) * (y - y.mean())).mean() / x.var(correction=0)
    return (4 * a).item(), (y.mean() - a * x.mean()).item()


def platt_by_two_means(scores, labels):
    """Linear discriminant analysis: right only for two normal distributions with equal variance."""
    one, zero = (scores[labels == k].double() for k in (1, 0))
    a = (one.mean() - zero.mean()) / torch.cat([one - one.mean(), zero - zero.mean()]).var()
    return a.item(), (math.log(len(one) / len(zero)) - a * (one.mean() + zero.mean()) / 2).item()


def platt_of_centred(scores, labels):
    """The intercept is that of the scores minus their mean."""
    a, b = right.platt_by_newton(scores, labels)
    return a, b + a * scores.double().mean().item()


def isotonic_within_0_and_1(scores, labels):
    """The first and the last line of the curve are extrapolated, clipped to 0 and 1."""
    curve, values = right.isotonic_by_hull(scores, labels), scores.double().unique()
    if len(values) == 1:
        return curve

    def at(points):
        x, (first, second, *_), (*_, third, last) = points.double(), values, values
        slopes = [(curve(b[None]) - curve(a[None])) / (b - a) for a, b in ((first, second), (third, last))]
        outside = (x - first).clamp(max=0) * slopes[0] + (x - last).clamp(min=0) * slopes[1]
        return (curve(points) + outside).clamp(0, 1)

    return at


def isotonic_last_of_ties(scores, labels):
    """A dictionary from score to label: of equal scores only the last one is used."""
    table = dict(zip(scores.tolist(), labels.tolist(), strict=True))
    return right.isotonic_by_hull(torch.tensor(list(table), dtype=torch.float64), torch.tensor(list(table.values())))


def isotonic_of_positions(scores, labels):
    """Interpolates over ranks."""
    curve = right.isotonic_by_hull(torch.arange(len(scores)).double(), labels[scores.argsort(stable=True)])
    values = scores.sort().values.double()
    return lambda points: curve(torch.searchsorted(values, points.double().contiguous()).double())


def isotonic_two_points(scores, labels):
    """Only the lowest and the highest value, with a line between them."""
    curve = right.isotonic_by_hull(scores, labels)
    ends = torch.stack([scores.min(), scores.max()])
    return right.curve(ends.numpy(), curve(ends).numpy())


def isotonic_by_median(scores, labels):
    """Rounds the pooled means, which gives labels again."""
    curve = right.isotonic_by_hull(scores, labels)
    return lambda points: (curve(points) > 0.5).double()


def isotonic_of_few_rounds(scores, labels):
    """A hundred rounds, each of which pools one pair: enough for small samples only."""
    values, place = scores.double().unique(return_inverse=True)
    weights = torch.bincount(place).tolist()
    blocks = [[s, w, 1] for s, w in zip(torch.bincount(place, weights=labels.double()).tolist(), weights, strict=True)]
    for _ in range(100):
        fall = next(
            (i for i in range(len(blocks) - 1) if blocks[i + 1][0] * blocks[i][1] < blocks[i][0] * blocks[i + 1][1]), None
        )
        if fall is None:
            break
        blocks[fall : fall + 2] = [[sum(pair) for pair in zip(*blocks[fall : fall + 2], strict=True)]]
    return right.curve(values.numpy(), np.array([s / w for s, w, k in blocks for _ in range(k)]))


LAST_CURVE = {}


def isotonic_of_the_last_fit(scores, labels):
    """All curves are the one that was fitted last."""
    LAST_CURVE["curve"] = right.isotonic_by_hull(scores, labels)
    return lambda points: LAST_CURVE["curve"](points)


def isotonic_only_once(scores, labels):
    """The curve is taken from an iterator, which is used up by its first call."""
    curves = iter([right.isotonic_by_hull(scores, labels)])
    return lambda points: next(curves, lambda x: torch.zeros(len(x)))(points)


def quantile_of_other(alpha_of=lambda alpha: alpha, scores_of=lambda scores: scores, after=lambda value: value):
    return lambda scores, alpha: after(right.quantile_by_kthvalue(scores_of(scores), alpha_of(alpha)))


def sets_of(before=lambda p, q: (p, q), after=lambda sets: sets):
    return lambda probabilities, q: after(right.sets_by_probability(*before(probabilities, q)))


def in_place(probabilities, q):
    return probabilities.neg_().add_(1) <= q


WRONG = {
    "expected_calibration_error": (
        ece_two_open_ends,
        ece_two_closed_ends,
        ece_of_large_bins,
        ece_rounded_bins,
        ece_of(lambda c, hit, bins: (c, hit, bins + 1)),
        ece_of(lambda c, hit, bins: (1 - c, ~hit, bins)),
        ece_of(lambda c, hit, bins: (c, ~hit, bins)),
        ece_of(lambda c, hit, bins: (c[:-1] if len(c) > 1 else c, hit[:-1] if len(c) > 1 else hit, bins)),
        ece_of(after=lambda value: round(value, 3)),
        ece_of(after=lambda value: 1 - value),
        ece_of(after=lambda value: [value]),
        ece_of(lambda c, hit, bins: (c.round(decimals=1), hit, bins)),
        ece_of(lambda c, hit, bins: (c[c >= 0.5], hit[c >= 0.5], bins) if (c >= 0.5).any() else (c, hit, bins)),
        ece_of(lambda c, hit, bins: (c.half().float(), hit, bins)),
        ece_of(lambda c, hit, bins: ((c - 1e-5).clamp(min=0), hit, bins)),
        ece_of(lambda c, hit, bins: (c[:1000], hit[:1000], bins)),
    ),
    "adaptive_ece": (
        adaptive_first_edges,
        adaptive_distinct,
        adaptive_ceil,
        adaptive_up_to_whole,
        adaptive_of(lambda c, hit, bins: (c, hit, bins + 1)),
        adaptive_of(lambda c, hit, bins: (-c, hit, bins)),
        adaptive_of(lambda c, hit, bins: (c, ~hit, bins)),
        adaptive_of(lambda c, hit, bins: (c.round(decimals=1), hit, bins)),
        adaptive_of(after=lambda value: round(value, 3)),
        adaptive_of(after=lambda value: value / 2),
        adaptive_of(lambda c, hit, bins: (c.float(), hit, bins)),
        adaptive_of(lambda c, hit, bins: (c[:1000], hit[:1000], bins)),
        adaptive_divided_first,
    ),
    "nll": (
        lambda logits, labels: right.nll_by_torch(logits.double().log_softmax(1).exp(), labels),
        lambda logits, labels: right.nll_in_numpy(logits.clamp(-50, 50), labels),
        lambda logits, labels: (logits.amax(1) - logits.gather(1, labels[:, None])[:, 0]).mean().item(),
        lambda logits, labels: right.nll_in_numpy(logits, labels) / math.log(max(2, logits.shape[1])),
        lambda logits, labels: right.nll_in_numpy(logits.abs(), labels),
        lambda logits, labels: right.nll_in_numpy(logits, labels) * len(labels) / logits.shape[1],
        lambda logits, labels: right.nll_in_numpy(logits[:1], labels[:1]),
        lambda logits, labels: math.exp(min(50.0, right.nll_in_numpy(logits, labels))),
        lambda logits, labels: F.multi_margin_loss(logits, labels).item(),
        lambda logits, labels: F.cross_entropy(logits.double(), labels, label_smoothing=0.05).item(),
        lambda logits, labels: float(np.median(F.cross_entropy(logits.double(), labels, reduction="none").numpy())),
        lambda logits, labels: round(right.nll_in_numpy(logits, labels), 2),
        lambda logits, labels: right.nll_in_numpy(logits[:, :10], labels.clamp(max=9)),
        lambda logits, labels: right.nll_in_numpy(logits.clamp(-5000, 5000), labels),
        lambda logits, labels: right.nll_in_numpy(logits[:1000], labels[:1000]),
    ),
    "brier": (
        lambda probabilities, labels: right.brier_in_numpy(probabilities[:1], labels[:1]),
        lambda probabilities, labels: right.brier_in_numpy(probabilities.flip(1), labels),
        lambda probabilities, labels: right.brier_in_numpy(probabilities, labels) - 1,
        lambda probabilities, labels: 1 - right.brier_in_numpy(probabilities, labels),
        lambda probabilities, labels: round(right.brier_in_numpy(probabilities, labels), 2),
        lambda probabilities, labels: float(probabilities.square().sum(1).mean()),
        lambda probabilities, labels: float((1 - probabilities.square().sum(1)).mean()),
        lambda probabilities, labels: 2 * float((1 - probabilities.gather(1, labels[:, None])).square().mean()),
        lambda probabilities, labels: -right.brier_in_numpy(probabilities, labels),
        lambda probabilities, labels: right.brier_in_numpy(probabilities.mean(0, keepdim=True), labels[:1]),
        lambda probabilities, labels: right.brier_in_numpy(probabilities / probabilities.sum(1, keepdim=True), labels),
        lambda probabilities, labels: right.brier_in_numpy(probabilities[:1000], labels[:1000]),
        lambda probabilities, labels: max(1e-6, right.brier_in_numpy(probabilities, labels)),
    ),
    "fit_temperature": (
        temperature_from_wide_bounds,
        temperature_by_few_newton_steps,
        temperature_of_hits,
        temperature_smoothed,
        lambda logits, labels: 1.0,
        lambda logits, labels: 1.5,
        temperature_of(after=lambda t: 1.03 * t),
        temperature_of(after=lambda t: float(round(t))),
        temperature_of(after=lambda t: t * t),
        temperature_of(after=lambda t: -t),
        temperature_of(after=lambda t: (t,)),
        temperature_of(lambda logits, labels: (logits[:50], labels[:50])),
        temperature_of(lambda logits, labels: (logits[:, :2], labels.clamp(max=1))),
        temperature_of(lambda logits, labels: (logits.relu(), labels)),
        temperature_of(after=lambda t: min(15.0, t)),
        temperature_of(after=lambda t: max(0.18, t)),
        temperature_of(lambda logits, labels: (logits[labels < 10, :10], labels[labels < 10])),
    ),
    "fit_platt": (
        platt_in_probability,
        platt_by_two_means,
        platt_of_centred,
        lambda scores, labels: (1.0, 0.0),
        platt_of(after=lambda a, b: (a, b, 0.0)),
        platt_of(after=lambda a, b: (1.03 * a, b)),
        platt_of(after=lambda a, b: (a, b + 0.05)),
        platt_of(after=lambda a, b: {"a": a, "b": b}),
        platt_of(after=lambda a, b: (float(round(a)), float(round(b)))),
        platt_of(after=lambda a, b: (a, -b)),
        platt_of(lambda scores, labels: (scores.abs(), labels)),
        platt_of(lambda scores, labels: (scores[::2], labels[::2])),
        platt_of(lambda scores, labels: (scores.clamp(0, 1), labels)),
        platt_of(after=lambda a, b: (1.01 * a, 1.01 * b)),
        platt_of(lambda scores, labels: (scores.clamp(-20, 20), labels)),
    ),
    "fit_isotonic": (
        isotonic_of_positions,
        isotonic_two_points,
        isotonic_by_median,
        isotonic_within_0_and_1,
        isotonic_last_of_ties,
        isotonic_of(lambda curve: lambda points: curve(points).clamp(0.01, 0.99)),
        isotonic_of(lambda curve: lambda points: curve(points).round(decimals=2)),
        isotonic_of(lambda curve: lambda points: curve(points.sort().values)),
        isotonic_of(lambda curve: lambda points: curve(points).tolist()),
        isotonic_of(lambda curve: lambda points: 1 - curve(points)),
        isotonic_of(lambda curve: lambda points: curve(points)[:, None]),
        isotonic_of(lambda curve: curve, lambda scores, labels: (scores, 1 - labels)),
        isotonic_of(lambda curve: curve, lambda scores, labels: (scores.round(), labels)),
        isotonic_of(lambda curve: curve, lambda scores, labels: (scores.clamp(0, 1), labels)),
        lambda scores, labels: lambda points: torch.full((len(points),), labels.double().mean().item()),
        isotonic_of_few_rounds,
        isotonic_of_the_last_fit,
        isotonic_only_once,
        isotonic_of(lambda curve: curve, lambda scores, labels: (scores.float(), labels)),
    ),
    "bayes_threshold": (
        lambda cost_fp, cost_fn: round(cost_fp / (cost_fp + cost_fn), 2),
        lambda cost_fp, cost_fn: cost_fp / (cost_fp + cost_fn + 1),
        lambda cost_fp, cost_fn: cost_fp / (cost_fp + 2 * cost_fn),
        lambda cost_fp, cost_fn: min(cost_fp, cost_fn) / (cost_fp + cost_fn),
        lambda cost_fp, cost_fn: cost_fp**2 / (cost_fp**2 + cost_fn**2),
        lambda cost_fp, cost_fn: (cost_fp / (cost_fp + cost_fn),),
        lambda cost_fp, cost_fn: 1 / (1 + cost_fn),
        lambda cost_fp, cost_fn: min(0.5, cost_fp / (cost_fp + cost_fn)),
        lambda cost_fp, cost_fn: max(1e-5, cost_fp / (cost_fp + cost_fn)),
        lambda cost_fp, cost_fn: min(0.9995, cost_fp / (cost_fp + cost_fn)),
        lambda cost_fp, cost_fn: cost_fp / (cost_fp + cost_fn + 1e-9),
    ),
    "expected_cost": (
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, 1 - y, threshold, cost_fp, cost_fn)),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p.round(decimals=1), y, threshold, cost_fp, cost_fn)),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, y, threshold + 0.01, cost_fp, cost_fn)),
        cost_of(
            lambda p, y, threshold, cost_fp, cost_fn: (
                p,
                y,
                threshold,
                cost_fp / (cost_fp + cost_fn),
                cost_fn / (cost_fp + cost_fn),
            )
        ),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, y, threshold, 1, 10)),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, y, threshold, int(cost_fp), int(cost_fn))),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, y, min(threshold, 1.0), cost_fp, cost_fn)),
        lambda p, y, threshold, cost_fp, cost_fn: -right.cost_by_where(p, y, threshold, cost_fp, cost_fn),
        lambda p, y, threshold, cost_fp, cost_fn: (
            right.cost_by_where(p, y, threshold, cost_fp, cost_fn) / max(1, int(y.sum())) * len(y)
        ),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p, y, threshold - 5e-4, cost_fp, cost_fn)),
        cost_of(lambda p, y, threshold, cost_fp, cost_fn: (p[:1000], y[:1000], threshold, cost_fp, cost_fn)),
    ),
    "conformal_quantile": (
        quantile_of_other(lambda alpha: 1 - alpha),
        quantile_of_other(after=lambda value: 1 - value),
        quantile_of_other(after=lambda value: min(value, 1e9)),
        quantile_of_other(after=lambda value: round(value, 2) if value < 2 else value),
        quantile_of_other(scores_of=lambda scores: 1 - scores),
        quantile_of_other(scores_of=lambda scores: scores.unique()),
        quantile_of_other(scores_of=lambda scores: scores[:-1] if len(scores) > 1 else scores),
        quantile_of_other(lambda alpha: 0.1),
        lambda scores, alpha: float(np.quantile([*scores.tolist(), 1.0], 1 - alpha, method="inverted_cdf")),
        lambda scores, alpha: float(np.quantile([*scores.tolist(), math.inf], 1 - alpha, method="higher")),
        lambda scores, alpha: math.inf,
        lambda scores, alpha: scores.max().item(),
        lambda scores, alpha: float(np.quantile(scores.numpy(), 1 - alpha, method="higher")),
        lambda scores, alpha: float(scores.double().mean() + 1.645 * scores.double().std(correction=0)),
        quantile_of_other(lambda alpha: round(alpha, 3)),
        quantile_of_other(scores_of=lambda scores: scores.clamp(0, 1)),
        quantile_of_other(lambda alpha: alpha + 4e-5),
    ),
    "prediction_sets": (
        in_place,
        sets_of(lambda p, q: (p, q + 0.01)),
        sets_of(lambda p, q: (p.round(decimals=1), q)),
        sets_of(after=lambda sets: ~sets),
        sets_of(after=lambda sets: sets.long()),
        sets_of(after=lambda sets: sets.tolist()),
        sets_of(after=lambda sets: [row.nonzero().flatten() for row in sets]),
        sets_of(lambda p, q: (p, min(q, 0.999))),
        sets_of(lambda p, q: (p.sort(1, descending=True).values, q)),
        sets_of(lambda p, q: (p.log_softmax(1).exp(), q)),
        lambda probabilities, q: torch.ones_like(probabilities, dtype=torch.bool),
        lambda probabilities, q: (1 - probabilities <= q) & (probabilities > 0),
        sets_of(lambda p, q: (p, q + 2e-5)),
        sets_of(lambda p, q: (p.half(), q)),
    ),
    "risk_coverage": (
        coverage_of(lambda coverage, risk: (coverage, risk.cummax(0).values)),
        coverage_of(lambda coverage, risk: (coverage, risk.cumsum(0))),
        coverage_of(lambda coverage, risk: (1 - coverage, risk)),
        coverage_of(lambda coverage, risk: (coverage[:-1], risk[:-1])),
        coverage_of(lambda coverage, risk: torch.stack([coverage, risk])),
        coverage_of(lambda coverage, risk: (100 * coverage, 100 * risk)),
        coverage_of(lambda coverage, risk: (coverage, risk.round(decimals=2))),
        lambda confidence, correct: right.coverage_by_thresholds(confidence.round(decimals=1), correct),
        lambda confidence, correct: right.coverage_by_thresholds(confidence, ~correct),
        coverage_of(lambda coverage, risk: (torch.linspace(1 / len(risk), 1, len(risk)), risk)),
        lambda confidence, correct: right.coverage_by_sorting(confidence, correct[confidence.argsort(descending=True)]),
        lambda confidence, correct: right.coverage_by_thresholds(confidence.float(), correct),
        lambda confidence, correct: right.coverage_by_thresholds(confidence.double().round(decimals=4), correct),
    ),
}
