"""What an instructor decides about a class, in one file of the course: grading.toml. Without it nobody is late, and the last attempt counts.

keep = "last"                         # which attempt counts: "last", or "best" (the most points, less what lateness costs)

[late]
late_days = 3                         # days late that cost nothing, for each student, over all units
lost_per_day = 0.1                    # the part of the points that each further day costs, begun days counted

[extra_time]
ann = { days = 2, hours = 12 }        # for all units

[units.02_quantization]
due = 2026-12-01T23:59:00+01:00
canvas = "02 Quantization (5512)"     # what the unit is called on a platform, where exports need it
points = { round_half_even = 2 }      # instead of the points that the exercise comes with
"""

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from posttrain_lab.grading.course import CourseError

FILE = "grading.toml"
KEPT = ("last", "best")
PLATFORMS = ("canvas", "moodle", "gradescope")
TIMES = ("minutes", "hours", "days", "weeks")


@dataclass(frozen=True)
class UnitSettings:
    """For one unit: when it is due (UTC, None for never), other points by exercise, and what platforms call it."""

    due: datetime | None = None
    points: dict[str, float] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The whole file."""

    keep: str = "last"
    late_days: int = 0
    lost_per_day: float = 0.0
    extra_time: dict[str, timedelta] = field(default_factory=dict)
    units: dict[str, UnitSettings] = field(default_factory=dict)

    def unit(self, name: str) -> UnitSettings:
        """The settings of a unit; the usual ones for a unit that the file does not name."""
        return self.units.get(name, UnitSettings())


def read_settings(root: Path) -> Settings:
    """The settings of the course in `root`. Raises CourseError for what cannot be meant, with the place in the file."""
    path = root / FILE
    if not path.is_file():
        return Settings()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CourseError(f"{FILE} cannot be read: {error}.") from None
    _require_keys("", data, ("keep", "late", "extra_time", "units"))
    late = _table("late", data)
    _require_keys("late", late, ("late_days", "lost_per_day"))
    _require(data.get("keep", "last") in KEPT, "keep", f"one of {', '.join(KEPT)}")
    return Settings(
        data.get("keep", "last"),
        int(_number("late.late_days", late.get("late_days", 0), 366)),
        _number("late.lost_per_day", late.get("lost_per_day", 0.0), 1),
        {student: _time(f"extra_time.{student}", given) for student, given in _table("extra_time", data).items()},
        {name: _unit(f"units.{name}", given) for name, given in _table("units", data).items()},
    )


def _unit(where: str, given: Any) -> UnitSettings:
    _require(isinstance(given, dict), where, "a table")
    _require_keys(where, given, ("due", "points", *PLATFORMS))
    due = given.get("due")
    _require(due is None or isinstance(due, datetime), f"{where}.due", "a time like 2026-12-01T23:59:00+01:00")
    points = {name: _number(f"{where}.points.{name}", value, 1000) for name, value in _table("points", given, where).items()}
    titles = {name: str(given[name]) for name in PLATFORMS if name in given}
    return UnitSettings(due.astimezone(UTC).replace(tzinfo=None) if due else None, points, titles)


def _time(where: str, given: Any) -> timedelta:
    _require(isinstance(given, dict), where, "a table like { days = 2 }")
    _require_keys(where, given, TIMES)
    return timedelta(**{unit: _number(f"{where}.{unit}", value, 10_000) for unit, value in given.items()})


def _table(name: str, data: dict[str, Any], where: str = "") -> dict[str, Any]:
    found = data.get(name, {})
    _require(isinstance(found, dict), f"{where}.{name}".strip("."), "a table")
    return found


def _number(where: str, value: Any, most: float) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    _require(fits, where, f"a number from 0 to {most}")
    return float(value)


def _require(fits: bool, where: str, wanted: str) -> None:
    if not fits:
        raise CourseError(f"In {FILE}, {where} must be {wanted}.")


def _require_keys(where: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := [name for name in given if name not in known]:
        place = f"{where}." if where else ""
        raise CourseError(f"{FILE} has {place}{unknown[0]}, which is unknown; there are: {', '.join(known)}.")
