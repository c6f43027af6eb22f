"""Can the grader tell right from wrong? Prove it for a unit, through the notebook's own graded cells.

For every exercise: the notebook's solution gets full marks; the released blank gets none; each known mistake loses the
points of its own exercise, by its own sentence; each further wrong answer loses them too; each alternative right answer
gets full marks; no variant costs the points of another exercise; and a check that is run twice gives the same result
twice and changes nothing.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from posttrain_lab.checks.engine.exercise import EMPTY, Exercise
from posttrain_lab.checks.engine.stand_ins import stand_in
from posttrain_lab.checks.engine.stubs import unwritten
from posttrain_lab.grading.cell_rules import cell_complaints, unit_complaints
from posttrain_lab.grading.course import (
    CHECK_PREFIX,
    Course,
    CourseError,
    GradedCell,
    find_course,
    graded_cells,
    read_notebook,
    setup_sources,
)
from posttrain_lab.grading.notebook_runner import NotebookRunner, Ran, machine_restored

RAISED = "your function raised"
IN_NOTEBOOK = "def {name}(*args, **kwargs):\n    return _variant(*args, **kwargs)"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """One step of the proof: `kind` is unit, cells, reference, blank, mistake, wrong, alternative or again.

    `complaint` is empty when the result is as expected; `message` is what a student would read; `neighbours` are the
    other exercises whose check cells were run too, because they read this exercise's function.
    """

    exercise: str
    kind: str
    variant: str = ""
    complaint: str = ""
    message: str = ""
    points: float = 0
    max_points: float = 0
    neighbours: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.complaint


@dataclass(frozen=True)
class Proof:
    """All rows of a unit's proof."""

    unit: str
    rows: tuple[Row, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.passed)


@dataclass(frozen=True)
class Variant:
    """A function to use under the exercise's name, or the blank cell's `source`; the `sentence` that the check should give."""

    kind: str
    name: str
    function: Any = None
    source: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class _Unit:
    """The data for the proof of one unit."""

    exercises: Mapping[str, Exercise]
    checks: Mapping[str, GradedCell]
    blanks: Mapping[str, str]
    alternatives: Mapping[str, Sequence[Any]]
    wrong: Mapping[str, Sequence[Any]]
    bench: NotebookRunner
    everywhere: bool
    readers: dict[str, tuple[str, ...]] = field(default_factory=dict)


def prove(unit: str, course: Course | None = None, progress: Progress | None = None, everywhere: bool = False) -> Proof:
    """Does every check of a unit tell right from wrong? `everywhere` runs all check cells for each variant (slow).

    Without it, the check cells of other exercises are run only if they read the function that was replaced.
    Raises CourseError for an unknown unit or files that cannot be read; everything else is a row.
    """
    start = time.perf_counter()
    with machine_restored():
        rows = tuple(_prove(unit, course or find_course(), progress or (lambda *_: None), everywhere))
    return Proof(unit, rows, time.perf_counter() - start)


def _prove(unit: str, course: Course, progress: Progress, everywhere: bool) -> Iterator[Row]:
    from posttrain_lab import checks
    from posttrain_lab.grading.release import student_notebook

    notebook = read_notebook(course.source(unit))
    if unit not in checks.UNITS:
        raise CourseError(f"The unit {unit!r} has no checks; list it in posttrain_lab/units.py.")
    exercises, cells = checks.exercises(unit), graded_cells(notebook)
    alternatives = _answers(course, unit, "alternatives.py", "ALTERNATIVES")
    wrong = _answers(course, unit, "unnamed_mistakes.py", "WRONG")
    yield from _complaints("", "unit", unit_complaints(exercises, cells, (*alternatives, *wrong)))
    bench = NotebookRunner()
    broken = {name: "".join(found) for name, found in _start(bench, setup_sources(notebook), cells, exercises).items()}
    if "" in broken:
        yield Row("", "unit", complaint=broken[""])
        return
    for exercise in exercises.values():
        found = cell_complaints(exercise, checks.UNITS[unit], cells, len(alternatives.get(exercise.name, ())))
        found += [broken[exercise.name]] if exercise.name in broken else []
        yield from _complaints(exercise.name, "cells", found)
    graded = {c.grade_id.removeprefix(CHECK_PREFIX): c for c in reversed(cells) if c.check}
    able = {name: e for name, e in exercises.items() if name in graded and name not in broken and not unwritten(e)}
    blanks = {cell.grade_id: cell.source for cell in graded_cells(student_notebook(course, unit)) if cell.solution}
    yield from _tried(_Unit(able, graded, blanks, alternatives, wrong, bench, everywhere), progress)


