"""What the last proof of each exercise found, kept in records/UNIT.json, with hashes of all that it rests on.

A proof is out of date when one of three texts has changed: the engine's, the exercise's (its own files, those that its unit shares,
and the notebook's solution), or the items' (saboteurs, mutants, equivalents). Then the exercise is proven again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import posttrain_lab
from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.grading.course import find_course, graded_cells, read_notebook
from posttrain_lab.proof.equivalents import equivalents
from posttrain_lab.whole_files import write_whole

PACKAGE = Path(posttrain_lab.__file__).parent
RECORDS = Path(__file__).parent / "records"
ITEMS = "saboteurs regions coarse_inputs output_forms side_effects library_use all_saboteurs values mutants trials"


@dataclass(frozen=True)
class Basis:
    """Hashes of what a proof rests on."""

    engine: str
    exercise: str
    items: str


@dataclass(frozen=True)
class Record:
    """One exercise's last proof.

    calls: of a full check of the right answer. killed, legal, idle: saboteurs that fail, that the page allows, and that found nothing to
    act on. mutants: how many there are, how many were tried, how many of these are equivalent to the right answer; all others fail.
    """

    basis: Basis
    calls: int
    killed: int
    legal: tuple[str, ...]
    idle: tuple[str, ...]
    mutants: int
    tried: int
    equivalent: int


def basis(exercise: Exercise, solution: str) -> Basis:
    """The hashes of today's texts. `solution` is the notebook's cell."""
    own = PACKAGE / "checks" / checks.UNITS[exercise.unit]
    names = sorted(checks.exercises(exercise.unit))
    others = tuple(f"{name}{end}" for name in names if name != exercise.name for end in (".py", "_oracle.py", "_mistakes.py"))
    shared = [path for path in sorted(own.glob("*.py")) if path.name not in others]
    items = tuple(Path(__file__).parent / f"{name}.py" for name in ITEMS.split())
    known = json.dumps(equivalents(exercise.unit, exercise.name), sort_keys=True)
    return Basis(
        _of_files(tuple(sorted((PACKAGE / "checks" / "engine").glob("*.py")))),
        _hash([*_texts(shared), solution]),
        _hash([_of_files(items), known]),
    )


def kept(unit: str) -> dict[str, Record]:
    """The records of a unit, by exercise; none, where there is no file."""
    path = RECORDS / f"{unit}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: _record(entry) for name, entry in found.items()}


def keep(unit: str, records: dict[str, Record]) -> None:
    """Write the records of a unit, in the order of its exercises; exercises that are gone are left out."""
    there = {name: asdict(records[name]) for name in checks.exercises(unit) if name in records}
    RECORDS.mkdir(exist_ok=True)
    write_whole(RECORDS / f"{unit}.json", json.dumps(there, indent=1) + "\n")


def solved(unit: str) -> Iterator[tuple[Exercise, str]]:
    """Each exercise of a unit with the notebook's solution cell."""
    cells = {cell.grade_id: cell.source for cell in graded_cells(read_notebook(find_course().source(unit))) if cell.solution}
    return ((exercise, cells[name]) for name, exercise in checks.exercises(unit).items())


def is_stale(exercise: Exercise, solution: str) -> bool:
    """Has something changed since the last proof of this exercise?"""
    record = kept(exercise.unit).get(exercise.name)
    return record is None or record.basis != basis(exercise, solution)


def _record(entry: dict) -> Record:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    return Record(**{**entry, **lists, "basis": Basis(**entry["basis"])})


@cache
def _of_files(paths: tuple[Path, ...]) -> str:
    return _hash(_texts(paths))


def _texts(paths: Iterable[Path]) -> list[str]:
    return [f"{path.name}\n{path.read_text(encoding='utf-8')}" for path in paths if path.exists()]


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
