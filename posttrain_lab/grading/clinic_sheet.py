"""The sheet of unit 11: what a learner says about twelve patients, marked outside the learner's process.

The token is the gradebook's, not the notebook's. Names and evidence arrive as plain values and are compared here. A repair is the learner's
code, so its run is made in the learner's process, on data that the secret seed draws, and three numbers of each run come back.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.clinic import (
    KINDS,
    NAMES,
    PUBLIC,
    Answer,
    Marks,
    Patient,
    SheetCase,
    mark,
    name_points,
    refused,
    sheet,
    sheet_points,
    token_of,
)
from posttrain_lab.clinic.scoring import TRIES
from posttrain_lab.grading.kernel import Kernel, KernelSubmission
from posttrain_lab.grading.sheets import SECRET, student_token

CELL, SHEET, UNANSWERED = "test_sheet", "sheet", "not answered"
HALF = 0.876  # a little above the points of a name to which one chance in two was given, the other half to one other
PATIENT = re.compile(rf"\b({'|'.join(NAMES)}):(-(?!\d)|-?\d+\.?\d*:\d+\.?\d*:\d+\.?\d*)")
EACH, PATIENTS = 5, 12
SHEET_CELLS = {CELL, *(f"case_{number}" for number in range(1, PATIENTS + 1))}  # graded cells that belong to no exercise
Line = tuple[Marks, str]


def token_for(root: Path, student: str) -> str:
    """The student's token where the course has a secret (`posttrain-lab sheets`); the public one, the same for all, where it has none."""
    return student_token(root, student) if (root / SECRET).is_file() else token_of(PUBLIC, PUBLIC)


def sheet_verdict(kernel: Kernel, token: str, seed: int) -> Verdict:
    """The points of a sheet, which may be a part of them, and a line for each patient."""
    cases = sheet(token)
    found = [_marked(kernel, case, seed) for case in cases]
    points, most = round(sheet_points([marks for marks, _ in found]), 2), EACH * len(cases)
    lines = [f"patient {case.number}: {told}" for case, (_, told) in zip(cases, found, strict=True)]
    text = "\n".join([f"sheet: {points:g} of {most} points; names count together, and not below 0", *lines])
    kinds = " ".join(_in_short(case, *one) for case, one in zip(cases, found, strict=True))
    return Verdict(SHEET, points >= most, text, points, most, kinds)  # type: ignore[arg-type]  # nbgrader takes a part of the points


def _in_short(case: SheetCase, marks: Marks, told: str) -> str:
    """For the class report: the right name and the points, "E:2:1:0"; "E:-" for a patient that is not answered."""
    return (
        f"{case.diagnosis}:-"
        if told == UNANSWERED
        else f"{case.diagnosis}:{marks.name:.2f}:{marks.evidence:g}:{marks.repair:.4g}"
    )


def by_kind(sheets: Iterable[str]) -> list[tuple[str, ...]]:
    """Of a class's sheets, as `sheet_verdict` has them in short: for each kind, how many patients were answered, named, proven, repaired.

    Named: with more points than somebody has who gives it one chance in two.

    >>> by_kind(["E:2.00:1:2 healthy:-", "E:-2.50:0:0"])
    [('E the compressed copy is not what is used', '2 of 2', '1', '1', '1'), ('healthy', '0 of 1', '0', '0', '0')]
    """
    counts = {name: Counter[str]() for name in NAMES}
    for kind, points in PATIENT.findall(" ".join(sheets)):
        counts[kind]["all"] += 1
        if points != "-":
            name, evidence, repair = map(float, points.split(":"))
            counts[kind].update({"answered": 1, "named": name > HALF, "proven": evidence > 0, "repaired": repair > HALF})
    return [
        (
            f"{kind} {KINDS.get(kind, '')}".strip(),
            f"{n['answered']} of {n['all']}",
            str(n["named"]),
            str(n["proven"]),
            str(n["repaired"]),
        )
        for kind, n in counts.items()
        if n["all"]
    ]


def _marked(kernel: Kernel, case: SheetCase, seed: int) -> Line:
    ask = partial(KernelSubmission, kernel, f"case_{case.number}")
    outcome = ask(through="clinic.at_work:told").call()
    if outcome.unsolved:
        return Marks(0.0, 0.0, 0.0), UNANSWERED
    try:
        name, evidence, treats = _vetted(outcome.error, outcome.value, case)
    except ValueError as error:
        return Marks(0.0, 0.0, 0.0), str(error)
    answer = Answer(name, evidence, _somebody if treats else None)
    judge = partial(_repair_fails, ask(through="clinic.at_work:repaired"))
    marks = mark(case, answer, seed, lambda patient, _, first: judge(patient, first))
    told = f"evidence {marks.evidence:g}, name {round(marks.name, 2) + 0.0:.2f}, repair {marks.repair:.4g}"
    return marks, f"{told}. {marks.told}" if marks.told else told


def _somebody(*_: Any) -> None:
    """Stands for a repair that is in the learner's process."""


def _vetted(error: str, value: Any, case: SheetCase) -> tuple[Mapping[str, float], str | float | None, bool]:
    """Probabilities, evidence, and whether there is a repair. Raises ValueError, with a sentence, for anything else."""
    if error:
        raise ValueError(f"no answer, because {error}")
    if not (isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], dict) and type(value[2]) is bool):
        raise ValueError("your answer cannot be read; return clinic.Answer(name=..., evidence=..., repair=...).")
    name, evidence, treats = value
    if not all(type(p) is float and math.isfinite(p) for p in name.values()) or type(evidence) not in (str, float, type(None)):
        raise ValueError("your answer cannot be read; probabilities are numbers, evidence is a number or a text.")
    name_points(name, case.diagnosis)
    return name, evidence, treats


def _repair_fails(submission: KernelSubmission, patient: Patient, seed: int) -> str:
    """Why the repair has no points: what happened in its runs, or what is wrong with their numbers."""
    trials = []
    for now in range(seed, seed + TRIES):
        outcome = submission.call(patient.name, now)
        if outcome.error:
            return f"The run with your part gave no numbers, because {outcome.error}"
        numbers = outcome.value
        if not (isinstance(numbers, tuple) and len(numbers) == 3 and all(type(one) is float for one in numbers)):
            return "The run with your part gave no numbers."
        trials.append(numbers)
    return refused(patient, trials)
