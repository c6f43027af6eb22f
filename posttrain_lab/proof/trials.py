"""Try saboteurs, mutants and written answers on the checks of a unit, each in a child process."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from posttrain_lab import checks
from posttrain_lab.checks.engine.adapters import is_watcher
from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.grading.course import Course, CourseError, find_course, graded_cells, read_notebook, setup_sources
from posttrain_lab.grading.notebook_runner import NotebookRunner
from posttrain_lab.proof.forked import NoAnswer, forked
from posttrain_lab.proof.library_use import library_use
from posttrain_lab.proof.mutants import Mutant, chosen, mutants
from posttrain_lab.proof.saboteurs import Saboteur, Seen, honest

LIMIT = 60.0  # seconds of processor time for a written answer; others may take ten times as long as the right one


@dataclass(frozen=True)
class Judged:
    """The check's verdict on one answer: did it pass, with which message; `acted` counts the calls that a saboteur changed."""

    exercise: str
    name: str
    passed: bool
    message: str
    acted: int = 1


class Bench:
    """A unit's notebook, its setup and solution cells run, ready to try answers."""

    def __init__(self, unit: str, course: Course | None = None):
        self.unit, self.exercises = unit, checks.exercises(unit)
        notebook = read_notebook((course or find_course()).source(unit))
        self.solutions = {cell.grade_id: cell.source for cell in graded_cells(notebook) if cell.solution}
        self.runner, self._prepared = NotebookRunner(), dict[str, tuple[int, float]]()
        cells = [("<setup>", source) for source in setup_sources(notebook)]
        for label, source in (*cells, *((f"<solved {name}>", source) for name, source in self.solutions.items())):
            if not (ran := self.runner.run(source, label)).ok:  # a label each: Triton reads the texts of its kernels again
                raise CourseError(f"A solved cell of {unit} ends with {ran.message}; run `posttrain-lab prove {unit}` first.")

    def prepared(self, exercise: Exercise) -> tuple[int, float]:
        """Check the right answer once in this process, so that every child finds what the oracle gives: its calls, its seconds."""
        if exercise.name not in self._prepared:
            before = time.process_time()
            verdict = exercise.check(exercise.submission(self.runner.names[exercise.function_name]))
            if not verdict.passed:
                raise CourseError(f"{exercise.name}: the right answer does not pass: {verdict.message}")
            self._prepared[exercise.name] = verdict.calls, time.process_time() - before
        return self._prepared[exercise.name]

    def limit(self, exercise: Exercise) -> float:
        """Seconds of processor time for a changed answer: enough for ten right ones, so that one which never ends is soon found."""
        return min(LIMIT, 3 + 10 * self.prepared(exercise)[1])

    def of_source(self, exercise: Exercise, name: str, source: str, limit: float = LIMIT) -> Judged:
        """The verdict on the function that a cell defines."""

        def work() -> tuple[bool, str]:
            self.runner.names.pop(exercise.function_name, None)
            ran = self.runner.run(source, f"<{exercise.name}>")
            if not ran.ok or exercise.function_name not in self.runner.names:
                return False, f"the cell itself: {ran.message}"
            verdict = exercise.check(exercise.submission(self.runner.names[exercise.function_name]))
            return verdict.passed, verdict.message

        self.prepared(exercise)
        return _judged(exercise.name, name, lambda: (*work(), 1), limit)

    def of_saboteur(self, exercise: Exercise, saboteur: Saboteur, watched: bool = True) -> Judged:
        """The verdict on the notebook's own answer behind a saboteur; without `watched`, nobody asks how the result is made."""

        def work() -> tuple[bool, str, int]:
            seen = Seen()
            own = self.runner.names[exercise.function_name]
            answer = saboteur.wrap(getattr(own, exercise.attribute) if exercise.attribute else own, seen)
            submission = exercise.submission(answer)
            if not watched:
                submission = replace(submission, through="")
            verdict = exercise.check(submission)
            return verdict.passed, verdict.message, seen.acted

        return _judged(exercise.name, saboteur.name, work, self.limit(exercise))

    def honest(self, exercise: Exercise) -> tuple[Judged, bool]:
        """The verdict on the right answer in a wrapper that does nothing, and whether it may be watched (a decorator is hidden)."""
        wrapper = Saboteur("honest", "none", honest)
        judged = self.of_saboteur(exercise, wrapper)
        if judged.passed or not is_watcher(exercise.through):
            return judged, True
        return self.of_saboteur(exercise, wrapper, watched=False), False


def _judged(exercise: str, name: str, work: Callable[[], tuple[bool, str, int]], limit: float) -> Judged:
    try:
        passed, message, acted = forked(work, limit)
    except NoAnswer as lost:
        return Judged(exercise, name, False, str(lost))
    return Judged(exercise, name, passed, message, acted)


@dataclass(frozen=True)
class Written:
    """An answer in a file: DIR/UNIT/EXERCISE/NAME.py, whose first line says `# WRONG: why` or `# RIGHT: why`."""

    exercise: str
    path: Path
    source: str

    @property
    def right(self) -> bool:
        return self.source.startswith("# RIGHT")


def written_answers(folder: Path, unit: str) -> Iterator[Written]:
    """The answers of a unit in a folder. Raises CourseError for a file whose first line says neither, or an unknown exercise."""
    for path in sorted((folder / unit).glob("*/*.py")):
        source, exercise = path.read_text(encoding="utf-8"), path.parent.name
        if not source.startswith(("# RIGHT", "# WRONG")):
            raise CourseError(f"{path} must begin with `# RIGHT: why` or `# WRONG: why`.")
        if exercise not in checks.exercises(unit):
            raise CourseError(f"{path}: {unit} has no exercise {exercise}; it has {', '.join(checks.exercises(unit))}.")
        yield Written(exercise, path, source)


def tried(bench: Bench, folder: Path) -> Iterator[tuple[Written, Judged]]:
    """Each written answer with its verdict."""
    for answer in written_answers(folder, bench.unit):
        yield answer, bench.of_source(bench.exercises[answer.exercise], answer.path.stem, answer.source)


def sabotaged(bench: Bench, exercise: Exercise, saboteurs: tuple[Saboteur, ...]) -> Iterator[Judged]:
    """The verdict on each saboteur of an exercise, and on the library's own functions in its place.

    Raises CourseError if the right answer itself does not pass in a wrapper.
    """
    first, watched = bench.honest(exercise)
    if not first.passed:
        raise CourseError(f"{exercise.name}: the right answer in a wrapper does not pass: {first.message}")
    for saboteur in (*saboteurs, *library_use(exercise)):
        yield bench.of_saboteur(exercise, saboteur, watched)


def mutated(bench: Bench, exercise: Exercise, count: int, seed: int = 0) -> Iterator[tuple[Mutant, Judged]]:
    """The verdict on mutants of the notebook's own answer: `count` of them, chosen by the seed."""
    found = mutants(bench.solutions[exercise.name])
    for mutant in chosen(found, count, seed):
        yield mutant, bench.of_source(exercise, mutant.change, mutant.source, bench.limit(exercise))
