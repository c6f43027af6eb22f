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

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.checks.compare import Judge, difference
from posttrain_lab.checks.draw import Draw, plain, strided
from posttrain_lab.checks.exercise import Call, Case, Law, Mistake
from posttrain_lab.checks.submission import Outcome

LOW, HIGH, TOLERANCE = 0.05, 20.0, 0.01
Labelled = tuple[Tensor, Tensor]  # logits [n, c], labels [n]


def _moments(z: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Under softmax(beta * z): the mean of each row of z [n, c], and its variance."""
    powers = np.exp(beta * (z - z.max(axis=1, keepdims=True)))
    p = powers / powers.sum(axis=1, keepdims=True)
    mean = (p * z).sum(axis=1)
    return mean, (p * (z - mean[:, None]) ** 2).sum(axis=1)


def _slopes(logits: Tensor, labels: Tensor) -> Callable[[float], float]:
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


def _frequencies(draw: Draw, rows: int, classes: int, out_of: int = 20) -> Tensor:
    """[rows, classes] whole numbers from 1 up, each row with the sum `out_of`."""
    cuts = [draw.shuffled(range(1, out_of))[: classes - 1] for _ in range(rows)]
    ends = torch.tensor([[0, *sorted(cut), out_of] for cut in cuts])
    return ends.diff(dim=1)


def planted(draw: Draw, temperature: float, rows: int = 7, classes: int = 3) -> Labelled:
    """Logits whose best temperature is exactly this one, in random order; each row has a shift of its own, which softmax ignores."""
    counts = _frequencies(draw, rows, classes)
    logits = temperature * (counts / counts.sum(1, keepdim=True)).double().log() + draw.normal(rows, 1)
    labels = torch.arange(classes).repeat(rows).repeat_interleave(counts.flatten())
    table = logits.repeat_interleave(counts.sum(1), 0).float()
    order = torch.randperm(len(labels), generator=draw.generator)
    return table[order], labels[order]


def sampled(draw: Draw, n: int, classes: int, temperature: float) -> Labelled:
    """Logits `temperature` times too large, labels drawn from the true probabilities; again until the best T is well inside."""
    while True:
        logits = draw.normal(n, classes, std=1.5)
        labels = torch.multinomial(logits.softmax(1), 1, generator=draw.generator)[:, 0]
        found = right_temperature(logits * temperature, labels)
        if 0.6 < found / temperature < 1.6 and (labels == logits.argmax(1)).float().mean() < 0.95:
            return logits * temperature, labels


def temperature_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "temperature")
    cold, hot, n = draw.real(0.2, 0.35), draw.real(4.0, 6.5), 2 * draw.whole(60, 100) + 1
    logits, labels = sampled(draw, n, 6, draw.real(3.5, 5.0))
    shifted, its_labels = sampled(draw, n, 4, draw.real(3.5, 5.0))
    return [
        Case("logits that are several times too large", planted(draw, hot)),
        Case("logits that are several times too small", planted(draw, cold, classes=4)),
        Case("drawn labels, a view that is not contiguous", (strided(logits), labels)),
        Case("two classes", sampled(draw, n, 2, draw.real(3.5, 5.0))),
        Case("logits of about 100", planted(draw, draw.real(11.0, 14.0), classes=5)),
        Case("each row shifted by a number of its own", (shifted + 20 * draw.normal(n, 1), its_labels)),
        Case("logits that are right as they are", planted(draw, 1.0)),
        Case("float64", (logits.double() / 16, labels)),
    ]


def temperature_judge() -> Judge:
    """Within 1 %; and in words when the result is close, or stands between the usual start, 1, and the optimum."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        complaint = difference(want.value, got.value, TOLERANCE, 0.0)
        value = got.value
        if complaint and isinstance(value, float) and abs(value / want.value - 1) < 0.08:
            return f"{complaint} It is {abs(value / want.value - 1):.1%} away, and 1 % is allowed: search finer, or let the optimizer go on."
        if complaint and isinstance(value, float) and 0 < (value - 1) / (want.value - 1 or math.inf) < 1:
            return f"{complaint} It stands between 1 and the best T: did the optimizer stop too early?"
        return complaint

    return judge


def _shrinks(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "equivariance")
    logits, labels = sampled(draw, 121, 4, 2.5)
    first, second = call(logits, labels), call(logits / 10, labels)
    if difference(first / 10, second, 2 * TOLERANCE, 0.0):
        return f"logits divided by 10 must give a tenth of the temperature; got {first:.4g} and then {second:.4g}."
    return None


def _gradient(call: Call, seed: int) -> str | None:
    """The slope by log T, as a share of the curvature there, is the relative distance from the optimum."""
    logits, labels = sampled(Draw(seed, "gradient"), 151, 5, 4.5)
    temperature = call(logits, labels)
    if type(temperature) is not float or not LOW / 2 < temperature < 2 * HIGH:
        return f"a plain number between {LOW} and {HIGH} is wanted, got {temperature!r}."
    by_log, curve = -_slopes(logits, labels)(1 / temperature) / temperature, curvature(logits, labels, temperature)
    if abs(by_log) < TOLERANCE * curve:
        return None
    return f"at your T = {temperature:.4g} the loss still falls (its slope by log T is {by_log:+.2g}); at the optimum it is 0."


def curvature(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """The mean variance of logits / T under softmax(logits / T): the second derivative of the loss by log T at the optimum."""
    z = logits.double() / temperature
    p = z.softmax(1)
    mean = (p * z).sum(1, keepdim=True)
    return (p * (z - mean).square()).sum(1).mean().item()


TEMPERATURE_LAWS = (Law("smaller logits", _shrinks), Law("slope at the optimum", _gradient))


GRID = torch.logspace(math.log10(LOW), math.log10(HIGH), 151, dtype=torch.float64)


def _best(loss: Callable[[Tensor], Tensor], logits: Tensor, grid: Tensor = GRID) -> float:
    """The temperature of the grid whose probabilities [n, c] have the smallest loss: `loss` gets [grid, n, c]."""
    return grid[int(loss((logits.double() / grid[:, None, None]).softmax(2)).argmin())].item()


def _by_t(logits: Tensor, labels: Tensor) -> Callable[[float], float]:
    """The derivative of the mean loss by T."""
    slope = _slopes(logits, labels)
    return lambda temperature: -slope(1 / temperature) / temperature**2


def _lbfgs(logits: Tensor, labels: Tensor, lr: float = 0.01, steps: int = 50) -> float:
    """What torch.optim.LBFGS([T], lr=0.01, max_iter=50) does from 1.5, as in the code that came with Guo et al. (2017).

    For a single number L-BFGS is the secant method: each step is lr times the one that would end at the slope 0.
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

    return _best(ece, logits)


def _smallest_brier(logits: Tensor, labels: Tensor) -> float:
    truth = torch.eye(logits.shape[1], dtype=torch.float64)[labels]
    return _best(lambda p: (p - truth).square().sum((1, 2)), logits)


def _mean_confidence(logits: Tensor, labels: Tensor) -> float:
    """The T at which the mean confidence is the accuracy."""
    hits = (logits.argmax(1) == labels).double().mean()
    return _best(lambda p: (p.amax(2).mean(1) - hits).abs(), logits)


def _coarse(logits: Tensor, labels: Tensor) -> float:
    rows = torch.arange(len(labels))
    return _best(lambda p: -p[:, rows, labels].log().sum(1), logits, 0.5 * torch.arange(1, 41).double())


def _spread(logits: Tensor, labels: Tensor) -> float:
    return logits.double().std().item()


TEMPERATURE_MISTAKES = (
    Mistake(
        "inverted",
        "Your number multiplies the logits; T divides them, so it is 1 over what you return.",
        lambda logits, labels: 1 / right_temperature(logits, labels),
    ),
    Mistake(
        "probabilities as logits",
        "You took the softmax before you divided by T; divide the logits, and only then take the softmax (cross_entropy does).",
        _of_probabilities,
    ),
    Mistake(
        "one step",
        "You take a single step of gradient descent; repeat until the slope is 0, or use an optimizer that converges.",
        lambda logits, labels: 1 - _by_t(logits, labels)(1.0),
    ),
    Mistake(
        "small steps of LBFGS",
        "LBFGS with lr=0.01 and 50 steps stops far from the optimum; use lr=1 with line_search_fn='strong_wolfe'.",
        _lbfgs,
    ),
    Mistake(
        "small steps of Adam",
        "100 steps of Adam with lr=0.01 move T by 1 at most; take more or larger steps, until the slope is 0.",
        _adam,
    ),
    Mistake(
        "never below 1",
        "You keep T at 1 or above; a network that is too modest needs a T below 1.",
        lambda logits, labels: max(1.0, right_temperature(logits, labels)),
    ),
    Mistake(
        "never above 1",
        "You keep T at 1 or below; a network that is too sure needs a T above 1.",
        lambda logits, labels: min(1.0, right_temperature(logits, labels)),
    ),
    Mistake(
        "clamped to 5",
        "You let T go no further than 5 (or 1/5); search from 0.05 to 20.",
        lambda logits, labels: min(5.0, max(0.2, right_temperature(logits, labels))),
    ),
    Mistake(
        "coarse grid",
        "You search in steps of 0.5; refine around the best one until T is known to 1 %.",
        _coarse,
    ),
    Mistake(
        "smallest ECE",
        "You look for the smallest ECE, which jumps as examples change bins; minimize the negative log-likelihood.",
        _smallest_ece,
    ),
    Mistake(
        "smallest Brier score",
        "You minimize the Brier score; here the negative log-likelihood is wanted.",
        _smallest_brier,
    ),
    Mistake(
        "mean confidence",
        "You make the mean confidence equal to the accuracy; minimize the negative log-likelihood of the labels.",
        _mean_confidence,
    ),
    Mistake("spread of the logits", "You divide by the standard deviation of the logits; the labels must decide.", _spread),
    Mistake(
        "logarithm",
        "You return log T; take its exponential at the end.",
        lambda logits, labels: math.log(right_temperature(logits, labels)),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda logits, labels: torch.tensor(right_temperature(logits, labels)),
    ),
)
