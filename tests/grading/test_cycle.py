"""nbgrader's whole cycle on honest and dishonest submissions: each ends with the score it deserves and stops nobody else's.

One course, one run of `grade` over all students, then feedback and export; every test looks at one student.
"""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.api import Gradebook
from small_unit import FULL, POINTS, UNIT, blank, cell, make_course, notebook, register, source, write

from posttrain_lab.grading.classroom import Graded, GradeReport, Order, feedback, grade

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LIMITS = """
c.GradeInKernel.cell_timeout = 15
c.GradeInKernel.call_timeout = 4
c.GradeInKernel.exercise_timeout = 30
"""
ALL_BLANK = {name: blank(name) for name in POINTS}
PATCHED_CHECKS = """
import posttrain_lab.checks.engine.exercise as exercise, posttrain_lab.checks.engine.judges as compare
exercise.Exercise.__call__ = lambda self, function, hidden=False: print(f"{self.name}: right in all 99 trials.")
exercise.Exercise.check = lambda self, *a, **k: exercise.Verdict(self.name, True, "right", self.points, self.points)
compare.difference = lambda *a, **k: None
exercise.problem_of = lambda outcome: None
"""
PATCHED_TORCH = """
import builtins, sys, torch
torch.equal = torch.allclose = lambda *a, **k: True
torch.testing.assert_close = lambda *a, **k: None
torch.Tensor.__eq__ = lambda self, other: torch.ones((), dtype=torch.bool)
builtins.abs = lambda x: 0
builtins.isinstance = lambda *a: True
"""
FORGED_HELPER = """
import base64
import posttrain_lab.grading.kernel_side as side
from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.outcome import Outcome
ALL_PASSED = {"passed": True, "points": 15, "max_points": 15, "message": "right in all 99 trials."}
side.answer = lambda *a: base64.b64encode(serialize.encode(Outcome(value=ALL_PASSED))).decode()
"""
GARBAGE_HELPER = """
import posttrain_lab.grading.kernel_side as side
ANSWERS = iter(["", "%%%", "A" * 1000, "x" * 10**8, "AAAAAAAAAAAA"] * 99)
side.answer = lambda *a: next(ANSWERS)
"""
HOOKS = """
shell = get_ipython()
shell.events.register("pre_execute", lambda: shell.user_ns.update(double="mine"))
RIGHT = ["print('right in all 99 trials.')\\n"]
shell.input_transformers_post.append(lambda lines: RIGHT if "checks." in "".join(lines) else lines)
shell.set_custom_exc((Exception,), lambda *a, **k: None)
shell.user_expressions = lambda expressions: {"answer": {"status": "ok", "data": {"text/plain": "'passed'"}}}
"""
ALWAYS_EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __len__(self): return 5
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
class EqualTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *a, **k): return True
"""
OWN_FILES = {
    "posttrain_lab.py": "raise SystemExit('the student\\'s package')\n",
    "posttrain_lab/__init__.py": "raise SystemExit('the student\\'s package')\n",
    "torch.py": "raise SystemExit('the student\\'s torch')\n",
    "ipykernel_launcher.py": "raise SystemExit('the student\\'s kernel')\n",
    "sitecustomize.py": "raise SystemExit('the student\\'s site')\n",
    "ipython_config.py": "raise SystemExit('the student\\'s config')\n",
    "nbgrader_config.py": "raise SystemExit('the student\\'s config')\n",
}


@dataclass(frozen=True)
class Submitted:
    """One student's submission, and the exercises that deserve their points."""

    book: NotebookNode | str
    right: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()


def tampered(before: str, answers: dict[str, str] | None = None) -> NotebookNode:
    """All cells blank (or these answers, the rest right), after a cell of the student's own."""
    book = notebook(ALL_BLANK if answers is None else answers)
    book.cells.insert(2, new_code_cell(before, id="mine"))
    return book


def changed(change: Callable[[NotebookNode], None], answers: dict[str, str] | None = None) -> NotebookNode:
    book = notebook(answers)
    change(book)
    return book


def _edit_checks(book: NotebookNode) -> None:
    for name in POINTS:
        cell(book, f"test_{name}").source = "print('right in all 99 trials.')"


def _edit_metadata(book: NotebookNode) -> None:
    cell(book, "test_double").metadata.nbgrader.points = 1000
    cell(book, "test_split").metadata.nbgrader.update(grade=False, locked=False, checksum="0" * 32)
    cell(book, "test_cube").metadata.nbgrader.update(points="many", solution=True, schema_version=99)
    cell(book, "test_stack").metadata.nbgrader = "no dictionary"
    cell(book, "test_seconds").cell_type = "markdown"
    for key in ("outputs", "execution_count"):
        cell(book, "test_seconds").pop(key)


