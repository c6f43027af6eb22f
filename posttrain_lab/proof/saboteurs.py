"""A saboteur wraps a right answer and makes it wrong in one systematic way: `wrap(answer, seen)` is what the check is asked about.

`seen.acted` counts the calls in which it had something to act on. A saboteur that never acts says something too: no case visits
what it waits for. The groups are regions (wrong only where ...), inputs (made coarse), outputs (their form), arguments (harmed), the
machine (left changed), memory (of earlier calls) and the library (asked to do the job).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = Callable[..., Any]


class Seen:
    """How often a saboteur acted."""

    def __init__(self) -> None:
        self.acted = 0


@dataclass(frozen=True)
class Saboteur:
    """One systematic way to be wrong."""

    name: str
    group: str
    wrap: Callable[[Answer, Seen], Answer]


def named(group: str, wraps: dict[str, Callable[[Answer, Seen], Answer]]) -> tuple[Saboteur, ...]:
    """Saboteurs of one group."""
    return tuple(Saboteur(name, group, wrap) for name, wrap in wraps.items())


def honest(answer: Answer, seen: Seen) -> Answer:
    """No saboteur: the answer in a wrapper that does nothing. It must pass, or what the others show means nothing."""
    seen.acted += 1
    return lambda *args, **kwargs: answer(*args, **kwargs)
