"""Cases and laws of `fit_temperature`: by which number must logits be divided so that their probabilities are calibrated?

Conventions that the notebook states in the same words:
- T > 0 divides the logits: softmax(logits / T); it minimizes the mean negative log-likelihood of the labels;
- T lies between 0.05 and 20; the result is a plain float.

The judge allows 1 %. Around the optimum the loss grows by c/2 * (relative error of T)^2, with a curvature c of 0.1 to 1.5 in these cases
(tests/checks/calibration/test_fit_temperature.py), so 1 % costs at least 5e-6: about twenty times the rounding error of a float32
mean of losses. Any method that converges, from golden section to Newton, in float32 or float64, is well within that. An optimizer that
starts at 1 and stops too early is not: the constructed optimal temperatures are 0.12 to 0.35, and 3.5 to 19. (Below 0.11, L-BFGS on T itself,
not on log T, leaves the positive numbers with its first step from 1.)

Constructed optima are exact: the labels of a row of logits occur exactly in proportion to its probabilities (3 of 20, 12 of 20, 5 of 20).
"""

import math

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.fit_temperature_mistakes import TEMPERATURE_MISTAKES
from posttrain_lab.checks.calibration.fit_temperature_oracle import HIGH, LOW, TOLERANCE, right_temperature, slopes
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided

Labelled = tuple[Tensor, Tensor]  # logits [n, c], labels [n]


def _frequencies(draw: Draw, rows: int, classes: int, out_of: int = 20) -> Tensor:
    """[rows, classes] whole numbers from 1 up, each row with the sum `out_of`."""
    cuts = [draw.shuffled(range(1, out_of))[: classes - 1] for _ in range(rows)]
    ends = torch.tensor([[0, *sorted(cut), out_of] for cut in cuts])
    return ends.diff(dim=1)


def planted(draw: Draw, temperature: float, rows: int = 7, classes: int = 3) -> Labelled:
    """Logits whose best temperature is exactly this one, in random order; each row is shifted by a constant, which does not change softmax."""
    counts = _frequencies(draw, rows, classes)
    logits = temperature * (counts / counts.sum(1, keepdim=True)).double().log() + draw.normal(rows, 1)
    labels = torch.arange(classes).repeat(rows).repeat_interleave(counts.flatten())
    table = logits.repeat_interleave(counts.sum(1), 0).float()
    order = torch.randperm(len(labels), generator=draw.generator)
    return table[order], labels[order]


def sampled(draw: Draw, n: int, classes: int, temperature: float) -> Labelled:
    """Logits `temperature` times too large, labels drawn from the true probabilities; drawn again until the best T is well within the bounds."""
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
    shifted, its_labels = sampled(draw, n, 4, draw.real(0.8, 1.2))
    return [
        Case("logits that are several times too large", planted(draw, hot)),
        Case("logits that are several times too small", planted(draw, cold, classes=4)),
        Case("random labels, a view that is not contiguous", (strided(logits), labels)),
        Case("two classes", sampled(draw, n, 2, draw.real(3.5, 5.0))),
        Case("logits of about 100", planted(draw, draw.real(11.0, 14.0), classes=5)),
        Case("each row shifted by another constant, about 2,000", (shifted + 2000 + 20 * draw.normal(n, 1), its_labels)),
        Case("calibrated logits: T is 1", planted(draw, 1.0)),
        Case("float64", (logits.double() / 16, labels)),
    ]


def _slight(draw: Draw) -> Labelled:
    """Two classes, and one difference of logits in all rows, 0.0235 or 0.0245: three decimals of it are 2 % away. 11 of 20 labels are right."""
    gap, rows = draw.pick((0.0235, 0.0245)), 20 * draw.whole(4, 8)
    labels = torch.tensor(draw.shuffled([0, 1] * (rows // 2)))
    likely = torch.tensor(draw.shuffled(([1] * 11 + [0] * 9) * (rows // 20))).bool()
    return gap * torch.eye(2)[torch.where(likely, labels, 1 - labels)], labels


def temperature_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "temperature at work")
    logits, labels = planted(draw, draw.real(1.2, 1.6), rows=52, classes=12)
    logits[:, 10:] *= 2
    return [
        Case("a T close to the smallest of the course", planted(draw, draw.real(0.12, 0.15))),
        Case("two classes whose logits differ by hundredths", _slight(draw)),
        Case("a T close to the largest of the course", planted(draw, draw.real(17.5, 19.0), classes=4)),
        Case("a thousand examples of 12 classes, two of them overconfident", (logits, labels)),
    ]


def temperature_judge() -> Judge:
    """Within 1 %; with a hint when the result is close, or lies between the usual start, 1, and the optimum."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        complaint = difference(want.value, got.value, TOLERANCE, 0.0)
        value = got.value
        if complaint and isinstance(value, float) and abs(value / want.value - 1) < 0.08:
            return f"{complaint} It is {abs(value / want.value - 1):.1%} away, and 1 % is allowed: search finer, or take more optimizer steps."
        if complaint and isinstance(value, float) and 0 < (value - 1) / (want.value - 1 or math.inf) < 1:
            return f"{complaint} It is between 1 and the best T: did the optimizer stop too early?"
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
    """The derivative by log T, divided by the curvature there, is the relative distance from the optimum."""
    logits, labels = sampled(Draw(seed, "gradient"), 151, 5, 4.5)
    temperature = call(logits, labels)
    if type(temperature) is not float or not LOW / 2 < temperature < 2 * HIGH:
        return f"a plain number between {LOW} and {HIGH} is expected, got {temperature!r}."
    by_log, curve = -slopes(logits, labels)(1 / temperature) / temperature, curvature(logits, labels, temperature)
    if abs(by_log) < TOLERANCE * curve:
        return None
    return f"your T = {temperature:.4g} is not the minimum: the derivative of the loss by log T is {by_log:+.2g} there, not 0."


def curvature(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """The mean variance of logits / T under softmax(logits / T): the second derivative of the loss by log T at the optimum."""
    z = logits.double() / temperature
    p = z.softmax(1)
    mean = (p * z).sum(1, keepdim=True)
    return (p * (z - mean).square()).sum(1).mean().item()


TEMPERATURE_LAWS = (Law("smaller logits", _shrinks), Law("gradient at the minimum", _gradient))


fit_temperature = Exercise(
    name="fit_temperature",
    unit="04_calibration",
    points=3,
    difficulty=3,
    minutes=18,
    oracle=right_temperature,
    cases=temperature_cases,
    workload=temperature_workload,
    mistakes=TEMPERATURE_MISTAKES,
    judge=temperature_judge(),
    laws=TEMPERATURE_LAWS,
    library="calibration:fit_temperature",
    legal=dict.fromkeys(
        ("rounded to 4 decimals", "rounded to 3 digits", "numpy's float16 for a number"),
        "Any method that converges is fine: the check allows 1 %",
    ),
)