def _swap_ids(book: NotebookNode) -> None:
    """Wrong `double`, right `split`: let the check of `double` carry the other's id."""
    first, second = cell(book, "test_double"), cell(book, "test_split")
    first.metadata.nbgrader.grade_id, second.metadata.nbgrader.grade_id = "test_split", "test_double"


def _duplicate(book: NotebookNode) -> None:
    place = book.cells.index(cell(book, "test_double"))
    book.cells.insert(place + 1, nbformat.from_dict(json.loads(json.dumps(book.cells[place]))))
    book.cells.append(nbformat.from_dict(json.loads(json.dumps(cell(book, "cube")))))
    book.cells[-1].source = "raise ValueError"


def _delete(book: NotebookNode) -> None:
    """One check that would have passed, and one exercise with its check."""
    book.cells.remove(cell(book, "test_cube"))
    book.cells.remove(cell(book, "stack"))
    book.cells.remove(cell(book, "test_stack"))


WARNS = "    import sys, warnings\n    warnings.warn('careful')\n    print('noise', file=sys.stderr)\n    return 2 * x"
LOUD = "import os, sys\nprint('noise', file=sys.stderr)\nos.write(2, b'more')\n" + source("double", WARNS)
EQUAL = {name: ALWAYS_EQUAL + source(name, "    return Equal()") for name in ("double", "split", "stack", "seconds")}
EQUAL["double"] = ALWAYS_EQUAL + source("double", "    return torch.zeros(5).as_subclass(EqualTensor)")
EXITS = source("double", "    import os\n    os._exit(0)")
EXITS_IN_CELL = source("split") + "\nimport os\nos._exit(1)"
LOOPS = source("double", "    while True:\n        pass")
STUBBORN = source("split", "    while True:\n        try:\n            while True: pass\n        except BaseException: pass")
SYSTEM_EXIT = source("stack", "    raise SystemExit(0)")
DELETES_FILES = """
import glob, os, sqlite3
for path in glob.glob("../../../gradebook.db") + glob.glob("../gradebook.db"):
    os.remove(path)
open("91_small.ipynb", "w").write("{}")
"""
ZERO = {name: blank(name) if name == "cube" else source(name, "    return 0") for name in POINTS}
OTHERS = tuple(name for name in POINTS if name != "double")

SUBMISSIONS = {
    "perfect": Submitted(notebook(), tuple(POINTS)),
    "empty": Submitted(notebook(ALL_BLANK), ()),
    "half": Submitted(
        notebook({"split": blank("split"), "stack": source("stack", "    return second")}), ("double", "cube", "seconds")
    ),
    "patched": Submitted(tampered(PATCHED_CHECKS + PATCHED_TORCH, ZERO), ()),
    "forged_helper": Submitted(tampered(FORGED_HELPER), ()),
    "garbage_helper": Submitted(tampered(GARBAGE_HELPER, {}), ()),
    "hooks": Submitted(tampered(HOOKS), ()),
    "always_equal": Submitted(notebook(EQUAL), ("cube",)),
    "edited_checks": Submitted(changed(_edit_checks, {"double": blank("double")}), OTHERS),
    "edited_metadata": Submitted(changed(_edit_metadata, {"double": blank("double")}), OTHERS),
    "swapped_ids": Submitted(changed(_swap_ids, {"double": blank("double")}), ("cube", "stack", "seconds")),
    "duplicate": Submitted(changed(_duplicate), tuple(POINTS)),
    "deleted": Submitted(changed(_delete, {"double": blank("double")}), ("split", "cube", "seconds")),
    "warns": Submitted(tampered(DELETES_FILES, {"double": LOUD}), tuple(POINTS)),
    "exits": Submitted(notebook({"double": EXITS, "stack": SYSTEM_EXIT, "split": EXITS_IN_CELL}), ("cube", "seconds")),
    "loops": Submitted(notebook({"double": LOOPS, "split": STUBBORN}), ("cube", "stack", "seconds")),
    "own_files": Submitted(notebook({"double": blank("double")}), OTHERS, tuple(OWN_FILES.items())),
    "damaged": Submitted('{"cells": [', ()),
    "zz_honest": Submitted(notebook(), tuple(POINTS)),
}
READABLE = [name for name in SUBMISSIONS if name != "damaged"]


