"""Rosters: the instructor's own CSV, and the exports of Moodle and Canvas."""

import pytest

from posttrain_lab.grading.collecting.roster import Student, read_roster, safe_student_id
from posttrain_lab.grading.course import CourseError


def roster(tmp_path, text, coding="utf-8"):
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(coding))
    return path


def test_our_own_columns(tmp_path):
    found = read_roster(
        roster(tmp_path, "student_id,first_name,last_name,email,submitted\nann,Ann,Lee,a@x.org,2026-11-24 10:00\n\nben,,,,\n")
    )
    assert found.students == (Student("ann", "Ann", "Lee", "a@x.org", submitted="2026-11-24 10:00"), Student("ben"))


def test_moodle_s_grading_worksheet(tmp_path):
    text = (
        'Identifier,"Full name","ID number","Email address",Status,Grade,"Last modified (submission)"\n'
        '"Participant 77","Ann van Lee",s12,ann@x.org,Submitted,,"Tuesday, 24 November 2026, 10:15 AM"\n'
    )
    (student,) = read_roster(roster(tmp_path, text, "utf-8-sig")).students
    assert student == Student(
        "s12", "Ann van", "Lee", "ann@x.org", moodle_id="77", submitted="Tuesday, 24 November 2026, 10:15 AM"
    )


def test_moodle_s_participants_with_semicolons(tmp_path):
    (student,) = read_roster(roster(tmp_path, "First name;Surname;Username;Email address\nZoë;Li;zli;z@x.org\n")).students
    assert student == Student("zli", "Zoë", "Li", "z@x.org")


def test_canvas_s_gradebook_export(tmp_path):
    text = (
        "Student,ID,SIS User ID,SIS Login ID,Section,02 Quantization (55)\n,,,,,Manual Posting\n"
        '    Points Possible,,,,,7\n"Lee, Ann",341,900,alee,A,5\n"Student, Test",342,,,A,\n'
    )
    found = read_roster(roster(tmp_path, text))
    assert [(one.student_id, one.canvas_id, one.first_name, one.last_name) for one in found.students] == [
        ("alee", "341", "Ann", "Lee")
    ]


def test_names_are_found_however_a_platform_writes_them(tmp_path):
    found = read_roster(roster(tmp_path, "student_id,first_name,last_name\nann,Ann Marie,O'Neil\nlee,Wei,Li\nlee2,Wei,Li\n"))
    for name in ("Ann Marie O'Neil", "oneilannmarie", "O'NEIL, Ann Marie"):
        assert found.find(name=name).student_id == "ann"
    assert found.find(name="Wei Li") is None
    assert found.find(name="") is None
    assert found.find(email="") is None


BAD = {
    "": "needs a column student_id",
    "colour\nred\n": "needs a column student_id",
    "student_id\nann\nAnn\n": "has Ann twice",
    "student_id\nann\n../ben\n": "'../ben' in line 3 of roster.csv cannot name a folder",
    "student_id\n*\n": "cannot name a folder",
    "student_id\n=HYPERLINK(1)\n": "cannot name a folder",
    "student_id,email\n,\n,x@y.org\n": None,
}


@pytest.mark.parametrize("text", BAD)
def test_a_roster_that_cannot_be_used_is_one_sentence(tmp_path, text):
    path = roster(tmp_path, text)
    if BAD[text] is None:
        assert [one.student_id for one in read_roster(path).students] == ["x@y.org"]
        return
    with pytest.raises(CourseError, match=BAD[text].replace(".", r"\.")):
        read_roster(path)


def test_another_coding_and_no_file_are_named(tmp_path):
    with pytest.raises(CourseError, match="is not written in UTF-8"):
        read_roster(roster(tmp_path, "student_id,first_name\nann,Zoë\n", "latin-1"))
    with pytest.raises(CourseError, match="cannot be read"):
        read_roster(tmp_path / "missing.csv")


@pytest.mark.parametrize("text", ["", ".", "..", ".git", "a/b", "a\\b", "a\nb", "a*", "a?", "[a]", "a" * 101, "a:b"])
def test_no_student_s_id_names_more_than_one_folder(text):
    assert not safe_student_id(text)
