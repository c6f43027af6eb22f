"""grading.toml: what it may say, and what being late costs by it."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell

from posttrain_lab.grading.best_attempt import EARLIER, Worth, judged_attempt
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.lateness import DAY, days, penalty
from posttrain_lab.grading.releases import other_release, remark
from posttrain_lab.grading.settings import Settings, UnitSettings, read_settings
from posttrain_lab.grading.times import time_of

UNIT = "02_quantization"


def settings(tmp_path, text):
    (tmp_path / "grading.toml").write_text(text, encoding="utf-8")
    return read_settings(tmp_path)


def test_no_file_is_nobody_late_and_the_last_attempt(tmp_path):
    assert read_settings(tmp_path) == Settings()
    assert Settings().unit(UNIT) == UnitSettings()


def test_everything_that_can_be_said(tmp_path):
    found = settings(
        tmp_path,
        """
        keep = "best"
        [late]
        late_days = 3
        lost_per_day = 0.1
        [extra_time]
        ann = { days = 2, hours = 12 }
        [units.02_quantization]
        due = 2026-12-01T23:59:00+01:00
        canvas = "02 (5512)"
        points = { round_half_even = 2 }
        """,
    )
    assert found == Settings(
        "best",
        3,
        0.1,
        {"ann": timedelta(days=2, hours=12)},
        {UNIT: UnitSettings(datetime(2026, 12, 1, 22, 59), {"round_half_even": 2.0}, {"canvas": "02 (5512)"})},
    )


BAD = {
    "keep = 'first'": "keep must be one of last, best",
    "kept = 'last'": "has kept, which is unknown; there are: keep, late, extra_time, units",
    "late = 3": "late must be a table",
    "[late]\nlost_per_day = 1.5": "late.lost_per_day must be a number from 0 to 1",
    "[late]\nlost_per_day = nan": "late.lost_per_day must be a number",
    "[late]\nlate_days = -1": "late.late_days must be a number",
    "[late]\nlate_days = true": "late.late_days must be a number",
    "[extra_time]\nann = 2": "extra_time.ann must be a table like",
    "[extra_time]\nann = { day = 2 }": "has extra_time.ann.day, which is unknown",
    "[units.02]\ndue = '1 December'": "units.02.due must be a time like",
    "[units.02]\ndue = 2026-12-01": "units.02.due must be a time like",
    "[units.02.points]\na = 'many'": "units.02.points.a must be a number",
    "units = [1]": "units must be a table",
    "keep = ": "cannot be read",
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_meant_is_one_sentence(tmp_path, text):
    with pytest.raises(CourseError, match=BAD[text].replace(".", r"\.")):
        settings(tmp_path, text)


@pytest.mark.parametrize(
    ("seconds", "used", "lost"),
    [
        (0, 0, 0),
        (-5, 0, 0),
        (1, 0, 0),
        (2 * DAY, 0, 0),
        (2 * DAY + 1, 0, 2),
        (DAY, 2, 2),
        (DAY, 5, 2),
        (DAY, 1, 0),
        (100 * DAY, 0, 20),
    ],
)
def test_what_being_late_costs(seconds, used, lost):
    rules = Settings(late_days=2, lost_per_day=0.1)
    assert penalty(rules, 20, seconds, used) == pytest.approx(lost)
    assert penalty(Settings(), 20, seconds, used) == 0


def test_a_begun_day_counts():
    assert [days(seconds) for seconds in (-1, 0, 1, DAY, DAY + 0.5)] == [0, 0, 1, 1, 2]


def solution(name, checksum, points=None, text=""):
    data = {"grade_id": name, "checksum": checksum, "solution": True, "grade": points is not None}
    return new_code_cell(text, metadata={"nbgrader": data if points is None else {**data, "points": points}})


KNOWN = {"a": solution("a", "1"), "b": solution("b", "2"), "why": solution("why", "3", points=3)}
KNOWN["test_a"] = new_code_cell(
    "", metadata={"nbgrader": {"grade_id": "test_a", "grade": True, "solution": False, "checksum": "9"}}
)


def test_cells_of_another_release_are_named():
    assert other_release([solution("a", "1"), solution("b", "2")], KNOWN) == ()
    assert other_release([solution("a", "0"), solution("b", "2"), solution("old", "5")], KNOWN) == ("a", "old")
    assert "(a, old)" in remark(("a", "old"))
    assert remark(()) == ""


def test_what_does_not_tell_its_release_is_not_named():
    cells = [new_code_cell("x"), solution("why", "0", points=2), new_code_cell("", metadata={"nbgrader": {"grade_id": 5}})]
    cells += [
        new_code_cell("", metadata={"nbgrader": {"grade_id": "a"}}),
        new_code_cell("", metadata={"nbgrader": {"checksum": "x"}}),
    ]
    assert other_release(cells, KNOWN) == ()


def test_a_paragraph_of_another_release_is_named_where_its_points_are_the_same():
    assert other_release([solution("why", "3", points=3.0)], KNOWN) == ()
    assert other_release([solution("why", "0", points=3.0)], KNOWN) == ("why",)
    marked = {"why": solution("why", "3", points=3, text="### BEGIN MARK SCHEME\n...\n### END MARK SCHEME")}
    assert other_release([solution("why", "0", points=3)], marked) == ()  # released without the scheme, with another checksum


def attempts(tmp_path, *texts):
    """Attempts, the last first, each told by its folder's name and its time."""
    places = [tmp_path / "submitted" / "ann" / UNIT]
    places += [tmp_path / ".posttrain_lab" / "attempts" / "ann" / UNIT / str(number) for number in range(len(texts) - 1)]
    for place, text in zip(places, texts, strict=True):
        place.mkdir(parents=True)
        (place / "timestamp.txt").write_text(text)
    return places


