"""Judge the attempts of one student that may count, and take the one with the most points."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc

from posttrain_lab.grading.attempts import counted, time_in
from posttrain_lab.grading.course import CHECK_PREFIX
from posttrain_lab.grading.lateness import penalty
from posttrain_lab.grading.settings import Settings

EARLIER = "an earlier attempt counts: it has more points than the last"


def judged_attempt(judge: Callable[[Path], dict[str, Any]], worth: "Worth", root: Path, student: str) -> dict[str, Any]:
    """The examiner's answer for the attempt that counts, with `time`, when it was handed in.

    The last attempt counts unless grading.toml says `keep = "best"` and an earlier one has more points, less what being late costs.
    """
    answers = []
    for folder in counted(root, student, worth.unit, worth.settings.keep):
        answers.append({**judge(folder), "time": time_in(folder)})
    best = max(answers, key=worth)  # of equals the first, which is the last attempt
    if best is not answers[0]:
        best["remarks"] = [*(best.get("remarks") or []), EARLIER]
    return best


class Worth:
    """How many points is an answer worth? None at all for one without a notebook."""

    def __init__(self, unit: str, settings: Settings, known: dict[str, Any], student: str):
        self.unit, self.settings = unit, settings
        self._points = {name: float(cell.metadata.nbgrader.get("points") or 0) for name, cell in known.items()}
        self._due = settings.unit(unit).due
        if self._due and (extra := settings.extra_time.get(student)):
            self._due += extra

    def __call__(self, answer: dict[str, Any]) -> float:
        if "notebook" not in answer:
            return -1.0
        right = [verdict for verdict in answer.get("verdicts") or [] if verdict["passed"]]
        score = sum(self._points.get(CHECK_PREFIX + verdict["exercise"], 0.0) for verdict in right)
        late = (parse_utc(answer["time"]) - self._due).total_seconds() if answer["time"] and self._due else 0.0
        return score - penalty(self.settings, score, late)
