"""Grade a class: every submission is judged in processes of its own, and nbgrader keeps the points.

The coordinator here alone touches the gradebook. It never decodes what students wrote: the examiner's answers are made anew, and
bounded. Each step is kept (`jobs`), so a run that was ended goes on where it was. A submission that cannot be read or judged is named,
and the others are still graded.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from posttrain_lab.grading.attempts import counted
from posttrain_lab.grading.best_attempt import Worth, judged_attempt
from posttrain_lab.grading.clinic_sheet import token_for
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.examination import Examination, GradingRules
from posttrain_lab.grading.fair_seeds import fairly_seeded
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
from posttrain_lab.grading.jobs import ATTENTION, TRIES, Job, Jobs, key_of, only_run
from posttrain_lab.grading.results.class_report import write_report
from posttrain_lab.grading.sandbox.available import no_sandbox
from posttrain_lab.grading.sandbox.fork_server import LineClosed
from posttrain_lab.grading.session import Limits

if TYPE_CHECKING:
    from posttrain_lab.grading.cluster import ClusterExamination

NO_DASK = "--cluster needs the package distributed: pip install 'posttrain-lab[cluster]', here and on the workers' machines."
NOT_WRITTEN = "The gradebook or the table of jobs cannot be written ({}); look for space on the disk, and for who holds them. "
KEPT = "What was graded is kept: the same command goes on."
SEEDS = range(10_000, 10_000_000)  # a secret one is taken from here
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
    """What to grade and how: processes at once, only these students, everything again, and the rules of the examination.

    With `cluster`, the address of a Dask scheduler, its workers judge, as many submissions at once as they have threads.
    """

    workers: int = 1
    students: tuple[str, ...] = ()
    regrade: bool = False
    sandbox: bool = True
    all_cells: bool = False
    solutions: Path | None = None
    cluster: str = ""


def grade(
    unit: str, root: Path | None = None, order: Order = Order(), progress: Callable[[Graded, int], object] | None = None
) -> GradeReport:
    """What is each student's score? Judge submitted/<student>/<unit>/, write feedback pages and the gradebook to grades.csv.

    `root` is the folder with nbgrader_config.py (default: the current folder); `progress` is called with each student's result, and
    with how many there are. Raises CourseError when there is nothing to grade, no sandbox and not told to do without, when the unit's
    source cannot be read or has changed, another run is at work, or the results cannot be written.
    """
    if order.sandbox and not order.cluster and (reason := no_sandbox()):
        raise CourseError(reason)
    book = CourseGradebook(root or Path.cwd(), unit, order.solutions)
    students = _chosen(book.students(), order.students)
    rows: dict[str, Graded] = {}
    try:
        with only_run(book.root), nbgrader_tools(), Jobs(book.root) as jobs:
            book.enter(order.regrade)
            for row in _graded(book, jobs, students, order):
                rows[row.student] = row
                if progress is not None:
                    progress(row, len(students))
            csv = _given_out(book, jobs)
            _add_refused(rows, jobs, book, order)
    except LineClosed as error:
        raise CourseError(f"The processes that grade did not start ({error}); run `posttrain-lab doctor`. {KEPT}") from error
    except (sqlite3.Error, SQLAlchemyError, OSError) as error:
        raise CourseError(NOT_WRITTEN.format(str(error).splitlines()[0]) + KEPT) from error
    return GradeReport(unit, tuple(rows.values()), csv)


def _given_out(book: CourseGradebook, jobs: Jobs) -> Path:
    """Write the page about the class, and grades.csv."""
    with book.base() as base:
        write_report(base, book.root, jobs, book.unit)
    return book.export()


def _add_refused(rows: dict[str, Graded], jobs: Jobs, book: CourseGradebook, order: Order) -> None:
    """Name what could not even be collected: alone, or beside the grade of what was handed in before. In the order of the students."""
    for job in jobs.refused(book.unit):
        row = rows.get(job.student)
        if row is not None and not row.error:
            later = f"a later submission {job.answer['problem']}"
            rows[job.student] = replace(row, remark="; ".join(filter(None, (row.remark, later))))
        elif row is None and (not order.students or job.student in order.students):
            rows[job.student] = Graded(job.student, 0.0, book.max_score(), job.answer["problem"])
    for student in sorted(rows):
        rows[student] = rows.pop(student)


def _chosen(found: list[str], wanted: tuple[str, ...]) -> list[str]:
    if missing := [name for name in wanted if name not in found]:
        raise CourseError(f"There is no submission of {', '.join(missing)}; there are: {', '.join(found[:10])}.")
    return list(wanted) or found


def _graded(book: CourseGradebook, jobs: Jobs, students: list[str], order: Order) -> Iterator[Graded]:
    maximum, seed = book.max_score(), _draw()
    source = f"{book.source_hash()} {version('posttrain-lab')} {order.sandbox} {order.all_cells}"
    keys = {student: _key(book, student, source) for student in students}
    todo = [_job(book, jobs.find(book.unit, student, key, seed), order.regrade) for student, key in keys.items()]
    for job in _judged(book, jobs, todo, order):
        job = _saved(book, jobs, job)
        done = job.state == "done"
        if done and book.settle(job.student, job.answer.get("time", "")):
            book.feedback(job.student)
        score, answer = book.score(job.student) if done else None, job.answer
        remark = "; ".join(answer.get("remarks") or []) if done else ""
        how = bool(answer.get("sandbox", True))
        yield Graded(job.student, score or 0.0, maximum, answer.get("problem", ""), how, remark)


def _draw() -> int:
    return secrets.choice(SEEDS)


def _key(book: CourseGradebook, student: str, source: str) -> str:
    """What the grade depends on: every attempt that may count, and what it is graded by."""
    return " ".join(key_of(folder, source) for folder in counted(book.root, student, book.unit, book.settings.keep))


def _job(book: CourseGradebook, job: Job, again: bool) -> Job:
    """What is left to do of a job; a gradebook that was lost gets again what is kept in the table."""
    if again:
        return replace(job, state="queued", tries=0, result="")
    return replace(job, state="judged") if job.state == "done" and book.score(job.student) is None else job


def _judged(book: CourseGradebook, jobs: Jobs, todo: list[Job], order: Order) -> Iterator[Job]:
    """The jobs, as they are judged; those that were judged before come first, those that ended a run last."""
    waiting = sorted((job for job in todo if job.state in ("queued", "running")), key=lambda job: job.tries)
    yield from (job for job in todo if job not in waiting)
    yield from (_with(job, "failed", problem=SET_ASIDE) for job in waiting if job.tries >= TRIES)
    waiting = [job for job in waiting if job.tries < TRIES]
    if not waiting:
        return
    rules = GradingRules(order.sandbox, order.all_cells, _limits(book.config), tuple({job.seed for job in waiting}))
    with _examination(book, rules, order.cluster) as examination:
        waiting = fairly_seeded(waiting, partial(examination.judge, alone=True), book.source, _draw)
        alone, places = list[Job](), order.workers if isinstance(examination, Examination) else examination.places
        for job in _at_once(examination, book, jobs, waiting, places):
            if job.state == "queued":
                alone.append(job)
            else:
                yield job
        for job in alone:  # who ended the grader? Nobody else runs now
            yield _examined(examination, book, jobs, job)


def _examination(book: CourseGradebook, rules: GradingRules, cluster: str) -> "Examination | ClusterExamination":
    """The processes that judge: of this machine, or of a cluster's."""
    if not cluster:
        return Examination(book.root, book.unit, book.known(), rules)
    try:
        from posttrain_lab.grading.cluster import ClusterExamination
    except ImportError as error:
        raise CourseError(NO_DASK) from error
    return ClusterExamination(cluster, book.unit, book.known(), rules)


