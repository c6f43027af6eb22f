"""The commands around grading, from a zip to the page about the class, as an instructor types them."""

import csv
import shutil
import zipfile
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes

from posttrain_lab.cli.app import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")]

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one unit in its gradebook, and a zip of Moodle's with one notebook and one that is none."""
    root = tmp_path_factory.mktemp("course")
    shutil.copy(REPOSITORY / "nbgrader_config.py", root)
    (root / "roster.csv").write_text("student_id,first_name,last_name\nann,Ann,Lee\nben,Ben,Moe\ncyd,Cyd,Poe\n")
    with zipfile.ZipFile(root / "moodle.zip", "w") as archive:
        archive.writestr("Ann Lee_7_assignsubmission_file/a.ipynb", writes(new_notebook(cells=[new_code_cell("x = 1")])))
        archive.writestr("Ben Moe_8_assignsubmission_file/a.ipynb", "{")
    return root


def told(capsys, monkeypatch, course, *words):
    """What a command prints, and its exit code."""
    monkeypatch.chdir(course)
    monkeypatch.setattr("sys.argv", ["posttrain-lab", *words])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capsys.readouterr()
    return " ".join((shown.out + shown.err).split()), end.value.code or 0


def test_collect_names_what_it_cannot_take_and_who_is_missing(capsys, monkeypatch, course):
    text, code = told(capsys, monkeypatch, course, "collect", "00", "moodle.zip")
    assert code == 1
    assert "2 submissions: 1 new, 1 needs attention." in text
    assert "Nothing from 1 of the roster: cyd." in text
    assert "is damaged" in text
    assert (course / "submitted" / "ann" / "00_start_here" / "00_start_here.ipynb").is_file()
    text, code = told(capsys, monkeypatch, course, "collect", "00", "moodle.zip", "--roster", "missing.csv")
    assert (code, text) == (1, "Error: The roster missing.csv cannot be read (No such file or directory).")


def test_report_and_export(capsys, monkeypatch, course):
    from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools

    with nbgrader_tools(), CourseGradebook(course, "00_start_here").base() as base:
        base.update_or_create_assignment("00_start_here")
    assert told(capsys, monkeypatch, course, "report", "00") == ("Written: reports/00_start_here.html (open it in a browser).", 0)
    assert "is damaged" in (course / "reports" / "00_start_here.html").read_text(encoding="utf-8")
    assert told(capsys, monkeypatch, course, "export", "00", "moodle") == ("Written: exports/moodle_00_start_here.csv.", 0)
    with (course / "exports" / "moodle_00_start_here.csv").open(encoding="utf-8", newline="") as file:
        assert [row[2:] for row in csv.reader(file)][1:] == [["ann", "", "-"], ["ben", "", "-"], ["cyd", "", "-"]]
    text, code = told(capsys, monkeypatch, course, "export", "00", "excel")
    assert (code, text) == (1, "Error: There is no export for 'excel'; there are: canvas, moodle, gradescope.")


def test_forget(capsys, monkeypatch, course):
    text, code = told(capsys, monkeypatch, course, "forget", "ben")
    assert code == 0
    assert "submitted/ben/" in text
    assert "Not touched: roster.csv" in text
    assert "is damaged" not in (course / "reports" / "00_start_here.html").read_text(encoding="utf-8")
    assert told(capsys, monkeypatch, course, "forget", "../ann") == ("Error: '../ann' is no student's id.", 1)


def test_solutions_that_are_none(capsys, monkeypatch, course):
    text, code = told(capsys, monkeypatch, course, "prove", "00", "--solutions", "moodle.zip")
    assert code == 1
    assert "is no folder solutions/ beside a nbgrader_config.py" in text
    text, code = told(capsys, monkeypatch, course, "prove", "00", "--solutions", ".", "--changed")
    assert "--solutions goes with the plain proof" in text
