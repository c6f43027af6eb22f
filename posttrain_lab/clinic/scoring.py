"""Five points a patient: evidence 1, its name 2, a repair 2.

Evidence is what a neighbour cannot tell: the place where this patient is broken, or a number that this patient has. The name is given as
probabilities, so that whoever does not know can say so: that costs nothing, and being sure and wrong does. A repair is the
learner's own part in a run on fresh data: the instrument must find nothing, and the numbers must be those of healthy runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from posttrain_lab.data.clinic_runs import ClinicRun, load_clinic_runs

from .patient import NAMES, Part, Patient
from .sheets import SheetCase

EVIDENCE, NAME, REPAIR = 1.0, 2.0, 2.0
TOLERANCE = 0.02  # of a number given as evidence: two machines differ by less, most neighbours by more
TRIES = 3
WIDTH = 3.0  # standard deviations of healthy runs
LEAST = 1e-6


@dataclass(frozen=True)
class Answer:
    """What a learner says about a case. name: probabilities by kind; evidence: a place, or a number; repair: None where nothing is broken."""

    name: Mapping[str, float]
    evidence: str | float | None = None
    repair: Part | None = None


@dataclass(frozen=True)
class Marks:
    """The points of one case, and why the repair has none (empty where it has)."""

    evidence: float
    name: float
    repair: float
    told: str = ""


def name_points(name: Mapping[str, float], truth: str) -> float:
    """What do these probabilities earn? 2 (1 - d / d0): 2 for sure and right, 0 for "I do not know", below 0 for sure and wrong.

    d = sum over the nine names of (p - [name is the truth])^2; d0 = 8/9 is that of nine equal probabilities. Names that are left
    out have 0. Brier's quadratic score: on average nothing earns more than what one believes.
    Raises ValueError for other names, probabilities outside [0, 1], or a sum that is not 1.

    >>> [round(name_points(p, "A"), 2) for p in ({"A": 1.0}, {"A": 0.5, "B": 0.5}, {"healthy": 1.0})]
    [2.0, 0.88, -2.5]
    """
    unknown = [key for key in name if key not in NAMES]
    if unknown or truth not in NAMES:
        raise ValueError(f"name_points wants the names {', '.join(NAMES)}, got {(unknown or [truth])[0]!r}.")
    if not all(0 <= p <= 1 for p in name.values()) or not math.isclose(sum(name.values()), 1, abs_tol=1e-6):
        raise ValueError(f"name_points wants probabilities in [0, 1] that sum to 1, got {dict(name)}.")
    distance = sum((name.get(key, 0.0) - (key == truth)) ** 2 for key in NAMES)
    return NAME * (1 - distance / (1 - 1 / len(NAMES)))


def sheet_points(marks: Sequence[Marks]) -> float:
    """The points of a whole sheet: those for names may be negative one by one, not together.

    >>> sheet_points([Marks(1, 2.0, 2), Marks(0, -2.5, 0)])
    3.0
    """
    return sum(v.evidence + v.repair for v in marks) + max(0.0, sum(v.name for v in marks))


def evidence_holds(case: SheetCase, evidence: str | float | None) -> bool:
    """Is this the place or the number of this very case?

    A broken patient with places: the place. Without: the number that its `evidence` names, to 2 %. A healthy patient: its honest number.
    """
    patient = case.patient
    if case.broken and patient.places:
        return isinstance(evidence, str) and evidence.strip() == case.place
    if isinstance(evidence, bool) or not isinstance(evidence, int | float):
        return False
    run = case.run()
    wanted = patient.reading(run) if case.broken and patient.evidence == "reading" else patient.measured(run)
    return math.isclose(evidence, wanted, rel_tol=TOLERANCE)


def healthy_band(patient: Patient) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where healthy runs lie, by the shipped table: mean -+ 3 standard deviations of what is shown, and of the honest number."""
    rows = [row for row in load_clinic_runs() if row.patient == patient.name and not row.broken]
    return _band([row.shown for row in rows]), _band([row.honest for row in rows])


def repair_fails(patient: Patient, repair: Part, seed: int) -> str:
    """What is wrong with this part? Nothing: an empty string. Three runs, from `seed` on, whose data the learner has not seen.

    Refused is a part that raises; one that leaves a run in which the instrument still finds the trouble; one with which the mean of the three
    runs, shown or honest, lies outside of the band of healthy runs. Either judge alone lets wrong repairs pass.
    """
    shown, honest = [], []
    for now in range(seed, seed + TRIES):
        try:
            run = patient.run(now, repair)
            reading, number = patient.reading(run), patient.measured(run)
        except Exception as error:
            return f"The run with your part ended with {type(error).__name__}: {error}"
        if patient.looks_sick(reading):
            return f"{patient.instrument} still finds it: {reading:.4g}."
        shown.append(run.shown)
        honest.append(number)
    for what, values, (low, high) in zip(("shows", "truly has"), (shown, honest), healthy_band(patient), strict=True):
        if not low <= fmean(values) <= high:
            return f"The repaired run {what} {fmean(values):.4g} on average; healthy ones have {low:.4g} to {high:.4g}."
    return ""


def mark(case: SheetCase, answer: Answer, seed: int) -> Marks:
    """The points of one answer; `seed` draws the data on which the repair is judged.

    Where nothing is broken the repair is to hand in none: its points are then those of the name, as far as they are not negative.
    Raises ValueError for probabilities that are none.
    """
    named = name_points(answer.name, case.diagnosis)
    evidence = EVIDENCE * evidence_holds(case, answer.evidence)
    if not case.broken:
        told = "" if answer.repair is None else "Nothing was broken."
        return Marks(evidence, named, 0.0 if told else max(0.0, named), told)
    told = repair_fails(case.patient, answer.repair, seed) if answer.repair else "No repair was handed in."
    return Marks(evidence, named, 0.0 if told else REPAIR, told)


def _band(values: list[float]) -> tuple[float, float]:
    half = WIDTH * stdev(values) + LEAST
    return fmean(values) - half, fmean(values) + half


def damage(patient: Patient) -> list[float]:
    """Broken minus healthy of the shipped runs, seed by seed: of the honest number, of honest minus shown, or of what is shown."""
    rows = [row for row in load_clinic_runs() if row.patient == patient.name]
    healthy, broken = (sorted((row for row in rows if row.broken is state), key=lambda row: row.seed) for state in (False, True))
    return [_hurt(patient, b) - _hurt(patient, h) for h, b in zip(healthy, broken, strict=True)]


def _hurt(patient: Patient, row: ClinicRun) -> float:
    return {"honest": row.honest, "lie": row.honest - row.shown, "shown": row.shown}[patient.hurts]
