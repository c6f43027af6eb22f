"""`deploy` takes an artefact: the page and the C code give the numbers that the board scored, and the card says what it is."""

import pytest
import torch

from posttrain_lab.deployment.card import check_artefact
from posttrain_lab.deployment.compiled import compiler
from posttrain_lab.deployment.deploy import deploy
from posttrain_lab.deployment.engine import node
from posttrain_lab.experiments.deployables import deployable
from posttrain_lab.projects.edge import Refused, logits, program_of, read_artefact
from tests.projects.graphs import SOLUTIONS


@pytest.fixture(scope="module")
def made():
    return deployable(str(SOLUTIONS / "excellent"), 60)


def test_the_program_to_deploy_is_the_one_that_is_scored(made):
    scored = logits(program_of(read_artefact(SOLUTIONS / "excellent")), made.images)
    assert torch.equal(made.logits(made.wanted()), scored)
    assert made.temperature == 1.0  # it is in the scales
    assert len(made.images) == len(made.labels) == 60


@pytest.mark.parametrize(("target", "name"), [("web", "excellent.html"), ("c", "excellent.c")])
def test_page_and_c_code_are_compared_number_by_number(tmp_path, made, target, name):
    done = deploy(made, target, tmp_path / name)
    rows = dict(done.rows)
    if {"web": node, "c": compiler}[target]() is not None:
        assert any(what.startswith("equal to") for what in rows)
    assert rows["multiply-accumulates"] == "1,158,720"
    check_artefact(tmp_path / name)
    card = (tmp_path / f"{name}.card.md").read_text(encoding="utf-8")
    assert "as the camera of the edge project sees it" in card


def test_a_folder_that_is_no_artefact(tmp_path):
    with pytest.raises(Refused, match=r"there is no file graph.json"):
        deployable(str(tmp_path))
