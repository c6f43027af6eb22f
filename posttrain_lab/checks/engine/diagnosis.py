"""Which known mistake explains a failure? The one that gives the same outcomes as the submission on the same calls.

What the oracle and the known mistakes give is the same every time, so it is computed once. `KnownOutcomes` stores it for each exercise;
the keys identify a call: the seed and the number of the case, and for a mistake its name.
"""

from functools import cache

from posttrain_lab.checks.engine.judges import same
from posttrain_lab.checks.engine.outcome import Outcome, problem_of
from posttrain_lab.checks.engine.submission import Submission
from posttrain_lab.checks.engine.task import Case, Law, Mistake, Task

Trace = list[Outcome]  # the outcomes of one case (a single one) or of one law


class KnownOutcomes:
    """The outcomes of the oracle and of the known mistakes of one exercise. Submissions only ever see copies of the cases."""

    def __init__(self, task: Task):
        self.task = task
        self._wanted: dict[int, list[tuple[Case, Outcome]]] = {}
        self._mistaken: dict[tuple[int, int, str], Outcome] = {}
        self._traces: dict[tuple[int, str], list[Trace]] = {}

    def wanted(self, seed: int) -> list[tuple[Case, Outcome]]:
        """The cases of a seed, each with the oracle's outcome. Raises RuntimeError when the oracle itself fails."""
        if seed not in self._wanted:
            oracle = self.task.submission(self.task.oracle, trusted=True)
            found = [(case, case.run(oracle)) for case in self.task.cases(seed)]
            for case, outcome in found:
                if problem := problem_of(outcome):
                    raise RuntimeError(f"The check of {self.task.name} is broken on {case.words}: {problem}")
            self._wanted[seed] = found
        return self._wanted[seed]

    def of_mistake(self, mistake: Mistake, seed: int, number: int) -> Outcome:
        """What a known mistake gives on case `number` of a seed."""
        key = (seed, number, mistake.name)
        if key not in self._mistaken:
            self._mistaken[key] = self.wanted(seed)[number][0].run(self._submission(mistake))
        return self._mistaken[key]

    def traces_of_mistake(self, mistake: Mistake, seed: int) -> list[Trace]:
        """What a known mistake gives on all cases and laws of a seed."""
        key = (seed, mistake.name)
        if key not in self._traces:
            self._traces[key] = self.traces(self._submission(mistake), seed)
        return self._traces[key]

    def traces(self, submission: Submission, seed: int) -> list[Trace]:
        """All outcomes of a function for one seed: one for each case, several for each law."""
        cases = [[case.run(submission)] for case, _ in self.wanted(seed)]
        return cases + [law.follow(submission, seed)[1] for law in self.task.laws]

    def broken_law(self, mistake: Mistake, law: Law, seed: int) -> tuple[str | None, Trace]:
        """The complaint of a law about a known mistake, and the outcomes of its calls."""
        return law.follow(self._submission(mistake), seed)

    def _submission(self, mistake: Mistake) -> Submission:
        return self.task.submission(mistake.function, trusted=True)


@cache
def known_outcomes(task: Task) -> KnownOutcomes:
    """The KnownOutcomes of an exercise, a single object."""
    return KnownOutcomes(task)


def explain_case(task: Task, seed: int, number: int, outcome: Outcome, submission: Submission) -> Mistake | None:
    """The known mistake with the same outcome on the failed case; if several fit, the one that agrees most often on other calls."""
    if outcome.unsolved:
        return None
    known = known_outcomes(task)
    suspects = [m for m in task.mistakes if same(known.of_mistake(m, seed, number), outcome, task.judge)]
    return _likeliest(known, suspects, seed, submission)


def explain_law(task: Task, law: Law, seed: int, trace: Trace, submission: Submission) -> Mistake | None:
    """The known mistake that breaks the same law with the same outcomes; if several fit, the one that agrees most often on other calls."""
    known = known_outcomes(task)
    found = ((mistake, *known.broken_law(mistake, law, seed)) for mistake in task.mistakes)
    suspects = [mistake for mistake, complaint, other in found if complaint and _agree(task, other, trace)]
    return _likeliest(known, suspects, seed, submission)


def _likeliest(known: KnownOutcomes, suspects: list[Mistake], seed: int, submission: Submission) -> Mistake | None:
    if len(suspects) < 2:
        return suspects[0] if suspects else None
    seen = known.traces(submission, seed)

    def agreements(mistake: Mistake) -> int:
        pairs = zip(known.traces_of_mistake(mistake, seed), seen, strict=True)
        return sum(_agree(known.task, first, second) for first, second in pairs)

    return max(suspects, key=agreements)


def _agree(task: Task, first: Trace, second: Trace) -> bool:
    return len(first) == len(second) and all(same(a, b, task.judge) for a, b in zip(first, second, strict=True))
