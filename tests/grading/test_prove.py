"""The prover is proven: a good unit passes, and each way in which a check can fail its students is found and named."""

import time
from dataclasses import replace

import pytest
import torch
from tiny_unit import (
    ANSWERS_FILE,
    SHIFT,
    UNIT,
    check_cell,
    double_exercise,
    make_course,
    register,
    shift_exercise,
    solution_cell,
    tiny_cells,
    with_mistakes,
    write_unit,
)

from posttrain_lab.checks.engine import diagnosis
from posttrain_lab.checks.engine.exercise import Law, Mistake
from posttrain_lab.grading.course import CourseError, standard_check
from posttrain_lab.grading.notebook_runner import NotebookRunner
from posttrain_lab.grading.prove import Proof, prove

pytestmark = pytest.mark.slow


@pytest.fixture
def course(tmp_path, monkeypatch):
    register(monkeypatch)
    return make_course(tmp_path)


def failures(proof: Proof) -> list[tuple[str, str, str, str]]:
    return [(row.exercise, row.kind, row.variant, row.complaint) for row in proof.failures]


def test_a_good_unit_is_proven(course):
    steps, start = [], time.monotonic()
    proof = prove(UNIT, course, lambda done, total, what: steps.append((done, total, what)))
    assert 0 < proof.seconds <= time.monotonic() - start
    assert failures(proof) == []
    assert proof.passed
    kinds = [row.kind for row in proof.rows if row.exercise == "double"]
    for kind, count in {
        "cells": 1,
        "reference": 1,
        "blank": 1,
        "mistake": 4,
        "wrong": 1,
        "alternative": 1,
        "again": 1,
    }.items():
        assert kinds.count(kind) == count, kind
    assert [step[0] for step in steps] == list(range(len(steps)))
    assert steps[-1] == (18, 18, "done")


def test_rows_say_what_a_student_reads_and_gets(course):
    rows = {(row.exercise, row.kind, row.variant): row for row in prove(UNIT, course).rows}
    assert rows["double", "reference", ""].points == rows["double", "reference", ""].max_points == 2
    assert rows["shift", "blank", ""].points == 0
    assert rows["shift", "blank", ""].max_points == 3
    assert "still empty" in rows["shift", "blank", ""].message
    assert rows["shift", "mistake", "minus"].message.startswith("shift: You subtracted.")
    assert rows["double", "wrong", "lambda"].points == 0
    assert rows["double", "alternative", "lambda"].points == 2


def test_a_check_that_lets_a_mistake_through(course, monkeypatch):
    register(monkeypatch, with_mistakes(double_exercise(), Mistake("late", "You added.", lambda x: x + x)), shift_exercise())
    assert failures(prove(UNIT, course)) == [("double", "mistake", "late", "the check lets it through")]


def test_a_message_that_names_another_mistake(course, monkeypatch):
    twin = Mistake("twin", "You took the half.", lambda x: x * 0.5)
    register(monkeypatch, with_mistakes(double_exercise(), twin), shift_exercise())
    assert failures(prove(UNIT, course)) == [("double", "mistake", "twin", "the message does not name the mistake")]


def test_a_mistake_that_is_found_but_not_named(course, monkeypatch):
    calls = []

    def restless(x):
        calls.append(1)
        return x + len(calls)

    register(monkeypatch, with_mistakes(double_exercise(), Mistake("restless", "You count.", restless)), shift_exercise())
    assert failures(prove(UNIT, course)) == [("double", "mistake", "restless", "the message does not name the mistake")]


def test_a_check_that_says_something_else_the_second_time(course, monkeypatch):
    seen = []

    def moody(call, seed):
        seen.append(seed)
        return None if len(seen) <= 6 else "this time I do not like it."

    register(monkeypatch, replace(double_exercise(), laws=(Law("a mood", moody),)), shift_exercise())
    found = failures(prove(UNIT, course))
    assert found[0][:2] == ("double", "reference")
    assert found[0][3].startswith("run twice, the check gives two results; the second:")
    assert "this time I do not like it" in found[0][3]


