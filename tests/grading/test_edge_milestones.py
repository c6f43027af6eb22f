"""The milestones of project 12: read from the cell, measured outside the learner's process, and given in parts."""

import pytest

from posttrain_lab.grading.edge_milestones import HAND_IN, MILESTONES, PROJECT_CELLS, hand_in_verdict
from posttrain_lab.projects import edge
from posttrain_lab.projects.edge.on_board import CELL
from tests.projects.cheats import FOLDER
from tests.projects.graphs import SOLUTIONS, solution, write


def cell(text):
    return f'def hand_in() -> str:\n    artefact = "{text}"\n    return artefact\n'


@pytest.mark.parametrize(
    ("folder", "points"),
    [
        (SOLUTIONS / "naive", 1),
        (SOLUTIONS / "good", 6),
        (SOLUTIONS / "excellent", 6),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("seed", [101, 7_654_321])
def test_each_milestone_has_its_points(folder, points, seed):
    verdict = hand_in_verdict(cell(edge.pack(folder)), seed)
    assert (verdict.points, verdict.max_points, verdict.passed) == (points, 6, points == 6)
    assert verdict.message.startswith(
        f"hand in: {points} of 6 points\naccepted: it fits the budget. 1 of 1\nworks: Brier score 0."
    )


def test_learning_the_public_photographs_by_heart_is_not_calibrated():
    verdict = hand_in_verdict(cell(edge.pack(FOLDER / "learns_the_public_board")), 101)
    assert 2 <= verdict.points <= 4
    assert "wanted 1 within 0.1. 0 of 2" in verdict.message


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "there is no artefact's text"),
        ("def hand_in():\n    raise NotImplementedError", "there is no artefact's text"),
        ("artefact = open('secret').read()", "there is no artefact's text"),
        (cell("abc"), "damaged"),
        (cell("x" * 300_000), "are allowed"),
        ("def hand_in(:", "there is no artefact's text"),
    ],
)
def test_what_cannot_be_read_has_no_points_and_a_sentence(source, sentence):
    verdict = hand_in_verdict(source, 1)
    assert verdict.points == 0
    assert sentence in verdict.message
    assert verdict.message.count("not measured. 0 of") == 3


def test_a_network_that_is_sure_of_everything_is_not_calibrated(tmp_path):
    graph, tensors = solution("good")
    last = len(graph["layers"]) - 1
    tensors[f"{last}.scale"] *= 1.3
    verdict = hand_in_verdict(cell(edge.pack(write(tmp_path, graph, tensors))), 5)
    assert "calibrated: photographs ask for temperature 1.2" in verdict.message
    assert verdict.points == 4


def test_a_notebook_says_the_same():
    text = edge.pack(SOLUTIONS / "good")
    assert edge.told(lambda: text).endswith("\n6 of 6 points")
    assert edge.told(lambda: "abc").endswith("\n0 of 6 points")

    def not_yet():
        raise NotImplementedError

    assert edge.told(not_yet) == "Nothing is handed in yet."


def test_the_cells_have_one_name_everywhere():
    assert CELL == HAND_IN
    assert {HAND_IN, MILESTONES} < PROJECT_CELLS
