"""What a Dask worker of the tests loads first: the examiner of the small unit; and once, at the beginning of a job, it dies.

DIES_ONCE names a file; whoever removes it dies.
"""

import os
import signal
from pathlib import Path
from typing import Any

from posttrain_lab.grading import examination


def dask_setup(worker: Any) -> None:
    examination.EXAMINER = "small_examiner"
    judge = examination.Examination.judge

    def once(self: examination.Examination, folder: Path, seed: int, alone: bool = False, token: str = "") -> dict[str, Any]:
        try:
            Path(os.environ["DIES_ONCE"]).unlink()
        except FileNotFoundError:
            return judge(self, folder, seed, alone, token)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    examination.Examination.judge = once  # type: ignore[method-assign]
