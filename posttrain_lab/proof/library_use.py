"""Saboteurs that let the library do the job: its own function, called directly, in a lambda, or in a thread."""

import importlib
import threading
from collections.abc import Callable
from typing import Any

from posttrain_lab.checks.engine.task import Task
from posttrain_lab.proof.saboteurs import Answer, Saboteur, Seen


def library_use(task: Task) -> tuple[Saboteur, ...]:
    """Three saboteurs for each function that the exercise names as the library's own for its job."""
    return tuple(
        Saboteur(f"{one} {way}", "library", _instead(one, task.attribute, wrapped))
        for one in task.library.split()
        for way, wrapped in WAYS.items()
    )


def _instead(name: str, attribute: str, wrapped: Callable[[Answer], Answer]) -> Callable[[Answer, Seen], Answer]:
    def wrap(answer: Answer, seen: Seen) -> Answer:
        seen.acted += 1
        module, _, function = name.partition(":")
        found = getattr(importlib.import_module(f"posttrain_lab.{module}"), function)
        return wrapped(getattr(found, attribute) if attribute else found)

    return wrap


def _in_thread(function: Answer) -> Answer:
    def called(*args: Any, **kwargs: Any) -> Any:
        box: list[Any] = []
        thread = threading.Thread(target=lambda: box.append(function(*args, **kwargs)))
        thread.start()
        thread.join()
        return box[0]

    return called


WAYS: dict[str, Callable[[Answer], Answer]] = {
    "called directly": lambda function: function,
    "in a lambda": lambda function: lambda *args, **kwargs: function(*args, **kwargs),
    "in a thread": _in_thread,
}
