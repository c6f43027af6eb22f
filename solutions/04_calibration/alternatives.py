"""Unit 04: right answers, written in another way. They prove that the grader accepts every right answer."""

import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


# ---- expected_calibration_error, adaptive_ece
def ece_by_masks(confidence, correct, bins=15):
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if b == 0:
            inside |= confidence == 0
        if inside.any():
            total += inside.float().mean() * (correct[inside].float().mean() - confidence[inside].mean()).abs()
    return float(total)


def ece_in_numpy(confidence, correct, bins=15):
    c, hit = confidence.numpy().astype(np.float64), correct.numpy()
    place = np.clip(np.ceil(c * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    claimed, true = (np.bincount(place, weights=w, minlength=bins) / np.maximum(count, 1) for w in (c, hit))
    return float(np.sum(count / len(c) * np.abs(true - claimed)))


def ece_in_python(confidence, correct, bins=15):
    sums = [[0, 0.0, 0] for _ in range(bins)]
    for c, hit in zip(confidence.tolist(), correct.tolist(), strict=True):
        one = sums[max(0, math.ceil(c * bins) - 1)]
        one[0], one[1], one[2] = one[0] + 1, one[1] + c, one[2] + hit
    return sum(n / len(correct) * abs(hits / n - claims / n) for n, claims, hits in sums if n)


def of_bins(confidence, correct, place):
    """The calibration error for answers [n] in these bins."""
    gap = torch.bincount(place, weights=correct.double() - confidence.double())
    return float(gap.abs().sum() / len(place))


def ece_by_one_hot(confidence, correct, bins=15):
    """In float32, with edges as float32 has them."""
    place = torch.searchsorted(torch.linspace(0, 1, bins + 1)[1:-1], confidence.float().contiguous())
    gaps = F.one_hot(place, bins).float().T @ (correct.float() - confidence.float())
    return gaps.abs().sum().item() / len(correct)


def adaptive_by_scipy(confidence, correct, bins=15):
    from scipy.stats import rankdata  # imported at the first call, as in many a notebook

    smaller = rankdata(confidence.numpy(), method="min").astype(int) - 1
    return of_bins(confidence, correct, torch.from_numpy(smaller * bins // len(smaller)))


def adaptive_by_pairs(confidence, correct, bins=15):
    smaller = (confidence[None, :] < confidence[:, None]).sum(1)
    return of_bins(confidence, correct, torch.div(smaller * bins, len(confidence), rounding_mode="floor"))


def adaptive_by_groups(confidence, correct, bins=15):
    _, place, count = confidence.unique(return_inverse=True, return_counts=True)
    smaller = count.cumsum(0) - count
    return of_bins(confidence, correct, (smaller * bins // len(confidence))[place])


def adaptive_in_python(confidence, correct, bins=15):
    pairs = sorted(zip(confidence.tolist(), correct.tolist(), strict=True))
    gaps, first = {}, {}
    for rank, (c, hit) in enumerate(pairs):
        b = first.setdefault(c, rank) * bins // len(pairs)
        gaps[b] = gaps.get(b, 0.0) + c - hit
    return sum(map(abs, gaps.values())) / len(pairs)


# ---- nll, brier
def nll_by_torch(logits, labels):
    return F.cross_entropy(logits, labels).item()


def nll_by_logsumexp(logits, labels):
    own = logits[torch.arange(len(labels)), labels]
    return float((torch.logsumexp(logits, 1) - own).mean())


def nll_in_numpy(logits, labels):
    x = logits.numpy().astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(x).sum(axis=1)) - x[np.arange(len(x)), labels.numpy()]))


def brier_expanded(probabilities, labels):
    p = probabilities.double()  # in float32 the digits cancel where p is close to 1
    return float((p.square().sum(1) - 2 * p.gather(1, labels[:, None])[:, 0] + 1).mean())


def brier_by_mse(probabilities, labels):
    truth = torch.zeros_like(probabilities).scatter_(1, labels[:, None], 1.0)
    return F.mse_loss(probabilities, truth).item() * probabilities.shape[1]


def brier_in_numpy(probabilities, labels):
    p = probabilities.numpy()
    return float(((p - np.eye(p.shape[1])[labels.numpy()]) ** 2).sum(1).mean())


def brier_by_loop(probabilities, labels):
    total = 0.0
    for row, label in zip(probabilities, labels, strict=True):
        wanted = torch.zeros_like(row)
        wanted[label] = 1.0
        total += F.mse_loss(row, wanted, reduction="sum").item()
    return total / len(labels)


# ---- fit_temperature: four methods that converge
def temperature_by_lbfgs(logits, labels):
    t = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.LBFGS([t], lr=1, max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / t.clamp(min=0.05), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return t.item()


def temperature_by_bisection(logits, labels):
    """The derivative by 1/T is the mean logit under the model minus that of the labels."""
    z, low, high = logits.double(), 0.05, 20.0
    own = z.gather(1, labels[:, None]).mean()
    for _ in range(50):
        beta = (low * high) ** 0.5
        low, high = (low, beta) if ((z * beta).softmax(1) * z).sum(1).mean() > own else (beta, high)
    return 1 / beta


def temperature_by_newton(logits, labels):
    """In 1/T, in which the loss is convex; steps are halved while the loss does not fall."""
    z, beta = logits.double(), 1.0
    own = z.gather(1, labels[:, None])
    for _ in range(60):
        p = (beta * z).softmax(1)
        mean = (p * z).sum(1, keepdim=True)
        step = (mean - own).mean().item() / (p * (z - mean).square()).sum(1).mean().item()
        while beta - step <= 0 or F.cross_entropy((beta - step) * z, labels) > F.cross_entropy(beta * z, labels) + 1e-12:
            step /= 2
            if abs(step) < 1e-12:
                break
        beta -= step
        if abs(step) < 1e-10 * beta:
            break
    return 1 / beta


def temperature_by_golden_section(logits, labels):
    """In float32."""

    def loss(log_t):
        return F.cross_entropy(logits.float() / math.exp(log_t), labels).item()

    low, high, ratio = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    while high - low > 1e-5:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def temperature_by_grids(logits, labels):
    low, high = 0.05, 20.0
    for _ in range(4):
        grid = np.geomspace(low, high, 25)
        best = min(range(25), key=lambda i: F.cross_entropy(logits.double() / grid[i], labels).item())
        low, high = grid[max(0, best - 1)], grid[min(24, best + 1)]
    return float((low * high) ** 0.5)


def temperature_by_entropy(logits, labels):
    """The T at which the loss equals the model's mean entropy, by bisection."""
    low, high = 0.05, 20.0
    while high / low > 1.001:
        t = math.sqrt(low * high)
        log_p = (logits.double() / t).log_softmax(1)
        too_sure = F.nll_loss(log_p, labels) > -(log_p.exp() * log_p).sum(1).mean()
        low, high = (t, high) if too_sure else (low, t)
    return math.sqrt(low * high)


# ---- fit_platt
def targets_of(labels):
    ones = labels.sum().item()
    return np.where(labels.numpy() == 1, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))


def platt_by_newton(scores, labels):
    x = np.stack([scores.numpy().astype(float), np.ones(len(scores))], 1)
    t, line = targets_of(labels), np.zeros(2)
    loss = lambda w: float(np.sum(np.logaddexp(0, x @ w) - t * (x @ w)))  # noqa: E731
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ line)))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x + 1e-12 * np.eye(2), x.T @ (p - t))
        while loss(line - step) > loss(line) + 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        line = line - step
        if np.abs(step).max() < 1e-10:
            break
    return tuple(line.tolist())


