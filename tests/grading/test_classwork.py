"""A class from the platform's zip to the tables for it: collected, graded, reported, exported, and one student forgotten.

One course and few runs of `grade`, which take long; each test looks at one thing.
"""

import csv
import json
import sqlite3
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, register, source

from posttrain_lab.grading.classroom import Order, grade
from posttrain_lab.grading.collecting.collect import collect
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.exports import export_unit
from posttrain_lab.grading.forget import forget
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
from posttrain_lab.grading.results.similarity import write_folder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROSTER = """student_id,first_name,last_name,email,canvas_id,submitted
ann,Ann,Lee,ann@x.org,1,2026-11-24 11:00:00 UTC
ben,Ben,Moe,ben@x.org,2,2026-11-25 13:00:00 UTC
cyd,Cyd,Poe,cyd@x.org,3,2026-11-25 13:00:00 UTC
dan,Dan,Qua,dan@x.org,4,
eve,<script>,"=HYPERLINK(1)",eve@x.org,5,
flo,Flo,Tee,flo@x.org,6,
gus,Gus,Uhl,gus@x.org,7,
"""
SETTINGS = f"""keep = "best"
[late]
late_days = 1
lost_per_day = 0.1
[extra_time]
cyd = {{ days = 2 }}
[units.{UNIT}]
due = 2026-11-24T12:00:00Z
canvas = "Small (5512)"
points = {{ double = 5 }}
"""
MOST = FULL + 4
HALVES = source("double", "    return x / 2")


def text(book):
    return nbformat.v4.writes(book).encode()


def released_before():
    """A notebook whose cell of `split` had another text when it was handed out."""
    book = notebook()
    next(cell for cell in book.cells if cell.id == "split").metadata.nbgrader["checksum"] = "0" * 32
    return book


ENTRIES = {
    "leeann_1_10_small.ipynb": text(notebook()),
    "moeben_LATE_2_11_small.ipynb": text(notebook({"split": blank("split")})),
    "poecyd_3_12_small.ipynb": b"\xef\xbb\xbf" + text(notebook({"double": HALVES})),
    "quadan_4_13_small.ipynb": b"{",
    "hyperlink1script_5_14_small.ipynb": text(released_before()),
    "teeflo_6_15_small.ipynb": bytes(21 * 2**20),
}


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


class Class:
    def __init__(self, root: Path):
        self.root = root
        (root / "roster.csv").write_text(ROSTER)
        (root / "grading.toml").write_text(SETTINGS)
        self.collected = collect(UNIT, zipped(root / "first.zip", ENTRIES), root)
        self.report = grade(UNIT, root)
        self.page = self.html()

    def html(self) -> str:
        return (self.root / "reports" / f"{UNIT}.html").read_text(encoding="utf-8")

    def row(self, student, report=None):
        return next(row for row in (report or self.report).rows if row.student == student)

    def lines(self, path):
        with (self.root / path).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        root = make_course(tmp_path_factory.mktemp("course"))
        patch.chdir(root)
        yield Class(root)


def test_each_score_is_right_after_lateness_extra_time_and_other_points(course):
    assert {row.student: (row.score, row.max_score) for row in course.report.rows if not row.error} == {
        "ann": (MOST, MOST),
        "ben": (pytest.approx((MOST - POINTS["split"]) * 0.9), MOST),  # two begun days late, one of them free
        "cyd": (MOST - 5, MOST),  # as late, with two days of extra time; `double` is worth 5 here
        "eve": (MOST, MOST),
    }


def test_what_cannot_be_graded_needs_attention_and_is_no_zero(course):
    assert course.row("dan").error.startswith("needs attention: ")
    assert "is damaged" in course.row("dan").error
    assert "more than 20 MB" in course.row("flo").error
    assert [name for name in course.collected.missing] == ["gus"]
    scores = {row[3]: row[9] for row in course.lines("grades.csv")}
    assert (scores["dan"], scores["flo"], scores["gus"]) == ("", "", "")


def test_an_older_release_is_named(course):
    assert course.row("eve").remark.startswith("made from another release of the unit (split)")
    assert course.row("ann").remark == ""
    assert "another release" in course.page


