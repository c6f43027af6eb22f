"""Project 12: a network that knows clothes from photographs, on a chip of 12,000 bytes. The artefact is data, the grader runs it.

camera: the customer's camera. save_artefact: write what you hand in. read_artefact, program_of, logits: what the grader does with it.
costs, BUDGET: flash, RAM and multiply-accumulates, counted exactly. photographs, evaluate: the score.
pack: the artefact as a text to hand in; milestones: what is marked on it.
"""

from .artefact import Artefact, Refused, read_artefact
from .camera import camera
from .costs import BUDGET, Costs, check_budget, costs, shapes
from .interpret import logits, program_of
from .milestones import KNOWS_THE_CAMERA, WORKS, milestones, told
from .packing import pack, unpack
from .score import DRAWS, PHOTOGRAPHS, PROJECT, Score, evaluate, photographs
from .writing import save_artefact

__all__ = [
    "BUDGET",
    "DRAWS",
    "KNOWS_THE_CAMERA",
    "PHOTOGRAPHS",
    "PROJECT",
    "WORKS",
    "Artefact",
    "Costs",
    "Refused",
    "Score",
    "camera",
    "check_budget",
    "costs",
    "evaluate",
    "logits",
    "milestones",
    "pack",
    "photographs",
    "program_of",
    "read_artefact",
    "save_artefact",
    "shapes",
    "told",
    "unpack",
]
