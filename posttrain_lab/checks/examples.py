"""Does a student's function do what its own docstring promises? Its `>>>` examples are run, before the check and without points."""

import builtins
import contextlib
import doctest
import inspect
import io
import textwrap
from collections.abc import Iterator
from typing import Any

from posttrain_lab.checks.engine.manners import seeded
from posttrain_lab.checks.engine.outcome import raised
from posttrain_lab.checks.engine.time_limit import CALL, CALLED, WALL, TimeIsUp, ended_after, too_long

LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # "..." stands for anything, and spaces and lines may differ
LONGEST = 800  # characters that are shown of what came
EMPTY = "not written yet. Replace `raise NotImplementedError` with your answer, then run this cell again."


def try_examples(function: Any) -> None:
    """Run the `>>>` examples of a function's or a class's docstring and print whether they hold, or the first that does not.

    They see the names of the notebook, and names that they define are gone afterwards. Nothing is raised and no points are given.
    An example that never returns is ended, as in a check (`time_limit.py`).

    >>> def half(x):
    ...     '''Half of a number: half(3) is 1.5.'''
    ...     return x / 2
    >>> try_examples(half)
    half: its docstring has no `>>>` example to try.
    """
    name = getattr(function, "__name__", "this")
    try:
        examples = _examples(function)
    except ValueError as error:  # spaces are missing or too many
        print(f"{name}: an example in its docstring cannot be read ({error}).")
        return
    if not examples.examples:
        print(f"{name}: its docstring has no `>>>` example to try.")
        return
    runner, many = _FirstFailure(), len(examples.examples)
    with seeded(), _underscore_kept(), contextlib.redirect_stderr(io.StringIO()):
        try:
            with ended_after(CALL, WALL * CALL):
                runner.run(examples, out=lambda text: None)
        except TimeIsUp as end:  # between two examples
            runner.complaint = runner.complaint or f"{too_long(CALLED, CALL, end.waited)}."
    hold = "its example holds." if many == 1 else f"{many} of {many} examples hold."
    print(f"{name}: {runner.complaint or hold}")


def _examples(function: Any) -> doctest.DocTest:
    """The examples of its docstring, with a copy of the names that its code sees. Raises ValueError when they cannot be read."""
    inner = inspect.unwrap(function) if callable(function) else function
    text = inner.__doc__ if inspect.isfunction(inner) or inspect.isclass(inner) else None
    return doctest.DocTestParser().get_doctest(text or "", dict(_names(inner)), "examples", None, None)


def _names(inner: Any) -> dict[str, Any]:
    """The names around a function; around a class, those of its first method."""
    methods = [getattr(value, "__func__", value) for value in vars(inner).values()] if inspect.isclass(inner) else [inner]
    return next((inspect.unwrap(one).__globals__ for one in methods if inspect.isfunction(inspect.unwrap(one))), {})


@contextlib.contextmanager
def _underscore_kept() -> Iterator[None]:
    """doctest sets the name `_` that a prompt of Python has."""
    missing = object()
    before = getattr(builtins, "_", missing)
    try:
        yield
    finally:
        if before is missing:
            del builtins._  # type: ignore[attr-defined]
        else:
            builtins._ = before  # type: ignore[attr-defined]


class _FirstFailure(doctest.DocTestRunner):
    """Stops at the first example that does not hold, and has the complaint about it."""

    def __init__(self) -> None:
        super().__init__(optionflags=LOOSE | doctest.FAIL_FAST)
        self.complaint = ""

    def report_start(self, out: Any, test: doctest.DocTest, example: doctest.Example) -> None: ...

    def report_success(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None: ...

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.complaint = _complaint(test, example, "Your answer gives", got)

    def report_unexpected_exception(self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any) -> None:
        error = exc_info[1]
        if isinstance(error, NotImplementedError) and not error.args:  # raised bare, as the empty cell does
            self.complaint = EMPTY
        elif isinstance(error, TimeIsUp):
            self.complaint = _complaint(test, example, "Your answer gives", f"nothing: {too_long(CALLED, CALL, error.waited)}.")
        else:
            self.complaint = _complaint(test, example, "Your answer raises", raised(error))


def _complaint(test: doctest.DocTest, example: doctest.Example, came: str, what: str) -> str:
    number, many = test.examples.index(example) + 1, len(test.examples)
    shown = [f">>> {line}" if not i else f"... {line}" for i, line in enumerate(example.source.splitlines())]
    parts = (f"example {number} of {many} does not hold.", _indented("\n".join(shown)))
    promised = ("The docstring promises:", _indented(example.want)) if example.want.strip() else ()
    return "\n".join([*parts, *promised, f"{came}:", _indented(what.strip()[:LONGEST] or "nothing")])


def _indented(text: str) -> str:
    return textwrap.indent(text.strip("\n"), "    ")
