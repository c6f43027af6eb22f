"""Temperature scaling: one parameter for all logits. It cannot change the predicted class.

Source: Guo, Pleiss, Sun, Weinberger (2017).
"""

import math

from jaxtyping import Float, Integer
from torch import Tensor

from .arguments import check_finite, check_labels, check_positive

STEPS = 200
CONVERGED = 1e-12  # relative change of T below which the search has converged
LOG_RANGE = 40.0  # T between e^-40 and e^40, in units of the spread of the logits


def looks_like_probabilities(logits: Tensor) -> bool:
    """Whether every row is >= 0 and sums to 1: softmax was taken already."""
    return bool((logits >= 0).all()) and bool(((logits.double().sum(dim=1) - 1).abs() < 1e-4).all())


def check_logits(name: str, logits: Tensor, labels: Tensor) -> None:
    """Raise unless logits are finite [n, c >= 2], not probabilities, and labels [n] are classes."""
    check_finite(name, "logits", logits, 2)
    if logits.shape[1] < 2:
        raise ValueError(f"{name} wants logits of 2 classes or more, got shape {list(logits.shape)}; one class is always right.")
    check_labels(name, labels, *logits.shape)
    if looks_like_probabilities(logits):
        raise ValueError(
            f"{name} wants logits, got rows that are >= 0 and sum to 1: these are probabilities. Give the network's output "
            "before softmax, or probabilities.log()."
        )


def fit_temperature(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """By which T > 0 must all logits be divided so that the negative log-likelihood of the labels is smallest?

    T = argmin nll(logits / T, labels). In 1/T the nll is convex, and its slope, mean_i(sum_k p_ik z_ik - z_iy), grows;
    the zero of the slope is found by safeguarded Newton steps, so the answer does not depend on a learning rate.
    logits [n, c] of the CALIBRATION part, labels [n]. T > 1 lowers the confidence of an overconfident model, T < 1 raises it.
    Raises TypeError for other dtypes; ValueError for NaN, infinity, probabilities passed as logits, labels outside the
    classes, and where no T is best: every answer is right (T would go to 0), logits no better than a guess (T would go to
    infinity), rows of equal logits.
    Source: Guo et al. (2017).

    >>> import torch
    >>> round(fit_temperature(torch.tensor([[2.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])), 4)
    1.8205
    """
    check_logits("fit_temperature", logits, labels)
    z = logits.double() - logits.double().amax(dim=1, keepdim=True)
    true = z.gather(1, labels.long()[:, None]).squeeze(1)
    spread = -z.min().item()
    if spread == 0:
        raise ValueError("fit_temperature wants logits that differ within a row, got rows of equal numbers; no T changes them.")
    z, true = z / spread, true / spread  # now in -1..0, so that the range of 1/T is known
    if not (true < 0).any():
        raise ValueError("fit_temperature found every label on top: the best T would be 0. Use more or harder examples.")
    if (z.mean(dim=1) - true).mean() >= 0:
        raise ValueError(
            "fit_temperature found logits that are no better than a guess: the best T would be infinite. "
            "Check that logits and labels belong together."
        )
    return spread / _root(z, true)


def _root(z: Tensor, true: Tensor) -> float:
    """The b > 0 at which mean_i(sum_k p_ik z_ik - z_iy), p = softmax(b z), is 0: Newton in log b, bisection outside the bracket."""
    low, high, at = -LOG_RANGE, LOG_RANGE, 0.0
    for _ in range(STEPS):
        p = (z * math.exp(at)).softmax(dim=1)
        mean = (p * z).sum(dim=1)
        slope = (mean - true).mean().item()
        rise = math.exp(at) * ((p * z * z).sum(dim=1) - mean * mean).mean().item()
        low, high = (low, at) if slope > 0 else (at, high)
        before, at = at, at - slope / rise if rise > 0 else math.inf
        if not low < at < high:
            at = (low + high) / 2
        if abs(at - before) < CONVERGED:
            break
    return math.exp(at)


def apply_temperature(logits: Float[Tensor, "*shape"], temperature: float) -> Float[Tensor, "*shape"]:
    """logits / temperature, as new logits. The order in each row, and so the accuracy, stays (two logits that differ
    by the last bit may become equal).

    Raises ValueError unless the temperature is a finite number above 0.

    >>> import torch
    >>> apply_temperature(torch.tensor([[2.0, -1.0]]), 2.0)
    tensor([[ 1.0000, -0.5000]])
    """
    check_positive("apply_temperature", temperature=temperature)
    return logits / temperature
