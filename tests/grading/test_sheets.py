"""`posttrain-lab sheets`: a token for each student, from a secret that is made once."""

import csv

import pytest

from posttrain_lab.cli.app import main
from posttrain_lab.clinic import token_of
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.sheets import SECRET, TOKENS, forget_token, secret_of, student_token, write_tokens

ROSTER = "student_id,first_name,last_name\nann,Ann,Lee\nben.m@x.org,Ben,Moe\n"


@pytest.fixture
def course(tmp_path):
    (tmp_path / "roster.csv").write_text(ROSTER)
    return tmp_path


def test_each_student_has_the_token_that_grading_makes_again(course, capsys, monkeypatch):
    monkeypatch.chdir(course)
    monkeypatch.setattr("sys.argv", ["posttrain-lab", "sheets", "roster.csv"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "a token for each of 2 students" in capsys.readouterr().out
    with (course / TOKENS).open(encoding="utf-8", newline="") as file:
        rows = dict(csv.reader(file))
    secret = (course / SECRET).read_text().strip()
    assert rows == {"student_id": "token"} | {name: token_of(secret, name) for name in ("ann", "ben.m@x.org")}
    assert {name: student_token(course, name) for name in rows if name != "student_id"} == dict(list(rows.items())[1:])


def test_the_secret_is_made_once_and_is_its_owners(course):
    first = secret_of(course)
    assert len(first) == 64
    assert secret_of(course) == first
    assert (course / SECRET).stat().st_mode & 0o077 == 0
    assert write_tokens(course, course / "roster.csv") == 2


def test_a_student_is_forgotten_and_the_others_keep_their_lines(course):
    assert not forget_token(course, "ann")
    write_tokens(course, course / "roster.csv")
    assert forget_token(course, "ann")
    assert not forget_token(course, "ann")
    assert (course / TOKENS).read_text() == f"student_id,token\nben.m@x.org,{student_token(course, 'ben.m@x.org')}\n"


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_is_none_is_not_used(course, secret):
    (course / SECRET).write_text(secret)
    with pytest.raises(CourseError, match=f"a secret of {len(secret)} characters"):
        write_tokens(course, course / "roster.csv")
    assert not (course / TOKENS).exists()


def test_a_roster_without_students_is_named(course):
    (course / "empty.csv").write_text("student_id\n")
    with pytest.raises(CourseError, match="has no students"):
        write_tokens(course, course / "empty.csv")
    with pytest.raises(CourseError, match="cannot be read"):
        write_tokens(course, course / "other.csv")
