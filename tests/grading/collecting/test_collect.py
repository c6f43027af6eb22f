"""`collect`: every kind of source ends in submitted/STUDENT/UNIT/UNIT.ipynb, and what cannot be taken is named, never lost."""

import json
import os
import re
import shutil
import zipfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes
from nbgrader.api import Gradebook

from posttrain_lab.grading.attempts import earlier, place
from posttrain_lab.grading.collecting import collect as collecting
from posttrain_lab.grading.collecting.collect import collect
from posttrain_lab.grading.collecting.look import Reader
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.gradebook import nbgrader_tools
from posttrain_lab.grading.intake import MOST_BYTES, NeedsAttention
from posttrain_lab.grading.jobs import Jobs

UNIT = "02_quantization"
ROSTER = (
    "student_id,first_name,last_name,email,canvas_id,moodle_id,submitted\n"
    "ann,Ann,Lee,ann@x.org,341,77,2026-11-24 10:15:00 UTC\nben,Ben,Moe,ben@x.org,342,78,\n"
    '"cyd","=HYPERLINK(1)",Poe,cyd@x.org,343,79,\n'
)


class InThisProcess(Reader):
    """The reader without its process, which takes seconds to start; one test below has the real one."""

    def read(self, raw, name):
        from posttrain_lab.grading.collecting.look import _read

        repaired, remarks, problem = _read(raw, name)
        if problem:
            raise NeedsAttention(problem)
        return repaired, remarks


