"""A student's function in a Jupyter kernel, called from the trusted process that decides the verdict.

Arguments and outcomes are sent as the bytes of `serialize`. Data from the kernel is not trusted: it is decoded without running any
of the student's code, checked field by field, and copied again before a judge gets it. So code in the kernel may
replace the checks, torch, builtins or the helper itself: it can only change its own answers, and an answer passes only
if it is right.

Some things cannot be seen from outside the kernel, and its report is trusted: which float products were computed, and what a call
left changed (`manners`). And right answers may be copied from anywhere: to find this out, read the source
of a submission.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from nbformat import NotebookNode
from torch import Tensor

from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.exercise import HIDDEN_SEEDS, VISIBLE_SEEDS, Exercise, Verdict
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.plain_values import clean
from posttrain_lab.checks.engine.product_spy import NOTED
from posttrain_lab.checks.engine.time_limit import USED, WALL, too_long
from posttrain_lab.grading.questions import Key, asked_with, key_of, question
from posttrain_lab.grading.session import GraderFault, KernelLost, Limits

WIDTHS = {"in_features", "out_features", "in_channels", "out_channels", "num_features", "normalized_shape"}
LARGEST_WIDTH, LARGEST_OPTION = 4096, 64
MESSAGE_CHARACTERS = 2000
MOST_NOTES = 10_000
SEEDS = VISIBLE_SEEDS + HIDDEN_SEEDS


class Kernel(Protocol):
    """A process that holds one student's notebook: `session.StudentKernel`, or the sandbox's. `asked`: the arguments of `kernel_side.answer`."""

    limits: Limits

    @property
    def used(self) -> float: ...

    def run(self, source: str, keep: bool = True) -> list[NotebookNode]: ...

    def answer(self, asked: tuple[str, ...], left: float) -> str: ...

    def answers(self, asked: Sequence[tuple[str, ...]], left: float) -> list[str]: ...


@dataclass(frozen=True)
class StudentCall:
    """One call of the student's function, as it is sent to the kernel."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    gradients: tuple[int, ...]


class KernelSubmission:
    """A `Submission` whose function is found by name in the kernel. After a lost call, every later one fails with its message."""

    def __init__(self, kernel: Kernel, function_name: str, attribute: str = "", through: str = "", library: str = ""):
        if not function_name.isidentifier() or not (attribute or "a").isidentifier():
            raise ValueError(
                f"KernelSubmission wants names of Python, got {function_name!r} and {attribute!r}; give a function's name."
            )
        self._kernel, self._name = kernel, function_name
        self._access = (attribute, through, library)
        self._before, self._end = kernel.used, monotonic() + WALL * kernel.limits.exercise
        self._ahead: dict[Key, str] = {}  # what came back for calls that are not made yet
        self._begun: set[Key] = set()
        self._lost: Outcome | None = None
        self.fault: GraderFault | None = None

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome:
        """One call in the kernel. Every fault of the student's code gives an Outcome with an error; none is raised."""
        if self._lost is not None:
            return self._lost
        try:
            return vetted(self._evaluated(StudentCall(args, kwargs, gradients)))
        except GraderFault as fault:
            self.fault = fault
            raise
        except KernelLost as lost:
            self._lost = Outcome(error=f"{lost}.")
            return self._lost
        except ValueError as error:
            return Outcome(error=f"what came back from your function cannot be read ({_plain(str(error))}).")

    def _evaluated(self, asked: StudentCall) -> Any:
        left = self._kernel.limits.exercise - (self._kernel.used - self._before)
        if left <= 0:
            raise KernelLost(USED.format(seconds=self._kernel.limits.exercise))
        if monotonic() > self._end:
            raise KernelLost(too_long("all calls of your function together did not end", self._kernel.limits.exercise, True))
        return decoded(self._text(asked, left))

    def _text(self, asked: StudentCall, left: float) -> str:
        """What comes back for a call. The first of a seed brings those of all its cases; each is used once, later it is asked again."""
        key = key_of(asked.args, asked.kwargs, asked.gradients)
        if key not in self._ahead and key not in self._begun:
            self._begun.add(key)
            self._ahead |= self._together(asked_with(key), left)
        if key in self._ahead:
            return self._ahead.pop(key)
        try:
            text = question(asked.args, asked.kwargs, asked.gradients)
        except serialize.WireError as error:
            raise GraderFault(
                f"The check of {self._name} has an argument that cannot be sent to the kernel ({error}); correct its cases."
            ) from error
        return self._kernel.answer(self._full(text), left)

    def _together(self, questions: dict[Key, str], left: float) -> dict[Key, str]:
        """What comes back for several calls; nothing, when one of them ends the kernel or all take long: then each is asked by itself.

        Only so does the sentence say which call it was; the time is given back.
        """
        if not questions:
            return {}
        used, began = self._kernel.used, monotonic()
        try:
            return dict(zip(questions, self._kernel.answers([*map(self._full, questions.values())], left), strict=True))
        except (KernelLost, ValueError):
            self._before += self._kernel.used - used
            self._end += monotonic() - began
            return {}

    def _full(self, text: str) -> tuple[str, ...]:
        """The arguments of `kernel_side.answer`."""
        attribute, through, library = self._access
        return self._name, attribute, text, through, library


