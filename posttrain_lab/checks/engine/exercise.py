"""An exercise is data: what is asked, an oracle, cases, laws, and the known mistakes with the sentence that each deserves."""

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from posttrain_lab.checks.engine.judges import Judge, close, same
from posttrain_lab.checks.engine.submission import LocalSubmission, Outcome, Submission

VISIBLE_SEEDS = (0, 1)
HIDDEN_SEEDS = (101, 102, 103, 104)
EMPTY = "The cell is still empty: replace `raise NotImplementedError` with your answer."


def _short(value: Any) -> str:
    """An argument in a few letters: small ones whole, tensors as dtype and shape."""
    if isinstance(value, Tensor):
        small = value.numel() <= 6 and value.ndim == 1
        return str([round(one, 4) for one in value.tolist()]) if small else f"{str(value.dtype)[6:]} {list(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and "\n" in value:
        return f"a text of {len(value.splitlines())} lines"
    return repr(value) if isinstance(value, int | str | None) else type(value).__name__


@dataclass(frozen=True)
class Case:
    """One call: its arguments, in words what is special about it, and for which arguments a gradient is wanted."""

    words: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    gradients: tuple[int, ...] = ()

    def shown(self, name: str) -> str:
        """The call and its words: "quantize(x float32 [4, 6], 0.25, 3), a transposed view"."""
        parts = [_short(value) for value in self.args] + [f"{key}={_short(value)}" for key, value in self.kwargs.items()]
        return f"{name}({', '.join(parts)}), {self.words}"

    def run(self, submission: Submission) -> Outcome:
        return submission.call(*self.args, gradients=self.gradients, **self.kwargs)


@dataclass(frozen=True)
class Mistake:
    """A small wrong implementation and one sentence that names the misconception behind it."""

    name: str
    message: str
    function: Callable[..., Any]


