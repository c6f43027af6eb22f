"""nbgrader's autograding with the verdict computed outside the student's process.

`GradeInKernel` replaces nbgrader's Execute: the student's cells run in a kernel of their own. For a check cell
`test_<exercise>`, `Exercise.check` runs here, in nbgrader's process, and calls the student's function through the
kernel only. The code of the check cell is never run. The cell gets an ordinary output, so gradebook, formgrader and
feedback are nbgrader's own: a line when the answer is right, an error whose text is the verdict's sentence when it is
not.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Bool, Float, Integer

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Exercise, Verdict
from posttrain_lab.grading.check_notebook import is_needed
from posttrain_lab.grading.classroom import Graded, GradeReport, grade
from posttrain_lab.grading.kernel import check_in_kernel
from posttrain_lab.grading.outputs import error_output, first_error
from posttrain_lab.grading.sanitize import CHECK_PREFIX
from posttrain_lab.grading.session import KernelLost, Limits, StudentKernel

__all__ = ["GradeInKernel", "GradeReport", "Graded", "grade"]


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
        known = graded_exercises(resources["nbgrader"]["assignment"])
        limits = Limits(
            cell=self.cell_timeout,
            call=self.call_timeout,
            exercise=self.exercise_timeout,
            notebook=self.notebook_timeout,
            restarts=self.restarts,
        )
        with _copied(Path(resources.get("metadata", {}).get("path") or ".")) as folder, StudentKernel(folder, limits) as kernel:
            errors: dict[str, str] = {}
            for cell in nb.cells:
                if cell.cell_type == "code" and cell.source.strip() and (self.figures or is_grade(cell) or is_needed(cell)):
                    cell.outputs = self._outputs(cell, known, kernel, errors)
        return nb, resources

    def _outputs(
        self, cell: NotebookNode, known: dict[str, Exercise], kernel: StudentKernel, errors: dict[str, str]
    ) -> list[NotebookNode]:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        exercise = known.get(grade_id) if is_grade(cell) else None
        if exercise is not None:
            verdict = check_in_kernel(exercise, kernel, errors.get(exercise.name, ""))
            self.log.info("%s: %s", grade_id, "passed" if verdict.passed else "failed")
            return [verdict_output(verdict)]
        outputs = run_cell(kernel, cell.source)
        errors[grade_id] = first_error(outputs)
        return [_as_stdout(output) for output in outputs] if is_grade(cell) else outputs


def graded_exercises(unit: str) -> dict[str, Exercise]:
    """A unit's exercises by the grade_id of their check cells; none for an assignment that the package does not know."""
    if unit not in checks.UNITS:
        return {}
    return {CHECK_PREFIX + name: exercise for name, exercise in checks.exercises(unit).items()}


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """A copy of the submission's files in a temporary folder, so that the code cannot write into the course."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copy = Path(name) / "submission"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.ipynb"))
        yield copy


def run_cell(kernel: StudentKernel, source: str) -> list[NotebookNode]:
    """A cell's outputs, also when it ended the kernel or did not end in time."""
    try:
        return kernel.run(source)
    except KernelLost as lost:
        return [*getattr(lost, "outputs", []), error_output("KernelLost", f"{str(lost).capitalize()}.")]


def verdict_output(verdict: Verdict) -> NotebookNode:
    """What nbgrader reads: a printed line is full marks, an error is none."""
    if verdict.passed:
        return new_output("stream", name="stdout", text=verdict.message + "\n")
    return error_output("CheckFailed", verdict.message)


def _as_stdout(output: NotebookNode) -> NotebookNode:
    """nbgrader gives no points to a graded cell with anything on stderr: a warning is not a wrong answer."""
    if output.output_type == "stream":
        output.name = "stdout"
    return output
