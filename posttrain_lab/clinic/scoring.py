"""Five points a patient: evidence 1, its name 2, a repair 2.

Evidence is what a neighbour cannot tell: the place where this patient is broken, or a number that this patient has. The name is given as
probabilities, so that whoever does not know can say so: that costs nothing, and being sure and wrong does. A repair is the
learner's own part in a run on fresh data: the instrument must find nothing, and the numbers must be those of healthy runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from posttrain_lab.data.clinic_runs import ClinicRun, load_clinic_runs
from posttrain_lab.tails import t_tails

from .patient import NAMES, Part, Patient, Run
from .sheets import SheetCase

EVIDENCE, NAME, REPAIR = 1.0, 2.0, 2.0
TOLERANCE = 0.02  # of a number given as evidence: two machines differ by less, most neighbours by more
TRIES = 3
CHANCE = 1 / 2000  # that a right repair is refused, for each of its two numbers
LEAST = 1e-6
OWN = "This part is the clinic's own; write yours."
Trial = tuple[float, float, float]
Fails = Callable[[Patient, Part, int], str]


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


def evidence_holds(case: SheetCase, evidence: str | float | None, number: float | None = None) -> bool:
    """Is this the place or the number of this very case?

    A broken patient with places: the place. Any other: the number that the patient asks for, to 2 %; None: the case runs to get it.
    """
    patient = case.patient
    if case.broken and patient.places:
        return isinstance(evidence, str) and evidence.strip() == case.place
    if isinstance(evidence, bool) or not isinstance(evidence, int | float):
        return False
    wanted = patient.evidence(case.run()) if number is None else number
    return math.isclose(evidence, wanted, rel_tol=TOLERANCE)


def like_healthy_runs(values: Sequence[float], healthy: Sequence[float]) -> bool:
    """Could the mean of these runs be that of runs like the healthy ones? Refused when the chance of so large a distance is below 1 in 2,000.

    t = (mean - mean of the healthy) / (s sqrt(1/k + 1/n)) for k new and n healthy runs, s the standard deviation of the healthy ones, n - 1
    degrees of freedom; with twelve healthy runs and three new ones, 3.2 standard deviations. Raises ValueError for fewer than two healthy runs.

    >>> like_healthy_runs([0.73, 0.75], [0.72, 0.74, 0.76, 0.73]), like_healthy_runs([0.4, 0.3], [0.72, 0.74, 0.76, 0.73])
    (True, False)
    """
    if len(healthy) < 2 or not values:
        raise ValueError(f"like_healthy_runs wants runs, two healthy ones at least, got {len(values)} and {len(healthy)}.")
    gap, spread = fmean(values) - fmean(healthy), stdev(healthy)
    if spread < LEAST:
        return abs(gap) < 10 * LEAST
    return t_tails(gap / (spread * math.sqrt(1 / len(values) + 1 / len(healthy))), len(healthy) - 1) >= CHANCE


def repair_fails(patient: Patient, repair: Part, seed: int, tries: int = TRIES) -> str:
    """What is wrong with this part? Nothing: an empty string. Some runs, from `seed` on, whose data the learner has not seen.

    Refused is a part that raises, one that is the clinic's own, and what `refused` refuses.
    """
    if getattr(repair, "__code__", None) is patient.healthy.__code__:
        return OWN
    trials = []
    for now in range(seed, seed + tries):
        try:
            trials.append(treated(patient, repair, now))
        except Exception as error:
            return f"The run with your part ended with {type(error).__name__}: {error}"
    return refused(patient, trials)


def treated(patient: Patient, repair: Part, seed: int) -> Trial:
    """The run with this part, as `trial_of` sees it."""
    return trial_of(patient, patient.run(seed, repair))


def trial_of(patient: Patient, run: Run) -> Trial:
    """What the instrument reads, what the run shows, and the honest number."""
    return patient.reading(run), float(run.shown), patient.measured(run)


def refused(patient: Patient, trials: Sequence[Trial]) -> str:
    """Why these runs are not those of a healthy part; an empty string when nothing speaks against it.

    The instrument still finds the trouble; or the runs, in what they show or in the honest number, are not like the healthy runs of the
    shipped table. Either judge alone lets wrong repairs pass.
    """
    if sick := [reading for reading, _, _ in trials if patient.looks_sick(reading)]:
        return f"{patient.instrument} still finds it: {sick[0]:.4g}."
    shown, honest = ([trial[place] for trial in trials] for place in (1, 2))
    rows = [row for row in load_clinic_runs() if row.patient == patient.name and not row.broken]
    for what, values, healthy in (("shows", shown, [r.shown for r in rows]), ("truly has", honest, [r.honest for r in rows])):
        if not like_healthy_runs(values, healthy):
            return f"The repaired run {what} {fmean(values):.4g} on average, healthy ones {fmean(healthy):.4g}."
    return ""


def mark(case: SheetCase, answer: Answer, seed: int, fails: Fails = repair_fails, number: float | None = None) -> Marks:
    """The points of one answer; `seed` draws the data on which the repair is judged, by `fails`; number: that of the evidence, if known.

    Where nothing is broken the repair is to hand in none: its points are then those of the name, as far as they are not negative.
    Raises ValueError for probabilities that are none.
    """
    named = name_points(answer.name, case.diagnosis)
    evidence = EVIDENCE * evidence_holds(case, answer.evidence, number)
    if not case.broken:
        told = "" if answer.repair is None else "Nothing was broken."
        return Marks(evidence, named, 0.0 if told else max(0.0, named), told)
    told = fails(case.patient, answer.repair, seed) if answer.repair else "No repair was handed in."
    return Marks(evidence, named, 0.0 if told else REPAIR, told)


def damage(patient: Patient) -> list[float]:
    """Broken minus healthy of the shipped runs, seed by seed: of the honest number, of honest minus shown, or of what is shown."""
    rows = [row for row in load_clinic_runs() if row.patient == patient.name]
    healthy, broken = (sorted((row for row in rows if row.broken is state), key=lambda row: row.seed) for state in (False, True))
    return [_hurt(patient, b) - _hurt(patient, h) for h, b in zip(healthy, broken, strict=True)]


def _hurt(patient: Patient, row: ClinicRun) -> float:
    return {"honest": row.honest, "lie": row.honest - row.shown, "shown": row.shown}[patient.hurts]
