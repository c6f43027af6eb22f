"""The shipped table of unit 03: the accuracy of five ways to learn the UCI digits from few labels, over several draws.

Made by `python -m posttrain_lab.making.label_curves`, which takes some minutes: too long for a notebook.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from posttrain_lab.data.files import FILES, read_rows

NAME = "label_curves.csv"
# Student's t for a two-sided interval of 95 %, by the number of runs
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262, 11: 2.228, 12: 2.201}


@dataclass(frozen=True)
class LabelRun:
    """One run: which method learned from how many labels, drawn with which seed; accuracy on the new and the old test images."""

    method: str
    labels: int
    seed: int
    new: float
    old: float


def load_label_curves() -> tuple[LabelRun, ...]:
    """The accuracy of each method with 20, 50, 100 and 400 labels; one row for each run.

    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> sorted({run.labels for run in load_label_curves()})
    [20, 50, 100, 400]
    """
    rows = read_rows(FILES / NAME)
    return tuple(LabelRun(r["method"], int(r["labels"]), int(r["seed"]), float(r["new"]), float(r["old"])) for r in rows)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of repeated runs and its 95 % interval by Student's t: (mean, low, high).

    mean -+ t * s / sqrt(n), s the standard deviation with n - 1. Raises ValueError unless there are 2 to 12 runs.

    >>> [round(value, 3) for value in mean_interval([0.8, 0.9, 1.0])]
    [0.9, 0.652, 1.148]
    """
    n = len(values)
    if n not in STUDENT:
        raise ValueError(f"mean_interval wants 2 to 12 runs, got {n}; one run has no interval.")
    mean = sum(values) / n
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = STUDENT[n] * spread / math.sqrt(n)
    return mean, mean - half, mean + half
