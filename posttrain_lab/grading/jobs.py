"""What is graded already, and what is not: a table in .posttrain_lab/grading.sqlite3, so that a run that was ended goes on where it was.

A job is one submission in one state of the course: its key is a hash of the submission, the unit's source and the package. It is
queued, running, judged (the verdicts are here), done (they are in the gradebook) or failed; each step is one transaction. Its secret
seed, which draws further cases of the checks, is the run's that found it first; a regrade repeats it.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain_lab.grading.course import CourseError

FOLDER, FILE, LOCK = ".posttrain_lab", "grading.sqlite3", "grading.lock"
ATTENTION = "needs attention: "
COLLECTED = "collected "  # before the unit's name: what `collect` could not take in
TRIES = 2  # a submission that ended the grader so often is set aside
TABLE = """create table if not exists jobs (unit text, student text, key text, state text, tries integer, seconds real, result text,
    seed integer, primary key (unit, student))"""


@dataclass(frozen=True)
class Job:
    """One student's submission; `result` is the examiner's answer, or empty."""

    unit: str
    student: str
    key: str
    state: str = "queued"
    tries: int = 0
    seconds: float = 0.0
    result: str = ""
    seed: int = 0

    @property
    def answer(self) -> dict[str, Any]:
        return json.loads(self.result) if self.result else {}


class Jobs:
    """The table of one course. Use it as a context manager."""

    def __init__(self, root: Path):
        (root / FOLDER).mkdir(exist_ok=True)
        self._base = sqlite3.connect(root / FOLDER / FILE, timeout=30, isolation_level=None, check_same_thread=False)
        self._one_at_a_time = threading.Lock()
        self._base.execute(TABLE)

    def __enter__(self) -> "Jobs":
        return self

    def __exit__(self, *_: Any) -> None:
        self._base.close()

    def find(self, unit: str, student: str, key: str, seed: int = 0) -> Job:
        """The job with this key; a new one, with this seed, when the submission, the source or the package has changed since."""
        row = self._base.execute("select * from jobs where unit = ? and student = ?", (unit, student)).fetchone()
        job = Job(*row) if row else None
        if job is None or job.key != key:
            job = Job(unit, student, key, seed=seed)
            self.put(job)
        return job

    def put(self, job: Job) -> None:
        """Write a job's state."""
        values = (job.unit, job.student, job.key, job.state, job.tries, job.seconds, job.result, job.seed)
        with self._one_at_a_time:
            self._base.execute("insert or replace into jobs values (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def of(self, unit: str) -> list[Job]:
        """All jobs of a unit, by student."""
        return [Job(*row) for row in self._base.execute("select * from jobs where unit = ? order by student", (unit,))]

    def refuse(self, unit: str, student: str, reason: str) -> None:
        """Note that what a student handed in could not be taken in, beside the job of what they handed in before; "" takes it back."""
        if reason:
            self.put(Job(COLLECTED + unit, student, "", "failed", result=json.dumps({"problem": ATTENTION + reason})))
        else:
            self._base.execute("delete from jobs where unit = ? and student = ?", (COLLECTED + unit, student))

    def refused(self, unit: str) -> list[Job]:
        """What could not be taken in, by student."""
        return self.of(COLLECTED + unit)

    def forget(self, student: str) -> bool:
        """Remove all that is kept of a student, also from the free pages of the file; was there anything?"""
        found = self._base.execute("delete from jobs where student = ?", (student,)).rowcount
        self._base.execute("vacuum")
        return found > 0


def key_of(folder: Path, source: str) -> str:
    """A hash of all files of a submission (no link is followed), and of what it is graded by."""
    found = hashlib.sha256(source.encode())
    linked = folder.is_symlink() or folder.parent.is_symlink()
    for path in [] if linked else sorted(folder.rglob("*")):
        state = path.lstat()
        found.update(
            f"{path.relative_to(folder)}\0{stat.S_IFMT(state.st_mode)}\0{state.st_size}\0".encode("utf-8", "surrogateescape")
        )
        if stat.S_ISREG(state.st_mode) and state.st_size <= 2**26:
            found.update(path.read_bytes())
    return found.hexdigest()


@contextlib.contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the course's lock. Raises CourseError, which names the other run, when there is one."""
    (root / FOLDER).mkdir(exist_ok=True)
    with (root / FOLDER / LOCK).open("a+") as file:
        if not _locked(file):
            file.seek(0)
            raise CourseError(f"Another run grades this course: {file.read().strip() or 'unknown'}. Wait for it, or end it.")
        file.truncate(0)
        file.write(
            f"process {os.getpid()} on {os.uname().nodename if hasattr(os, 'uname') else 'this machine'}, since {time.ctime()}"
        )
        file.flush()
        yield


def _locked(file: Any) -> bool:
    """The lock ends with the process, however it ends. Windows has no flock; there two runs are not told apart."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
