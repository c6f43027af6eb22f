"""The outcome of one call of an answer, and the problems that are found before its value is compared."""

import sysconfig
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # who grades a class need not import torch to know this
    from torch import Tensor

PYTHON = sysconfig.get_path("stdlib")  # its own modules, whose lines are not the student's
EMPTY = "The cell is still empty: replace `raise NotImplementedError` with your answer."


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call: a clean copy of the value, gradients, and what was noticed during the call."""

    value: Any = None
    gradients: "tuple[Tensor | None, ...]" = ()
    float_products: tuple[str, ...] = ()
    changed: tuple[int, ...] = ()
    error: str = ""
    unsolved: bool = False
    notes: tuple[str, ...] = ()  # what the call did besides returning a value (manners.py)


def problem_of(outcome: Outcome) -> str | None:
    """A problem that is found before the value is compared: an empty cell, an error, an argument that was changed."""
    if outcome.unsolved:
        return EMPTY
    if outcome.error:
        return outcome.error
    if outcome.changed:
        return f"your function changed its argument {outcome.changed[0] + 1}; work on a copy instead (clone; copy.deepcopy for a layer)."
    return None


def describe(error: BaseException) -> str:
    """One sentence: what was raised, and in which line of the student's cell."""
    return f"your function raised {raised(error)}"


def raised(error: BaseException) -> str:
    """The kind of an error, the line of the student's cell, and its text. (The lines of a docstring's examples do not count.)"""
    frames = traceback.extract_tb(error.__traceback__)
    others = ("posttrain_lab", "site-packages", "dist-packages", "doctest", PYTHON)
    own = [f for f in frames if not any(part in f.filename for part in others) and f.name != "call"]
    where = f" in line {own[-1].lineno} of your cell ({own[-1].line})" if own and own[-1].line else ""
    return f"{type(error).__name__}{where}: {_words(error)}"


def _words(error: BaseException) -> str:
    """Its text; str() of the student's exception class may raise or return anything."""
    try:
        return str.__getitem__(str(error), slice(300))
    except Exception:
        return ""
