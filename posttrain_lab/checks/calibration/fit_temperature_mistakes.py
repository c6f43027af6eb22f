"""Known mistakes of `fit_temperature`: searches that stop early, bounds and grids, and other losses."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.fit_temperature_oracle import HIGH, LOW, right_temperature, slopes
from posttrain_lab.checks.engine.exercise import Mistake


def _best(loss: Callable[[Tensor], Tensor], logits: Tensor, grid: Tensor) -> float:
    """The temperature of the grid whose probabilities [n, c] have the smallest loss: `loss` gets [grid, n, c]."""
    return grid[int(loss((logits.double() / grid[:, None, None]).softmax(2)).argmin())].item()


def _narrowed(loss: Callable[[Tensor], Tensor], logits: Tensor) -> float:
    """The same on finer and finer grids around the best: known to 1 % after 48 temperatures."""
    low, high, best = LOW, HIGH, 1.0
    for _ in range(4):
        grid = torch.logspace(math.log10(low), math.log10(high), 12, dtype=torch.float64)
        best, step = _best(loss, logits, grid), (grid[1] / grid[0]).item()
        low, high = max(LOW, best / step), min(HIGH, best * step)
    return best


def _by_t(logits: Tensor, labels: Tensor) -> Callable[[float], float]:
    """The derivative of the mean loss by T."""
    slope = slopes(logits, labels)
    return lambda temperature: -slope(1 / temperature) / temperature**2


def _lbfgs(logits: Tensor, labels: Tensor, lr: float = 0.01, steps: int = 50) -> float:
    """What torch.optim.LBFGS([T], lr=0.01, max_iter=50) does from 1.5, as in the code that came with Guo et al. (2017).

    For a single number L-BFGS is the secant method: each step is lr times the one that would reach the derivative 0.
    """
    slope_at, temperature = _by_t(logits, labels), 1.5
    slope = slope_at(temperature)
    move, share = -slope, lr * min(1.0, 1 / abs(slope))
    for _ in range(steps):
        before, temperature = slope, temperature + share * move
        slope = slope_at(temperature)
        if abs(share * move) < 1e-9 or slope == before:
            break
        move, share = -slope * share * move / (slope - before), lr
    return temperature


def _adam(logits: Tensor, labels: Tensor, lr: float = 0.01, steps: int = 100) -> float:
    slope_at, temperature, mean, square = _by_t(logits, labels), 1.0, 0.0, 0.0
    for step in range(1, steps + 1):
        slope = slope_at(temperature)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        temperature -= lr * mean / (1 - 0.9**step) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return temperature


def _of_probabilities(logits: Tensor, labels: Tensor) -> float:
    return right_temperature(logits.double().softmax(1), labels)


def _smallest_ece(logits: Tensor, labels: Tensor) -> float:
    hits = (logits.argmax(1) == labels).double()

    def ece(p: Tensor) -> Tensor:
        confidence = p.amax(2)
        place = (confidence * 15).ceil().long().clamp(1, 15) - 1
        return torch.zeros(len(p), 15, dtype=torch.float64).scatter_add_(1, place, confidence - hits).abs().sum(1)

    return _narrowed(ece, logits)


def _smallest_brier(logits: Tensor, labels: Tensor) -> float:
    truth = torch.eye(logits.shape[1], dtype=torch.float64)[labels]
    return _narrowed(lambda p: (p - truth).square().sum((1, 2)), logits)


def _mean_confidence(logits: Tensor, labels: Tensor) -> float:
    """The T at which the mean confidence is the accuracy."""
    hits = (logits.argmax(1) == labels).double().mean()
    return _narrowed(lambda p: (p.amax(2).mean(1) - hits).abs(), logits)


def _coarse(logits: Tensor, labels: Tensor) -> float:
    rows = torch.arange(len(labels))
    return _best(lambda p: -p[:, rows, labels].log().sum(1), logits, 0.5 * torch.arange(1, 41).double())


def _spread(logits: Tensor, labels: Tensor) -> float:
    return logits.double().std().item()


TEMPERATURE_MISTAKES = (
    Mistake(
        "inverted",
        "You return the factor that multiplies the logits; T divides them, so return 1 / factor.",
        lambda logits, labels: 1 / right_temperature(logits, labels),
    ),
    Mistake(
        "probabilities as logits",
        "You took the softmax before you divided by T; divide the logits first, then take the softmax (cross_entropy does).",
        _of_probabilities,
    ),
    Mistake(
        "one step",
        "You take a single step of gradient descent; repeat until the gradient is nearly 0, or use an optimizer that converges.",
        lambda logits, labels: 1 - _by_t(logits, labels)(1.0),
    ),
    Mistake(
        "small steps of LBFGS",
        "LBFGS with lr=0.01 and 50 steps stops far from the minimum; use lr=1 with line_search_fn='strong_wolfe'.",
        _lbfgs,
    ),
    Mistake(
        "small steps of Adam",
        "100 steps of Adam with lr=0.01 change T by 1 at most; take more or larger steps, until the gradient is nearly 0.",
        _adam,
    ),
    Mistake(
        "never below 1",
        "You restrict T to 1 or above; an underconfident network needs a T below 1.",
        lambda logits, labels: max(1.0, right_temperature(logits, labels)),
    ),
    Mistake(
        "never above 1",
        "You restrict T to 1 or below; an overconfident network needs a T above 1.",
        lambda logits, labels: min(1.0, right_temperature(logits, labels)),
    ),
    Mistake(
        "clamped to 5",
        "You restrict T to 1/5 to 5; search from 0.05 to 20.",
        lambda logits, labels: min(5.0, max(0.2, right_temperature(logits, labels))),
    ),
    Mistake(
        "coarse grid",
        "You search in steps of 0.5; use a finer grid around the best T, until T is known to 1 %.",
        _coarse,
    ),
    Mistake(
        "smallest ECE",
        "You minimize the ECE, which jumps as examples change bins; minimize the negative log-likelihood.",
        _smallest_ece,
    ),
    Mistake(
        "smallest Brier score",
        "You minimize the Brier score; minimize the negative log-likelihood.",
        _smallest_brier,
    ),
    Mistake(
        "mean confidence",
        "You make the mean confidence equal to the accuracy; minimize the negative log-likelihood of the labels.",
        _mean_confidence,
    ),
    Mistake(
        "spread of the logits",
        "You return the standard deviation of the logits; minimize the loss, which depends on the labels.",
        _spread,
    ),
    Mistake(
        "logarithm",
        "You return log T; take its exponential at the end.",
        lambda logits, labels: math.log(right_temperature(logits, labels)),
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
        lambda logits, labels: torch.tensor(right_temperature(logits, labels)),
    ),
)
