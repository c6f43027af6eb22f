"""Cases and known mistakes of `bayes_threshold`: for which probabilities is an alarm the cheaper decision?

Conventions that the notebook states in the same words:
- cost_fp is the cost of a false alarm, cost_fn that of a miss; both are above 0, right decisions cost nothing;
- the result is a plain float, cost_fp / (cost_fp + cost_fn).
"""

import torch

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw


def right_threshold(cost_fp: float, cost_fn: float) -> float:
    return 1 / (1 + cost_fn / cost_fp)


def threshold_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "bayes")
    odd = round(draw.real(1.2, 30.0), 2)
    return [
        Case("a miss costs several false alarms", (1, draw.whole(3, 30))),
        Case("a false alarm costs more", (draw.whole(3, 9), draw.pick((1, 2)))),
        Case("both cost the same", (odd, odd)),
        Case("costs that are no whole numbers", (0.25, odd)),
        Case("large costs", (1000.0 * odd, 250.0)),
        Case("a very cheap false alarm, by name", (), {"cost_fp": 0.001, "cost_fn": odd}),
        Case("a miss costs some hundred thousand false alarms", (draw.whole(2, 4), draw.whole(600_000, 900_000))),
        Case("a false alarm costs some hundred thousand misses", (draw.whole(600_000, 900_000), draw.real(1.0, 3.0))),
        Case("costs in a very large unit", (odd * 1e-9, 2e-9)),
    ]


THRESHOLD_MISTAKES = (
    Mistake(
        "ratio reversed",
        "You divide the wrong cost by the sum; when misses are expensive the threshold is small: c_fp / (c_fp + c_fn).",
        lambda cost_fp, cost_fn: cost_fn / (cost_fp + cost_fn),
    ),
    Mistake(
        "one half",
        "You always return 0.5, right only when both mistakes cost the same; use the costs.",
        lambda cost_fp, cost_fn: 0.5,
    ),
    Mistake(
        "odds",
        "You return the odds p / (1 - p) at the threshold, c_fp / c_fn; the probability is c_fp / (c_fp + c_fn).",
        lambda cost_fp, cost_fn: cost_fp / cost_fn,
    ),
    Mistake(
        "odds reversed",
        "You return c_fn / c_fp, which is not a probability; divide c_fp by the sum of both.",
        lambda cost_fp, cost_fn: cost_fn / cost_fp,
    ),
    Mistake(
        "odds cut at 1",
        "You clip the odds c_fp / c_fn at 1; convert odds to a probability by c_fp / (c_fp + c_fn).",
        lambda cost_fp, cost_fn: min(1.0, cost_fp / cost_fn),
    ),
    Mistake(
        "difference",
        "You take one minus a ratio of costs; solve p * c_fn = (1 - p) * c_fp, which holds at the threshold, for p.",
        lambda cost_fp, cost_fn: 1 - cost_fp / cost_fn,
    ),
    Mistake(
        "always one in eleven",
        "You always return 1/11, right only if a miss costs as much as ten false alarms; use the given costs.",
        lambda cost_fp, cost_fn: 1 / 11,
    ),
    Mistake(
        "percent",
        "You return percent; return a probability between 0 and 1.",
        lambda cost_fp, cost_fn: 100 * right_threshold(cost_fp, cost_fn),
    ),
    Mistake(
        "whole numbers",
        "You divide with //, which rounds down to a whole number; use /.",
        lambda cost_fp, cost_fn: cost_fp // (cost_fp + cost_fn),
    ),
    Mistake(
        "tensor",
        "You return a tensor; return a plain float.",
        lambda cost_fp, cost_fn: torch.tensor(right_threshold(cost_fp, cost_fn)),
    ),
)


# 1e-6: a quotient of floats, in any order of its operations
bayes_threshold = Exercise(
    name="bayes_threshold",
    unit="04_calibration",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_threshold,
    cases=threshold_cases,
    mistakes=THRESHOLD_MISTAKES,
    judge=close(1e-06, 0.0),
    library="calibration:bayes_threshold",
)
