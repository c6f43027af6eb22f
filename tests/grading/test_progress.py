"""Progress is kept whole or not at all, and nothing of the learner's is lost to a damaged file."""

import json
import os
from datetime import datetime, timedelta, timezone

import pytest
from small_unit import FULL, POINTS, UNIT, register

from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.grading import progress
from posttrain_lab.grading.progress import FILE, ProgressError, load, save, summary

RIGHT = Verdict("double", True, "double: right in all 18 trials.", 1, 1, calls=18)
WRONG = Verdict("split", False, "You counted what is below.", 0, 2, "below", 3)
NOON = datetime(2026, 3, 1, 13, 0, tzinfo=timezone(timedelta(hours=1)))


def test_what_is_saved_is_loaded_again(tmp_path):
    path = save(tmp_path, UNIT, [RIGHT, WRONG], NOON)
    assert path == tmp_path / FILE
    kept = load(tmp_path)[UNIT]
    assert kept.verdicts == (RIGHT, WRONG)
    assert (kept.points, kept.solved, kept.when) == (1, 1, "2026-03-01T12:00:00+00:00")
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1


def test_the_last_check_of_a_unit_counts_and_other_units_stay(tmp_path):
    save(tmp_path, "other", [WRONG], NOON)
    save(tmp_path, UNIT, [WRONG], NOON)
    save(tmp_path, UNIT, [RIGHT], NOON)
    assert load(tmp_path)[UNIT].verdicts == (RIGHT,)
    assert load(tmp_path)["other"].verdicts == (WRONG,)


def test_summary_has_a_row_for_every_unit(tmp_path, monkeypatch):
    register(monkeypatch)
    monkeypatch.setattr(progress.checks, "UNITS", {UNIT: "small"})
    before = summary(tmp_path)
    assert [(row.unit, row.points, row.max_points, row.when, row.done) for row in before] == [(UNIT, 0, FULL, "", False)]
    save(tmp_path, UNIT, [RIGHT, WRONG], NOON)
    row = summary(tmp_path)[0]
    assert (row.points, row.solved, row.exercises, row.done) == (1, 1, 5, False)
    save(tmp_path, UNIT, [Verdict(name, True, "right", points, points) for name, points in POINTS.items()], NOON)
    assert summary(tmp_path)[0].done


@pytest.mark.parametrize("kept_as", [UNIT, "09_its_name_before"])
def test_progress_of_an_earlier_release_counts_by_the_names_of_exercises(tmp_path, monkeypatch, kept_as):
    """One exercise has more points now, one is gone, three are new, and the unit may have had another name."""
    register(monkeypatch)
    monkeypatch.setattr(progress.checks, "UNITS", {UNIT: "small"})
    gone = Verdict("gone", True, "right", 5, 5)
    before = Verdict("double", True, "right", POINTS["double"] + 1, POINTS["double"] + 1)
    save(tmp_path, kept_as, [before, WRONG, gone], NOON)
    row = summary(tmp_path)[0]
    assert (row.points, row.solved, row.exercises) == (POINTS["double"], 1, len(POINTS))
    assert row.when == "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"units": {"a": {}}}', '{"units": 5}', '{"units": {"a": {"when": 3, "verdicts": []}}}']
)
def test_a_damaged_file_warns_and_is_put_aside(tmp_path, damage):
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text(damage, encoding="utf-8")
    with pytest.warns(UserWarning, match="is damaged; delete it"):
        assert load(tmp_path) == {}
    assert path.read_text(encoding="utf-8") == damage
    with pytest.warns(UserWarning, match="put aside as progress.damaged.json"):
        save(tmp_path, UNIT, [RIGHT])
    assert path.with_name("progress.damaged.json").read_text(encoding="utf-8") == damage
    assert load(tmp_path)[UNIT].verdicts == (RIGHT,)
    path.write_bytes(b"\xff\xfe")
    with pytest.warns(UserWarning, match=r"progress.damaged1.json"):
        save(tmp_path, UNIT, [RIGHT])


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(tmp_path, UNIT, [RIGHT], NOON)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress.os, "replace", fail)
    with pytest.raises(ProgressError, match=r"No space left on device.*; make this folder writable"):
        save(tmp_path, UNIT, [WRONG])
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["progress.json"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / ".posttrain_lab").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(ProgressError, match="cannot be kept in"):
        save(tmp_path, UNIT, [RIGHT])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no folder that its owner may not write to by mode")
def test_a_read_only_folder_is_one_sentence(read_only_folder):
    with pytest.raises(ProgressError, match="make this folder writable"):
        save(read_only_folder, UNIT, [RIGHT])
