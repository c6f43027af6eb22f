"""The learner's copy of the course: made once, brought up to date by each release, and no line of theirs is lost."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from posttrain_lab.cli import own_copy
from posttrain_lab.grading import progress
from posttrain_lab.grading.course import Course
from posttrain_lab.grading.overview import END, NOTHING_YET, PROGRESS

PAGE = f"# The course\n\n{PROGRESS}\n{NOTHING_YET}\n{END}\n"
UNIT = Path("00_first", "00_first.ipynb")


def write(path: Path, *sources: str) -> None:
    """A notebook: text, an exercise, what the sources say."""
    exercise = new_code_cell("def f(): ...", id="f", metadata={"nbgrader": {"grade_id": "f", "solution": True, "grade": False}})
    more = [new_code_cell(source, id=f"more-{place}") for place, source in enumerate(sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 00 First", id="title"), exercise, *more]), path)


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "course"
    write(folder / UNIT, "figure(1)")
    (folder / "index.md").write_text(PAGE, encoding="utf-8")
    (folder / "00_first" / ".ipynb_checkpoints").mkdir()
    (folder / "00_first" / ".ipynb_checkpoints" / "old.ipynb").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(own_copy, "find_course", lambda: Course(folder))
    return folder


@pytest.fixture
def mine(course, tmp_path) -> Path:
    own_copy.copy_course(tmp_path / "mine")
    return tmp_path / "mine"


def test_first_time_copies_everything_but_checkpoints(course, tmp_path):
    done = own_copy.copy_course(tmp_path / "mine")
    assert [path.relative_to(tmp_path / "mine") for path in done.copied] == [UNIT, Path("index.md")]
    assert done.message == f"Your course is in {tmp_path / 'mine'}: 2 files new, 0 as you left them."
    assert not list((tmp_path / "mine").rglob("*.part"))


def test_second_time_keeps_what_the_learner_wrote(course, mine):
    (mine / UNIT).write_text("my answers", encoding="utf-8")
    (course / "new.md").write_text("new", encoding="utf-8")
    done = own_copy.copy_course(mine)
    assert [path.name for path in done.copied] == ["new.md"]
    assert len(done.kept) == 2
    assert done.said == []
    assert (mine / UNIT).read_text(encoding="utf-8") == "my answers"


def test_an_upgrade_renews_what_the_learner_has_not_touched(course, mine):
    write(course / UNIT, "figure(2)", "figure(3)")
    done = own_copy.copy_course(mine)
    assert (done.renewed, done.said) == ([mine / UNIT], [])
    assert (mine / UNIT).read_bytes() == (course / UNIT).read_bytes()
    assert own_copy.copy_course(mine).renewed == []


def test_an_upgrade_brings_cells_into_a_notebook_with_answers(course, mine):
    change(mine / UNIT, "def f(): ...", "def f(): return 1")
    before = (mine / UNIT).read_bytes()
    write(course / UNIT, "figure(2)", "figure(3)")
    done = own_copy.copy_course(mine)
    assert sources(mine / UNIT) == ["# 00 First", "def f(): return 1", "figure(2)", "figure(3)"]
    kept = mine / ".posttrain_lab" / "before" / UNIT
    assert kept.read_bytes() == before
    assert done.said == [f"{UNIT.as_posix()}: 1 cells new, 1 changed, yours as they were. The whole notebook as it was: {kept}."]
    assert own_copy.copy_course(mine).said == []


def test_a_cell_that_both_changed_stays_and_is_named(course, mine):
    change(mine / UNIT, "def f(): ...", "def f(): return 1")
    change(course / UNIT, "def f(): ...", "def f(x): ...")
    done = own_copy.copy_course(mine)
    assert sources(mine / UNIT)[1] == "def f(): return 1"
    assert done.said[1] == "  Changed by you and by the release, and left as yours: f; see 00_first.new.ipynb."
    assert sources(mine / "00_first" / "00_first.new.ipynb")[1] == "def f(x): ..."


def test_what_lies_beside_is_not_overwritten_by_the_next_release(course, mine):
    (mine / UNIT).write_text("{", encoding="utf-8")
    for source in ("figure(2)", "figure(3)"):
        write(course / UNIT, source)
        done = own_copy.copy_course(mine)
        beside = "00_first.new.ipynb" if source == "figure(2)" else "00_first.new1.ipynb"
        assert done.said == [
            f"{UNIT.as_posix()} is not up to date: 00_first.ipynb is not a notebook that can be read (NotJSONError); restore the file. "
            f"The new one lies beside it: {beside}."
        ]
        assert sources(mine / "00_first" / beside)[-1] == source
    assert (mine / UNIT).read_text(encoding="utf-8") == "{"


def test_a_copy_of_which_no_release_is_known(course, mine):
    """As the first versions of `start` left it: answers are no change of the release, anything else may be."""
    change(mine / UNIT, "def f(): ...", "def f(): return 1")
    base = mine / ".posttrain_lab" / "released" / UNIT
    base.unlink()
    assert own_copy.copy_course(mine).said == []
    base.unlink()
    write(course / UNIT, "figure(2)")
    assert own_copy.copy_course(mine).said == [
        f"{UNIT.as_posix()} is not up to date: nothing tells from which release yours was made. "
        "The new one lies beside it: 00_first.new.ipynb."
    ]
    assert sources(mine / UNIT) == ["# 00 First", "def f(): return 1", "figure(1)"]


def test_the_first_page_is_renewed_with_the_learner_s_progress(course, mine):
    change(mine / "index.md", NOTHING_YET, "7 of 7 points")
    assert own_copy.copy_course(mine).renewed == []
    change(course / "index.md", "# The course", "# The new course")
    done = own_copy.copy_course(mine)
    assert done.renewed == [mine / "index.md"]
    page = (mine / "index.md").read_text(encoding="utf-8")
    assert page == PAGE.replace("# The course", "# The new course").replace(NOTHING_YET, "7 of 7 points")


def test_a_text_that_the_learner_changed_stays(course, mine):
    change(mine / "index.md", "# The course", "# My course")
    change(course / "index.md", "# The course", "# The new course")
    assert own_copy.copy_course(mine).said == [
        "index.md is not up to date: yours is not as it was released. The new one lies beside it: index.new.md."
    ]
    assert (mine / "index.md").read_text(encoding="utf-8").startswith("# My course")


def test_a_first_page_in_another_encoding_stays(course, mine):
    (mine / "index.md").write_bytes("Begrüßung".encode("latin-1"))
    change(course / "index.md", "# The course", "# The new course")
    assert len(own_copy.copy_course(mine).said) == 1
    assert (mine / "index.md").read_bytes() == "Begrüßung".encode("latin-1")


def test_a_copy_is_made_without_torch():
    code = (
        "import sys, posttrain_lab.cli.own_copy, posttrain_lab.cli.course, posttrain_lab.cli.start; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert own_copy.PROGRESS == progress.FILE


def test_the_course_itself_is_not_worked_in(course):
    with pytest.raises(ValueError, match="folder of your own"):
        own_copy.copy_course(course)


def test_a_file_in_the_way_is_named(course, tmp_path):
    (tmp_path / "mine").write_text("not a folder", encoding="utf-8")
    with pytest.raises(OSError, match=r"cannot be written .* --folder"):
        own_copy.copy_course(tmp_path / "mine")
