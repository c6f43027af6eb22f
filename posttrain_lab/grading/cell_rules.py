"""Rules for the graded cells of a unit: one solution, one standard check and the right points for each exercise."""

import ast
from collections.abc import Iterable, Mapping

from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.checks.engine.stubs import unwritten
from posttrain_lab.grading.clinic_sheet import SHEET_CELLS
from posttrain_lab.grading.course import CHECK_PREFIX, GradedCell, standard_check
from posttrain_lab.grading.edge_milestones import PROJECT_CELLS

MISTAKES, ALTERNATIVES = 4, 1


def unit_complaints(exercises: Mapping[str, Exercise], cells: list[GradedCell], keys: Iterable[str]) -> list[str]:
    """Complaints about the unit as a whole: cells or entries that belong to no exercise, another order."""
    beside = SHEET_CELLS | PROJECT_CELLS
    known = {*exercises, *(CHECK_PREFIX + name for name in exercises), *beside}
    found = [f"the graded cell {c.grade_id!r} belongs to no exercise" for c in cells if c.grade_id not in known]
    found += [
        f"alternatives.py or unnamed_mistakes.py has an entry {key!r}, which is not an exercise"
        for key in sorted(set(keys) - set(exercises))
    ]
    order = [c.grade_id.removeprefix(CHECK_PREFIX) for c in cells if c.check and c.grade_id in known - beside]
    if not exercises:
        found.append("the unit has no exercises")
    if sorted(order) == sorted(exercises) and order != list(exercises):
        found.append("the check cells are in another order than the exercises")
    return found


def cell_complaints(exercise: Exercise, module: str, cells: list[GradedCell], alternatives: int) -> list[str]:
    """Complaints about the cells of one exercise, and about what is missing until it is finished."""
    solutions = [c for c in cells if c.grade_id == exercise.name and c.solution]
    checks = [c for c in cells if c.grade_id == CHECK_PREFIX + exercise.name and c.check]
    found = _unwritten(exercise, module) or _unfinished(exercise)
    if alternatives < ALTERNATIVES:
        found.append("not finished: no alternative right answer in alternatives.py")
    for what, some in (("solution", solutions), ("check", checks)):
        if len(some) != 1:
            found.append(f"there are {len(some)} {what} cells, there should be 1")
    found += [text for cell in solutions[:1] for text in _solution_complaints(exercise, cell)]
    found += [text for cell in checks[:1] for text in _check_complaints(exercise, module, cell)]
    if solutions and checks and checks[0] != next((c for c in cells if c.place > solutions[0].place), None):
        found.append("the check cell does not follow its solution cell")
    return found


def _unwritten(exercise: Exercise, module: str) -> list[str]:
    file = f"posttrain_lab/checks/{module}/{exercise.name}.py"
    return [
        f"not written yet: {part} of `{exercise.name}`; write {what} in {file} and take the mark `not_written` away"
        for part, what in unwritten(exercise)
    ]


def _unfinished(exercise: Exercise) -> list[str]:
    found = []
    if len(exercise.mistakes) < MISTAKES:
        found.append(f"not finished: {len(exercise.mistakes)} known mistakes, at least {MISTAKES} are needed")
    for what in ("name", "message"):
        values = [getattr(mistake, what) for mistake in exercise.mistakes]
        if len(set(values)) < len(values):
            found.append(f"two known mistakes have the same {what}")
    if not all(mistake.message.strip() for mistake in exercise.mistakes):
        found.append("a known mistake has no sentence")
    return found


def _solution_complaints(exercise: Exercise, cell: GradedCell) -> list[str]:
    found = []
    if "### BEGIN SOLUTION" not in cell.source or "### END SOLUTION" not in cell.source:
        found.append("the solution cell has no ### BEGIN SOLUTION and ### END SOLUTION")
    if "raise NotImplementedError" in cell.source:
        found.append(f"not written yet: the solution of `{exercise.name}`; write it in the notebook, below ### BEGIN SOLUTION")
    if cell.check:
        found.append("the solution cell is graded itself; the check has a cell of its own")
    try:
        nodes = ast.parse(cell.source).body
    except SyntaxError:
        return [*found, "the solution cell is not plain Python"]
    if exercise.function_name not in {getattr(node, "name", None) for node in nodes}:
        found.append(f"the solution cell does not define {exercise.function_name}")
    return found


def _check_complaints(exercise: Exercise, module: str, cell: GradedCell) -> list[str]:
    found = []
    if cell.source.strip() != standard_check(module, exercise.name, exercise.function_name):
        found.append("the check cell is not the standard one")
    if cell.points != exercise.points:
        found.append(f"the check cell gives {cell.points:g} points, the exercise {exercise.points}")
    if not cell.locked:
        found.append("the check cell is not locked")
    return found
