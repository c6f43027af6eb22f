"""What a proof looks like in a terminal: counts of every kind, and below them whatever went wrong."""

import io
import re

import pytest
from rich.console import Console

from posttrain_lab.checks import UNITS, exercises
from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.cli import course
from posttrain_lab.grading import progress, prove
from posttrain_lab.grading.overview import index_page, progress_in
from posttrain_lab.grading.prove import Proof, Row


@pytest.fixture
def shown(monkeypatch):
    console = Console(file=io.StringIO(), width=100, markup=False)
    monkeypatch.setattr(course, "console", console)
    return console.file


def test_times_are_as_people_write_them():
    assert re.fullmatch(r"(30 Nov|1 Dec) 2026, \d\d:\d\d", course.as_written("2026-11-30T14:05:00+00:00"))
    assert course.as_written("") == "never"


def test_the_first_page_says_how_far_the_learner_is_and_what_comes_next(tmp_path):
    page = tmp_path / "index.md"
    page.write_text(index_page(tuple(UNITS)), encoding="utf-8")
    rights = [Verdict(e.name, True, "right", e.points, e.points) for e in exercises("00_start_here").values()]
    progress.save(tmp_path, "00_start_here", rights)
    course.note_progress(tmp_path)
    text = progress_in(page.read_text(encoding="utf-8"))
    assert "| 00 Start here | 7 of 7 | 4 of 4 | " in text
    assert text.endswith("\n\nGo on with [01 Pruning](01_pruning/01_pruning.ipynb).")
    page.unlink()
    course.note_progress(tmp_path)
    assert not page.exists()


def test_a_proof_fits_eighty_columns():
    console = Console(file=io.StringIO(), width=80, markup=False)
    rows = [Row("adaptive_prediction_sets", kind, str(number)) for kind in course.KINDS for number in range(12)]
    console.print(course.proof_table(proof(*rows)))
    line = next(line for line in console.file.getvalue().splitlines() if "adaptive_prediction_sets" in line)
    assert line.split() == ["adaptive_prediction_sets", *["12/12"] * len(course.KINDS)]


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
