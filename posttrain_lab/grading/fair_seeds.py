"""Is a secret seed fair? The course's own answers must be right on the cases that it draws, before a student's are judged by them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.jobs import Job

DRAWS = 5
UNFAIR = "The course's own answers do not pass the checks of {unit}: {wrong}. Mend {path}, or run `posttrain-lab prove {unit}`."


def fairly_seeded(
    jobs: Sequence[Job], judge: Callable[[Path, int], dict[str, Any]], source: Path, draw: Callable[[], int]
) -> list[Job]:
    """The jobs, with a seed drawn anew where the unit's own notebook `source` fails with theirs.

    A notebook of which the judge has no verdict shows no unfair seed. Raises CourseError when five seeds in a row are unfair.
    """

    def fair(seed: int) -> int:
        for _ in range(DRAWS):
            verdicts = judge(source.parent, seed).get("verdicts", [])
            wrong = [_told(verdict) for verdict in verdicts if not verdict["passed"]]
            if not wrong:
                return seed
            seed = draw()
        raise CourseError(UNFAIR.format(unit=jobs[0].unit, wrong="; ".join(wrong), path=source))

    found = {seed: fair(seed) for seed in {job.seed for job in jobs}}
    return [replace(job, seed=found[job.seed]) for job in jobs]


def _told(verdict: dict[str, Any]) -> str:
    first = verdict["message"].partition("\n")[0]
    return f"{verdict['exercise']} ({first})"