def platt_by_lbfgs(scores, labels):
    layer = nn.Linear(1, 1)
    x, t = scores.float()[:, None], torch.from_numpy(targets_of(labels)).float()[:, None]
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, tolerance_change=1e-7, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(layer(x), t)
        loss.backward()
        return loss

    optimizer.step(closure)
    return layer.weight.item(), layer.bias.item()


def platt_by_descent(scores, labels):
    """Plain gradient descent on standardized scores, until the gradient is nearly 0; a and b are then converted back."""
    s, t, slope = scores.numpy().astype(float), targets_of(labels), np.ones(2)
    x, line = np.stack([(s - s.mean()) / s.std(), np.ones(len(s))]), np.zeros(2)
    while np.abs(slope).max() > 1e-6:
        slope = x @ (1 / (1 + np.exp(-(line @ x))) - t) / len(s)
        line = line - 4.0 * slope  # the curvatures are 1/4 at most
    return float(line[0] / s.std()), float(line[1] - line[0] * s.mean() / s.std())


# ---- fit_isotonic
def isotonic_by_lowest_mean(scores, labels):
    """Blocks from the left: each is the longest prefix of the remaining points with the smallest mean."""
    values, place = np.unique(scores.numpy(), return_inverse=True)
    hits, count, heights = np.bincount(place, weights=labels.numpy()), np.bincount(place), []
    while len(heights) < len(values):
        means = hits[len(heights) :].cumsum() / count[len(heights) :].cumsum()
        heights += [means.min()] * (1 + int(np.flatnonzero(means == means.min())[-1]))
    return curve(values, heights)


