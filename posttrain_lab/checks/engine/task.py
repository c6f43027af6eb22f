"""An exercise as data: what is asked, an oracle, cases, laws, and the known mistakes, each with its message."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from posttrain_lab.checks.engine.judges import Judge, close
from posttrain_lab.checks.engine.outcome import Outcome, problem_of
from posttrain_lab.checks.engine.submission import LocalSubmission, Submission


@dataclass(frozen=True)
class Case:
    """One call: its arguments, a few words that describe it, and the arguments for which a gradient is computed."""

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
    """What a law calls: the student's function. Only its value is returned; an exception in it ends the law."""

    def __call__(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Law:
    """A property of every right answer: `complaint(call, seed)` is None, or a sentence that says how it is violated."""

    name: str
    complaint: Callable[[Call, int], str | None]

    def follow(self, submission: Submission, seed: int) -> tuple[str | None, list[Outcome]]:
        """The complaint of this law, or None, and the outcomes of all its calls, for the diagnosis."""
        trace: list[Outcome] = []

        def call(*args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Any:
            outcome = submission.call(*args, gradients=gradients, **kwargs)
            trace.append(outcome)
            if problem_of(outcome):
                raise _Broken(outcome)
            return (outcome.value, outcome.gradients) if gradients else outcome.value

        try:
            complaint = self.complaint(call, seed)
        except _Broken as broken:
            complaint = problem_of(broken.outcome)
        except Exception as error:  # a value of a type or shape that the law cannot compare
            complaint = f"your function returned a value of another type than expected ({type(error).__name__}: {error})."
        return complaint and f"{self.name}: {complaint}", trace


class _Broken(Exception):
    """Ends a law whose call failed; carries the outcome."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """The data of one exercise. `points`, `difficulty` (1 to 5) and `minutes` are what the notebook states.

    - `oracle`, `cases(seed)`, `judge`: the right results, the calls, and how a result is compared; `laws`: further properties.
    - `mistakes`: the known wrong answers, each with its message.
    - `function`, `attribute`: the name that the notebook defines, where it is not the exercise's own (the class `FakeQuantize`
      for `fake_quantize`), and the part of it to call (`apply`).
    - `workload(seed)`: further cases, of the size and with the kind of numbers that the notebook itself goes on to use.
    - `free`, `strict`: parts of the notes of `manners`, each with the sentence of the page that leaves this open, or asks for it.
    - `legal`: saboteurs of `posttrain_lab.proof` that this check lets pass, each with the words of the page that allow it; at most three.
    - `through`: the adapter by which the function is called; `library`: the library's own functions for this job, which are
      closed meanwhile. Both are written "module:function", below `posttrain_lab.checks` and below `posttrain_lab`.
    - `products`: the judge asks whether floats were multiplied (`whole_products`), so that is watched. It makes each call slower.
    """

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
    workload: Callable[[int], Iterable[Case]] = lambda seed: ()
    free: Mapping[str, str] = field(default_factory=dict)
    strict: Mapping[str, str] = field(default_factory=dict)
    legal: Mapping[str, str] = field(default_factory=dict)
    function: str = ""
    attribute: str = ""
    through: str = ""
    library: str = ""
    products: bool = False

    @property
    def function_name(self) -> str:
        """The name that the notebook defines: the exercise's own, or another."""
        return self.function or self.name

    def submission(self, function: Any, trusted: bool = False) -> LocalSubmission:
        """A function of this process as what this exercise checks."""
        attribute, library = ("", "") if trusted else (self.attribute, self.library)
        return LocalSubmission(function, attribute, trusted, self.through, library, self.products)


def _short(value: Any) -> str:
    """A short text for an argument: small ones completely, tensors as dtype and shape."""
    if isinstance(value, Tensor):
        small = value.numel() <= 6 and value.ndim == 1
        return str([round(one, 4) for one in value.tolist()]) if small else f"{str(value.dtype)[6:]} {list(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and "\n" in value:
        return f"a text of {len(value.splitlines())} lines"
    return repr(value) if isinstance(value, int | str | None) else type(value).__name__
