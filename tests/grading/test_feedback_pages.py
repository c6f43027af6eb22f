"""Feedback pages made in less time are the same pages."""

import base64
import contextlib
import re
import sqlite3
from pathlib import Path

import nbformat
import pytest
import torch
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.api import Gradebook
from nbgrader.dbutil import ALEMBIC_DIR
from sqlalchemy.exc import OperationalError
from traitlets.config import Config

from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.task import Case
from posttrain_lab.grading import questions
from posttrain_lab.grading.feedback_pages import LONG, FeedbackExporter
from posttrain_lab.grading.one_gradebook import one_gradebook
from posttrain_lab.grading.safe_pages import markdown2html

pytestmark = pytest.mark.filterwarnings("ignore")
PICTURE = base64.b64encode(b"\x89PNG").decode()


def book(answer: str) -> nbformat.NotebookNode:
    outputs = [
        new_output("display_data", data={"image/png": PICTURE}),
        new_output("stream", name="stdout", text="a < b & <i>\n"),
        new_output("display_data", data={"text/html": "<b>bold</b><img src='a.png'>"}),
        new_output("error", ename="E", evalue="v", traceback=["\x1b[31mred\x1b[0m <b>"]),
    ]
    texts = ["# Title\n\n$a < b$ and `code` <script>x()</script>", "![a picture](a.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |"]
    code = new_code_cell(answer, outputs=outputs, id="code", metadata={"tags": ["setup"]})
    return new_notebook(cells=[*(new_markdown_cell(text, id=f"t{n}") for n, text in enumerate(texts)), code])


def page(exporter: type[HTMLExporter], notebook: nbformat.NotebookNode) -> str:
    config = Config()
    config.HTMLExporter.update(template_name="classic", sanitize_html=True, filters={"markdown2html": markdown2html})
    config.HTMLExporter.preprocessors = ["posttrain_lab.grading.safe_pages.SafeCells"]
    return str(BeautifulSoup(exporter(config=config).from_notebook_node(notebook)[0], "html.parser"))


@pytest.mark.parametrize("answer", ["x = '<b>' # \u00e9", "", "y = 1\n" * (LONG // 6 + 1)], ids=["short", "empty", "long"])
def test_a_page_is_nbconvert_s_also_the_second_time(answer):
    wanted = sorted(page(HTMLExporter, book(answer)).splitlines())
    for _ in range(2):
        found = page(FeedbackExporter, book(answer))
        assert sorted(
            found.replace('<img alt="No description has been provided for this image" ', "<img ").splitlines()
        ) == sorted(line.replace(' alt="No description has been provided for this image"', "") for line in wanted)
        assert all(picture.get("alt") for picture in BeautifulSoup(found, "html.parser").select("img"))


def test_two_answers_are_not_taken_for_each_other():
    first, second = page(FeedbackExporter, book("x = 1")), page(FeedbackExporter, book("x = 2"))
    assert first != second


def test_a_gradebook_that_is_gone_is_noticed_and_others_are_as_before(tmp_path):
    address, before = f"sqlite:///{tmp_path}/gradebook.db", (Gradebook.__init__, Gradebook.close)
    with one_gradebook():
        with Gradebook(address) as base:
            base.add_student("ann")
        with Gradebook(address) as base:
            assert [student.id for student in base.students] == ["ann"]
        (tmp_path / "gradebook.db").unlink()
        with Gradebook(address) as base, pytest.raises(OperationalError, match="no such table"):
            _ = base.students
    assert (Gradebook.__init__, Gradebook.close) == before


def test_a_new_gradebook_has_the_number_of_nbgrader_s_last_change(tmp_path):
    texts = [path.read_text() for path in (Path(ALEMBIC_DIR) / "versions").glob("*.py")]
    numbers, before = (
        {found[0] for text in texts if (found := re.findall(rf"^{name} = '(\w+)'", text.replace('"', "'"), re.MULTILINE))}
        for name in ("revision", "down_revision")
    )
    with one_gradebook(), Gradebook(f"sqlite:///{tmp_path}/gradebook.db"):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "gradebook.db")) as base:
        assert {row[0] for row in base.execute("select version_num from alembic_version")} == numbers - before


def test_a_question_that_was_written_before_is_that_of_the_case(monkeypatch):
    monkeypatch.setattr(questions, "_WRITTEN", {})
    monkeypatch.setattr(questions, "_TOGETHER", {})
    case = Case("", (torch.tensor([1.0, 2.0]), 3), {"bits": 4}, gradients=(0,))
    fresh = questions.question(case.args, case.kwargs, case.gradients)
    questions.write_before([case])
    with monkeypatch.context() as patch:
        patch.setattr(questions, "_written", None)  # it need not be written again
        assert questions.question(case.args, case.kwargs, case.gradients) == fresh
    other = (torch.tensor([1.0, 5.0]), 3)
    args, _, _ = serialize.decode(base64.b64decode(questions.question(other, case.kwargs, case.gradients)))
    assert torch.equal(args[0], other[0])
    questions.write_before([Case("", (object(),))])  # cannot be sent: the sentence comes when it is asked
    with pytest.raises(serialize.WireError):
        questions.question((object(),), {}, ())
