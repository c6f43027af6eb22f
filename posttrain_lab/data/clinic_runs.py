"""The shipped table of unit 11: every patient of the clinic, healthy and broken, over several seeds.

Made by `python -m posttrain_lab.making.clinic_runs`, which takes some minutes: too long for a notebook.
"""

import functools
from dataclasses import dataclass

from posttrain_lab.data.files import FILES, read_rows

NAME = "clinic_runs.csv"


@dataclass(frozen=True)
class ClinicRun:
    """One run: what it showed, what is true, what the patient's instrument read, and the losses of its epochs, separated by spaces."""

    patient: str
    broken: bool
    place: str
    seed: int
    shown: float
    honest: float
    reading: float
    log: str

    @property
    def losses(self) -> list[float]:
        """The mean loss of each epoch."""
        return [float(loss) for loss in self.log.split()]


@functools.cache
def load_clinic_runs() -> tuple[ClinicRun, ...]:
    """All runs; of a patient with several places, each seed is broken at another.

    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> len({run.patient for run in load_clinic_runs()})
    24
    """
    return tuple(
        ClinicRun(
            row["patient"],
            row["broken"] == "True",
            row["place"],
            int(row["seed"]),
            float(row["shown"]),
            float(row["honest"]),
            float(row["reading"]),
            row["log"],
        )
        for row in read_rows(FILES / NAME)
    )
