"""Which known mistake explains a failure? One that gives the same outcome on the failed call, and passes all that was passed before it.

What the oracle and the known mistakes give is the same every time, so it is computed once. `KnownOutcomes` stores it for each exercise;
the keys identify a call: the seed and the number of the case, and for a mistake its name.
"""

from functools import cache
from typing import NamedTuple

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
        self._broken: dict[tuple[int, str, str], tuple[str | None, Trace]] = {}
        self._notes: dict[tuple[int, str], tuple[str, ...]] = {}

    def wanted(self, seed: int) -> list[tuple[Case, Outcome]]:
        """The cases of a seed, each with the oracle's outcome. Raises RuntimeError when the oracle itself fails."""
        if seed not in self._wanted:
            oracle = self.task.submission(self.task.oracle, trusted=True)
            found = [(case, case.run(oracle)) for case in (*self.task.cases(seed), *self.task.workload(seed))]
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
        key = (seed, mistake.name, law.name)
        if key not in self._broken:
            self._broken[key] = law.follow(self._submission(mistake), seed)
        return self._broken[key]

    def notes(self, law: Law, seed: int) -> tuple[str, ...]:
        """What the oracle does besides returning values, in all calls of a law (`manners`)."""
        key = (seed, law.name)
        if key not in self._notes:
            trace = law.follow(self.task.submission(self.task.oracle, trusted=True), seed)[1]
            self._notes[key] = tuple({note for outcome in trace for note in outcome.notes})
        return self._notes[key]

    def passes(self, mistake: Mistake, seed: int, until: int, laws: int) -> bool:
        """Does a known mistake pass the first `until` cases and `laws` laws of a seed?"""
        for number, (_, wanted) in enumerate(self.wanted(seed)[:until]):
            outcome = self.of_mistake(mistake, seed, number)
            if problem_of(outcome) or not same(wanted, outcome, self.task.judge):
                return False
        return not any(self.broken_law(mistake, law, seed)[0] for law in self.task.laws[:laws])

    def _submission(self, mistake: Mistake) -> Submission:
        return self.task.submission(mistake.function, trusted=True)


@cache
def known_outcomes(task: Task) -> KnownOutcomes:
    """The KnownOutcomes of an exercise, a single object."""
    return KnownOutcomes(task)


class Passed(NamedTuple):
    """What a submission passed before it failed: all of some `seeds`, and the first `cases` of one more `seed`."""

    seeds: tuple[int, ...]
    seed: int
    cases: int


def explain_case(task: Task, before: Passed, outcome: Outcome, submission: Submission) -> Mistake | None:
    """The known mistake with the same outcome on the failed case; if several fit, the one that agrees most often on other calls."""
    if outcome.unsolved:
        return None
    known = known_outcomes(task)
    same_there = [m for m in task.mistakes if same(known.of_mistake(m, before.seed, before.cases), outcome, task.judge)]
    suspects = [m for m in same_there if _passes_too(known, m, before, 0)]
    return _likeliest(known, suspects, before.seed, submission)


def explain_law(task: Task, law: Law, before: Passed, trace: Trace, submission: Submission) -> Mistake | None:
    """The known mistake that breaks the same law with the same outcomes; if several fit, the one that agrees most often on other calls."""
    known = known_outcomes(task)
    found = ((mistake, *known.broken_law(mistake, law, before.seed)) for mistake in task.mistakes)
    same_there = [mistake for mistake, complaint, other in found if complaint and _agree(task, other, trace)]
    suspects = [m for m in same_there if _passes_too(known, m, before, task.laws.index(law))]
    return _likeliest(known, suspects, before.seed, submission)


def _passes_too(known: KnownOutcomes, mistake: Mistake, before: Passed, laws: int) -> bool:
    """Does a mistake pass whatever the submission passed? Then the two may be one and the same."""
    count = len(known.task.laws)
    earlier = all(known.passes(mistake, seed, len(known.wanted(seed)), count) for seed in before.seeds)
    return earlier and known.passes(mistake, before.seed, before.cases, laws)


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
