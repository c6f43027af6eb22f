"""A person marks in formgrader, in a real browser; what a student wrote into the notebook runs neither there nor in the feedback page."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import ended_run
import pytest
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, write

from posttrain_lab.grading.classroom import feedback

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from tests.course import lab
from tests.course.server import free_port, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(lab.CHROMIUM is None, reason="Chromium is not installed"),
]
EVIL = (
    "<script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"
    '<iframe srcdoc="<script>parent.evil = 3</script>"></iframe>and **bold** words'
)
MODEL = "### BEGIN SOLUTION\nthe model answer\n### END SOLUTION"
SETTLED = "() => document.readyState === 'complete' && [...document.images].every(one => one.complete)"


def with_paragraph(book, text):
    data = {"grade_id": "why", "grade": True, "solution": True, "locked": False, "points": 3, "schema_version": 3, "task": False}
    book.cells.insert(4, new_markdown_cell(text, id="why", metadata={"nbgrader": data}))
    return book


@dataclass(frozen=True)
class Marking:
    root: Path
    address: str
    page: lab.Page

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}/formgrader/{path}", timeout=2 * lab.MINUTE)
        self.page.wait_for_function(SETTLED, timeout=lab.MINUTE)


@pytest.fixture(scope="module")
def marking(tmp_path_factory) -> Iterator[Marking]:
    """A course with one graded submission, hostile in a text and in the paragraph; formgrader, and a window on it."""
    root, scratch = make_course(tmp_path_factory.mktemp("course")), tmp_path_factory.mktemp("scratch")
    write(with_paragraph(notebook(source_notebook=True), MODEL), root / "solutions" / UNIT)
    book = with_paragraph(notebook({"cube": blank("cube")}), f"Few weights are there. {EVIL}")
    book.cells.insert(1, new_markdown_cell(EVIL, id="evil"))
    write(book, root / "submitted" / "ann" / UNIT)
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **{name: str(scratch / name.lower()) for name in names}}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={free_port()}"]
    with pytest.MonkeyPatch.context() as patch, running(command, env, scratch / "server.log", root) as address:
        patch.chdir(root)
        assert [row["error"] for row in ended_run.graded(sandbox=False)] == [""]
        with lab.browser_page(scratch / "profile") as page:
            parts = urlsplit(address)
            page.goto(f"{parts.scheme}://{parts.netloc}/api/status?{parts.query}", timeout=2 * lab.MINUTE)  # logs in
            yield Marking(root, f"{parts.scheme}://{parts.netloc}", page)


def evil(page: lab.Page) -> object:
    return page.evaluate("() => window.evil ?? null")


def test_the_same_text_would_run_where_nobody_cleans_it(marking):
    marking.page.goto("about:blank")  # a page without rules of a server
    marking.page.set_content(EVIL)
    marking.page.wait_for_function("() => window.evil", timeout=lab.MINUTE)
    assert evil(marking.page) is not None


def test_formgrader_lists_the_submission_with_its_score(marking):
    marking.open(f"manage_submissions/{UNIT}")
    line = marking.page.locator("tbody tr", has_text="ann")
    line.wait_for(timeout=lab.MINUTE)
    assert f"{FULL - POINTS['cube']} / {FULL + 3}" in line.inner_text()


def test_a_person_marks_the_paragraph_and_nothing_of_the_student_s_runs(marking):
    page = marking.page
    marking.open(f"gradebook/{UNIT}/{UNIT}")
    page.locator("tbody a", has_text="Submission #1").click(timeout=lab.MINUTE)
    page.wait_for_function(SETTLED, timeout=lab.MINUTE)
    answer = page.locator(".nbgrader_cell", has_text="Few weights are there.")
    assert answer.count() == 1
    assert "and bold words" in answer.inner_text()
    assert evil(page) is None
    assert page.locator("iframe").count() == 0
    with page.expect_response(lambda reply: "/api/grade/" in reply.url and reply.request.method == "PUT") as saved:
        answer.locator("input.score").fill("2")
        answer.locator("input.score").press("Tab")
    assert saved.value.ok
    with page.expect_response(lambda reply: "/api/comment/" in reply.url and reply.request.method == "PUT") as saved:
        answer.locator("textarea.comment").fill("The why is missing.")
        answer.locator("textarea.comment").press("Tab")
    assert saved.value.ok
    with Gradebook(f"sqlite:///{marking.root / 'gradebook.db'}") as base:
        one = base.find_grade("why", UNIT, UNIT, "ann")
        assert (one.manual_score, one.needs_manual_grade) == (2, False)
        assert base.find_submission(UNIT, "ann").score == FULL - POINTS["cube"] + 2


def test_the_feedback_page_has_sentence_points_and_comment_and_nothing_runs(marking):
    assert feedback(UNIT, marking.root) == {"ann": ""}
    path = marking.root / "feedback" / "ann" / UNIT / f"{UNIT}.html"
    marking.page.goto(path.as_uri(), timeout=lab.MINUTE)
    marking.page.wait_for_function(SETTLED, timeout=lab.MINUTE)
    text = marking.page.locator("body").inner_text()
    assert "cube: this cell is empty." in text
    assert "double: right." in text
    assert f"(Score: {float(FULL - POINTS['cube'] + 2)} / {float(FULL + 3)})" in text
    assert "The why is missing." in text
    assert "and bold words" in text
    assert evil(marking.page) is None
    assert marking.page.locator("iframe").count() == 0