def _at_once(
    examination: "Examination | ClusterExamination", book: CourseGradebook, jobs: Jobs, waiting: list[Job], workers: int
) -> Iterator[Job]:
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(_examined, examination, book, jobs, job) for job in waiting]
        yield from (future.result() for future in as_completed(futures))
    except BaseException:  # Ctrl-C too: what runs is ended and stays queued
        examination.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _examined(examination: "Examination | ClusterExamination", book: CourseGradebook, jobs: Jobs, job: Job) -> Job:
    """In a thread: one submission. That it runs is written down first, so that one which ends the grader is known."""
    before, job = job, replace(job, state="running", tries=job.tries + 1)
    jobs.put(job)
    start = monotonic()
    worth = Worth(book.unit, book.settings, examination.known, job.student)
    try:
        token = token_for(book.root, job.student)
        answer = judged_attempt(lambda folder: examination.judge(folder, job.seed, token=token), worth, book.root, job.student)
    except Exception:  # what judges is gone, and that is not this submission's doing
        jobs.put(before)
        raise
    how = {"sandbox": examination.rules.sandbox}
    if examination.stopped:
        job = before
    elif "attention" in answer:
        job = _with(job, "failed", problem=ATTENTION + str(answer["attention"]), **how)
    elif "notebook" not in answer:
        job = _with(job, "failed" if job.tries >= TRIES else "queued", problem=str(answer.get("fault", "no answer")), **how)
    else:
        job = _with(job, "judged", **{key: answer.get(key) for key in ("notebook", "verdicts", "remarks", "time")}, **how)
    job = replace(job, seconds=monotonic() - start)
    jobs.put(job)
    return job


def _saved(book: CourseGradebook, jobs: Jobs, job: Job) -> Job:
    """Write what was judged to the gradebook, and its feedback page; again, when a run was ended in the middle of it."""
    if job.state != "judged":
        return job
    problem = book.save(job.student, job.answer["notebook"])
    if not problem:
        book.settle(job.student, job.answer.get("time", ""))
        problem = book.feedback(job.student)
    job = replace(job, state="judged" if problem else "done", result=json.dumps({**job.answer, "problem": problem}))
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
