"""`posttrain-lab prove --changed`: what differs is proven, a complaint keeps the old record, several units get a process each."""

from types import SimpleNamespace

import pytest

from posttrain_lab.checks import UNITS
from posttrain_lab.cli import proof

UNIT = "00_start_here"


@pytest.fixture
def proving(monkeypatch):
    """Every exercise is out of date; those named in `wrong` have a complaint. Nothing is really tried, and nothing is written."""
    state = SimpleNamespace(wrong=set(), kept={}, counts=[], reports=0)

    def standing(bench, exercise, count):
        state.counts.append(count)
        complaints = [f"{exercise.name}: a saboteur passes"] if exercise.name in state.wrong else []
        return SimpleNamespace(complaints=lambda: complaints, record=lambda: f"new {exercise.name}")

    def report(root):
        state.reports += 1

    monkeypatch.setattr(proof, "is_stale", lambda exercise, solution: exercise.name != "latency")
    monkeypatch.setattr(proof, "kept", lambda unit: {"accuracy": "old", "latency": "old"})
    monkeypatch.setattr(proof, "keep", lambda unit, records: state.kept.update(records))
    monkeypatch.setattr(proof, "Bench", lambda unit: None)
    monkeypatch.setattr(proof, "_standing", standing)
    monkeypatch.setattr(proof, "write_report", report)
    return state


def test_what_changed_is_proven_with_ten_mutants_and_kept(proving):
    assert proof.prove_standing("00", every=False)
    assert proving.kept == {
        "accuracy": "new accuracy",
        "wilson_interval": "new wilson_interval",
        "model_bytes": "new model_bytes",
        "latency": "old",
    }
    assert proving.counts == [10, 10, 10]
    assert proving.reports == 1


def test_all_takes_every_exercise_and_every_mutant(proving):
    assert proof.prove_standing(UNIT, every=True)
    assert len(proving.counts) == 4
    assert min(proving.counts) > 10_000


def test_a_complaint_is_said_and_keeps_the_old_record(proving, capsys):
    proving.wrong = {"accuracy"}
    assert not proof.prove_standing(UNIT, every=False)
    assert proving.kept["accuracy"] == "old"
    assert proving.kept["model_bytes"] == "new model_bytes"
    assert "accuracy: a saboteur passes" in capsys.readouterr().out


def test_several_units_get_a_process_each_and_one_failure_counts(proving, monkeypatch):
    seen = []

    def run(command):
        seen.append(command[-2:])
        return SimpleNamespace(returncode=int("03_fine_tuning" in command))

    monkeypatch.setattr(proof.subprocess, "run", run)
    assert not proof.prove_standing(None, every=False)
    assert seen == [[unit, "--changed"] for unit in UNITS]
    monkeypatch.setattr(proof.subprocess, "run", lambda command: SimpleNamespace(returncode=0))
    assert proof.prove_standing(None, every=True)
    assert proving.reports == 2  # also when no unit had anything to prove
