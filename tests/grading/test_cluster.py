"""Grading on a Dask cluster: a real worker process judges, is killed in its first job, and every score is right, once."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, register, write

from posttrain_lab.grading import cluster
from posttrain_lab.grading.classroom import Order, grade
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.jobs import Jobs
from posttrain_lab.grading.sandbox.available import no_sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(no_sandbox()), reason="this machine lacks a sandbox"),
]
RIGHT = {"ann": FULL, "bob": FULL - POINTS["cube"], "cy": 0}


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Iterator[Path]:
    root = make_course(tmp_path_factory.mktemp("course"))
    answers = {"ann": {}, "bob": {"cube": blank("cube")}, "cy": {name: blank(name) for name in POINTS}}
    for student, given in answers.items():
        write(notebook(given), root / "submitted" / student / UNIT)
    linked = root / "submitted" / "dan" / UNIT
    linked.mkdir(parents=True)
    (linked / f"{UNIT}.ipynb").symlink_to("/etc/passwd")
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setenv("DIES_ONCE", str(root / "dies_once"))
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def scheduler(course) -> Iterator[str]:
    import dask
    from distributed import LocalCluster

    preload = str(Path(__file__).with_name("small_worker.py"))
    patient = {
        "distributed.deploy.lost-worker-timeout": "10 minutes"
    }  # until a killed worker's place is given up; it starts anew
    with (
        dask.config.set(patient),
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0", memory_limit=0, preload=preload) as made,
    ):
        yield made.scheduler_address


def workers(address: str) -> set[int]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        return set(client.run(os.getpid).values())


def test_a_killed_worker_s_jobs_are_done_by_the_next(course, scheduler):
    before = workers(scheduler)
    (course / "dies_once").touch()
    rows = {row.student: row for row in grade(UNIT, course, Order(cluster=scheduler)).rows}
    assert not (course / "dies_once").exists()
    assert len(before) == 1
    assert not before & workers(scheduler)
    assert {name: (rows[name].score, rows[name].error) for name in RIGHT} == {name: (score, "") for name, score in RIGHT.items()}
    assert rows["ann"].sandboxed
    assert "is a link" in rows["dan"].error
    with Jobs(course) as jobs:
        assert {job.student: (job.state, job.tries) for job in jobs.of(UNIT) if job.student in RIGHT} == dict.fromkeys(
            RIGHT, ("done", 1)
        )


def test_a_worker_with_another_version_is_named_and_nothing_is_graded(course, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "version", lambda name: "9.9")
    with pytest.raises(
        CourseError, match=r"tcp://.* has posttrain-lab 0\.\d+\.\d+, and 9\.9 is wanted: install the same version"
    ):
        grade(UNIT, course, Order(cluster=scheduler, regrade=True))
    with Jobs(course) as jobs:
        assert {job.tries for job in jobs.of(UNIT) if job.student in RIGHT} == {1}


def test_where_no_scheduler_answers_a_sentence_says_so(course, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(CourseError, match=r"No scheduler of Dask answers at tcp://127\.0\.0\.1:1 .*start one"):
        grade(UNIT, course, Order(cluster="tcp://127.0.0.1:1", regrade=True))


class LostScheduler:
    """In place of Dask's client: what it says when the scheduler goes away in the middle."""

    def __init__(self, *args: object, **more: object):
        self.wait_for_workers = self.register_plugin = self.unregister_worker_plugin = self.cancel = self.close = lambda *a, **k: (
            None
        )

        self.answered = False

    def nthreads(self) -> dict[str, int]:
        return {"tcp://worker": 2}

    def run(self, function, *args: object, **more: object) -> dict:
        return {"tcp://worker": function(*args)}

    def submit(self, *args: object, **more: object) -> Future:
        """The course's own notebook, which is judged first, is right; then the scheduler is gone."""
        future: Future = Future()
        if self.answered:
            future.cancel()
        else:
            future.set_result('{"verdicts": []}')
        self.answered = True
        return future


def test_when_the_scheduler_goes_away_no_submission_is_blamed(course, monkeypatch):
    monkeypatch.setattr(cluster, "Client", LostScheduler)
    with pytest.raises(CourseError, match=r"cluster at tcp://gone does not answer any more .*What was graded is kept"):
        grade(UNIT, course, Order(cluster="tcp://gone", regrade=True))
    with Jobs(course) as jobs:
        found = {(job.state, job.tries) for job in jobs.of(UNIT) if job.student in RIGHT}
    assert ("queued", 0) in found
    assert found <= {("queued", 0), ("done", 1)}
