"""nbgrader's autograding, as it runs from formgrader or `nbgrader autograde`: the verdict is computed outside the student's process.

`GradeInKernel` replaces nbgrader's Execute. The student's cells run in the sandbox; where the machine has none, it refuses with the remedy,
and with `c.GradeInKernel.sandbox = False` they run in a kernel of their own. `posttrain-lab grade` (classroom.py) does the same for a
whole class, with processes that live on.
"""

import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float, Integer

from posttrain_lab.grading.clinic_sheet import token_for
from posttrain_lab.grading.judge_notebook import judge_notebook
from posttrain_lab.grading.kernel import Kernel
from posttrain_lab.grading.sandbox.available import no_sandbox
from posttrain_lab.grading.session import GraderFault, Limits, StudentKernel


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

    sandbox = Bool(
        True, help="Run the student's code in the sandbox. Without it, that code can read and change what you can."
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Fill in the outputs of every code cell that is run. Raises GraderFault when no kernel starts, or no sandbox can be had."""
        if self.sandbox and (reason := no_sandbox()):
            raise GraderFault(reason.replace("give --no-sandbox", "set c.GradeInKernel.sandbox = False"))
        folder = Path(resources.get("metadata", {}).get("path") or ".")
        with (_sandboxed if self.sandbox else _unconfined)(folder, self.limits()) as kernel:
            of = resources["nbgrader"]
            token = token_for(Path.cwd(), of["student"]) if "student" in of else ""
            judge_notebook(nb, of["assignment"], kernel, self.figures, self.log.info, token=token)
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
def _sandboxed(folder: Path, limits: Limits) -> Iterator[Kernel]:
    """A worker's server for this notebook alone. (nbgrader works in the folder of the course, which must not be seen.)"""
    from posttrain_lab.grading.sandbox.sandboxed_kernel import Confinement, SandboxedKernel  # needs what only Unix has
    from posttrain_lab.grading.sandbox.view import copy_package, hidden, visible

    paths = [path for path in folder.rglob("*") if path.suffix != ".ipynb" and path.is_file() and not path.is_symlink()]
    files = {str(path.relative_to(folder)): base64.b64encode(path.read_bytes()).decode() for path in paths}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copy_package(Path(name))
        shown = visible(Path(name))
        confinement = Confinement(Path(name), tuple(shown), tuple(hidden(Path.cwd(), shown)))
        with confinement.server() as server, SandboxedKernel(server.address, files, limits) as kernel:
            yield kernel


@contextmanager
def _unconfined(folder: Path, limits: Limits) -> Iterator[Kernel]:
    """A kernel in a copy of the submission's files, so that the code does not write into the course by accident."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copy = Path(name) / "submission"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.ipynb"))
        with StudentKernel(copy, limits) as kernel:
            yield kernel