def test_a_check_that_changes_the_readers_random_numbers(course, monkeypatch):
    exercise = double_exercise()

    def careless(seed):
        torch.manual_seed(seed)
        return exercise.cases(seed)

    register(monkeypatch, replace(exercise, cases=careless), shift_exercise())
    assert failures(prove(UNIT, course)) == [("double", "reference", "", "the check changes torch's random state")]


def test_a_check_that_warns(course, monkeypatch):
    import warnings

    exercise = double_exercise()

    def noisy(seed):
        warnings.warn("old news", DeprecationWarning, stacklevel=1)
        return exercise.cases(seed)

    register(monkeypatch, replace(exercise, cases=noisy), shift_exercise())
    (found,) = failures(prove(UNIT, course))
    assert found[:2] == ("double", "reference")
    assert "writes to stderr" in found[3]
    assert "old news" in found[3]


def test_a_mistake_that_breaks_a_neighbour(course):
    cells = tiny_cells()
    cells[5] = solution_cell("shift", SHIFT.replace("x + by", "double(x) / 2 + by"))
    write_unit(course, cells)
    found = failures(prove(UNIT, course))
    assert {row[1] for row in found} == {"blank", "mistake", "wrong"}
    assert {row[0] for row in found} == {"double"}
    assert {row[3] for row in found} == {"it costs the points of another exercise too: shift"}
    assert len(found) == 6


def test_neighbours_that_do_not_read_a_function_are_run_only_when_asked(course):
    assert all(row.neighbours == () for row in prove(UNIT, course).rows)
    proof = prove(UNIT, course, everywhere=True)
    assert proof.passed
    tried = [row for row in proof.rows if row.kind in ("blank", "mistake", "wrong", "alternative")]
    assert tried
    assert {row.exercise: row.neighbours for row in tried} == {"double": ("shift",), "shift": ("double",)}


def test_a_wrong_reference(course):
    cells = tiny_cells()
    cells[5] = solution_cell("shift", SHIFT.replace("x + by", "x - by"))
    write_unit(course, cells)
    found = failures(prove(UNIT, course))
    assert ("shift", "reference", "", "the notebook's own solution loses its points") in found


def test_points_that_differ(course):
    cells = tiny_cells()
    cells[3] = check_cell("double", 5)
    write_unit(course, cells)
    assert failures(prove(UNIT, course)) == [("double", "cells", "", "the check cell gives 5 points, the exercise 2")]


@pytest.mark.parametrize(
    "source",
    [
        "checks.tiny.double(double)",
        standard_check("tiny", "double", "double").replace("(double)", "(abs)"),
        "pass",
    ],
)
def test_a_check_cell_of_its_own_making(course, source):
    cells = tiny_cells()
    cells[3] = check_cell("double", 2, source)
    write_unit(course, cells)
    assert ("double", "cells", "", "the check cell is not the standard one") in failures(prove(UNIT, course))


def test_a_check_cell_that_checks_nothing_lets_everything_through(course):
    cells = tiny_cells()
    cells[3] = check_cell("double", 2, "pass")
    write_unit(course, cells)
    found = [row for row in failures(prove(UNIT, course)) if row[3] == "the check lets it through"]
    assert [row[1] for row in found] == ["blank", "mistake", "mistake", "mistake", "mistake", "wrong"]


