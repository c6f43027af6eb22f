"""The report of project 12 is marked by a person in formgrader, in a real browser; the milestones beside it were marked by `grade`."""

import os
import shutil
import sys
from urllib.parse import urlsplit

import pytest
from nbgrader.api import Gradebook

from posttrain_lab.grading.classroom import Order, feedback, grade
from posttrain_lab.grading.course import CONFIG, find_course
from posttrain_lab.grading.sandbox.available import no_sandbox

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from tests.course import lab
from tests.course.server import free_port, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(lab.CHROMIUM is None, reason="Chromium is not installed"),
]
UNIT, REPORT = "12_project_edge", "explain_project"
SETTLED = "() => document.readyState === 'complete' && [...document.images].every(one => one.complete)"


def test_a_person_marks_the_report_beside_the_milestones(tmp_path):
    root, scratch, course = tmp_path / "course", tmp_path / "scratch", find_course()
    shutil.copytree(course.sources() / UNIT, root / "solutions" / UNIT)
    shutil.copy(course.root / CONFIG, root)
    (root / "submitted" / "ann" / UNIT).mkdir(parents=True)
    shutil.copy(course.source(UNIT), root / "submitted" / "ann" / UNIT)
    report = grade(UNIT, root, Order(sandbox=not no_sandbox()))
    assert [(row.score, row.max_score, row.error) for row in report.rows] == [(8, 20, "")]
    scratch.mkdir()
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **{name: str(scratch / name.lower()) for name in names}}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={free_port()}"]
    with running(command, env, scratch / "server.log", root) as address, lab.browser_page(scratch / "profile") as page:
        parts = urlsplit(address)
        home = f"{parts.scheme}://{parts.netloc}"
        page.goto(f"{home}/api/status?{parts.query}", timeout=2 * lab.MINUTE)  # logs in
        page.goto(f"{home}/formgrader/gradebook/{UNIT}/{UNIT}", timeout=2 * lab.MINUTE)
        page.locator("tbody a", has_text="Submission #1").click(timeout=lab.MINUTE)
        page.wait_for_function(SETTLED, timeout=lab.MINUTE)
        answer = page.locator(".nbgrader_cell", has_text="withdraw it")
        assert answer.count() == 1
        with page.expect_response(lambda reply: "/api/grade/" in reply.url and reply.request.method == "PUT") as saved:
            answer.locator("input.score").fill("9")
            answer.locator("input.score").press("Tab")
        assert saved.value.ok
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as base:
        one = base.find_grade(REPORT, UNIT, UNIT, "ann")
        assert (one.manual_score, one.needs_manual_grade) == (9, False)
        assert base.find_submission(UNIT, "ann").score == 17
    assert feedback(UNIT, root) == {"ann": ""}
    page_of_ann = (root / "feedback" / "ann" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert "(Score: 17.0 / 20.0)" in page_of_ann
    assert "hand in: 6 of 6 points" in page_of_ann
