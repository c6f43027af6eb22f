"""Cases and known mistakes of `bayes_threshold`: from which probability on is an alarm the cheaper choice?

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
    ]


THRESHOLD_MISTAKES = (
    Mistake(
        "ratio reversed",
        "The wrong cost is on top: when misses are dear one alarms early, so c_fp / (c_fp + c_fn) must be small.",
        lambda cost_fp, cost_fn: cost_fn / (cost_fp + cost_fn),
    ),
    Mistake(
        "one half", "You always return 0.5, which is right only when both mistakes cost the same.", lambda cost_fp, cost_fn: 0.5
    ),
    Mistake(
        "odds",
        "c_fp / c_fn are the odds p / (1 - p) at the threshold; the probability is c_fp / (c_fp + c_fn).",
        lambda cost_fp, cost_fn: cost_fp / cost_fn,
    ),
    Mistake(
        "odds reversed",
        "c_fn / c_fp is no probability; divide c_fp by the sum of both.",
        lambda cost_fp, cost_fn: cost_fn / cost_fp,
    ),
    Mistake(
        "odds cut at 1",
        "You cut the odds c_fp / c_fn at 1; turn odds into a probability by c_fp / (c_fp + c_fn).",
        lambda cost_fp, cost_fn: min(1.0, cost_fp / cost_fn),
    ),
    Mistake(
        "difference",
        "You take one minus a ratio of costs; at the threshold p * c_fn = (1 - p) * c_fp, solve that for p.",
        lambda cost_fp, cost_fn: 1 - cost_fp / cost_fn,
    ),
    Mistake(
        "always one in eleven",
        "You wrote down 1/11, which fits a miss that costs ten false alarms; use the costs given.",
        lambda cost_fp, cost_fn: 1 / 11,
    ),
    Mistake(
        "percent",
        "You return percent; a probability between 0 and 1 is wanted.",
        lambda cost_fp, cost_fn: 100 * right_threshold(cost_fp, cost_fn),
    ),
    Mistake(
        "whole numbers",
        "You divide whole numbers with //, which cuts the fraction off; use /.",
        lambda cost_fp, cost_fn: cost_fp // (cost_fp + cost_fn),
    ),
    Mistake(
        "tensor",
        "You return a tensor; a plain float is wanted.",
        lambda cost_fp, cost_fn: torch.tensor(right_threshold(cost_fp, cost_fn)),
    ),
)


# 1e-6: a quotient of floats, whatever the order of its operations
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
