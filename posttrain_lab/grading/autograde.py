"""nbgrader's autograding, as it runs from formgrader or `nbgrader autograde`: the verdict is computed outside the student's process.

`GradeInKernel` replaces nbgrader's Execute. The student's cells run in the sandbox where this machine has one, in a kernel of their own
elsewhere. `posttrain-lab grade` (classroom.py) does the same for a whole class, with processes that live on.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float, Integer

from posttrain_lab.grading.judge_notebook import judge_notebook
from posttrain_lab.grading.session import Limits, StudentKernel


class GradeInKernel(NbGraderPreprocessor):
    """nbgrader preprocessor: run a submission, and put the verdict of each exercise into its check cell."""

    cell_timeout = Float(Limits.cell, help="Seconds of processor time for a cell of the student's.").tag(config=True)
    call_timeout = Float(Limits.call, help="Seconds of processor time for one call of a student's function.").tag(config=True)
    exercise_timeout = Float(Limits.exercise, help="Seconds of processor time for all calls of one exercise.").tag(config=True)
    notebook_timeout = Float(Limits.notebook, help="Seconds of processor time for a whole notebook.").tag(config=True)
    restarts = Integer(Limits.restarts, help="How often a kernel that ended or hung is started again.").tag(config=True)
    figures = Bool(
        True,
        help="Run every cell, also those that only show figures. Without them a class is graded sooner; what runs then is what "
        "`posttrain-lab check` runs: setup, solutions, and untagged cells that import or define something.",
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Fill in the outputs of every code cell that is run. Raises GraderFault when no kernel starts on this machine."""
        limits = self.limits()
        folder = Path(resources.get("metadata", {}).get("path") or ".")
        with _copied(folder) as copy, StudentKernel(copy, limits) as kernel:
            judge_notebook(nb, resources["nbgrader"]["assignment"], kernel, self.figures, self.log.info)
        return nb, resources

    def limits(self) -> Limits:
        """The limits of the course's configuration."""
        return Limits(
            cell=self.cell_timeout,
            call=self.call_timeout,
            exercise=self.exercise_timeout,
            notebook=self.notebook_timeout,
            restarts=self.restarts,
        )


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """A copy of the submission's files in a temporary folder, so that the code cannot write into the course."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copy = Path(name) / "submission"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.ipynb"))
        yield copy