def curve(values, heights):
    return lambda points: torch.from_numpy(np.interp(points.numpy(), values, heights))


def isotonic_by_scanning(scores, labels):
    """Finds any fall, pools it, and starts again."""
    groups = {}
    for s, y in sorted(zip(scores.tolist(), labels.tolist(), strict=True)):
        groups.setdefault(s, []).append(y)
    blocks = [([s], ys) for s, ys in groups.items()]
    mean = lambda block: sum(block[1]) / len(block[1])  # noqa: E731
    while any(fall := [mean(a) > mean(b) for a, b in itertools.pairwise(blocks)]):
        i = fall.index(True)
        blocks[i : i + 2] = [(blocks[i][0] + blocks[i + 1][0], blocks[i][1] + blocks[i + 1][1])]
    heights = [mean(block) for block in blocks for _ in block[0]]
    return curve(list(groups), heights)


def isotonic_by_hull(scores, labels):
    """The slopes of the greatest convex minorant of the cumulative sums."""
    values, place = np.unique(scores.numpy(), return_inverse=True)
    x = np.concatenate([[0], np.bincount(place).cumsum()]).astype(float)
    y = np.concatenate([[0], np.bincount(place, weights=labels.numpy()).cumsum()])
    hull = [0]
    for i in range(1, len(x)):
        while len(hull) > 1 and (y[hull[-1]] - y[hull[-2]]) * (x[i] - x[hull[-1]]) >= (y[i] - y[hull[-1]]) * (
            x[hull[-1]] - x[hull[-2]]
        ):
            hull.pop()
        hull.append(i)
    return curve(values, np.diff(np.interp(x, x[hull], y[hull])) / np.diff(x))


class Rising:
    """A callable object, and interpolation by hand in torch."""

    def __init__(self, scores, labels):
        self.x, place, count = scores.double().unique(return_inverse=True, return_counts=True)
        blocks = []
        for hits, n in zip(torch.bincount(place, weights=labels.double()).tolist(), count.tolist(), strict=True):
            blocks.append([hits, n, 1])
            while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
                last = blocks.pop()
                blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
        self.y = torch.tensor([hits / n for hits, n, k in blocks for _ in range(k)], dtype=torch.float64)

    def __call__(self, points):
        found = []
        for point in points.double().clamp(self.x[0], self.x[-1]):
            right = int((self.x < point).sum())
            left = max(0, right - 1)
            width = self.x[right] - self.x[left]
            share = (point - self.x[left]) / width if width > 0 else torch.tensor(0.0)
            found.append(self.y[left] + share * (self.y[right] - self.y[left]))
        return torch.stack(found).float()


# ---- bayes_threshold, expected_cost
def cost_by_counting(p, y, threshold, cost_fp, cost_fn):
    misses = sum(1 for a, b in zip(p.tolist(), y.tolist(), strict=True) if a < threshold and b == 1)
    alarms = sum(1 for a, b in zip(p.tolist(), y.tolist(), strict=True) if not a < threshold and b == 0)
    return (cost_fp * alarms + cost_fn * misses) / len(y)


def cost_by_where(p, y, threshold, cost_fp, cost_fn):
    alarm = (p >= threshold).double()
    each = torch.where(y == 1, (1 - alarm) * cost_fn, alarm * cost_fp)
    return float(each.mean())


def cost_in_numpy(p, y, threshold, cost_fp, cost_fn):
    alarm, sick = p.numpy() >= threshold, y.numpy().astype(bool)
    return float(np.mean(alarm & ~sick) * cost_fp + np.mean(~alarm & sick) * cost_fn)


# ---- conformal_quantile, prediction_sets
def quantile_by_partition(scores, alpha):
    k = int(np.ceil((len(scores) + 1) * (1 - alpha)))
    return float(np.partition(scores.numpy(), k - 1)[k - 1]) if k <= len(scores) else np.inf


def quantile_by_kthvalue(scores, alpha):
    k = math.ceil((len(scores) + 1) * (1 - alpha))
    return float("inf") if k > len(scores) else torch.kthvalue(scores, k).values.item()


