"""The sheet of unit 11: marked outside the learner's process, by the gradebook's token."""

import json
import sys
import types
from pathlib import Path

import nbformat
import pytest
import torch
from nbgrader.utils import determine_grade

from posttrain_lab.checks.clinic.at_work import repaired
from posttrain_lab.checks.engine.own_work import LibraryUsed
from posttrain_lab.clinic import HEALTHY, KINDS, NAMES, PUBLIC, Answer, sheet, token_of
from posttrain_lab.clinic import PATIENTS as PATIENTS_BY_NAME
from posttrain_lab.grading import kernel_side
from posttrain_lab.grading.clinic_sheet import PATIENTS, by_kind, sheet_verdict, token_for
from posttrain_lab.grading.jobs import Job
from posttrain_lab.grading.judge_notebook import sheet_outputs
from posttrain_lab.grading.results.class_report import Marked, report
from posttrain_lab.grading.session import KernelLost, Limits
from posttrain_lab.grading.sheets import secret_of, student_token

TOKEN = token_of(PUBLIC, PUBLIC)
CASES = sheet(TOKEN)
SEED = 123_456


class Here:
    """A learner's process that is this one: the names of `__main__` are those of a module."""

    limits, used = Limits(), 0.0

    def answer(self, asked: tuple[str, ...], left: float) -> str:
        return repr(kernel_side.answer(*asked))


@pytest.fixture
def notebook(monkeypatch):
    """What a learner has defined; all patients are unanswered at first."""
    module = types.ModuleType("__main__")
    for number in range(1, PATIENTS + 1):
        setattr(module, f"case_{number}", unanswered)
    monkeypatch.setitem(sys.modules, "__main__", module)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(before)


def unanswered():
    raise NotImplementedError


def lines(verdict):
    """What is said about each patient."""
    told = dict(line.partition(": ")[::2] for line in verdict.message.splitlines()[1:])
    assert list(told) == [f"patient {number}" for number in range(1, PATIENTS + 1)]
    return {int(name.split()[1]): words for name, words in told.items()}


def test_nothing_answered_is_nothing(notebook):
    verdict = sheet_verdict(Here(), TOKEN, SEED)
    assert (verdict.passed, verdict.points, verdict.max_points) == (False, 0, 60)
    assert set(lines(verdict).values()) == {"not answered"}


def test_the_gradebook_s_token_decides_and_not_the_notebook_s(notebook):
    """Right for one's own sheet, wrong on another's."""
    healthy = next(case for case in CASES if not case.broken)
    number = healthy.patient.evidence(healthy.run())
    setattr(notebook, f"case_{healthy.number}", lambda: Answer({HEALTHY: 1.0}, number))
    assert sheet_verdict(Here(), TOKEN, SEED).points == 5
    other = next(t for t in (token_of(PUBLIC, name) for name in "abcdef") if sheet(t)[healthy.number - 1].broken)
    verdict = sheet_verdict(Here(), other, SEED)
    assert verdict.points == 0
    assert lines(verdict)[healthy.number] == "evidence 0, name -2.50, repair 0. No repair was handed in."


def test_a_repair_is_run_and_the_clinic_s_own_part_is_none(notebook):
    case = next(case for case in CASES if case.name == "weights_swapped" and case.broken)
    name = f"case_{case.number}"

    def weights(labels):
        counts = torch.bincount(labels)
        return counts.max() / counts

    setattr(notebook, name, lambda: Answer({case.diagnosis: 1.0}, None, weights))
    assert sheet_verdict(Here(), TOKEN, SEED).points == 4
    own = case.patient.healthy
    for cheat, words in (
        (own, "the library's own class_weights"),
        (lambda labels: own(labels), "the library's own class_weights"),
        (lambda labels: 1 / 0, "because your function raised ZeroDivisionError"),
        (lambda labels: torch.ones(2), "group_report still finds it"),
    ):
        setattr(notebook, name, lambda cheat=cheat: Answer({case.diagnosis: 1.0}, None, cheat))
        verdict = sheet_verdict(Here(), TOKEN, SEED)
        assert verdict.points == 2
        assert words in lines(verdict)[case.number]


@pytest.mark.parametrize("name", PATIENTS_BY_NAME)
def test_the_clinic_s_part_is_closed_for_every_patient(name):
    own = PATIENTS_BY_NAME[name].healthy
    with pytest.raises(LibraryUsed, match=own.__name__):
        repaired(lambda: Answer({}, None, lambda *args, **kwargs: own(*args, **kwargs)), name, SEED)


