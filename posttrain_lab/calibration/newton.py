"""Newton's method for cross-entropies with few parameters: used by Platt, beta, vector, Dirichlet and the mortality model.

The cross-entropy is convex, so every start leads to the same answer; a step that does not lower it is halved.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

STEPS = 200
DECREMENT = 1e-14  # half the squared Newton decrement: an estimate of how much the objective can still fall
FLAT = 1e-11  # no step along a direction whose curvature is a smaller share of the largest curvature
LARGEST_SLOPE = 1e-6  # largest slope at the end, in units of the square root of the curvature
EXPLAINED = 1e-7  # a mean cross-entropy below this counts as 0: the labels are separated
FARTHEST = 1e6  # a parameter beyond this diverges to infinity


def fit_logistic(features: Tensor, targets: Tensor, l2: float = 0.0) -> list[float]:
    """[w_1 .. w_d, b] that minimize mean cross-entropy(sigmoid(features @ w + b), targets) + (l2 / 2) |w * sd|^2.

    features [n, d], targets [n] in [0, 1]. Features are standardized inside (sd their standard deviation), so that the
    penalty does not depend on units; w and b are for the features as given.
    Raises ValueError when no finite w is best (the classes are separated) or features repeat each other.
    """
    x, y = features.double(), targets.double()
    mean, sd = x.mean(dim=0), x.std(dim=0, correction=0)
    sd = torch.where(sd > 0, sd, torch.ones_like(sd))
    x = torch.cat([(x - mean) / sd, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    ridge = torch.full((x.shape[1],), l2, dtype=torch.float64)
    ridge[-1] = 0.0

    def objective(w: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(x @ w, y) + (ridge * w * w).sum() / 2

    def derivatives(w: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.sigmoid(x @ w)
        return x.T @ (p - y) / len(x) + ridge * w, (x.T * (p * (1 - p))) @ x / len(x) + torch.diag(ridge)

    w = minimize(objective, derivatives, torch.zeros(x.shape[1], dtype=torch.float64))
    slopes = w[:-1] / sd
    return [*slopes.tolist(), (w[-1] - (slopes * mean).sum()).item()]


def fit_softmax(features: Tensor, labels: Tensor, start: Tensor, ridge: Tensor) -> Tensor:
    """theta [p] that minimizes mean cross-entropy(softmax(features @ theta), labels) + sum_j ridge_j theta_j^2 / 2.

    features [n, c, p]: row k of example i says how its logit k depends on theta; labels [n]; start, ridge [p]. Directions that change nothing
    (the same shift of all logits) stay as in `start`. Raises ValueError when no finite theta is best.
    """
    truth = torch.nn.functional.one_hot(labels.long(), features.shape[1]).double()

    def objective(theta: Tensor) -> Tensor:
        return cross_entropy(features @ theta, labels.long()) + (ridge * theta * theta).sum() / 2

    def derivatives(theta: Tensor) -> tuple[Tensor, Tensor]:
        p = (features @ theta).softmax(dim=1)
        slope = torch.einsum("nkp,nk->p", features, p - truth) / len(p) + ridge * theta
        mean = torch.einsum("nkp,nk->np", features, p)
        weighted = (features * p[:, :, None].sqrt()).flatten(0, 1)
        return slope, (weighted.T @ weighted - mean.T @ mean) / len(p) + torch.diag(ridge)

    return minimize(objective, derivatives, start)


def minimize(
    objective: Callable[[Tensor], Tensor], derivatives: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor
) -> Tensor:
    """Newton steps until convergence. Each parameter is scaled by its own curvature, so units do not matter."""
    theta = start
    for _ in range(STEPS):
        slope, curvature = derivatives(theta)
        unit = curvature.diagonal().clamp(min=0).sqrt()
        unit = torch.where(unit > 0, unit, torch.ones_like(unit))
        values, vectors = torch.linalg.eigh(curvature / unit / unit[:, None])
        useful = values > FLAT * values[-1]
        parts = vectors.T @ (slope / unit) * useful / torch.where(useful, values, torch.ones_like(values))
        step = vectors @ parts / unit
        if (slope * step).sum() / 2 < DECREMENT:
            if (slope / unit).abs().max() > LARGEST_SLOPE:
                break
            return theta - step
        size, before = 1.0, objective(theta)
        while objective(theta - size * step) > before and size > 1e-10:
            size /= 2
        theta = theta - size * step
        if before < EXPLAINED or theta.abs().max() > FARTHEST:
            break
    raise ValueError(
        "No finite answer: the features separate the labels, so that larger parameters are always better, or features repeat each other. "
        "Use more data or fewer parameters, or a penalty."
    )
