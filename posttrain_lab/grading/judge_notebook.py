"""Run a submission's notebook and put the verdict of each exercise into its check cell.

`Exercise.check` runs in this process, and calls the student's function by way of the submission's own process only. The code of a check
cell is never run. Its cell gets an ordinary output, so gradebook, formgrader and feedback are nbgrader's own: a line when the answer is
right, an error whose text is the verdict's sentence when it is not.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Exercise, Verdict
from posttrain_lab.grading.check_notebook import is_needed
from posttrain_lab.grading.clinic_sheet import CELL, sheet_verdict
from posttrain_lab.grading.course import CHECK_PREFIX
from posttrain_lab.grading.edge_milestones import HAND_IN, MILESTONES, hand_in_verdict
from posttrain_lab.grading.flags import own_work
from posttrain_lab.grading.kernel import SEEDS, Kernel, check_in_kernel
from posttrain_lab.grading.outputs import error_output, first_error
from posttrain_lab.grading.session import KernelLost


class Log(Protocol):
    def __call__(self, message: str, /, *arguments: object) -> None: ...


def judge_notebook(
    notebook: NotebookNode,
    unit: str,
    kernel: Kernel,
    all_cells: bool,
    log: Log = lambda *_: None,
    seeds: Sequence[int] = SEEDS,
    token: str = "",
) -> list[Verdict]:
    """The verdicts, in the notebook's order; the notebook's outputs are filled in.

    Without `all_cells`, what runs is what `posttrain-lab check` runs: setup, solutions, and cells that import or define something; the
    other cells keep the outputs that they were submitted with. `token`: of the student's sheet, in unit 11; without one it is not
    marked. The last of the seeds draws the data for its repairs, and the photographs for the artefact of project 12. Raises GraderFault
    when the machine, not the student, is at fault.
    """
    known, errors, verdicts = graded_exercises(unit), dict[str, str](), list[Verdict]()
    sources = {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source for cell in notebook.cells}
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if is_grade(cell) and grade_id in known:
            exercise = known[grade_id]
            verdict = check_in_kernel(exercise, kernel, errors.get(exercise.name, ""), seeds)
            verdicts.append(own_work(verdict, exercise, sources.get(exercise.name, "")))
            log("%s: %s", grade_id, "passed" if verdicts[-1].passed else "failed")
            cell.outputs = [verdict_output(verdicts[-1])]
        elif grade_id in (CELL, MILESTONES) and is_grade(cell):
            found = _beside(grade_id, sources, kernel, token, max(seeds))
            verdicts += found
            cell.outputs = sheet_outputs(found[0]) if found else cell.outputs
        elif all_cells or is_grade(cell) or is_needed(cell):
            outputs = run_cell(kernel, cell.source)
            errors[grade_id] = first_error(outputs)
            cell.outputs = [_as_stdout(output) for output in outputs] if is_grade(cell) else outputs
    return verdicts


def _beside(grade_id: str, sources: Mapping[str, str], kernel: Kernel, token: str, seed: int) -> list[Verdict]:
    """The verdict of a cell that belongs to no exercise: an artefact is read from its cell; a sheet is not marked without a token."""
    if grade_id == MILESTONES:
        return [hand_in_verdict(sources.get(HAND_IN, ""), seed)]
    return [sheet_verdict(kernel, token, seed)] if token else []


def graded_exercises(unit: str) -> dict[str, Exercise]:
    """A unit's exercises by the grade_id of their check cells; none for an assignment that the package does not know."""
    if unit not in checks.UNITS:
        return {}
    return {CHECK_PREFIX + name: exercise for name, exercise in checks.exercises(unit).items()}


def run_cell(kernel: Kernel, source: str) -> list[NotebookNode]:
    """A cell's outputs, also when it ended the process or did not end in time."""
    try:
        return kernel.run(source)
    except KernelLost as lost:
        return [*getattr(lost, "outputs", []), error_output("KernelLost", f"{str(lost).capitalize()}.")]


def verdict_output(verdict: Verdict) -> NotebookNode:
    """What nbgrader reads: a printed line is full marks, an error is none."""
    if verdict.passed:
        return new_output("stream", name="stdout", text=verdict.message + "\n")
    return error_output("CheckFailed", verdict.message)


def sheet_outputs(verdict: Verdict) -> list[NotebookNode]:
    """What nbgrader reads as a part of the points: a result that is a number. The lines stand above it."""
    return [
        new_output("stream", name="stdout", text=verdict.message + "\n"),
        new_output("execute_result", data={"text/plain": f"{verdict.points:g}"}, execution_count=1),
    ]


def _as_stdout(output: NotebookNode) -> NotebookNode:
    """nbgrader gives no points to a graded cell with anything on stderr: a warning is not a wrong answer."""
    if output.output_type == "stream":
        output.name = "stdout"
    return output
