"""What Numba says against a student's function, as one sentence: the line, and what is wrong with it, without files and passes."""

import re
from collections.abc import Callable
from typing import Any

_SHORTER = (
    (r"\x1b\[[\d;]*m", ""),  # colours
    (r"Function\(<built-in function (\w+)>\)", r"\1"),
    (r"Function\(<(?:function|class|ufunc) '?([\w.]+)'?[^>]*>\)", r"\1"),
    (r"type\(CPUDispatcher\(<function (\w+) at \w+>\)\)", r"\1"),
    (r"Module\(<module '([\w.]+)'[^>]*>\)", r"\1"),
    (r"No implementation of function \w+ found for signature: >>> (.*)", r"there is no \1"),
    (r"failed to unpack none", "nothing is returned where several values are wanted"),
    (r"\('wrong tuple length for [^']*', 'expected (\d+), got (\d+)'\)", r"\1 values are wanted, not \2"),
    (r"Cannot cast (\w+) to Vector\(i(\d+) x (\d+)\).*", r"a vector of \3 numbers of \2 bits is wanted, not one \1"),
    (r"\s*at? [./\w-]*\.py \(\d+\)", ""),
)
_NOISE = ("Failed in", "During:", "There are", "File ", "- Of which")


def in_words(function: Callable[..., Any], error: Exception) -> str:
    """The line of the function that Numba cannot compile, and why.

    >>> def f(a): return a.append(3)
    >>> in_words(f, ValueError("Failed in nopython mode pipeline\\nUnknown attribute 'append' of type array(int32, 2d, C)\\n"))
    "Numba cannot compile this: Unknown attribute 'append' of type array(int32, 2d, C)"
    """
    text = re.sub(*_SHORTER[0], str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(_NOISE)]
    words = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    for pattern, shorter in _SHORTER:
        words = re.sub(pattern, shorter, words)
    return f"Numba cannot compile {_place(function, text)}: {words[:200]}"


def _place(function: Callable[..., Any], text: str) -> str:
    """The line of this very function to which Numba points last ("^")."""
    head = rf"line (\d+):\s*\n\s*def {re.escape(function.__name__)}\("
    found = [part for part in re.split(r"(?=File \")", text) if re.search(head, part) and "^" in part]
    if not found:
        return "this"
    number = re.search(head, found[-1])
    shown = [line.strip() for line in found[-1].split("^")[0].splitlines() if line.strip()]
    return f"line {number[1] if number else '?'} of your cell ({shown[-1]})"
