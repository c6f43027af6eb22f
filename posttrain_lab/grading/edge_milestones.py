"""The milestones of project 12: measured on the artefact that stands as a text in the notebook. The cell is read and never run."""

from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.projects.edge.milestones import milestones
from posttrain_lab.projects.edge.on_board import CELL as HAND_IN
from posttrain_lab.projects.edge.packing import text_in

MILESTONES, NAME = "test_hand_in", "hand in"
PROJECT_CELLS = {"my_network", HAND_IN, MILESTONES}  # graded cells that belong to no exercise


def hand_in_verdict(source: str, seed: int) -> Verdict:
    """The points of the milestones, which may be a part of them, and a line for each; the seed draws the photographs."""
    found = milestones(text_in(source), f"seed {seed}")
    points, most = sum(one.points for one in found), sum(one.most for one in found)
    text = "\n".join([f"{NAME}: {points} of {most} points", *map(str, found)])
    return Verdict(NAME, points == most, text, points, most)
