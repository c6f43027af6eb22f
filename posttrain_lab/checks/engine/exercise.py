"""An exercise that can be called: `exercise(function)` checks a student's function and says in one sentence what is wrong."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from posttrain_lab.checks.engine.diagnosis import Passed, explain_case, explain_law, known_outcomes
from posttrain_lab.checks.engine.manners import numpy_at_seed, unmannerly
from posttrain_lab.checks.engine.outcome import EMPTY, Outcome, problem_of
from posttrain_lab.checks.engine.submission import Submission
from posttrain_lab.checks.engine.task import Call, Case, Law, Mistake, Task
from posttrain_lab.checks.engine.time_limit import Limited

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
        with numpy_at_seed():
            verdict = self.check(Limited(self.submission(function)), seeds)
        if not verdict.passed:
            raise CheckFailed(verdict.message)
        print(verdict.message)

    def check(self, submission: Submission, seeds: Iterable[int] = VISIBLE_SEEDS + HIDDEN_SEEDS) -> Verdict:
        """Run all cases and laws for all seeds; stop at the first that fails and say why."""
        trial = _Trial(self, submission)
        for seed in seeds:
            failed = trial.cases(seed) or trial.again(seed) or trial.laws(seed)
            if failed:
                return failed
            trial.passed.append(seed)
        message = f"{self.name}: right in all {trial.calls} trials."
        return Verdict(self.name, True, message, self.points, self.points, calls=trial.calls)


class _Trial:
    """One check of one submission: how many calls were made, and which seeds are passed."""

    def __init__(self, exercise: Exercise, submission: Submission):
        self.exercise, self.submission = exercise, submission
        self.known = known_outcomes(exercise)
        self.calls = 0
        self.passed: list[int] = []

    def cases(self, seed: int) -> Verdict | None:
        """The verdict when a case of this seed fails, else None."""
        for number, (case, wanted) in enumerate(self.known.wanted(seed)):
            outcome, complaint = self._judged(case, wanted)
            if complaint:
                before = Passed(tuple(self.passed), seed, number)
                return self._failed(complaint, explain_case(self.exercise, before, outcome, self.submission))
            if found := self._unmannerly(wanted.notes, outcome):  # the value is right, so no known mistake explains it
                return self._failed(f"{case.shown(self.exercise.name)}: {found}", None)
        return None

    def again(self, seed: int) -> Verdict | None:
        """The first call of this seed once more, after all the others: a function must not remember."""
        for case, wanted in self.known.wanted(seed)[:1]:
            _, complaint = self._judged(case, wanted)
            if complaint:
                return self._failed(f"Called again with the same arguments, after other calls: {complaint}", None)
        return None

    def laws(self, seed: int) -> Verdict | None:
        """The verdict when a law fails, else None."""
        for law in self.exercise.laws:
            self.calls += 1
            complaint, trace = law.follow(self.submission, seed)
            if complaint:
                before = Passed(tuple(self.passed), seed, len(self.known.wanted(seed)))
                return self._failed(complaint, explain_law(self.exercise, law, before, trace, self.submission))
            for outcome in trace:
                if found := self._unmannerly(self.known.notes(law, seed), outcome):
                    return self._failed(f"{self.exercise.name}, {law.name}: {found}", None)
        return None

    def _judged(self, case: Case, wanted: Outcome) -> tuple[Outcome, str | None]:
        self.calls += 1
        outcome = case.run(self.submission)
        if problem := problem_of(outcome):
            return outcome, f"{case.shown(self.exercise.name)}: {problem}" if not outcome.unsolved else problem
        try:
            complaint = self.exercise.judge(wanted, outcome)
        except Exception as error:  # a value of a type that cannot be compared
            complaint = f"your function returned a value of another type than expected ({type(error).__name__}: {error})."
        return outcome, complaint and f"{case.shown(self.exercise.name)}: {complaint}"

    def _unmannerly(self, wanted: Iterable[str], outcome: Outcome) -> str | None:
        return unmannerly(self.exercise.free, self.exercise.strict, wanted, outcome.notes)

    def _failed(self, complaint: str, mistake: Mistake | None) -> Verdict:
        name = self.exercise.name
        message = f"{name}: {mistake.message}\n({complaint})" if mistake else complaint
        return Verdict(name, False, message, 0, self.exercise.points, mistake.name if mistake else "", self.calls)
