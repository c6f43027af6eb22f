"""`clinic.Ward`: what a learner sees of a patient, before and after the answer."""

import pytest
import torch

from posttrain_lab.clinic import HEALTHY, PUBLIC, UNKNOWN, Answer, Ward, said_by, token_of


@pytest.fixture(scope="module")
def ward():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Ward(token_of(PUBLIC, PUBLIC))
    torch.set_num_threads(before)


def unanswered():
    raise NotImplementedError


def told(answer):
    return lambda: answer


def test_each_level_shows_what_it_may(ward, capsys):
    for number, parts in ((3, ("def class_weights", "def run", "return counts")), (8, ("def split", "def run")), (9, ())):
        ward.admit(number)
        page = capsys.readouterr().out
        assert all(part in page for part in parts)
        assert ("def " in page) == bool(parts)
        assert page.startswith(f"Patient {number}, level {ward.case(number).patient.level}\n")
        assert "left behind: model" in page
        assert "evidence: " in page
        assert ward.case(number).name not in page
        assert ward.case(number).patient.words not in page
    ward.part(9)
    assert capsys.readouterr().out.startswith("def penalty(model, anchor):\n")


def test_nothing_is_told_before_it_is_answered(ward):
    report = ward.results([unanswered] * 12)
    assert report.count("not answered yet") == 12
    assert not any(case.patient.words in report for case in ward.cases)
    assert ward.readable([unanswered] * 12).count("not answered yet") == 12


def test_an_answer_is_marked_and_others_wait(ward):
    case = ward.case(4)
    assert not case.broken
    said = [unanswered] * 12
    said[3] = told(Answer({HEALTHY: 1.0}, case.patient.evidence(case.run())))
    said[2] = told(Answer({"A": 0.5}))
    report = ward.results(said)
    assert "      4         1   2.0     2.0  nothing" in report.splitlines()
    assert "sum to 1" in report
    assert report.splitlines()[-1].startswith("5.0 of 60 points")
    assert "patient  3: ValueError" in ward.readable(said)
    assert "patient  4: healthy 100%; evidence; no repair" in ward.readable(said)


def test_evidence_is_that_of_the_run_whatever_happens_to_what_it_left_behind(ward):
    number = ward.case(8).patient.evidence(ward.case(8).run())
    ward.handles(8)["model"].requires_grad_(False)
    for p in ward.handles(8)["model"].parameters():
        p.zero_()
    said = [unanswered] * 12
    said[7] = told(Answer(UNKNOWN, number))
    assert "      8         1   0.0     0.0" in ward.results(said)


def test_the_band_is_that_of_twelve_healthy_runs(ward):
    losses, low, high = ward.band(11)
    assert len(losses) == len(low) == len(high)
    assert all(a < b for a, b in zip(low, high, strict=True))


def test_bad_input_is_named(ward):
    with pytest.raises(ValueError, match="1 to 12, got 13"):
        ward.admit(13)
    with pytest.raises(ValueError, match="token"):
        Ward("me")
    with pytest.raises(TypeError, match="must return an Answer, got int"):
        said_by(lambda: 3)