class Call(Protocol):
    """What a law calls: the student's function, its value returned (an exception of the student's code ends the law)."""

    def __call__(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Law:
    """Something every right answer obeys: `complaint(call, seed)` is None, or a sentence that says how it was broken."""

    name: str
    complaint: Callable[[Call, int], str | None]


@dataclass(frozen=True)
class Verdict:
    """What a check says: passed or not, in one message, and how many calls it rests on."""

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


class _Broken(Exception):
    """Ends a law whose call failed; carries the outcome."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome


@dataclass(frozen=True)
class Exercise:
    """One graded task of a unit. Call it with the student's function; `check` gives the same verdict without raising."""

    name: str
    unit: str
    points: int
    difficulty: int
    minutes: int
    oracle: Callable[..., Any]
    cases: Callable[[int], Iterable[Case]]
    mistakes: tuple[Mistake, ...]
    judge: Judge = field(default_factory=close)
    laws: tuple[Law, ...] = ()
    function: str = ""
    attribute: str = ""
    through: str = ""
    _known: dict[int, list[tuple[Case, Outcome]]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tried: dict[tuple[int, str], Outcome] = field(default_factory=dict, init=False, repr=False, compare=False)
    _seen_before: dict[tuple[int, str], list[list[Outcome]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def function_name(self) -> str:
        """The name that the notebook defines: the exercise's own, or another (the class `FakeQuantize` for `fake_quantize`)."""
        return self.function or self.name

    def submission(self, function: Any, trusted: bool = False) -> LocalSubmission:
        """A function of this process as what this exercise checks."""
        return LocalSubmission(function, "" if trusted else self.attribute, trusted, self.through)

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
            for case, wanted in self._wanted(seed):
                calls += 1
                outcome, complaint = self._judged(case, wanted, submission)
                if complaint:
                    return self._failed(complaint, self._diagnose(seed, case, outcome, submission), calls)
            for law in self.laws:
                calls += 1
                complaint, trace = _follow(law, submission, seed)
                if complaint:
                    return self._failed(complaint, self._diagnose_law(law, seed, trace, submission), calls)
        message = f"{self.name}: right in all {calls} trials."
        return Verdict(self.name, True, message, self.points, self.points, calls=calls)

    def _wanted(self, seed: int) -> list[tuple[Case, Outcome]]:
        """The cases of a seed, each with the oracle's outcome; kept, because submissions only ever see copies."""
        if seed not in self._known:
            oracle = self.submission(self.oracle, trusted=True)
            self._known[seed] = [(case, case.run(oracle)) for case in self.cases(seed)]
            for case, wanted in self._known[seed]:
                if problem := problem_of(wanted):
                    raise RuntimeError(f"The check of {self.name} is broken on {case.words}: {problem}")
        return self._known[seed]

    def _judged(self, case: Case, wanted: Outcome, submission: Submission) -> tuple[Outcome, str | None]:
        outcome = case.run(submission)
        if problem := problem_of(outcome):
            return outcome, f"{case.shown(self.name)}: {problem}" if not outcome.unsolved else problem
        try:
            complaint = self.judge(wanted, outcome)
        except Exception as error:  # a value of a kind that cannot even be compared
            complaint = f"your function returned something of another kind than expected ({type(error).__name__}: {error})."
        return outcome, complaint and f"{case.shown(self.name)}: {complaint}"

    def _local(self, mistake: Mistake) -> LocalSubmission:
        return self.submission(mistake.function, trusted=True)

    def _failed(self, complaint: str, mistake: Mistake | None, calls: int) -> Verdict:
        message = f"{self.name}: {mistake.message}\n({complaint})" if mistake else complaint
        return Verdict(self.name, False, message, 0, self.points, mistake.name if mistake else "", calls)

    def _diagnose(self, seed: int, failed: Case, outcome: Outcome, submission: Submission) -> Mistake | None:
        """The known mistake with the same outcome on the failed case, and among several the one that agrees most often."""
        if outcome.unsolved:
            return None
        suspects = [m for m in self.mistakes if same(self._outcome_of(m, failed), outcome, self.judge)]
        return self._likeliest(suspects, seed, submission)

    def _outcome_of(self, mistake: Mistake, case: Case) -> Outcome:
        """What a known mistake gives on a case of `_known`; kept, because it is the same every time."""
        key = (id(case), mistake.name)
        if key not in self._tried:
            self._tried[key] = case.run(self._local(mistake))
        return self._tried[key]

    def _likeliest(self, suspects: list[Mistake], seed: int, submission: Submission) -> Mistake | None:
        """Of several mistakes that would explain a failure, the one that agrees with the submission most often."""
        if len(suspects) < 2:
            return suspects[0] if suspects else None
        seen = self._seen(seed, submission)
        return max(suspects, key=lambda m: sum(map(self._agrees, self._seen_of(m, seed), seen)))

    def _seen_of(self, mistake: Mistake, seed: int) -> list[list[Outcome]]:
        """What `_seen` gives for a known mistake; kept, because it is the same every time."""
        key = (seed, mistake.name)
        if key not in self._seen_before:
            self._seen_before[key] = self._seen(seed, self._local(mistake))
        return self._seen_before[key]

    def _seen(self, seed: int, submission: Submission) -> list[list[Outcome]]:
        """All that a function gives for one seed: the outcome of each case, the outcomes of each law."""
        return [[case.run(submission)] for case, _ in self._wanted(seed)] + [
            _follow(law, submission, seed)[1] for law in self.laws
        ]

    def _agrees(self, first: list[Outcome], second: list[Outcome]) -> bool:
        return len(first) == len(second) and all(same(a, b, self.judge) for a, b in zip(first, second, strict=True))

    def _diagnose_law(self, law: Law, seed: int, trace: list[Outcome], submission: Submission) -> Mistake | None:
        found = ((mistake, *_follow(law, self._local(mistake), seed)) for mistake in self.mistakes)
        suspects = [mistake for mistake, complaint, other in found if complaint and self._agrees(other, trace)]
        return self._likeliest(suspects, seed, submission)


def problem_of(outcome: Outcome) -> str | None:
    """What is wrong before the value is even looked at: still empty, an error, an argument that was changed."""
    if outcome.unsolved:
        return EMPTY
    if outcome.error:
        return outcome.error
    if outcome.changed:
        return f"your function changed its argument {outcome.changed[0] + 1}; work on a copy instead (clone; copy.deepcopy for a layer)."
    return None


def _follow(law: Law, submission: Submission, seed: int) -> tuple[str | None, list[Outcome]]:
    """Run one law and keep every outcome on the way, for the diagnosis."""
    trace: list[Outcome] = []

    def call(*args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Any:
        outcome = submission.call(*args, gradients=gradients, **kwargs)
        trace.append(outcome)
        if problem_of(outcome):
            raise _Broken(outcome)
        return (outcome.value, outcome.gradients) if gradients else outcome.value

    try:
        complaint = law.complaint(call, seed)
    except _Broken as broken:
        complaint = problem_of(broken.outcome)
    except Exception as error:  # a value of a shape that the law could not even compare
        complaint = f"your function returned something of another kind than expected ({type(error).__name__}: {error})."
    return complaint and f"{law.name}: {complaint}", trace
