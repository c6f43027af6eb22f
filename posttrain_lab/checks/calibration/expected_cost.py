"""Cases and known mistakes of `expected_cost`: what is the average cost per person of the decisions at a threshold?

Conventions that the notebook states in the same words:
- cost_fp is the cost of a false alarm, cost_fn that of a miss; both are above 0, right decisions cost nothing;
- an alarm is raised when p >= threshold; the cost is the mean over all people, a plain float; y is int64, 0 or 1.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.bayes_threshold import right_threshold
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_cost(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    total = 0.0
    for probability, label in zip(p.tolist(), y.tolist(), strict=True):
        alarm = probability >= threshold
        total += cost_fp * (alarm and label == 0) + cost_fn * (not alarm and label == 1)
    return total / len(y)


def _people(draw: Draw, n: int, rate: float = 0.3) -> tuple[Tensor, Tensor]:
    """Weakly correlated probabilities and labels; some of each kind of mistake at every threshold of the cases."""
    p = draw.uniform(0.02, 0.98, n)
    y = (draw.uniform(0, 1, n) < 0.5 * p + 0.5 * rate).long()
    return p, y


def _clear(p: Tensor, threshold: float) -> Tensor:
    """No probability closer to the threshold than 0.001, where float32 and float64 could differ."""
    return torch.where((p - threshold).abs() < 1e-3, p + 0.002, p)


def _case(draw: Draw, words: str, n: int, threshold: float, cost_fp: float, cost_fn: float) -> Case:
    p, y = _people(draw, n)
    return Case(words, (_clear(p, threshold), y, threshold, cost_fp, cost_fn))


def cost_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "cost at work")
    p, y = _people(draw, 1534)
    odds = (draw.normal(1534, std=2.0) - 2).sigmoid()
    return [
        Case("1,534 people, a miss costs ten false alarms", (_clear(p, 1 / 11).double(), y, 1 / 11, 1, 10)),
        Case("1,534 people, few of them at risk", (_clear(odds, 0.1), (draw.uniform(0, 1, 1534) < odds).long(), 0.1, 1, 9)),
        _beside_the_threshold(draw, 1 / 8),  # a number of float16 too, to which those next to it are rounded
    ]


def _beside_the_threshold(draw: Draw, threshold: float) -> Case:
    """Probabilities that are 1e-5 to 1e-4 above or below: a hundred steps of float32 and more."""
    away = draw.uniform(1e-5, 1e-4, 61) * (2 * draw.codes(0, 1, 61) - 1)
    y = (draw.uniform(0, 1, 61) < 0.5).long()
    return Case("probabilities a little above and below the threshold", (threshold + away, y, threshold, 2.0, 7.0))


def _on_the_threshold(draw: Draw, n: int) -> Case:
    """Quarters, the threshold among them; of those equal to it more have label 0 than 1."""
    p = torch.cat([draw.codes(0, 4, n).float() / 4, torch.full((5,), 0.25)])
    y = torch.cat([(draw.uniform(0, 1, n) < 0.4).long(), torch.tensor([0, 0, 0, 0, 1])])
    return Case("probabilities equal to the threshold", (p, y, 0.25, 2.0, 3.0))


def cost_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "expected_cost")
    n, few = 2 * draw.whole(40, 90) + 1, draw.whole(5, 9)
    p, y = _people(draw, n)
    miss = draw.whole(4, 20)
    return [
        _case(draw, "a miss costs several false alarms", n, 1 / (1 + miss), 1, miss),
        _case(draw, "a false alarm costs more", n, 0.75, 7.5, 2.0),
        _on_the_threshold(draw, n),
        Case("a view that is not contiguous", (strided(_clear(p, 0.4)), y, 0.4, 0.5, 5)),
        Case("threshold 0: everybody gets an alarm", (p, y, 0.0, 3, 10)),
        Case("threshold 1, and some are certain", (torch.where(p > 0.8, 1.0, p), y, 1.0, 3, 10)),
        Case("a threshold above all, certain ones too", (torch.where(p > 0.6, 1.0, p), y, 1.5, 3, 10)),
        Case("all labels are 0", (_clear(p, 0.3), torch.zeros(n).long(), 0.3, 2, 9)),
        Case("all labels are 1", (_clear(p, 0.3), torch.ones(n).long(), 0.3, 2, 9)),
        Case("one person who is missed", (torch.tensor([0.1]), torch.tensor([1]), 0.5, 1, miss)),
        _case(draw, "a few people, float64 costs", few, 0.45, draw.real(0.5, 3.0), draw.real(4.0, 9.0)),
    ]


def _counts(p: Tensor, y: Tensor, threshold: float) -> tuple[float, float]:
    """False alarms and misses."""
    alarm = p >= threshold
    return float((alarm & (y == 0)).sum()), float((~alarm & (y == 1)).sum())


def _rates(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    alarms, misses = _counts(p, y, threshold)
    return cost_fp * alarms / max(1, int((y == 0).sum())) + cost_fn * misses / max(1, int((y == 1).sum()))


def _over_mistakes(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    alarms, misses = _counts(p, y, threshold)
    return (cost_fp * alarms + cost_fn * misses) / max(1.0, alarms + misses)


def _every_alarm(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    return right_cost(p, y, threshold, cost_fp, cost_fn) + cost_fp * ((p >= threshold) & (y == 1)).double().mean().item()


def _expected_by_model(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    p = p.double()
    return torch.where(p >= threshold, cost_fp * (1 - p), cost_fn * p).mean().item()


def _strictly(p: Tensor, y: Tensor, threshold: float, cost_fp: float, cost_fn: float) -> float:
    alarm = p > threshold
    return (cost_fp * (alarm & (y == 0)) + cost_fn * (~alarm & (y == 1))).double().mean().item()


COST_MISTAKES = (
    Mistake(
        "costs swapped",
        "You swapped the costs; cost_fn belongs to a miss (y = 1 without an alarm), cost_fp to a false alarm.",
        lambda p, y, threshold, cost_fp, cost_fn: right_cost(p, y, threshold, cost_fn, cost_fp),
    ),
    Mistake("strict inequality", "For p equal to the threshold you give no alarm; use p >= threshold, not >.", _strictly),
    Mistake(
        "alarm below the threshold",
        "You raise an alarm when p is below the threshold; a large p is a high risk, so raise it when p >= threshold.",
        lambda p, y, threshold, cost_fp, cost_fn: right_cost(-p, y, -threshold, cost_fp, cost_fn),
    ),
    Mistake(
        "sum",
        "You add up the costs; divide by the number of people, so that samples of different size can be compared.",
        lambda p, y, threshold, cost_fp, cost_fn: len(y) * right_cost(p, y, threshold, cost_fp, cost_fn),
    ),
    Mistake(
        "mean over the mistakes",
        "You divide by the number of mistakes; divide by the number of all people, those with right decisions too.",
        _over_mistakes,
    ),
    Mistake(
        "rates of each group",
        "You add the rates within each class; divide the number of false alarms and of misses by the number of all people.",
        _rates,
    ),
    Mistake(
        "misses only",
        "You count misses alone; a false alarm costs cost_fp.",
        lambda p, y, threshold, cost_fp, cost_fn: cost_fn * _counts(p, y, threshold)[1] / len(y),
    ),
    Mistake(
        "false alarms only",
        "You count false alarms alone; a miss costs cost_fn.",
        lambda p, y, threshold, cost_fp, cost_fn: cost_fp * _counts(p, y, threshold)[0] / len(y),
    ),
    Mistake(
        "every alarm costs",
        "You count cost_fp for every alarm; an alarm with y = 1 costs nothing.",
        _every_alarm,
    ),
    Mistake(
        "one half",
        "You use the threshold 0.5; use the argument `threshold`.",
        lambda p, y, threshold, cost_fp, cost_fn: right_cost(p, y, 0.5, cost_fp, cost_fn),
    ),
    Mistake(
        "threshold of the costs",
        "You compute a threshold from the costs; use the given one, so that costs at other thresholds can be compared.",
        lambda p, y, threshold, cost_fp, cost_fn: right_cost(p, y, right_threshold(cost_fp, cost_fn), cost_fp, cost_fn),
    ),
    Mistake(
        "error rate",
        "You count mistakes as if each cost 1; multiply them by cost_fp and cost_fn.",
        lambda p, y, threshold, cost_fp, cost_fn: right_cost(p, y, threshold, 1, 1),
    ),
    Mistake(
        "cost by the model's belief",
        "You compute the cost that the model expects, from p alone; use the labels y.",
        _expected_by_model,
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
        lambda p, y, threshold, cost_fp, cost_fn: torch.tensor(right_cost(p, y, threshold, cost_fp, cost_fn)),
    ),
)


expected_cost = Exercise(
    name="expected_cost",
    unit="04_calibration",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_cost,
    cases=cost_cases,
    workload=cost_workload,
    mistakes=COST_MISTAKES,
    library="calibration:expected_cost",
)