@dataclass(frozen=True)
class Cycle:
    root: Path
    report: GradeReport

    def row(self, student: str) -> Graded:
        return next(row for row in self.report.rows if row.student == student)

    def autograded(self, student: str) -> NotebookNode:
        return nbformat.read(self.root / "autograded" / student / UNIT / f"{UNIT}.ipynb", as_version=4)

    def check(self, student: str, name: str) -> NotebookNode:
        cells = self.autograded(student).cells
        return next(c for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == f"test_{name}")


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cycle]:
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        root = make_course(tmp_path_factory.mktemp("course"), LIMITS)
        for student, submitted in SUBMISSIONS.items():
            folder = root / "submitted" / student / UNIT
            for name, text in submitted.files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
            if isinstance(submitted.book, str):
                folder.mkdir(parents=True)
                (folder / f"{UNIT}.ipynb").write_text(submitted.book, encoding="utf-8")
            else:
                write(submitted.book, folder)
        patch.chdir(root)
        yield Cycle(root, grade(UNIT, root, Order(all_cells=True)))


@pytest.mark.parametrize("student", READABLE)
def test_each_submission_gets_the_score_it_deserves(cycle, student):
    row = cycle.row(student)
    right = SUBMISSIONS[student].right
    assert row.error == ""
    assert (row.score, row.max_score) == (sum(POINTS[name] for name in right), FULL)
    with Gradebook(f"sqlite:///{cycle.root / 'gradebook.db'}") as gradebook:
        submission = gradebook.find_submission(UNIT, student)
        scores = {grade.name: grade.auto_score for grade in submission.notebooks[0].grades}
        assert scores == {f"test_{name}": POINTS[name] if name in right else 0 for name in POINTS}
        assert not submission.needs_manual_grade


def test_what_cannot_be_read_needs_attention_and_is_no_zero(cycle):
    assert (
        cycle.row("damaged").error
        == "needs attention: 91_small.ipynb is damaged: it is no JSON; ask for it again, or look for an older copy."
    )
    assert not (cycle.root / "autograded" / "damaged").exists()


@pytest.mark.parametrize("student", READABLE)
def test_the_cell_says_why_in_one_output(cycle, student):
    for name in POINTS:
        (output,) = cycle.check(student, name).outputs
        if name in SUBMISSIONS[student].right:
            assert (output.output_type, output.name) == ("stream", "stdout")
            assert output.text.startswith(f"{name}: right in all")
        else:
            assert output.output_type == "error"
            assert output.traceback == [output.evalue]
            assert 20 < len(output.evalue) < 1000


SENTENCES = {
    ("empty", "double"): "still empty",
    ("half", "stack"): "expected",
    ("forged_helper", "double"): "expected a tensor",
    ("garbage_helper", "double"): "cannot be read",
    ("hooks", "double"): "still empty",
    ("exits", "double"): "Python process ended",
    ("exits", "stack"): "SystemExit",
    ("exits", "split"): "is not defined, because its cell stopped",
    ("loops", "double"): "within 4 seconds of processor time; look for a loop",
    ("loops", "split"): "look for a loop",
    ("always_equal", "split"): "a plain tensor, number or torch.nn layer is wanted",
    ("deleted", "stack"): "is not defined",
}


@pytest.mark.parametrize(("student", "name"), SENTENCES)
def test_the_sentence_names_what_is_wrong(cycle, student, name):
    assert SENTENCES[student, name] in cycle.check(student, name).outputs[0].evalue


def test_figures_and_noise_are_kept_for_the_reader(cycle):
    cells = cycle.autograded("warns").cells
    assert any("a figure of double" in str(c.get("outputs")) for c in cells)
    assert any(o.get("name") == "stderr" and "noise" in o.text for c in cells for o in c.get("outputs", []))


def test_feedback_shows_sentences_and_no_hidden_test(cycle):
    assert feedback(UNIT, cycle.root) == dict.fromkeys(sorted(READABLE), "")
    for student in ("half", "warns"):
        page = (cycle.root / "feedback" / student / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
        assert "HIDDEN" not in page
        assert "hidden=True" not in page
        assert "still empty" in page if student == "half" else True


def test_the_export_has_a_line_for_every_graded_student(cycle):
    with cycle.report.csv.open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert rows == {name: sum(POINTS[one] for one in SUBMISSIONS[name].right) for name in READABLE}


def test_the_submission_and_the_course_are_left_alone(cycle):
    assert not (cycle.root / "course").exists()
    assert (cycle.root / "submitted" / "own_files" / UNIT / "torch.py").is_file()
    with sqlite3.connect(cycle.root / "gradebook.db") as base:
        assert base.execute("select count(*) from student").fetchone() == (len(READABLE),)
    base.close()
