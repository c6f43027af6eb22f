"""What being late costs: nbgrader's plugin for late submissions, with the rules of grading.toml.

A student's late days are used up in the order in which units are due, each begun day being one. They are counted when a unit is graded:
after a change in an earlier unit, grade the later ones again.
"""

import math
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.plugins import LateSubmissionPlugin

from posttrain_lab.grading.settings import Settings, read_settings

DAY = 24 * 60 * 60


class LateDays(LateSubmissionPlugin):
    """Takes a part of the score for each day late that is not covered by the student's late days."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points lost, None for none; the parent is nbgrader's AssignLatePenalties, which knows unit and gradebook."""
        settings = read_settings(Path(self.config.CourseDirectory.get("root", ".")))
        parent: Any = self.parent
        used = days_used_before(parent.gradebook, student_id, parent.assignment_id)
        return penalty(settings, score, total_seconds_late, used) or None


def penalty(settings: Settings, score: float, seconds_late: float, used: int = 0) -> float:
    """The points lost of `score`, when `used` late days have gone to earlier units.

    >>> rules = Settings(late_days=2, lost_per_day=0.1)
    >>> penalty(rules, 10, 3 * DAY), penalty(rules, 10, DAY), penalty(rules, 10, 1, used=2)
    (1.0, 0.0, 1.0)
    """
    counted = days(seconds_late) - max(0, settings.late_days - used)
    return score * min(1.0, settings.lost_per_day * max(0, counted))


def days(seconds_late: float) -> int:
    """The days late, a begun one counted."""
    return math.ceil(max(0.0, seconds_late) / DAY)


def days_used_before(gradebook: Gradebook, student_id: str, unit: str) -> int:
    """How many days late was the student in the units that were due before this one?"""
    this = gradebook.find_assignment(unit)
    submissions = gradebook.find_student(student_id).submissions
    earlier = [one for one in submissions if one.assignment.duedate and _order(one.assignment) < _order(this)]
    return sum(days(one.total_seconds_late) for one in earlier)


def _order(unit: Any) -> tuple[Any, str]:
    return unit.duedate, unit.name
