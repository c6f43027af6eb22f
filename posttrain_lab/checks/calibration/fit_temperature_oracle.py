"""Cases, laws and known mistakes of `fit_temperature`: by which number must logits be divided so that their probabilities are true?

Conventions that the notebook states in the same words:
- T > 0 divides the logits: softmax(logits / T); it minimizes the mean negative log-likelihood of the labels;
- T lies between 0.05 and 20; the result is a plain float.

The judge allows 1 %. Around the optimum the loss grows by c/2 * (relative error of T)^2, with a curvature c of 0.1 to 1.5 in these cases
(tests/checks/test_calibration_checks.py), so 1 % costs at least 5e-6: some twenty times what a float32 mean of losses is rounded by. Whatever
method converges, from golden section to Newton, in float32 or float64, stays well inside. An optimizer that stopped on its way from 1
does not: the planted temperatures are 0.2 to 0.35, and 3.5 and more.

Planted temperatures are exact: the labels of a row of logits occur as often as its probabilities say (3 of 20, 12 of 20, 5 of 20).
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from posttrain_lab.checks.engine.random_cases import plain

LOW, HIGH, TOLERANCE = 0.05, 20.0, 0.01


def _moments(z: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Under softmax(beta * z): the mean of each row of z [n, c], and its variance."""
    powers = np.exp(beta * (z - z.max(axis=1, keepdims=True)))
    p = powers / powers.sum(axis=1, keepdims=True)
    mean = (p * z).sum(axis=1)
    return mean, (p * (z - mean[:, None]) ** 2).sum(axis=1)


def slopes(logits: Tensor, labels: Tensor) -> Callable[[float], float]:
    """The derivative of the mean loss by beta = 1/T, in which it is convex: mean logit under the model minus the label's."""
    z = plain(logits)
    own = z[np.arange(len(z)), labels.tolist()].mean()
    return lambda beta: float(_moments(z, beta)[0].mean() - own)


def right_temperature(logits: Tensor, labels: Tensor) -> float:
    """Newton's method for the slope 0, kept between two bounds that it narrows: no loss is compared, nothing can stop early."""
    z = plain(logits)
    own, low, high, beta = z[np.arange(len(z)), labels.tolist()], 1 / HIGH, 1 / LOW, 1.0
    for _ in range(100):
        mean, variance = _moments(z, beta)
        slope, curve = float((mean - own).mean()), float(variance.mean())
        low, high = (low, beta) if slope > 0 else (beta, high)
        after = beta - slope / curve if curve else 0.0
        after = after if low < after < high else (low + high) / 2
        if abs(after - beta) < 1e-12 * beta:
            break
        beta = after
    return 1 / beta