@pytest.fixture(scope="module")
def empty_gradebook(tmp_path_factory):
    """nbgrader takes seconds to make one, so it is made once and copied."""
    path = tmp_path_factory.mktemp("gradebook") / "gradebook.db"
    with nbgrader_tools(), Gradebook(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def course(tmp_path, monkeypatch, empty_gradebook):
    monkeypatch.setattr(collecting, "Reader", InThisProcess)
    root = tmp_path / "course"
    root.mkdir()
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    (root / "roster.csv").write_text(ROSTER)
    shutil.copy(empty_gradebook, root)
    return root


def book(text="x = 1"):
    return writes(new_notebook(cells=[new_code_cell(text, id="one")])).encode()


def zipped(tmp_path, entries):
    with zipfile.ZipFile(tmp_path / "download.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return tmp_path / "download.zip"


def states(found):
    return {row.student: row.state for row in found.rows}


def source_of(root, student):
    path = root / "submitted" / student / UNIT / f"{UNIT}.ipynb"
    return nbformat.read(path, as_version=4).cells[0].source


def stamp_of(root, student):
    path = root / "submitted" / student / UNIT / "timestamp.txt"
    return path.read_text() if path.exists() else ""


def test_moodle_s_zip(course, tmp_path):
    source = zipped(
        tmp_path,
        {
            "Ann Lee_77_assignsubmission_file/02_quantization.ipynb": book("ann"),
            "Ann Lee_77_assignsubmission_file/data/a.csv": b"1",
            "Ann Lee_77_assignsubmission_file/timestamp.txt": b"2020-01-01 00:00:00 UTC",
            "Ben Moe_78_assignsubmission_file/my solution.ipynb": book("ben"),
            "Ben Moe_78_assignsubmission_onlinetext/onlinetext.html": b"<p>see file</p>",
            "Zed Unknown_99_assignsubmission_file/02_quantization.ipynb": book("zed"),
        },
    )
    found = collect(UNIT, source, course)
    assert states(found) == {"ann": "new", "ben": "new", "Zed Unknown (99)": "needs attention"}
    assert found.missing == ("cyd",)
    assert (source_of(course, "ann"), source_of(course, "ben")) == ("ann", "ben")
    assert (course / "submitted" / "ann" / UNIT / "data" / "a.csv").read_bytes() == b"1"
    assert stamp_of(course, "ann") == "2026-11-24 10:15:00.000000 UTC"  # the roster's, not the student's own file
    assert stamp_of(course, "ben") == ""
    assert [row.remark for row in found.rows if row.student == "ben"] == [f"my solution.ipynb was taken for {UNIT}.ipynb"]
    assert not (course / "submitted" / "Zed Unknown").exists()


def test_canvas_s_zip(course, tmp_path):
    source = zipped(
        tmp_path,
        {
            "leeann_341_9001_02_quantization.ipynb": book("ann"),
            "leeann_341_9002_a.csv": b"1",
            "moeben_LATE_342_9003_02_quantization-2.ipynb": book("ben"),
            "anon_x1Yz2_9004_02_quantization.ipynb": book("who"),
        },
    )
    found = collect(UNIT, source, course)
    assert states(found) == {"ann": "new", "ben": "new", "anonymous (anon_x1Yz2)": "needs attention"}
    assert (source_of(course, "ann"), source_of(course, "ben")) == ("ann", "ben")
    assert sorted(os.listdir(course / "submitted" / "ann" / UNIT)) == ["02_quantization.ipynb", "a.csv", "timestamp.txt"]
    assert any("Canvas marks it late" in row.remark for row in found.rows if row.student == "ben")


def test_the_roster_enters_the_gradebook(course, tmp_path):
    collect(UNIT, zipped(tmp_path, {"ann.ipynb": book()}), course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as base:
        known = {one.id: (one.first_name, one.last_name, one.email, one.lms_user_id) for one in base.students}
    assert known["ann"] == ("Ann", "Lee", "ann@x.org", "341")
    assert len(known) == 3


def test_a_folder_of_notebooks_without_a_roster(course, tmp_path):
    (course / "roster.csv").unlink()
    folder = tmp_path / "books"
    folder.mkdir()
    for name in ("ann", "ben_02_quantization"):
        (folder / f"{name}.ipynb").write_bytes(book(name))
    found = collect(UNIT, folder, course)
    assert states(found) == {"ann": "new", "ben": "new"}
    assert found.missing == ()
    assert source_of(course, "ben") == "ben_02_quantization"


def exchange(folder, *attempts):
    for name, content in attempts:
        place = folder / "inbound" / name
        place.mkdir(parents=True)
        (place / f"{UNIT}.ipynb").write_bytes(content)
        (place / "timestamp.txt").write_text(name.split("+")[2])
    return folder


TIMES = ("2026-11-20 10:00:00.000000 UTC", "2026-11-21 10:00:00.000000 UTC")


def test_the_exchange_with_two_attempts(course, tmp_path):
    (course / "nbgrader_config.py").write_text("c = get_config()\nc.ExchangeCollect.check_owner = False\n")
    source = exchange(
        tmp_path / "exchange",
        (f"ann+{UNIT}+{TIMES[1]}+b", book("second")),
        (f"ann+{UNIT}+{TIMES[0]}+a", book("first")),
        (f"ann+01_pruning+{TIMES[1]}+c", book("another unit")),
    )
    found = collect(UNIT, source, course)
    assert [(row.student, row.state) for row in found.rows] == [("ann", "new"), ("ann", "newer")]
    assert (source_of(course, "ann"), stamp_of(course, "ann")) == ("second", TIMES[1])
    (first,) = earlier(course, "ann", UNIT)
    assert nbformat.read(first / f"{UNIT}.ipynb", as_version=4).cells[0].source == "first"
    again = collect(UNIT, source, course)
    assert [row.state for row in again.rows] == ["older", "same"]
    assert len(earlier(course, "ann", UNIT)) == 1
    assert source_of(course, "ann") == "second"


def test_a_folder_in_another_s_name_is_not_taken(course, tmp_path):
    pwd = pytest.importorskip("pwd", reason="this system has no owners of files")
    me = pwd.getpwuid(os.getuid()).pw_name
    (course / "roster.csv").write_text(f"student_id\nann\n{me}\n")
    source = exchange(
        tmp_path / "exchange", (f"ann+{UNIT}+{TIMES[1]}+b", book("forged")), (f"{me}+{UNIT}+{TIMES[0]}+a", book("mine"))
    )
    found = collect(UNIT, source, course)
    assert states(found) == {"ann": "needs attention", me: "new"}
    assert f"says ann, and belongs to {me}" in found.rows[0].remark
    assert not (course / "submitted" / "ann").exists()


BYTES = json.loads(book("x = 1"))
HARMLESS = {
    "a mark": b"\xef\xbb\xbf" + book(),
    "attachments on code": json.dumps({**BYTES, "cells": [{**BYTES["cells"][0], "attachments": {}}]}).encode(),
    "no metadata": json.dumps(
        {**BYTES, "cells": [{k: v for k, v in BYTES["cells"][0].items() if k not in ("metadata", "id")}]}
    ).encode(),
    "bad bytes": book("x = 1 # \xe9").decode().encode("latin-1"),
    "UTF-16": book().decode().encode("utf-16"),
    "format 3": json.dumps(
        {
            "nbformat": 3,
            "nbformat_minor": 0,
            "metadata": {"name": ""},
            "worksheets": [
                {
                    "metadata": {},
                    "cells": [
                        {
                            "cell_type": "code",
                            "input": ["x = 1"],
                            "language": "python",
                            "metadata": {},
                            "outputs": [],
                            "prompt_number": 1,
                        }
                    ],
                }
            ],
        }
    ).encode(),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_repaired_and_told(course, tmp_path, name):
    found = collect(UNIT, zipped(tmp_path, {"ann.ipynb": HARMLESS[name]}), course)
    assert [(row.student, row.state) for row in found.rows] == [("ann", "new")]
    assert found.rows[0].remark
    raw = (course / "submitted" / "ann" / UNIT / f"{UNIT}.ipynb").read_bytes()
    nbformat.validate(json.loads(raw))
    assert source_of(course, "ann").startswith("x = 1")


def test_a_notebook_without_faults_is_kept_byte_by_byte(course, tmp_path):
    (row,) = collect(UNIT, zipped(tmp_path, {"ann.ipynb": book()}), course).rows
    assert row.remark == ""
    assert (course / "submitted" / "ann" / UNIT / f"{UNIT}.ipynb").read_bytes() == book()


UNREADABLE = {
    "empty": ({"ann/a.ipynb": b""}, "a.ipynb is empty"),
    "damaged": ({"ann/a.ipynb": book()[:30]}, "is damaged"),
    "a zip in the zip": ({"ann/a.zip": b"PK"}, "it has no notebook"),
    "two notebooks": ({"ann/a.ipynb": book(), "ann/b.ipynb": book()}, "it has 2 notebooks"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_kept_and_named(course, tmp_path, name):
    entries, reason = UNREADABLE[name]
    (row,) = collect(UNIT, zipped(tmp_path, entries), course).rows
    assert (row.student, row.state) == ("ann", "needs attention")
    assert reason in row.remark
    assert (course / "submitted" / "ann" / UNIT).is_dir()
    with Jobs(course) as jobs:
        (job,) = jobs.refused(UNIT)
    assert (job.student, job.state) == ("ann", "failed")
    assert job.answer["problem"] == f"needs attention: {row.remark}"


REFUSED = {
    "too large": ({"ann/a.ipynb": bytes(MOST_BYTES + 1)}, "more than 20 MB"),
    "too large together": ({"ann/a.ipynb": bytes(MOST_BYTES // 2 + 1), "ann/b": bytes(MOST_BYTES // 2)}, "or 20 MB"),
    "too many": ({f"ann/{number}": b"" for number in range(101)}, "more than 100 files"),
    "too deep": ({"ann/a/b/c/d/e/f.ipynb": book()}, "in too deep a folder"),
    "typed online": ({"Ann Lee_77_assignsubmission_onlinetext/onlinetext.html": b"hi"}, "wrote a text online"),
    "two names that some systems hold for one": (
        {"ann/A.ipynb": book(), "ann/a.ipynb": book()},
        "two files called|in the zip twice",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_written_and_named(course, tmp_path, name):
    entries, reason = REFUSED[name]
    (row,) = collect(UNIT, zipped(tmp_path, entries), course).rows
    assert (row.student, row.state) == ("ann", "needs attention")
    assert re.search(reason, row.remark)
    assert not (course / "submitted").exists()


def test_a_trick_in_the_zip_stops_nobody_else(course, tmp_path):
    source = zipped(tmp_path, {"../../evil.ipynb": book(), "ann.ipynb": book(), "C:/ben.ipynb": book()})
    found = collect(UNIT, source, course)
    assert sorted(row.state for row in found.rows) == ["needs attention", "needs attention", "new"]
    assert not list(tmp_path.rglob("evil.ipynb"))


def test_a_better_submission_replaces_the_complaint(course, tmp_path):
    collect(UNIT, zipped(tmp_path, {"ann.ipynb": b""}), course)
    (row,) = collect(UNIT, zipped(tmp_path, {"ann.ipynb": book()}), course).rows
    assert row.state == "newer"
    with Jobs(course) as jobs:
        assert jobs.refused(UNIT) == []


def test_nothing_there_is_one_sentence(course, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CourseError, match="There is no submission of 02_quantization in"):
        collect(UNIT, tmp_path / "empty", course)


def test_a_link_in_submitted_is_not_followed(course, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (course / "submitted").mkdir()
    (course / "submitted" / "ann").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link; remove it"):
        place(course, "ann", UNIT, {("a",): b""})
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.slow
def test_the_reader_outlives_a_notebook_that_takes_all_memory():
    with Reader() as reader:
        assert reader.read(book(), "a.ipynb") == (book(), [])
        with pytest.raises(NeedsAttention, match=r"a\.ipynb is damaged"):
            reader.read(b"[" * 10**6, "a.ipynb")
        (process,) = reader._pool._processes.values()
        process.kill()
        process.join()
        with pytest.raises(NeedsAttention, match="takes too much memory or time"):
            reader.read(book(), "a.ipynb")
        assert reader.read(b"\xef\xbb\xbf" + book(), "a.ipynb")[1] == ["a byte-order mark was taken off"]