def worth(**more):
    cell = SimpleNamespace(metadata=SimpleNamespace(nbgrader={"points": 10}))
    return Worth(UNIT, Settings(**more), {"test_a": cell, "test_b": cell}, "ann")


def answer(*right):
    return {"notebook": "{}", "verdicts": [{"exercise": name, "passed": name in right} for name in ("a", "b")], "remarks": []}


ON_TIME, LATE = "2026-11-24 10:00:00 UTC", "2026-11-26 11:00:00 UTC"
DUE = {UNIT: UnitSettings(due=datetime(2026, 11, 24, 12))}


@pytest.mark.parametrize(
    ("keep", "last", "before", "counts"),
    [
        ("last", answer(), answer("a", "b"), "last"),
        ("best", answer(), answer("a"), "before"),
        ("best", answer("a"), answer("a"), "last"),
        ("best", answer("a", "b"), answer("a"), "last"),
        ("best", {"attention": "is damaged"}, answer(), "before"),
        ("best", {"fault": "no kernel"}, {"attention": "is damaged"}, "last"),
    ],
)
def test_the_attempt_that_counts(tmp_path, keep, last, before, counts):
    places = attempts(tmp_path, ON_TIME, ON_TIME)
    answers = dict(zip(places, (last, before), strict=True))
    found = judged_attempt(answers.__getitem__, worth(keep=keep), tmp_path, "ann")
    assert (EARLIER in found.get("remarks", [])) == (counts == "before")
    assert found["time"] == time_of(ON_TIME)


@pytest.mark.parametrize(("lost", "counts"), [(0.1, LATE), (0.5, ON_TIME)])
def test_lateness_is_taken_off_before_attempts_are_compared(tmp_path, lost, counts):
    places = attempts(tmp_path, LATE, ON_TIME)
    answers = dict(zip(places, (answer("a", "b"), answer("a")), strict=True))
    found = judged_attempt(answers.__getitem__, worth(keep="best", lost_per_day=lost, units=DUE), tmp_path, "ann")
    assert found["time"] == time_of(counts)


def test_extra_time_counts_there_too(tmp_path):
    places = attempts(tmp_path, LATE, ON_TIME)
    answers = dict(zip(places, (answer("a", "b"), answer("a")), strict=True))
    more = {"units": DUE, "extra_time": {"ann": timedelta(days=2)}}
    found = judged_attempt(answers.__getitem__, worth(keep="best", lost_per_day=0.5, **more), tmp_path, "ann")
    assert found["time"] == time_of(LATE)


@pytest.mark.parametrize("text", ["", "-", "7", "tomorrow", "2026-13-01 10:00:00 UTC", "9" * 500, "10:00 9999999"])
def test_what_is_no_time_is_none(text):
    assert time_of(text) == ""


def test_times():
    assert time_of("2026-11-24 10:00:00.5 UTC") == "2026-11-24 10:00:00.500000 UTC"
    assert time_of("Tuesday, 24 November 2026, 10:15 AM +0100") == "2026-11-24 09:15:00.000000 UTC"