def _complaints(exercise: str, kind: str, found: list[str]) -> Iterator[Row]:
    """One row without complaint, or one for each complaint."""
    yield from (Row(exercise, kind, complaint=text) for text in found or [""])


def _start(
    bench: NotebookRunner, setup: list[str], cells: list[GradedCell], exercises: Mapping[str, Exercise]
) -> dict[str, list[str]]:
    """Run setup and solution cells; complaints by exercise; those that end the proof have the key ''."""
    if not setup:
        return {"": ["no cell is tagged `setup`; tag the one with the imports"]}
    for source in setup:
        if not (ran := bench.run(source, "<setup>")).ok:
            return {"": [f"the setup cell ends with {ran.message}"]}
    broken: dict[str, list[str]] = {}
    for cell in cells:
        if cell.solution and not (ran := bench.run(cell.source, f"<{cell.grade_id}>")).ok:
            broken.setdefault(cell.grade_id, []).append(f"the solution cell ends with {ran.message}")
    for exercise in exercises.values():
        if exercise.function_name not in bench.names and exercise.name not in broken:
            broken[exercise.name] = [f"the notebook defines no {exercise.function_name}"]
    return broken


def _answers(course: Course, unit: str, file: str, name: str) -> dict[str, Sequence[Any]]:
    """The answers `name` in a file beside the unit's notebook, by exercise: right ones of another shape, or wrong ones."""
    path = course.source(unit).with_name(file)
    place, module_name = f"{path.parent.name}/{file}", f"{path.stem}_of_{unit}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise CourseError(f"{place} is missing; write it with {name}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:
        raise CourseError(f"{place} cannot be used ({type(error).__name__}: {error}); correct it.") from error
    finally:
        del sys.modules[module_name]


def _tried(unit: _Unit, progress: Progress) -> Iterator[Row]:
    """Every reference first (this shows which checks read which functions), then all variants, then every reference again."""
    variants = [(e, variant) for e in unit.exercises.values() for variant in _variants(unit, e)]
    total, done, first = 2 * len(unit.exercises) + len(variants), 0, {}
    for exercise in unit.exercises.values():
        progress(done, total, exercise.name)
        first[exercise.name], row = _reference(unit, exercise)
        yield row
        done += 1
    unit.readers.update(_readers(unit, first))
    for exercise, variant in variants:
        progress(done, total, f"{exercise.name}: {variant.kind} {variant.name}".rstrip())
        yield _try(unit, exercise, variant)
        done += 1
    for exercise in unit.exercises.values():
        progress(done, total, exercise.name)
        again = _check(unit, exercise.name)
        complaint = "" if _same(again, first[exercise.name]) else f"at the end the check says: {again.message}"
        yield Row(exercise.name, "again", complaint=complaint, message=again.message, seconds=again.seconds)
        done += 1
    progress(total, total, "done")


def _variants(unit: _Unit, exercise: Exercise) -> Iterator[Variant]:
    yield Variant("blank", "", source=unit.blanks.get(exercise.name, ""))
    for mistake in exercise.mistakes:
        yield Variant("mistake", mistake.name, stand_in(mistake.function), sentence=f"{exercise.name}: {mistake.message}\n")
    for kind, functions in (("wrong", unit.wrong), ("alternative", unit.alternatives)):
        for number, function in enumerate(functions.get(exercise.name, ()), start=1):
            yield Variant(kind, getattr(function, "__name__", "").strip("<>") or str(number), function)


