"""An exercise that can be called: `exercise(function)` checks a student's function and says in one sentence what is wrong."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from posttrain_lab.checks.engine.diagnosis import explain_case, explain_law, known_outcomes
from posttrain_lab.checks.engine.outcome import EMPTY, Outcome, problem_of
from posttrain_lab.checks.engine.submission import Submission
from posttrain_lab.checks.engine.task import Call, Case, Law, Mistake, Task

__all__ = ["EMPTY", "HIDDEN_SEEDS", "VISIBLE_SEEDS", "Call", "Case", "CheckFailed", "Exercise", "Law", "Mistake", "Verdict"]

VISIBLE_SEEDS = (0, 1)
HIDDEN_SEEDS = (101, 102, 103, 104)


@dataclass(frozen=True)
class Verdict:
    """The result of a check: passed or not, one message, and the number of calls that were made."""

    exercise: str
    passed: bool
    message: str
    points: int
    max_points: int
    mistake: str = ""
    calls: int = 0


class CheckFailed(AssertionError):
    """Raised below an exercise; shown in a notebook as its sentence only, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


class Exercise(Task):
    """One graded task of a unit. Call it with the student's function; `check` gives the same verdict without raising."""

    def __call__(self, function: Any, hidden: bool = False) -> None:
        """Check the student's function: print one line when it is right, raise CheckFailed with one sentence when it is not."""
        seeds = HIDDEN_SEEDS if hidden else VISIBLE_SEEDS
        verdict = self.check(self.submission(function), seeds)
        if not verdict.passed:
            raise CheckFailed(verdict.message)
        print(verdict.message)

    def check(self, submission: Submission, seeds: Iterable[int] = VISIBLE_SEEDS + HIDDEN_SEEDS) -> Verdict:
        """Run all cases and laws for all seeds; stop at the first that fails and say why."""
        calls = 0
        for seed in seeds:
            for number, (case, wanted) in enumerate(known_outcomes(self).wanted(seed)):
                calls += 1
                outcome, complaint = self._judged(case, wanted, submission)
                if complaint:
                    return self._failed(complaint, explain_case(self, seed, number, outcome, submission), calls)
            for law in self.laws:
                calls += 1
                complaint, trace = law.follow(submission, seed)
                if complaint:
                    return self._failed(complaint, explain_law(self, law, seed, trace, submission), calls)
        message = f"{self.name}: right in all {calls} trials."
        return Verdict(self.name, True, message, self.points, self.points, calls=calls)

    def _judged(self, case: Case, wanted: Outcome, submission: Submission) -> tuple[Outcome, str | None]:
        outcome = case.run(submission)
        if problem := problem_of(outcome):
            return outcome, f"{case.shown(self.name)}: {problem}" if not outcome.unsolved else problem
        try:
            complaint = self.judge(wanted, outcome)
        except Exception as error:  # a value of a type that cannot be compared
            complaint = f"your function returned a value of another type than expected ({type(error).__name__}: {error})."
        return outcome, complaint and f"{case.shown(self.name)}: {complaint}"

    def _failed(self, complaint: str, mistake: Mistake | None, calls: int) -> Verdict:
        message = f"{self.name}: {mistake.message}\n({complaint})" if mistake else complaint
        return Verdict(self.name, False, message, 0, self.points, mistake.name if mistake else "", calls)
