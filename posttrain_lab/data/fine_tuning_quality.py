"""The shipped table of fine-tuning results: forgetting, active learning, distillation, recovery, four bits.

Made by `python -m posttrain_lab.making.fine_tuning_quality`, three seeds for each row, in about twenty minutes of one core.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from posttrain_lab.data.files import FILES, read_rows
from posttrain_lab.data.label_curves import mean_interval

NAME = "fine_tuning_quality.csv"


@dataclass(frozen=True)
class QualityRun:
    """One number of one run: `value` is an accuracy on test images or, where `metric` says so, bytes or a number of labels.

    experiment: "baseline", "frontier", "active", "distillation", "recovery" or "int4"; method and setting: what was done.
    """

    experiment: str
    method: str
    setting: str
    seed: int
    metric: str
    value: float


def load_fine_tuning_quality() -> tuple[QualityRun, ...]:
    """The measured results, one number in each row.

    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> sorted({run.seed for run in load_fine_tuning_quality()})
    [0, 1, 2]
    """
    rows = read_rows(FILES / NAME)
    return tuple(QualityRun(**{**row, "seed": int(row["seed"]), "value": float(row["value"])}) for row in rows)


def summary(runs: Iterable[QualityRun], experiment: str) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """Mean and 95 % interval over the seeds, for each (method, setting, metric) of an experiment.

    Raises ValueError for an experiment that is not in the table.

    >>> found = summary(load_fine_tuning_quality(), "distillation")
    >>> all(low <= mean <= high for mean, low, high in found.values())
    True
    """
    values: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        if run.experiment == experiment:
            values.setdefault((run.method, run.setting, run.metric), []).append(run.value)
    if not values:
        raise ValueError(f"summary wants an experiment of the table, got {experiment!r}; see QualityRun.")
    return {key: mean_interval(found) for key, found in values.items()}