def quantile_padded(scores, alpha):
    """The score of the new example may be infinite: it is added after the others."""
    values = [*sorted(scores.tolist()), math.inf]
    return values[math.ceil(len(values) * (1 - alpha)) - 1]


def quantile_from_above(scores, alpha):
    """Counted from the largest of the scores and an infinite one: skips as many as may be missed."""
    missed = math.floor((len(scores) + 1) * alpha + 1e-9)
    return torch.cat([scores, torch.tensor([math.inf])]).topk(missed + 1).values[-1].item()


def quantile_by_numpy(scores, alpha):
    level = np.ceil((len(scores) + 1) * (1 - alpha)) / len(scores)
    return float("inf") if level > 1 else np.quantile(scores.numpy(), level, method="inverted_cdf").item()


def sets_by_probability(probabilities, q):
    return probabilities >= 1 - q


def sets_by_loop(probabilities, q):
    return torch.tensor([[not (1 - p.item() > q) for p in row] for row in probabilities])


def sets_in_numpy(probabilities, q):
    return torch.from_numpy(np.less_equal(1.0 - probabilities.numpy(), q))


# ---- risk_coverage
def coverage_by_counts(confidence, correct):
    _, place = confidence.unique(return_inverse=True)
    answered, wrong = torch.bincount(place), torch.bincount(place, weights=(~correct).double())
    answered, wrong = answered.flip(0).cumsum(0), wrong.flip(0).cumsum(0)
    return answered / len(confidence), wrong / answered


def coverage_by_thresholds(confidence, correct):
    levels = confidence.unique().flip(0)
    inside = confidence[None, :] >= levels[:, None]
    return inside.double().mean(1), (inside & ~correct).sum(1) / inside.sum(1)


def coverage_by_sorting(confidence, correct):
    values, order = confidence.sort(descending=True)
    n = torch.arange(1, len(order) + 1)
    last = torch.cat([values[1:] != values[:-1], torch.tensor([True])])
    return (n / len(order))[last], ((~correct[order]).cumsum(0) / n)[last]


def coverage_in_python(confidence, correct):
    groups = {}
    for c, hit in zip(confidence.tolist(), correct.tolist(), strict=True):
        groups.setdefault(c, []).append(hit)
    coverage, risk, n, wrong = [], [], 0, 0
    for c in sorted(groups, reverse=True):
        n, wrong = n + len(groups[c]), wrong + groups[c].count(False)
        coverage.append(n / len(correct))
        risk.append(wrong / n)
    return torch.tensor(coverage), torch.tensor(risk)


ALTERNATIVES = {
    "expected_calibration_error": (ece_by_masks, ece_in_numpy, ece_in_python, ece_by_one_hot),
    "adaptive_ece": (adaptive_by_pairs, adaptive_by_groups, adaptive_in_python, adaptive_by_scipy),
    "nll": (nll_by_torch, nll_by_logsumexp, nll_in_numpy),
    "brier": (brier_expanded, brier_in_numpy, brier_by_loop, brier_by_mse),
    "fit_temperature": (
        temperature_by_lbfgs,
        temperature_by_newton,
        temperature_by_bisection,
        temperature_by_golden_section,
        temperature_by_grids,
        temperature_by_entropy,
    ),
    "fit_platt": (platt_by_newton, platt_by_lbfgs, platt_by_descent),
    "fit_isotonic": (
        isotonic_by_scanning,
        isotonic_by_hull,
        isotonic_by_lowest_mean,
        lambda scores, labels: Rising(scores, labels),
    ),
    "bayes_threshold": (
        lambda cost_fp, cost_fn: 1 / (1 + cost_fn / cost_fp),
        lambda cost_fp, cost_fn: 1 - cost_fn / (cost_fn + cost_fp),
        lambda cost_fp, cost_fn: float(np.divide(cost_fp, cost_fp + cost_fn)),
    ),
    "expected_cost": (cost_by_counting, cost_by_where, cost_in_numpy),
    "conformal_quantile": (quantile_by_kthvalue, quantile_padded, quantile_from_above, quantile_by_numpy, quantile_by_partition),
    "prediction_sets": (sets_by_probability, sets_by_loop, sets_in_numpy),
    "risk_coverage": (coverage_by_thresholds, coverage_by_sorting, coverage_in_python, coverage_by_counts),
}
