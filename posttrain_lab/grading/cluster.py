"""Judge the submissions of a class on the workers of a Dask cluster that somebody else has started.

A job is the bytes of one submission; its result is what an examiner on the worker's machine says, as text. All else stays with the
coordinator, as on one machine. When a worker dies, Dask gives its jobs to another.
"""

import contextlib
import json
import secrets
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import CancelledError
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed import Client, Future, WorkerPlugin, get_worker
from distributed.comm.core import CommClosedError

from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.examination import Examination, GradingRules
from posttrain_lab.grading.intake import NeedsAttention, files_of
from posttrain_lab.grading.sandbox.available import no_sandbox

PATIENCE = 60  # seconds until the scheduler answers, and has a worker
AGAIN = 2  # times that a job is tried again after an error of the worker
GONE = "The cluster at {} does not answer any more ({}). What was graded is kept: the same command goes on."


class OnWorker(WorkerPlugin):
    """In each worker: the examiner of one unit, started with the worker's first job, and ended with the run."""

    def __init__(self, unit: str, known: dict[str, Any], rules: GradingRules, package: str):
        self.name = f"posttrain-lab {secrets.token_hex(8)}"
        self.unit, self.known, self.rules, self.package = unit, known, rules, package

    def setup(self, worker: Any) -> None:
        self._starting, self._examination = threading.Lock(), None

    def teardown(self, worker: Any) -> None:
        if self._examination is not None:
            self._examination.__exit__()

    def judge(self, files: dict[str, bytes], seed: int, alone: bool, token: str) -> dict[str, Any]:
        """The examiner's answer for these files, in this worker."""
        if self.package != (here := version("posttrain-lab")):  # a worker that came after the run's begin
            raise RuntimeError(f"this worker has posttrain-lab {here}, and {self.package} is wanted")
        with tempfile.TemporaryDirectory(prefix="posttrain-lab-job-") as name:
            folder = Path(name)
            for path, raw in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(raw)
            with self._starting:
                self._examination = self._examination or Examination(folder, self.unit, self.known, self.rules)
            return self._examination.judge(folder, seed, alone, token)


def judge_here(plugin: str, files: dict[str, bytes], seed: int, alone: bool, token: str) -> str:
    """A job, on the worker. The coordinator takes plain text only."""
    found: Any = get_worker().plugins[plugin]
    return json.dumps(found.judge(files, seed, alone, token))


def about_worker(sandbox: bool) -> tuple[str, str]:
    """On a worker: the version of its package, and why it has no sandbox, where one is wanted."""
    return version("posttrain-lab"), no_sandbox() if sandbox else ""


class ClusterExamination:
    """As Examination, on the workers of the cluster at `address`. Use it as a context manager.

    Raises CourseError when nobody answers there, or a worker has another version of the package, or no sandbox.
    """

    def __init__(self, address: str, unit: str, known: dict[str, Any], rules: GradingRules):
        self.address, self.known, self.rules, self.stopped = address, known, rules, False
        self._waiting: set[Future] = set()
        self._guard = threading.Lock()
        try:
            self._client: Any = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CourseError(f"No scheduler of Dask answers at {address} ({error}); start one there.") from error
        with contextlib.ExitStack() as failed:
            failed.callback(self._client.close)
            self._look_at_workers()
            self._plugin = OnWorker(unit, json.loads(json.dumps(known)), rules, version("posttrain-lab"))
            self._client.register_plugin(self._plugin)
            failed.pop_all()

    def __enter__(self) -> "ClusterExamination":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        with contextlib.suppress(OSError, RuntimeError, CancelledError):  # the cluster is gone, and the examiners with it
            self._client.unregister_worker_plugin(self._plugin.name)
        self._client.close()

    @property
    def places(self) -> int:
        """How many submissions the workers can judge at once."""
        threads: Any = self._client.nthreads()
        return max(1, sum(threads.values()))

    def stop(self) -> None:
        """Take back the jobs that wait or run; no new ones are given."""
        with self._guard:
            self.stopped = True
            self._client.cancel(list(self._waiting), force=True)

    def judge(self, folder: Path, seed: int, alone: bool = False, token: str = "") -> dict[str, Any]:
        """The examiner's answer for one submission; {fault: why} when the workers died of it. Raises CourseError when the cluster is gone."""
        try:
            files = files_of(folder)
        except (NeedsAttention, OSError) as reason:
            return {"attention": str(reason)}
        with self._guard:
            if self.stopped:
                return {"fault": "the run was ended"}
            future = self._client.submit(judge_here, self._plugin.name, files, seed, alone, token, retries=AGAIN, pure=False)
            self._waiting.add(future)
        try:
            return json.loads(future.result())
        except (CommClosedError, CancelledError) as error:
            if self.stopped:
                return {"fault": "the run was ended"}
            raise CourseError(GONE.format(self.address, type(error).__name__)) from error
        except Exception as error:  # of the worker; or KilledWorker: several have died of it
            return {"fault": f"the worker gave no answer ({type(error).__name__}: {error})"[:500]}
        finally:
            self._waiting.discard(future)

    def _look_at_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
            told: Any = self._client.run(about_worker, self.rules.sandbox, on_error="return")
        except (OSError, TimeoutError) as error:
            raise CourseError(f"The cluster at {self.address} has no worker; start one: dask worker {self.address}") from error
        if complaints := list(_complaints(told, version("posttrain-lab"))):
            raise CourseError(f"Not every worker of the cluster can grade: {'; '.join(complaints[:5])}.")


def _complaints(told: dict[str, Any], wanted: str) -> Iterable[str]:
    """A sentence for each worker that cannot grade."""
    for worker, answer in told.items():
        if isinstance(answer, BaseException):
            yield f"{worker} has no posttrain-lab {wanted} that can be imported ({type(answer).__name__}: {answer})"
        elif answer[0] != wanted:
            yield f"{worker} has posttrain-lab {answer[0]}, and {wanted} is wanted: install the same version on all machines"
        elif answer[1]:
            yield f"{worker}: {answer[1].rstrip('.')}"
