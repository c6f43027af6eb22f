"""Grade a class: every submission is judged in processes of its own, and nbgrader keeps the points.

The coordinator here alone touches the gradebook. It never decodes what students wrote: the examiner's answers are made anew, and
bounded. Each step is kept (`jobs`), so a run that was ended goes on where it was. A submission that cannot be read or judged is named,
and the others are still graded.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from posttrain_lab.grading.attempts import counted
from posttrain_lab.grading.best_attempt import Worth, judged_attempt
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.examination import Examination, Rules
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
from posttrain_lab.grading.jobs import ATTENTION, TRIES, Job, Jobs, key_of, only_run
from posttrain_lab.grading.results.class_report import write_report
from posttrain_lab.grading.session import Limits

SET_ASIDE = f"ended the grader {TRIES} times, and is set aside; look at it, or grade it again with --student and --regrade."
LIMITS = {
    "cell": "cell_timeout",
    "call": "call_timeout",
    "exercise": "exercise_timeout",
    "notebook": "notebook_timeout",
    "restarts": "restarts",
}


@dataclass(frozen=True)
class Graded:
    """One student's result: the score of the unit, what must be looked at, and how the code was run."""

    student: str
    score: float
    max_score: float
    error: str = ""
    sandboxed: bool = True
    remark: str = ""


@dataclass(frozen=True)
class GradeReport:
    """What `grade` did: a row for each student, and the file with the whole gradebook."""

    unit: str
    rows: tuple[Graded, ...]
    csv: Path


@dataclass(frozen=True)
class Order:
    """What to grade and how: processes at once, only these students, everything again, and the rules of the examination."""

    workers: int = 1
    students: tuple[str, ...] = ()
    regrade: bool = False
    sandbox: bool = True
    all_cells: bool = False
    solutions: Path | None = None


def grade(
    unit: str, root: Path | None = None, order: Order = Order(), progress: Callable[[Graded], object] | None = None
) -> GradeReport:
    """What is each student's score? Judge submitted/<student>/<unit>/, write feedback pages and the gradebook to grades.csv.

    `root` is the folder with nbgrader_config.py (default: the current folder); `progress` is called with each student's result.
    Raises CourseError when there is nothing to grade, the unit's source cannot be read or has changed, or another run is at work.
    """
    book = CourseGradebook(root or Path.cwd(), unit, order.solutions)
    students = _chosen(book.students(), order.students)
    with only_run(book.root), nbgrader_tools(), Jobs(book.root) as jobs:
        book.enter(order.regrade)
        rows = {row.student: row for row in _graded(book, jobs, students, order, progress or (lambda row: None))}
        for student in students:
            if rows[student].error == "":
                book.feedback(student)
        csv = book.export()
        with book.base() as base:
            write_report(base, book.root, jobs, unit)
        lost = [_refused(job, book.max_score()) for job in jobs.of(unit) if _is_refused(job, rows, order)]
    return GradeReport(unit, (*(rows[student] for student in students), *lost), csv)


def _is_refused(job: Job, rows: dict[str, "Graded"], order: Order) -> bool:
    """Could this submission not even be collected? It is named among the others."""
    return not job.key and job.student not in rows and (not order.students or job.student in order.students)


def _refused(job: Job, most: float) -> Graded:
    return Graded(job.student, 0.0, most, str(job.answer.get("problem", "")))


def _chosen(found: list[str], wanted: tuple[str, ...]) -> list[str]:
    if missing := [name for name in wanted if name not in found]:
        raise CourseError(f"There is no submission of {', '.join(missing)}; there are: {', '.join(found[:10])}.")
    return list(wanted) or found


def _graded(
    book: CourseGradebook, jobs: Jobs, students: list[str], order: Order, progress: Callable[[Graded], object]
) -> Iterator[Graded]:
    maximum, sandboxed = book.max_score(), order.sandbox
    source = f"{book.source_hash()} {version('posttrain-lab')} {order.sandbox} {order.all_cells}"
    for job in _judged(book, jobs, [_job(book, jobs, student, source, order.regrade) for student in students], order):
        job = _saved(book, jobs, job)
        if done := job.state == "done":
            book.settle(job.student, job.answer.get("time", ""))
        error = "" if done else str(job.answer.get("problem", ""))
        remark = "; ".join(job.answer.get("remarks", [])) if done else ""
        row = Graded(job.student, (book.score(job.student) if done else None) or 0.0, maximum, error, sandboxed, remark)
        progress(row)
        yield row


def _job(book: CourseGradebook, jobs: Jobs, student: str, source: str, again: bool) -> Job:
    folders = counted(book.root, student, book.unit, book.settings.keep)
    job = jobs.find(book.unit, student, " ".join(key_of(folder, source) for folder in folders))
    return replace(job, state="queued", tries=0, result="") if again else job


def _judged(book: CourseGradebook, jobs: Jobs, todo: list[Job], order: Order) -> Iterator[Job]:
    """The jobs, as they are judged; those that were judged before come first."""
    waiting = [job for job in todo if job.state in ("queued", "running")]
    yield from (job for job in todo if job not in waiting)
    if not waiting:
        return
    rules = Rules(order.sandbox, order.all_cells, _limits(book.config))
    with Examination(book.unit, book.known(), rules) as examination, ThreadPoolExecutor(order.workers) as pool:
        futures: list[Future[Job]] = []
        try:
            for job in waiting:
                if job.tries >= TRIES:
                    yield _with(job, "failed", problem=SET_ASIDE)
                    continue
                futures.append(pool.submit(_examined, examination, book, jobs, job))
            yield from (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _examined(examination: Examination, book: CourseGradebook, jobs: Jobs, job: Job) -> Job:
    """In a thread: one submission. That it runs is written down first, so that one which ends the grader is known."""
    job = replace(job, state="running", tries=job.tries + 1)
    jobs.put(job)
    start = monotonic()
    worth = Worth(book.unit, book.settings, examination.known, job.student)
    answer = judged_attempt(examination.judge, worth, book.root, job.student)
    seconds = monotonic() - start
    if "attention" in answer:
        job = _with(job, "failed", problem=ATTENTION + str(answer["attention"]))
    elif "notebook" not in answer:
        job = _with(job, "failed" if job.tries >= TRIES else "queued", problem=str(answer.get("fault", "no answer")))
    else:
        job = _with(job, "judged", **{key: answer.get(key) for key in ("notebook", "verdicts", "remarks", "time")})
    job = replace(job, seconds=seconds)
    jobs.put(job)
    return job


def _saved(book: CourseGradebook, jobs: Jobs, job: Job) -> Job:
    """Write what was judged to the gradebook; again, when a run was ended in the middle of it."""
    if job.state != "judged":
        return job
    if problem := book.save(job.student, job.answer["notebook"]):
        return _with(job, "judged", **{**job.answer, "problem": problem})
    job = replace(job, state="done")
    jobs.put(job)
    return job


def _with(job: Job, state: str, **result: Any) -> Job:
    return replace(job, state=state, result=json.dumps(result))


def _limits(config: Any) -> Limits:
    """The limits of nbgrader_config.py (c.GradeInKernel.cell_timeout and so on)."""
    given = config.GradeInKernel
    return Limits(**{field: given[name] for field, name in LIMITS.items() if name in given})


def feedback(unit: str, root: Path | None = None) -> dict[str, str]:
    """Write feedback/<student>/<unit>/*.html for every graded submission; for each student the error, or an empty text."""
    book = CourseGradebook(root or Path.cwd(), unit)
    with nbgrader_tools():
        return {student: book.feedback(student) for student in book.students("autograded")}
