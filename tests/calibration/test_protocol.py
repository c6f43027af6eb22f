"""Fit, choose, report: the right method wins, the test part stays out of reach, failures are said."""

import dataclasses

import pytest
import torch

from posttrain_lab.calibration import (
    ChosenMethod,
    Fitting,
    Predictions,
    brier,
    choose,
    log_odds,
    methods,
    report,
    softmax,
    two_columns,
)

from .drawing import drawn_labels, honest


def parts(logits, labels, n):
    return Fitting(Predictions(logits[:n], labels[:n]), Predictions(logits[n : 2 * n], labels[n : 2 * n]))


def test_the_planted_distortion_decides_the_method():
    logits, labels = honest(12_000, 5)
    found = choose(parts(3 * logits, labels, 4000))
    assert found.scores["temperature"] < found.scores["none"] - 0.02
    assert found.scores["temperature"] == pytest.approx(min(found.scores.values()), abs=2e-4)  # the rest can do no better
    bent = logits * torch.tensor([0.5, 1.0, 2.0, 1.0, 1.5]) + torch.tensor([1.0, 0.0, -1.0, 0.5, 0.0])
    found = choose(parts(bent, labels, 4000))
    assert found.name in ("vector", "Dirichlet, penalty 1", "Dirichlet, penalty 10")
    assert found.scores[found.name] == min(found.scores.values())
    stepped, _ = honest(12_000, 2)
    answers = drawn_labels(two_columns(torch.where(log_odds(stepped) > 1, 0.9, 0.3).double()))  # a step: no sigmoid has one
    assert choose(parts(stepped, answers, 4000)).name in ("isotonic", "histogram")


def test_a_report_is_made_on_other_examples_and_shows_both():
    logits, labels = honest(6000, 4)
    fitting, test = parts(2.5 * logits, labels, 2000), Predictions(2.5 * logits[4000:], labels[4000:])
    choice = choose(fitting, {name: methods(4)[name] for name in ("none", "temperature")})
    found = report(choice, test, resamples=50)
    assert found.n == 2000
    assert found.method == choice.name == "temperature"
    assert found.accuracy == found.accuracy_before
    assert found.ece.high < found.ece_before.low
    assert found.brier.value == pytest.approx(brier(choice.map(test.logits), test.labels))
    assert found.nll < found.nll_before
    for interval in (found.accuracy, found.ece, found.brier):
        assert interval.low <= interval.value <= interval.high


def test_neither_choose_nor_the_choice_can_hold_the_test_part():
    assert {field.name for field in dataclasses.fields(Fitting)} == {"calibration", "validation"}
    part = Predictions(*honest(50, 3))
    with pytest.raises(TypeError, match="the test part is for report"):
        choose(part)
    with pytest.raises(TypeError, match="report wants a ChosenMethod, made by choose"):
        report(part, part)
    with pytest.raises(dataclasses.FrozenInstanceError):
        choose(Fitting(part, part)).name = "none"


@pytest.mark.parametrize("classes", [2, 3])
def test_every_method_gives_probabilities_and_leaves_its_input(classes):
    logits, labels = honest(400, classes)
    kept = logits.clone()
    for name, fit in methods(classes).items():
        p = fit(logits, labels)(logits)
        assert p.shape == logits.shape, name
        assert torch.allclose(p.sum(1), torch.ones(400).double()), name
    assert torch.equal(logits, kept)


def test_what_cannot_be_fitted_is_named():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]] * 10)
    part = Predictions(logits, logits.argmax(1))
    found = choose(Fitting(part, part))
    assert "every label on top" in found.failed["temperature"]
    assert "temperature" not in found.scores
    with pytest.raises(ValueError, match="could fit none of temperature"):
        choose(Fitting(part, part), {"temperature": methods(2)["temperature"]})


def test_softmax_keeps_rows_that_sum_to_one_in_half_precision():
    p = softmax(torch.randn(5, 1000).half())
    assert (p.sum(1) - 1).abs().max() < 1e-12


def test_predictions_are_checked():
    with pytest.raises(ValueError, match="Predictions wants labels"):
        Predictions(torch.zeros(2, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="got NaN"):
        Predictions(torch.full((1, 2), torch.nan), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"two classes \[n, 2\], got shape \[1, 3\]"):
        log_odds(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="classes to be a whole number >= 2"):
        methods(1)


def test_a_choice_is_what_choose_says():
    part = Predictions(*honest(100, 2))
    found = choose(Fitting(part, part), {"none": methods(2)["none"]})
    assert isinstance(found, ChosenMethod)
    assert list(found.scores) == ["none"]