def decoded(text: str) -> Any:
    """The value behind the repr of a base64 text. Raises ValueError (WireError is one) for anything else."""
    if len(text) > 2 * serialize.LIMIT:
        raise ValueError("it is too long")
    try:
        raw = base64.b64decode(text.strip("'\""), validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("it is not what the grader's helper writes") from error
    return serialize.decode(raw, _reject_wild_layers)


def _reject_wild_layers(tree: Any) -> None:
    """Reject layers whose options are so large that creating them would fill the memory."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if node.get("kind") == "layer":
                _reject_wild_options(node.get("options"))
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _reject_wild_options(options: Any) -> None:
    for name, value in options.items() if isinstance(options, dict) else ():
        if _largest(value) > (LARGEST_WIDTH if name in WIDTHS else LARGEST_OPTION):
            raise serialize.WireError("a layer in it is far too large")


def _largest(tree: Any) -> float:
    """The largest number anywhere in a tree of JSON."""
    pending, largest = [tree], 0.0
    while pending:
        node = pending.pop()
        if isinstance(node, int | float):
            largest = max(largest, abs(node))
        elif isinstance(node, dict | list):
            pending.extend(node.values() if isinstance(node, dict) else node)
    return largest


def vetted(outcome: Any) -> Outcome:
    """A copy of an outcome in which every field has the right type. Raises ValueError otherwise."""
    if type(outcome) is not Outcome:
        raise ValueError(f"a {type(outcome).__name__} in place of an outcome")
    gradients, products, changed = outcome.gradients, outcome.float_products, outcome.changed
    kinds = (
        type(outcome.error) is str and type(outcome.unsolved) is bool,
        type(gradients) is tuple and all(item is None or isinstance(item, Tensor) for item in gradients),
        type(products) is tuple and all(type(item) is str and item in NOTED for item in products),
        type(changed) is tuple and all(type(item) is int and 0 <= item < 100 for item in changed),
        type(outcome.notes) is tuple and len(outcome.notes) < MOST_NOTES and all(type(item) is str for item in outcome.notes),
    )
    if not all(kinds):
        raise ValueError("an outcome with fields of the wrong kind")
    try:
        value, gradients = clean(outcome.value), clean(gradients)
    except Exception as error:  # infinitely nested, or of a type that is not allowed here
        raise ValueError(f"a value of another kind, {type(error).__name__}") from error
    notes = tuple(_plain(note) for note in outcome.notes)
    return Outcome(value, gradients, products, changed, _plain(outcome.error), outcome.unsolved, notes)


def _plain(text: str) -> str:
    """At most two thousand printable characters, without terminal control codes."""
    return "".join(c for c in text[:MESSAGE_CHARACTERS] if c.isprintable() or c == "\n")


def check_in_kernel(exercise: Exercise, kernel: Kernel, cell_error: str = "", seeds: Iterable[int] = SEEDS) -> Verdict:
    """The verdict on the function that the notebook defined for an exercise; faults of the student's code make it a failed one.

    `cell_error` is the error of the solution's cell, for the message when the name is missing; `seeds` draw the cases.
    """
    submission = KernelSubmission(kernel, exercise.function_name, exercise.attribute, exercise.through, exercise.library)
    try:
        verdict = exercise.check(submission, seeds)
    except Exception as error:  # a value so unusual that the judge raised
        message = f"{exercise.name}: your function returned something that cannot be compared ({type(error).__name__})."
        verdict = Verdict(exercise.name, False, message, 0, exercise.points)
    if submission.fault is not None:  # also when a law caught it on the way
        raise submission.fault
    if verdict.passed or not cell_error or "is not defined when" not in verdict.message:
        return verdict
    message = f"{exercise.name}: `{exercise.function_name}` is not defined, because its cell stopped with {_plain(cell_error)}"
    return Verdict(exercise.name, False, message, 0, exercise.points, calls=verdict.calls)