REGION = "### BEGIN SOLUTION\n        return 2 * x\n        ### END SOLUTION"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            f"def double(x):\n    try:\n        {REGION}\n    except NotImplementedError:\n        return 2 * x",
            "the check lets it through",
        ),
        (
            f"def double(x):\n    try:\n        {REGION}\n    except NotImplementedError:\n        return x",
            "the message does not say that the cell is still empty",
        ),
        (
            "### BEGIN SOLUTION\nfactor = 2\n### END SOLUTION\ndef double(x):\n    return factor * x",
            "the released cell ends with NotImplementedError:",
        ),
    ],
)
def test_a_blank_that_is_not_blank(course, source, complaint):
    """What stands outside the solution region stays in the released cell, and may spoil it."""
    cells = tiny_cells()
    cells[2].source = source
    write_unit(course, cells)
    assert [(row[1], row[3].strip()) for row in failures(prove(UNIT, course))] == [("blank", complaint)]


def test_a_wrong_answer_that_is_right_and_a_right_one_that_is_wrong(course):
    text = ANSWERS_FILE.replace("lambda x: 5 * x", "lambda x: 2.0 * x").replace("lambda x, by: by + x", "lambda x, by: by")
    write_unit(course, tiny_cells(), text)
    assert failures(prove(UNIT, course)) == [
        ("double", "wrong", "lambda", "the check lets it through"),
        ("shift", "alternative", "lambda", "a right answer loses its points"),
    ]


def test_an_unfinished_exercise(course, monkeypatch):
    exercise = double_exercise()
    register(monkeypatch, replace(exercise, mistakes=exercise.mistakes[:3]), shift_exercise())
    write_unit(course, tiny_cells(), ANSWERS_FILE.replace("'double': (lambda x: x + x,)", "'double': ()"))
    assert [row[3] for row in failures(prove(UNIT, course))] == [
        "not finished: 3 known mistakes, at least 4 are needed",
        "not finished: no alternative right answer in alternatives.py",
    ]


def test_mistakes_need_sentences_of_their_own(course, monkeypatch):
    more = (Mistake("half", "You halved x.", lambda x: x / 4), Mistake("eighth", " ", lambda x: x / 8))
    register(monkeypatch, with_mistakes(double_exercise(), *more), shift_exercise())
    found = {row[3] for row in failures(prove(UNIT, course))}
    assert {
        "two known mistakes have the same name",
        "two known mistakes have the same message",
        "a known mistake has no sentence",
    } <= found


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda cells: cells[:3] + cells[4:], "there are 0 check cells, there should be 1"),
        (lambda cells: cells[:2] + cells[3:], "there are 0 solution cells, there should be 1"),
        (lambda cells: cells[:3] + cells[4:] + [cells[3]], "the check cell does not follow its solution cell"),
        (lambda cells: cells[:2] + cells[5:] + cells[2:5], "the check cells are in another order than the exercises"),
        (lambda cells: [*cells, check_cell("third", 1)], "the graded cell 'test_third' belongs to no exercise"),
        (lambda cells: cells[:1] + cells[2:], "no cell is tagged `setup`; tag the one with the imports"),
    ],
)
def test_cells_out_of_place(course, change, complaint):
    write_unit(course, change(tiny_cells()))
    assert complaint in [row[3] for row in failures(prove(UNIT, course))]


def test_an_exercise_without_cells_does_not_stop_the_others(course):
    write_unit(course, tiny_cells()[:2] + tiny_cells()[4:])
    proof = prove(UNIT, course)
    assert {row.exercise for row in proof.failures} == {"double"}
    assert [row.kind for row in proof.rows if row.exercise == "shift"].count("mistake") == 4


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("def double", "def doubled", "the solution cell does not define double"),
        ("### BEGIN SOLUTION", "# here:", "the solution cell has no ### BEGIN SOLUTION and ### END SOLUTION"),
        ("return 2 * x", "return 2 *", "the solution cell is not plain Python"),
        ("def double", "raise KeyError('oh')\ndef double", "the solution cell ends with KeyError: 'oh'"),
    ],
)
def test_a_solution_cell_that_is_wrong(course, old, new, complaint):
    cells = tiny_cells()
    cells[2].source = cells[2].source.replace(old, new)
    if "BEGIN" in old:
        cells[2].source = cells[2].source.replace("### END SOLUTION", "")
    write_unit(course, cells)
    assert complaint in [row[3] for row in failures(prove(UNIT, course))]


