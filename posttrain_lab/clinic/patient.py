"""A patient: a small training run that finishes, looks healthy, and may be wrong in one of its parts.

One function of the run is the part in question; a patient has it twice, healthy and broken. Everything else follows from that: the healthy
twin, the damage (the same seeds with either part), the code that is shown, and the repair: a learner's own part, in the same place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

Part = Callable[..., Any]
Handles = dict[str, Any]

KINDS = {
    "A": "wrong mode, or frozen and yet moving",
    "B": "something does not learn",
    "C": "wrong size of step",
    "D": "loss or labels do not belong",
    "E": "the compressed copy is not what is used",
    "F": "wrong scale, range or preparation",
    "G": "parts overlap, or the number was fitted, chosen and reported on one part",
    "H": "clock or repeats measure something else",
}
HEALTHY = "healthy"
NAMES = (*KINDS, HEALTHY)


@dataclass(frozen=True)
class Run:
    """What a run leaves behind.

    log: the mean loss of each epoch; shown: the number that it reports at its end; handles: networks, states and data, to be examined.
    """

    log: list[float]
    shown: float
    handles: Handles


@dataclass(frozen=True)
class Patient:
    """A run with one part that may be broken.

    level: 1 shows all code, 2 the part's interface only, 3 no code. shows: what the number at the end of the log is. words: what is wrong.
    run(seed, part) -> Run; healthy and broken are the two parts; with `places`, broken takes a keyword `place`, one of them.
    examine(handles) is what the `instrument` reads; a broken run lies beyond `threshold`, on the side `sick`.
    honest(handles) answers the question of the run as it should be measured; None: the run reports that number itself.
    hurts: what the damage is: the "honest" number is another one; a "lie": it differs from what is shown; what is "shown" is a wrong number.
    asked, number(handles): what is asked as evidence where a broken run has no places, in words; None: the honest number.
    """

    level: int
    kind: str
    words: str
    shows: str
    healthy: Part
    broken: Part
    run: Callable[[int, Part], Run]
    instrument: str
    examine: Callable[[Handles], float]
    threshold: float
    honest: Callable[[Handles], float] | None = None
    sick: Literal["above", "below"] = "above"
    hurts: Literal["honest", "lie", "shown"] = "honest"
    places: tuple[str, ...] = ()
    asked: str = "the number of the log, measured as it should be"
    number: Callable[[Handles], float] | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.run.__module__.rpartition(".")[2]

    def part(self, broken: bool, place: str = "") -> Part:
        """The part of the healthy or of the broken run; a broken one with places needs one of them."""
        if not broken or not self.places:
            return self.broken if broken else self.healthy
        if place not in self.places:
            raise ValueError(f"{self.name} can be broken at {', '.join(self.places)}, got {place!r}.")
        return partial(self.broken, place=place)

    def reading(self, run: Run) -> float:
        """What the instrument reads."""
        return float(self.examine(run.handles))

    def looks_sick(self, reading: float) -> bool:
        """On which side of the threshold is this reading? What is no number is sick."""
        return not (reading <= self.threshold if self.sick == "above" else reading >= self.threshold)

    def measured(self, run: Run) -> float:
        """The honest number of this run."""
        return float(self.honest(run.handles)) if self.honest else run.shown

    def evidence(self, run: Run) -> float:
        """The number that is asked for."""
        return float(self.number(run.handles)) if self.number else self.measured(run)

    def asks(self) -> str:
        """What a learner is asked for as evidence; whether the patient is broken is not told."""
        if not self.places:
            return self.asked
        return f"where it is broken, one of {', '.join(map(repr, self.places))}; if it is not: {self.asked}"

    def outcome(self, run: Run) -> float:
        """The number that a broken part damages."""
        if self.hurts == "shown":
            return run.shown
        return self.measured(run) - (run.shown if self.hurts == "lie" else 0.0)

    def printed(self, run: Run) -> str:
        """The log as its author saw it."""
        epochs = [f"epoch {number}: loss {loss:.3f}" for number, loss in enumerate(run.log, 1)]
        return "\n".join([*epochs, f"{self.shows}: {run.shown:.4f}"])
