"""Answers that a person marks: `grade` leaves them to formgrader, keeps the marks, and gives 0 to an empty one alone."""

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, register, write

from posttrain_lab.grading.classroom import Order, grade

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MODEL = "### BEGIN SOLUTION\nThe step is wider where the weights are sparse. 1 point each: step, weights, why.\n### END SOLUTION"
STUB = "YOUR ANSWER HERE"


def with_paragraph(book, text):
    data = {"grade_id": "why", "grade": True, "solution": True, "locked": False, "points": 3, "schema_version": 3, "task": False}
    book.cells.insert(4, new_markdown_cell(text, id="why", metadata={"nbgrader": data}))
    return book


def hand_in(root, student, text, answers=None):
    write(with_paragraph(notebook(answers), text), root / "submitted" / student / UNIT)


def found(root, student):
    """Marked by a person, still to mark, and the score."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as base:
        one = base.find_grade("why", UNIT, UNIT, student)
        submission = base.find_submission(UNIT, student)
        return one.manual_score, one.needs_manual_grade, submission.score, submission.max_score


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        root = make_course(tmp_path_factory.mktemp("course"))
        write(with_paragraph(notebook(source_notebook=True), MODEL), root / "solutions" / UNIT)
        hand_in(root, "ann", "The step is wide, because few weights are there.")
        hand_in(root, "ben", STUB)
        patch.chdir(root)
        assert [row.error for row in grade(UNIT, root).rows] == ["", ""]
        yield root


def test_a_paragraph_waits_for_a_person_and_an_empty_one_does_not(root):
    assert found(root, "ann") == (None, True, FULL, FULL + 3)
    assert found(root, "ben") == (None, False, FULL, FULL + 3)


def test_the_model_answer_and_the_rubric_stay_with_the_instructor(root):
    for student in ("ann", "ben"):
        for path in (root / "autograded" / student / UNIT / f"{UNIT}.ipynb", root / "feedback" / student / UNIT / f"{UNIT}.html"):
            assert "wider where the weights are sparse" not in path.read_text(encoding="utf-8")
    page = (root / "feedback" / "ann" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert "because few weights are there" in page


@pytest.fixture(scope="module")
def marked(root):
    """A person gives two points and a comment; then the notebook is handed in again, with one exercise less, and everybody is graded again."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as base:
        one = base.find_grade("why", UNIT, UNIT, "ann")
        one.manual_score, one.needs_manual_grade = 2, False
        base.find_comment("why", UNIT, UNIT, "ann").manual_comment = "The why is missing. <script>x()</script>"
        base.db.commit()
    hand_in(root, "ann", "The step is wide, because few weights are there.", {"double": blank("double")})
    grade(UNIT, root, Order(regrade=True))
    return root


def test_grade_keeps_the_marks_of_a_person(marked):
    manual, again, score, _ = found(marked, "ann")
    assert (manual, score) == (2, FULL - POINTS["double"] + 2)
    assert again  # formgrader shows it once more, because the notebook was handed in again


def test_feedback_shows_marks_and_comment(marked):
    page = (marked / "feedback" / "ann" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert "2.0 / 3.0" in page
    assert "The why is missing." in page
    assert "<script>x()" not in page


def test_a_changed_or_deleted_paragraph_is_still_the_gradebook_s_cell(marked):
    book = nbformat.read(marked / "autograded" / "ann" / UNIT / f"{UNIT}.ipynb", as_version=4)
    (cell,) = [cell for cell in book.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "why"]
    assert (cell.cell_type, cell.metadata.nbgrader.points) == ("markdown", 3)
