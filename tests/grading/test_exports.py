"""The tables for learning platforms: their documented columns, right scores, no formulas, and nothing where nothing was graded."""

import csv
import datetime
import io

import pytest
from nbgrader.api import Gradebook

from posttrain_lab.grading.exports import PLUGINS, CanvasExport, GradescopeExport, GradesExport, MoodleExport
from posttrain_lab.grading.gradebook import nbgrader_tools
from posttrain_lab.whole_files import csv_text, safe_cell

# nbgrader adds a submission in a way that SQLAlchemy warns of
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

UNIT = "02_quantization"
DUE = datetime.datetime(2026, 11, 24, 12, 0, 0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two exercises of 1 and 2 points, and a paragraph of 3: ann all right, ben half and late, cyd unmarked, dan nothing."""
    path = tmp_path_factory.mktemp("gradebook") / "gradebook.db"
    with nbgrader_tools(), Gradebook(f"sqlite:///{path}") as book:
        for unit in (UNIT, "99_other"):
            book.add_assignment(unit, duedate=DUE)
            book.add_notebook(unit, unit)
            for name, most in (("test_round", 1), ("test_scale", 2)):
                book.add_grade_cell(name, unit, unit, max_score=most, cell_type="code")
        book.add_grade_cell("why", UNIT, UNIT, max_score=3, cell_type="markdown")
        book.add_student("ann", first_name="Ann, Marie", last_name='O"Neil', email="ann@x.org", lms_user_id="341")
        book.add_student("ben", first_name="=HYPERLINK(1)", last_name="@SUM(1)", email="+cmd|x", lms_user_id="342")
        book.add_student("cyd", first_name="Zoë", last_name="Line\nbreak")
        book.add_student("dan")
        mark(book, "ann", DUE, (1, 2), 3)
        mark(book, "ben", DUE + datetime.timedelta(hours=26, minutes=3, seconds=4), (1, 0), 0, penalty=0.4)
        mark(book, "cyd", DUE, (0.1, 0.2), None)
        yield book


def mark(book, student, time, autos, manual, penalty=None):
    book.add_submission(UNIT, student, timestamp=time)
    for name, score in zip(("test_round", "test_scale"), autos, strict=True):
        grade = book.find_grade(name, UNIT, UNIT, student)
        grade.auto_score, grade.needs_manual_grade = score, False
    grade = book.find_grade("why", UNIT, UNIT, student)
    grade.manual_score, grade.needs_manual_grade = manual, manual is None
    book.find_submission_notebook(UNIT, UNIT, student).late_submission_penalty = penalty
    book.db.commit()


def table(base, plugin, tmp_path, **settings):
    path = tmp_path / "out.csv"
    plugin(to=str(path), assignment=[UNIT], **settings).export(base)
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_canvas(base, tmp_path):
    header, possible, *rows = table(base, CanvasExport, tmp_path)
    # lib/gradebook_importer.rb: row[0] has "Student", row[1] "ID", then SIS User ID, SIS Login ID, and the last before assignments "Section"
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "02 Quantization"]
    assert possible == ["    Points Possible", "", "", "", "", "6"]
    assert rows == [
        ['O"Neil, Ann, Marie', "341", "", "ann", "", "6"],
        ["'@SUM(1), =HYPERLINK(1)", "342", "", "ben", "", "0.6"],
        ["Line\nbreak, Zoë", "", "", "cyd", "", "0.3"],
        ["", "", "", "dan", "", ""],
    ]


def test_canvas_s_assignment_is_named_with_its_number(base, tmp_path):
    assert table(base, CanvasExport, tmp_path, column="Unit two (5512)")[0][-1] == "Unit two (5512)"


def test_moodle(base, tmp_path):
    header, *rows = table(base, MoodleExport, tmp_path)
    assert header == ["First name", "Last name", "Username", "Email address", "02 Quantization"]
    assert rows[0] == ["Ann, Marie", 'O"Neil', "ann", "ann@x.org", "6"]
    assert rows[1] == ["'=HYPERLINK(1)", "'@SUM(1)", "ben", "'+cmd|x", "0.6"]
    assert [row[-1] for row in rows] == [
        "6",
        "0.6",
        "0.3",
        "-",
    ]  # load_data.php: `-` is no grade, an empty text is 0 in a new item


def test_gradescope(base, tmp_path):
    header, *rows = table(base, GradescopeExport, tmp_path)
    assert header[:13] == [
        "First Name",
        "Last Name",
        "SID",
        "Email",
        "Sections",
        "Total Score",
        "Max Points",
        "Status",
        "Submission ID",
        "Submission Time",
        "Lateness (H:M:S)",
        "View Count",
        "Submission Count",
    ]
    assert header[13:] == ["1: round (1 pts)", "2: scale (2 pts)", "3: why (3 pts)"]
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [one["Status"] for one in found] == ["Graded", "Graded", "Ungraded", "Missing"]
    assert [one["Total Score"] for one in found] == ["6", "0.6", "0.3", ""]
    assert [one["Lateness (H:M:S)"] for one in found] == ["00:00:00", "26:03:04", "00:00:00", ""]
    assert [one["2: scale (2 pts)"] for one in found] == ["2", "0", "0.2", ""]


def test_nbgrader_s_own_columns(base, tmp_path):
    header, *rows = table(base, GradesExport, tmp_path)
    assert header == list(GradesExport.COLUMNS)
    found = {row[3]: dict(zip(header, row, strict=True)) for row in rows}
    assert (found["ben"]["raw_score"], found["ben"]["late_submission_penalty"], found["ben"]["score"]) == ("1.0", "0.4", "0.6")
    assert (found["dan"]["score"], found["dan"]["max_score"]) == ("", "6.0")
    assert found["ann"]["last_name"] == 'O"Neil'


@pytest.mark.parametrize("plugin", [*PLUGINS.values(), GradesExport])
def test_no_cell_is_a_formula(base, tmp_path, plugin):
    for row in table(base, plugin, tmp_path):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")) or cell.lstrip("+-").replace(".", "").isdigit(), cell


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1", "'=1"),
        ("\n=1", "'\n=1"),
        ("-1", "-1"),
        ("-1+2", "'-1+2"),
        ("+49", "+49"),
        ("1=", "1="),
        ("", ""),
        ("\t=1", "'\t=1"),
    ],
)
def test_cells(text, written):
    assert safe_cell(text) == written
    assert list(csv.reader(io.StringIO(csv_text([[text, "x"]]), newline=""))) == [[written, "x"]]


def test_one_file_a_unit_in_a_folder(base, tmp_path):
    CanvasExport(to=str(tmp_path / "out")).export(base)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["canvas_02_quantization.csv", "canvas_99_other.csv"]
    with pytest.raises(ValueError, match="is one file, and there are 2 units"):
        CanvasExport(to=str(tmp_path / "one.csv")).export(base)
    with pytest.raises(ValueError, match="07 is not in the gradebook; there are: "):
        CanvasExport(assignment=["07"]).export(base)


def test_only_the_students_that_are_named(base, tmp_path):
    assert [row[2] for row in table(base, MoodleExport, tmp_path, student=["ben"])[1:]] == ["ben"]


def test_nbgrader_finds_the_plugins_by_name(base, tmp_path):
    from traitlets.utils.importstring import import_item

    for plugin in PLUGINS.values():
        assert import_item(f"posttrain_lab.grading.exports.{plugin.__name__}") is plugin
