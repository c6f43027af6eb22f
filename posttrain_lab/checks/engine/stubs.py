"""Parts of a new exercise that are still to be written: `posttrain-lab new exercise` marks them, `posttrain-lab prove` names them."""

from collections.abc import Callable
from typing import Any, TypeVar

from posttrain_lab.checks.engine.task import Task

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__not_written__"


def not_written(function: Function) -> Function:
    """Mark a function as a stub. Whoever writes it takes the mark away."""
    setattr(function, MARK, True)
    return function


def unwritten(task: Task) -> list[tuple[str, str]]:
    """The parts of an exercise that are stubs, each with what belongs there."""
    parts: list[tuple[str, str, Any]] = [
        ("the oracle", "the right answer", task.oracle),
        ("the cases", "the calls that tell right from wrong", task.cases),
    ]
    for number, law in enumerate(task.laws, start=1):
        parts.append((f"law {number}", "something that every right answer obeys", law.complaint))
    for number, mistake in enumerate(task.mistakes, start=1):
        parts.append(
            (f"mistake {number}", "a wrong answer that students give, and the sentence that it deserves", mistake.function)
        )
    return [(part, what) for part, what, function in parts if hasattr(function, MARK)]
