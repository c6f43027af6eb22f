"""The last verdicts of a learner, saved in their own folder: .posttrain_lab/progress.json, which they can read and delete."""

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.whole_files import write_whole

FILE = Path(".posttrain_lab") / "progress.json"
VERSION = 1


class ProgressError(OSError):
    """The progress could not be read or saved; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class UnitProgress:
    """The result of the last check of a unit, and its time (ISO 8601, UTC)."""

    when: str
    verdicts: tuple[Verdict, ...]

    @property
    def points(self) -> int:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def solved(self) -> int:
        return sum(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True)
class UnitSummary:
    """One row of `posttrain-lab progress`; `when` is empty for a unit that was never checked."""

    unit: str
    points: int
    max_points: int
    solved: int
    exercises: int
    when: str = ""

    @property
    def done(self) -> bool:
        return self.solved == self.exercises > 0


def save(folder: Path, unit: str, verdicts: Iterable[Verdict], when: datetime | None = None) -> Path:
    """Save a unit's verdicts in the learner's work folder, the whole file or not at all; the file's path.

    A damaged file is renamed with a warning, not overwritten. Raises ProgressError when the folder cannot be written.
    """
    path = Path(folder) / FILE
    moment = (when or datetime.now(UTC)).astimezone(UTC)
    try:
        units = _read(path, put_aside=True)
        units[unit] = UnitProgress(moment.isoformat(timespec="seconds"), tuple(verdicts))
        text = json.dumps(
            {"version": VERSION, "units": {name: asdict(u) for name, u in units.items()}}, indent=1, ensure_ascii=False
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text + "\n")
    except OSError as error:
        reason = error.strerror or error
        raise ProgressError(f"Your progress cannot be kept in {path.parent} ({reason}); make this folder writable.") from error
    return path


def load(folder: Path) -> dict[str, UnitProgress]:
    """The last verdicts of every unit that was checked in this folder; empty, with a warning, for a damaged file.

    Raises ProgressError when the file exists and cannot be opened.
    """
    path = Path(folder) / FILE
    try:
        return _read(path, put_aside=False)
    except OSError as error:
        raise ProgressError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from error


def summary(folder: Path) -> list[UnitSummary]:
    """A row for each unit of the course, checked or not, in order. Raises ProgressError as `load` does.

    What was checked with an earlier release counts by the names of the exercises, for a unit of another name too.
    """
    kept = load(folder)
    renamed = [one for unit, one in kept.items() if unit not in checks.UNITS]
    return [_row(unit, [kept[unit]] if unit in kept else renamed) for unit in checks.UNITS]


def _row(unit: str, kept: list[UnitProgress]) -> UnitSummary:
    exercises = checks.exercises(unit)
    found = {v.exercise: (v, one.when) for one in kept for v in one.verdicts if v.exercise in exercises}
    points = [exercises[name].points if v.passed else min(v.points, exercises[name].points) for name, (v, _) in found.items()]
    solved = sum(verdict.passed for verdict, _ in found.values())
    maximum = sum(exercise.points for exercise in exercises.values())
    return UnitSummary(unit, sum(points), maximum, solved, len(exercises), max((when for _, when in found.values()), default=""))


def _read(path: Path, put_aside: bool) -> dict[str, UnitProgress]:
    if not path.exists():
        return {}
    raw = path.read_bytes()
    try:
        data = json.loads(raw.decode("utf-8"))
        return {str(unit): _unit(kept) for unit, kept in data["units"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        remedy = "delete it, or check the unit again"
        if put_aside:
            aside = _free_name(path)
            os.replace(path, aside)
            remedy = f"it was put aside as {aside.name}"
        warnings.warn(f"{path} is damaged; {remedy}.", stacklevel=3)
        return {}


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"progress.damaged{number or ''}.json") for number in range(10_000))
    return next(name for name in names if not name.exists())


def _unit(kept: dict[str, Any]) -> UnitProgress:
    verdicts = tuple(_verdict(data) for data in kept["verdicts"])
    return UnitProgress(datetime.fromisoformat(kept["when"]).isoformat(timespec="seconds"), verdicts)


def _verdict(data: dict[str, Any]) -> Verdict:
    numbers = {name: int(data[name]) for name in ("points", "max_points", "calls")}
    return Verdict(str(data["exercise"]), data["passed"] is True, str(data["message"]), mistake=str(data["mistake"]), **numbers)