def test_a_check_cell_that_is_not_locked_and_a_solution_that_is_graded(course):
    cells = tiny_cells()
    cells[3].metadata["nbgrader"]["locked"] = False
    cells[5].metadata["nbgrader"].update(grade=True, points=1)
    write_unit(course, cells)
    found = [row[3] for row in failures(prove(UNIT, course))]
    assert "the check cell is not locked" in found
    assert "the solution cell is graded itself; the check has a cell of its own" in found


def test_a_setup_that_fails_is_one_row(course):
    cells = tiny_cells()
    cells[1].source += "\n1 / 0"
    write_unit(course, cells)
    assert [row[3] for row in failures(prove(UNIT, course))] == ["the setup cell ends with ZeroDivisionError: division by zero"]


def raising_mistake() -> Mistake:
    """A mistake that shows by an exception, written in a file of the package as all known mistakes are."""
    names = {}
    exec(
        compile("def raises(x):\n    raise RuntimeError('no such shape')", "posttrain_lab/checks/tiny.py", "exec"),
        names,
    )
    return Mistake("raises", "You added two shapes.", names["raises"])


def test_a_mistake_that_raises_is_named(course, monkeypatch):
    register(monkeypatch, with_mistakes(double_exercise(), raising_mistake()), shift_exercise())
    assert failures(prove(UNIT, course)) == []


def test_a_mistake_that_raises_must_be_named_when_a_cell_of_the_notebook_raises_it(course, monkeypatch):
    """The line of the student's cell is part of the error; a diagnosis that compares whole texts would miss it."""
    monkeypatch.setattr(diagnosis, "same", lambda a, b, judge: a.error == b.error and judge(a, b) is None)
    register(monkeypatch, with_mistakes(double_exercise(), raising_mistake()), shift_exercise())
    complaint = "raised in a cell of the notebook: the message does not name the mistake"
    assert ("double", "mistake", "raises", complaint) in failures(prove(UNIT, course))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WRONG = {}", "alternatives.py cannot be used"),
        ("1 / 0", "ZeroDivisionError"),
        ("ALTERNATIVES = {'dubble': ()}\nWRONG = {}", None),
    ],
)
def test_a_file_of_answers_that_is_wrong(course, text, message):
    write_unit(course, tiny_cells(), text)
    if message:
        with pytest.raises(CourseError, match=message):
            prove(UNIT, course)
    else:
        assert "alternatives.py or unnamed_mistakes.py has an entry 'dubble', which is not an exercise" in [
            row[3] for row in failures(prove(UNIT, course))
        ]


def test_missing_files_are_errors(course):
    for file in ("unnamed_mistakes.py", "alternatives.py"):
        course.source(UNIT).with_name(file).unlink()
        with pytest.raises(CourseError, match=f"{file} is missing"):
            prove(UNIT, course)
    with pytest.raises(CourseError, match="There is no unit '91' in solutions/"):
        prove("91", course)


def test_a_proof_leaves_the_machine_as_it_was(course):
    torch.manual_seed(7)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    cells = tiny_cells()
    cells[1].source += "\ntorch.manual_seed(3)\nx = torch.rand(2)"
    write_unit(course, cells)
    assert prove(UNIT, course).passed
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_the_bench_sees_what_a_function_reads_later():
    bench = NotebookRunner()
    bench.run("def inner(): return 1\ndef outer(): return [inner() for _ in range(2)]", "<functions>")
    assert "inner" not in bench.run("outer", "<name>").read
    assert {"inner", "outer"} <= bench.run("for _ in range(100):\n    outer()", "<call>").read
    with bench.restored():
        bench.names["inner"] = None
    assert bench.run("outer()", "<again>").ok
