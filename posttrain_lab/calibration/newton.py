"""Logistic regression by Newton's method, for few features: the machine behind Platt, beta and the mortality model.

The cross-entropy is convex, so every start leads to the same answer; halving the step keeps it falling.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

STEPS = 200
DECREMENT = 1e-14  # half the squared Newton decrement: how much of the objective is left to win


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

    w = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(STEPS):
        p = torch.sigmoid(x @ w)
        slope = x.T @ (p - y) / len(x) + ridge * w
        curvature = (x.T * (p * (1 - p))) @ x / len(x) + torch.diag(ridge)
        step, failed = torch.linalg.solve_ex(curvature, slope)
        if int(failed) or not step.isfinite().all() or w.abs().max() > 1e3:
            break
        if (slope * step).sum() / 2 < DECREMENT:
            w = w - step
            slopes = w[:-1] / sd
            return [*slopes.tolist(), (w[-1] - (slopes * mean).sum()).item()]
        size, before = 1.0, objective(w)
        while objective(w - size * step) > before and size > 1e-10:
            size /= 2
        w = w - size * step
    raise ValueError(
        "Logistic regression found no finite answer: the features separate the classes perfectly or repeat each other. "
        "Use more data, fewer features, or l2 > 0."
    )