def test_feedback_has_the_sentence_the_points_and_no_hidden_test(course):
    page = (course.root / "feedback" / "cyd" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert "You halved x." in page
    assert "hidden=True" not in page
    assert "BEGIN HIDDEN" not in page
    assert "0.0 / 5.0" in page
    assert f"Score: {MOST - 5:.1f} / {MOST:.1f}" in page
    late = (course.root / "feedback" / "ben" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert "Late submission penalty" in late
    assert not (course.root / "feedback" / "dan").exists()


def test_the_page_about_the_class(course):
    page = course.page
    assert "6 submissions, 4 graded, 2 need attention" in page
    assert "1 × half: You halved x." in page
    assert "1 × still empty" in page
    assert "is damaged" in page
    assert page.count("<svg") == 1
    for outside in ("<script", "http://", "https://", "src=", "<link"):
        assert outside not in page


def test_exports(course):
    book = CourseGradebook(course.root, UNIT)
    with nbgrader_tools(), book.base() as base:
        path = export_unit(base, course.root, UNIT, "canvas")
        export_unit(base, course.root, UNIT, "moodle")
        with pytest.raises(ValueError, match="There is no export for 'excel'"):
            export_unit(base, course.root, UNIT, "excel")
    rows = course.lines(path)
    assert rows[0][-1] == "Small (5512)"
    found = {row[3]: (row[0], row[1], row[-1]) for row in rows[2:]}
    assert found["ann"] == ("Lee, Ann", "1", str(MOST))
    assert found["dan"][2] == found["gus"][2] == ""
    assert found["eve"][0].startswith("'=HYPERLINK(1), ")
    assert "<" not in found["eve"][0]


def test_the_folder_for_tools_that_find_copies(course):
    folder = write_folder(UNIT, course.root)
    assert sorted(path.name for path in (folder / "submissions").iterdir()) == ["ann", "ben", "cyd", "eve"]
    own = (folder / "submissions" / "cyd" / f"{UNIT}.py").read_text()
    given = (folder / "base" / f"{UNIT}.py").read_text()
    compile(own, "own", "exec")
    assert "return x / 2" in own
    assert "return x / 2" not in given
    assert "raise NotImplementedError" in given
    for theirs in ("checks.small", "a figure of double", "set_num_threads"):
        assert theirs not in own


@pytest.fixture(scope="module")
def second(course):
    """Another round: ann hands in a worse notebook, dan and gus one that can be read; the rest is as it was."""
    entries = {
        "leeann_1_20_small.ipynb": text(notebook({"stack": blank("stack")})),
        "quadan_4_21_small.ipynb": text(notebook({"cube": blank("cube")})),
        "moeben_2_22_small.ipynb": bytes(21 * 2**20),
    }
    collect(UNIT, zipped(course.root / "second.zip", entries), course.root)
    return grade(UNIT, course.root)


def test_the_best_attempt_counts_and_the_report_says_so(course, second):
    ann = course.row("ann", second)
    assert (ann.score, ann.error) == (MOST, "")
    assert ann.remark == "an earlier attempt counts: it has more points than the last"
    assert course.row("dan", second).score == MOST - POINTS["cube"]
    assert course.row("flo", second).error
    ben = course.row("ben", second)
    assert ben.score > 0
    assert ben.remark.startswith("a later submission needs attention: ")
    assert "a later submission needs attention" in course.html()


def test_later_settings_count_without_judging_again(course, second, monkeypatch):
    monkeypatch.setattr("posttrain_lab.grading.classroom.Examination", None)  # nothing is judged
    (course.root / "grading.toml").write_text(SETTINGS.replace("late_days = 1", "late_days = 2"))
    try:
        assert course.row("ben", grade(UNIT, course.root)).score == MOST - POINTS["split"]
    finally:
        (course.root / "grading.toml").write_text(SETTINGS)


def test_other_points_need_a_regrade(course, second):
    (course.root / "grading.toml").write_text(SETTINGS.replace("double = 5", "double = 6"))
    try:
        with pytest.raises(CourseError, match=r"points in grading.toml, have changed.*\(test_double\); give --regrade"):
            grade(UNIT, course.root)
        (course.root / "grading.toml").write_text(SETTINGS.replace("double = 5", "nothing = 6"))
        with pytest.raises(CourseError, match="points for nothing, which is no exercise of 91_small"):
            grade(UNIT, course.root)
    finally:
        (course.root / "grading.toml").write_text(SETTINGS)


def test_one_student_is_named_alone(course, second):
    assert [row.student for row in grade(UNIT, course.root, Order(students=("ben",))).rows] == ["ben"]
    with pytest.raises(CourseError, match="There is no submission of nobody"):
        grade(UNIT, course.root, Order(students=("nobody",)))


def test_forget_leaves_nothing_of_the_student(course, second):
    (course.root / "roster.csv").unlink()
    for path in course.root.glob("*.zip"):
        path.unlink()
    done = forget("ann", course.root)
    for what in ("submitted/ann/", "autograded/ann/", "feedback/ann/", ".posttrain_lab/attempts/ann/", "the gradebook"):
        assert what in done
    left = [
        path for path in course.root.rglob("*") if (path.is_file() and b"ann@x.org" in path.read_bytes()) or path.name == "ann"
    ]
    assert left == []
    with sqlite3.connect(course.root / ".posttrain_lab" / "grading.sqlite3") as base:
        assert base.execute("select count(*) from jobs where student = 'ann'").fetchone() == (0,)
    base.close()
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}") as base:
        assert "ann" not in [student.id for student in base.students]
    assert "ann" not in [row[3] for row in course.lines("grades.csv")]
    assert "ann" not in [row[3] for row in course.lines(f"exports/canvas_{UNIT}.csv")]
    assert "<td>ann</td>" not in course.html()
    assert "<td>ben</td>" in course.html()
    assert (course.root / "submitted" / "ben").is_dir()
    with pytest.raises(CourseError, match="Nothing is stored of 'ann'"):
        forget("ann", course.root)
    for name in ("..", "a/b", "*"):
        with pytest.raises(CourseError, match="is no student's id"):
            forget(name, course.root)


def test_an_installed_package_says_where_the_sources_are(course, tmp_path):
    (course.root / "nbgrader_config.py").rename(course.root / "solutions.txt")
    try:
        with pytest.raises(
            CourseError, match="give --solutions DIR, the folder solutions/ of the repository in the same version"
        ):
            grade(UNIT, course.root)
    finally:
        (course.root / "solutions.txt").rename(course.root / "nbgrader_config.py")


def test_sources_of_another_folder(course, tmp_path):
    elsewhere = make_course(tmp_path / "checkout") if (tmp_path / "checkout").mkdir() is None else None
    book = CourseGradebook(tmp_path, UNIT, elsewhere / "solutions")
    assert book.root == tmp_path
    assert book.source == elsewhere / "solutions" / UNIT / f"{UNIT}.ipynb"
    assert json.loads(book.source.read_text())["nbformat"] == 4
