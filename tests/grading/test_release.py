"""A release is nbgrader's, byte-identical on every run, whole or not at all; `--check` names the file that differs."""

import os

import nbformat
import pytest
from tiny_unit import UNIT, check_cell, make_course, register, solution_cell, tiny_cells, write_unit

from posttrain_lab.grading import release as module
from posttrain_lab.grading.course import Course, CourseError, find_course, read_notebook
from posttrain_lab.grading.overview import BEGIN, END
from posttrain_lab.grading.release import Release, release, student_notebook

pytestmark = pytest.mark.slow

NOTEBOOK = f"{UNIT}/{UNIT}.ipynb"


@pytest.fixture
def course(tmp_path, monkeypatch):
    register(monkeypatch)
    return make_course(tmp_path)


def snapshot(course: Course) -> dict[str, bytes]:
    return {p.relative_to(course.course).as_posix(): p.read_bytes() for p in course.course.rglob("*") if p.is_file()}


def test_release_makes_the_students_notebook(course):
    report = release(course=course)
    assert report.passed
    assert {NOTEBOOK, f"{UNIT}/picture.svg", "index.md"} <= set(report.files)
    assert set(snapshot(course)) == set(report.files) == set(report.written)
    notebook = read_notebook(course.released(UNIT))
    sources = {cell.id: cell.source for cell in notebook.cells}
    assert sources["double"] == 'def double(x: Tensor) -> Tensor:\n    """Twice x."""\n    raise NotImplementedError'
    assert sources["test_double"] == "checks.tiny.double(double)"
    assert "setup" in sources
    assert [cell.id for cell in notebook.cells] == [*(cell.id for cell in tiny_cells()), "other_units"]
    assert notebook.cells[-1].source == "[All units](../index.md)"
    assert notebook.cells[-1].metadata == {}


def test_release_keeps_nothing_of_the_instructors(course):
    cells = tiny_cells()
    cells[1].metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    cells[1].metadata["lines_to_next_cell"] = 2
    write_unit(course, cells)
    release(course=course)
    notebook = read_notebook(course.released(UNIT))
    assert "jupytext" not in notebook.metadata
    assert notebook.cells[1].metadata == {"tags": ["setup"]}
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    everything = b"".join(snapshot(course).values())
    assert b"SOLUTION" not in everything
    assert b"2 * x" not in everything
    assert not list(course.course.rglob("*.py"))
    assert not list(course.root.rglob("gradebook.db"))


def test_a_second_release_writes_nothing_and_the_bytes_stay(course):
    release(course=course)
    before = snapshot(course)
    again = release(course=course)
    assert again.written == ()
    assert snapshot(course) == before
    for path in list(course.course.rglob("*.*")):
        if path.is_file():
            path.unlink()
    release(course=course)
    assert snapshot(course) == before


def test_check_passes_after_a_release_and_writes_nothing_before(course):
    report = release(check=True, course=course)
    assert not report.passed
    assert f"course/{NOTEBOOK} is missing" in report.message
    assert snapshot(course) == {}
    release(course=course)
    assert release(check=True, course=course).passed


def test_check_names_the_file_and_the_line(course):
    release(course=course)
    path = course.released(UNIT)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if "Two functions" in line)
    lines[place] = lines[place].replace("Two", "Three")
    path.write_bytes("".join(lines).encode())
    report = release(check=True, course=course)
    assert [(d.path, d.what, d.line) for d in report.differences] == [(NOTEBOOK, "differs", place + 1)]
    assert report.message == f"course/{NOTEBOOK} differs from line {place + 1} on: run `posttrain-lab release`."
    assert b"Three functions" in path.read_bytes()


@pytest.mark.parametrize("change", [b"", b"\n\n", b"more\n"])
def test_check_sees_a_change_at_the_very_end(course, change):
    release(course=course)
    path = course.released(UNIT)
    path.write_bytes(path.read_bytes().removesuffix(b"\n") + change)
    assert [d.path for d in release(check=True, course=course).differences] == [NOTEBOOK]


def test_an_unexpected_file_is_reported_and_kept(course):
    release(course=course)
    (course.course / "old").mkdir()
    (course.course / "old" / "old.ipynb").write_text("{}", encoding="utf-8")
    (course.course / ".ipynb_checkpoints").mkdir()
    (course.course / ".ipynb_checkpoints" / "x.ipynb").write_text("{}", encoding="utf-8")
    report = release(check=True, course=course)
    assert report.message == "course/old/old.ipynb is unexpected: remove what is unexpected."
    assert not release(course=course).passed
    assert (course.course / "old" / "old.ipynb").is_file()


def test_a_source_that_cannot_be_released_leaves_the_course_as_it_was(course):
    release(course=course)
    before, here = snapshot(course), os.getcwd()
    cells = tiny_cells()
    cells[2].source = cells[2].source.replace("### END SOLUTION", "")
    write_unit(course, cells)
    with pytest.raises(CourseError, match="no end solution statement found; correct solutions/90_tiny"):
        release(course=course)
    assert snapshot(course) == before
    assert os.getcwd() == here


