"""The milestones of the edge project that are measured on the artefact: it is accepted, it works, it knows the camera, it is calibrated."""

from collections.abc import Callable
from dataclasses import dataclass

from posttrain_lab.calibration import fit_temperature
from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.program import IntegerProgram

from ..instances import PUBLIC, instance_seed
from .artefact import Refused
from .interpret import logits, program_of
from .packing import unpack
from .score import evaluate, photographs

WORKS, KNOWS_THE_CAMERA = 0.45, 0.32  # Brier scores: a network that saw clean pictures only does not reach the first
CALIBRATED = 0.1  # the temperature that photographs ask for lies within so much of 1
COUNT = 1000  # photographs of the calibration part


@dataclass(frozen=True)
class Milestone:
    """One of them: what it is, what was found, and its points (0 when it is not reached)."""

    name: str
    found: str
    points: int
    most: int

    def __str__(self) -> str:
        return f"{self.name}: {self.found}. {self.points} of {self.most}"


def milestones(text: object, secret: str) -> list[Milestone]:
    """The four milestones of a text that `pack` gave, on photographs that the secret draws. Six points in all.

    1 the artefact is accepted and fits the budget; 2 its Brier score on 2,000 photographs is below WORKS, and 3 below KNOWS_THE_CAMERA;
    4 the temperature that photographs of the calibration part ask for is 1, within CALIBRATED. What is refused reaches none.
    """
    try:
        program = program_of(unpack(text))
    except Refused as refused:
        return [Milestone("accepted", str(refused), 0, 1), *(Milestone(*one) for one in _not_reached())]
    split = load_fashion()
    score = evaluate(program, split.test, secret, draws=1).mean
    asked = _temperature(program, secret)
    fitted = abs(asked - 1) <= CALIBRATED and score < KNOWS_THE_CAMERA
    return [
        Milestone("accepted", "it fits the budget", 1, 1),
        Milestone("works", f"Brier score {score:.3f}, wanted below {WORKS}", int(score < WORKS), 1),
        Milestone(
            "knows the camera", f"Brier score {score:.3f}, wanted below {KNOWS_THE_CAMERA}", 2 * (score < KNOWS_THE_CAMERA), 2
        ),
        Milestone("calibrated", f"photographs ask for temperature {asked:.2f}, wanted 1 within {CALIBRATED}", 2 * fitted, 2),
    ]


def told(hand_in: Callable[[], object], secret: str = PUBLIC) -> str:
    """The milestones of what a function hands in, a line each, and their points: what a notebook prints."""
    try:
        text = hand_in()
    except NotImplementedError:
        return "Nothing is handed in yet."
    found = milestones(text, secret)
    return "\n".join([*map(str, found), f"{sum(one.points for one in found)} of {sum(one.most for one in found)} points"])


def _not_reached() -> list[tuple[str, str, int, int]]:
    return [(name, "not measured", 0, most) for name, most in (("works", 1), ("knows the camera", 2), ("calibrated", 2))]


def _temperature(program: IntegerProgram, secret: str) -> float:
    """The temperature that other photographs of the calibration part ask for."""
    seen = photographs(load_fashion().calibration, instance_seed(secret, "12_project_edge/calibration", 0), COUNT)
    return fit_temperature(logits(program, seen.images).float(), seen.labels)