def _check(unit: _Unit, name: str) -> Ran:
    return unit.bench.run(unit.checks[name].source, f"<{CHECK_PREFIX}{name}>")


def _same(first: Ran, second: Ran) -> bool:
    return (first.ok, first.message) == (second.ok, second.message)


def _reference(unit: _Unit, exercise: Exercise) -> tuple[Ran, Row]:
    ran, again = _check(unit, exercise.name), _check(unit, exercise.name)
    complaint = ""
    if not ran.ok:
        complaint = "the notebook's own solution loses its points"
    elif not _same(ran, again):
        complaint = f"run twice, the check gives two results; the second: {again.message}"
    elif stderr := ran.stderr or again.stderr:
        complaint = f"the check writes to stderr: {stderr}"
    elif changed := ran.changed or again.changed:
        complaint = f"the check changes {', '.join(changed)}"
    points = unit.checks[exercise.name].points
    earned = points if ran.ok else 0
    return ran, Row(exercise.name, "reference", "", complaint, ran.message, earned, points, (), ran.seconds)


def _readers(unit: _Unit, first: Mapping[str, Ran]) -> dict[str, tuple[str, ...]]:
    """For each exercise the others whose check cells read its function."""
    return {
        exercise.name: tuple(
            other
            for other, ran in first.items()
            if other != exercise.name and (unit.everywhere or exercise.function_name in ran.read)
        )
        for exercise in unit.exercises.values()
    }


def _try(unit: _Unit, exercise: Exercise, variant: Variant) -> Row:
    """Define the variant under the exercise's name, run its check cell twice, then those of the neighbours."""
    start, points = time.perf_counter(), unit.checks[exercise.name].points
    with unit.bench.restored():
        if variant.function is None:
            unit.bench.names.pop(exercise.function_name)
            written = unit.bench.run(variant.source, f"<{exercise.name}>")
            if not written.ok:
                return Row(exercise.name, variant.kind, complaint=f"the released cell ends with {written.message}")
        else:
            unit.bench.names[exercise.function_name] = variant.function
        ran, again = _check(unit, exercise.name), _check(unit, exercise.name)
        neighbours = unit.readers[exercise.name]
        hurt = [name for name in neighbours if not _check(unit, name).ok]
        complaint = _complaint(variant, ran) or _complaint_in_notebook(unit, exercise, variant, ran)
    if not complaint and not _same(ran, again):
        complaint = f"run twice, the check gives two results; the second: {again.message}"
    if not complaint and hurt:
        complaint = f"it costs the points of another exercise too: {', '.join(hurt)}"
    row = Row(exercise.name, variant.kind, variant.name, complaint, ran.message, points if ran.ok else 0, points)
    return replace(row, neighbours=neighbours, seconds=time.perf_counter() - start)


def _complaint(variant: Variant, ran: Ran) -> str:
    """What is wrong with the check's answer to this variant."""
    if variant.kind == "alternative":
        return "" if ran.ok else "a right answer loses its points"
    if ran.ok:
        return "the check lets it through"
    if variant.kind == "blank":
        return "" if ran.message == EMPTY else "the message does not say that the cell is still empty"
    if ran.message == EMPTY:
        return "the message says that the cell is empty; it is not"
    return "" if ran.message.startswith(variant.sentence) else "the message does not name the mistake"


def _complaint_in_notebook(unit: _Unit, exercise: Exercise, variant: Variant, ran: Ran) -> str:
    """A mistake that raises an error must also be named when the line that raises is in a student's cell."""
    if variant.kind != "mistake" or RAISED not in ran.message:
        return ""
    unit.bench.names["_variant"] = variant.function
    unit.bench.run(IN_NOTEBOOK.format(name=exercise.function_name), f"<{exercise.name}>")
    found = _complaint(variant, _check(unit, exercise.name))
    return found and f"raised in a cell of the notebook: {found}"