def test_a_solution_outside_a_solution_cell_is_an_error(course):
    cells = tiny_cells()
    cells[1].source += "\n### BEGIN SOLUTION\nanswer = 2\n### END SOLUTION"
    write_unit(course, cells)
    with pytest.raises(CourseError, match=r"nbgrader cannot release 90_tiny: .*non-solution cell"):
        release(course=course)


def test_two_cells_of_one_grade_id_are_an_error(course):
    second = solution_cell("double", "def double(x): ...")
    second.id = "second"
    write_unit(course, [*tiny_cells(), second])
    with pytest.raises(CourseError, match="nbgrader cannot release 90_tiny"):
        release(course=course)


@pytest.mark.parametrize("damage", ["twice", "none"])
def test_cells_need_ids_of_their_own(course, damage):
    path = write_unit(course, tiny_cells())
    notebook = nbformat.read(path, as_version=4)
    if damage == "twice":
        text = path.read_text(encoding="utf-8").replace('"id": "text"', '"id": "title"')
    else:
        for cell in notebook.cells:
            del cell["id"]
        notebook.nbformat_minor = 4
        text = nbformat.writes(notebook)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="need ids of their own"):
        release(course=course)


def test_a_damaged_source_is_an_error(course):
    course.source(UNIT).write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(CourseError, match=r"90_tiny\.ipynb is not a notebook that can be read"):
        release(course=course)


def test_a_failing_write_leaves_the_old_file(course, monkeypatch):
    release(course=course)
    (course.course / "index.md").write_text("old", encoding="utf-8")

    def broken(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(module.os, "replace", broken)
    with pytest.raises(OSError, match="disk is full"):
        release(course=course)
    assert (course.course / "index.md").read_text(encoding="utf-8") == "old"
    assert not list(course.course.glob(".release-*"))


def test_student_notebook_equals_the_released_one(course):
    release(course=course)
    released = read_notebook(course.released(UNIT))
    made = student_notebook(course, UNIT)
    assert [c.source for c in made.cells] == [c.source for c in released.cells]
    assert [c.metadata.get("nbgrader") for c in made.cells] == [c.metadata.get("nbgrader") for c in released.cells]


def test_the_start_page_lists_minutes_and_points(course):
    release(course=course)
    page = (course.course / "index.md").read_text(encoding="utf-8")
    assert f"| [90 Tiny]({NOTEBOOK}) | 2 | 25 | 5 |" in page


def test_an_installed_package_has_no_solutions(tmp_path):
    package = tmp_path / "site" / "posttrain_lab"
    (package / "course" / UNIT).mkdir(parents=True)
    (package / "course" / UNIT / f"{UNIT}.ipynb").write_text("{}", encoding="utf-8")
    installed = find_course(package)
    assert installed.units() == (UNIT,)
    assert installed.released(UNIT).is_file()
    with pytest.raises(CourseError, match="give --solutions DIR"):
        release(course=installed)
    with pytest.raises(CourseError, match="There is no unit '91' in course/; the units are: 90_tiny"):
        installed.released("91")
    with pytest.raises(CourseError, match="missing from this installation"):
        find_course(tmp_path / "nowhere" / "posttrain_lab")


def test_a_heading_is_needed(course):
    write_unit(course, [*tiny_cells()[1:], check_cell("other", 1)])
    with pytest.raises(CourseError, match="needs a first heading"):
        release(course=course)


def test_message_of_a_clean_release():
    assert Release(("a", "b"), ("a",)).message == "course/ is up to date: 2 files, 1 of them written now."


def test_a_page_has_the_heading_of_the_list_of_units(course):
    cells = tiny_cells()
    cells[0].source = "# 90 Small"
    write_unit(course, cells)
    with pytest.raises(CourseError, match=r"heading '90 Small', posttrain_lab/units\.py says '90 Tiny'; make"):
        release(course=course)


def test_the_table_in_readme_is_released_and_checked_too(course):
    readme = course.root / "README.md"
    readme.write_text(f"# Readme\n\n{BEGIN}\n{END}\n\nMore.\n", encoding="utf-8")
    report = release(course=course)
    assert "../README.md" in report.written
    row = "| [90 Tiny](course/90_tiny/90_tiny.ipynb) | write two functions | 2 | 25 | 5 |"
    assert row in readme.read_text(encoding="utf-8").splitlines()
    assert release(check=True, course=course).passed
    readme.write_text(readme.read_text(encoding="utf-8").replace("| 5 |", "| 6 |"), encoding="utf-8")
    assert release(check=True, course=course).message == "README.md differs from line 6 on: run `posttrain-lab release`."


def test_a_readme_without_marks_leaves_the_course_as_it_was(course):
    (course.root / "README.md").write_text("# Readme\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"README.md has no table of the units; write `<!-- units"):
        release(course=course)
    assert snapshot(course) == {}