def test_a_part_like_the_clinic_s_is_a_repair_also_where_that_measures():
    patient = PATIENTS_BY_NAME["copy_not_used"]
    own = patient.healthy
    like_it = types.FunctionType(own.__code__.replace(co_name="mine"), own.__globals__, "mine", own.__defaults__, own.__closure__)
    reading, *_ = repaired(lambda: Answer({}, None, like_it), patient.name, SEED)
    assert not patient.looks_sick(reading)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: 3, "an Answer is wanted, this is a int"),
        (lambda: Answer({"A": 0.5}), "sum to 1"),
        (lambda: Answer({"Z": 1.0}), "got 'Z'"),
        (lambda: Answer({"A": float("nan")}), "are numbers"),
        (lambda: Answer({"A": 1.0}, [1]), "because your function raised TypeError"),
        (lambda: Answer(None), "because your function raised AttributeError"),
        (lambda: 1 / 0, "because your function raised ZeroDivisionError"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_others_count(notebook, answer, words):
    notebook.case_1 = answer
    notebook.case_2 = lambda: Answer(dict.fromkeys(NAMES, 1 / 9))
    told = lines(sheet_verdict(Here(), TOKEN, SEED))
    assert words in told[1]
    assert told[2].startswith("evidence 0, name 0.00, repair 0")


def test_names_count_together_and_not_below_0(notebook):
    """Bluffing costs what it should, and no more than what was earned."""
    wrong = {case.number: next(name for name in NAMES if name != case.diagnosis) for case in CASES}
    for case in CASES:
        setattr(notebook, f"case_{case.number}", lambda name=wrong[case.number]: Answer({name: 1.0}))
    assert sheet_verdict(Here(), TOKEN, SEED).points == 0


def test_a_process_that_is_lost_costs_its_patient_only(notebook):
    class Lost(Here):
        def answer(self, asked, left):
            if asked[0] == "case_1":
                raise KernelLost("the notebook's Python process ended while it ran")
            return super().answer(asked, left)

    told = lines(sheet_verdict(Lost(), TOKEN, SEED))
    assert "process ended" in told[1]
    assert told[2] == "not answered"


def test_a_part_of_the_points_is_what_nbgrader_reads(notebook):
    notebook.case_1 = lambda: Answer(dict.fromkeys(NAMES, 1 / 9))
    verdict = sheet_verdict(Here(), TOKEN, SEED)
    meta = {"nbgrader": {"grade": True, "solution": False, "grade_id": "test_sheet", "points": 60, "locked": True}}
    cell = nbformat.v4.new_code_cell("", metadata=meta, outputs=sheet_outputs(verdict))
    assert determine_grade(cell) == (0.0, 60.0)
    for points in (12.5, 60.0):
        object.__setattr__(verdict, "points", points)
        cell.outputs = sheet_outputs(verdict)
        assert determine_grade(cell) == (points, 60.0)


def test_the_class_report_says_which_kinds_a_class_finds(notebook):
    case = CASES[0]
    notebook.case_1 = lambda: Answer({case.diagnosis: 1.0})
    short = [sheet_verdict(Here(), TOKEN, SEED).mistake, "E:1.00:1:2 nonsense F:x H:-"]
    told = {row[0]: row[1:] for row in by_kind(short)}
    ones = sum(one.diagnosis == case.diagnosis for one in CASES)
    assert told[f"{case.diagnosis} {KINDS[case.diagnosis]}"] == (f"1 of {ones}", "1", "0", "0")
    assert told[f"H {KINDS['H']}"] == ("0 of 1", "0", "0", "0")
    answer = {"verdicts": [{"exercise": "sheet", "passed": False, "message": "", "mistake": one} for one in short]}
    page = report("Class", [Marked(Job("11_clinic", "ann", "", result=json.dumps(answer)), 4.0)], 83)
    assert "<caption>Patients</caption>" in page
    assert "<caption>Exercises</caption>" not in page
    assert f"1 of {ones}" in page


def test_a_course_without_a_secret_gives_all_the_public_sheet(tmp_path: Path):
    assert token_for(tmp_path, "ann") == TOKEN
    secret_of(tmp_path)
    assert token_for(tmp_path, "ann") == student_token(tmp_path, "ann") != TOKEN
