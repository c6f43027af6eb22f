"""What a proof looks like in a terminal: counts of every kind, and below them whatever went wrong."""

import io

import pytest
from rich.console import Console

from posttrain_lab.cli import course
from posttrain_lab.grading import prove
from posttrain_lab.grading.prove import Proof, Row


@pytest.fixture
def shown(monkeypatch):
    console = Console(file=io.StringIO(), width=100, markup=False)
    monkeypatch.setattr(course, "console", console)
    return console.file


def proof(*rows: Row) -> Proof:
    return Proof("02_quantization", rows, 1.0)


def test_a_proof_that_holds(shown, monkeypatch):
    rows = Row("quantize", "mistake", "truncated"), Row("quantize", "mistake", "no clamp"), Row("quantize", "blank")
    monkeypatch.setattr(prove, "prove", lambda unit, course, progress: proof(*rows))
    assert course.prove_units("02")
    text = shown.getvalue()
    assert "2/2" in text
    assert "1/1" in text
    assert "02_quantization: proven in 1 s." in text


def test_a_proof_that_fails_names_what_slipped_through(shown, monkeypatch):
    rows = Row("quantize", "mistake", "truncated"), Row("quantize", "mistake", "no clamp", complaint="got [full] marks")
    monkeypatch.setattr(prove, "prove", lambda unit, course, progress: proof(*rows))
    assert not course.prove_units("02")
    text = shown.getvalue()
    assert "1/2" in text
    assert "quantize, mistake no clamp: got [full] marks" in text
    assert "NOT proven" in text
