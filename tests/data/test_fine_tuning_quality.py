"""The shipped table of fine-tuning: complete, with three seeds everywhere, and one row is what the code measures here."""

import pytest

from posttrain_lab.data import load_digits
from posttrain_lab.data.fine_tuning_quality import load_fine_tuning_quality, summary
from posttrain_lab.finetuning import validation_accuracy
from posttrain_lab.models import load_pretrained

RUNS = load_fine_tuning_quality()
EXPERIMENTS = ("baseline", "frontier", "active", "distillation", "recovery", "int4")


def test_every_row_has_three_seeds():
    assert {run.experiment for run in RUNS} == set(EXPERIMENTS)
    keys = [(run.experiment, run.method, run.setting, run.metric, run.seed) for run in RUNS]
    assert len(set(keys)) == len(keys) == 3 * len({key[:-1] for key in keys})
    assert {run.seed for run in RUNS} == {0, 1, 2}
    assert all(0 < run.value <= 1 or run.metric == "bytes" for run in RUNS)


def test_the_summary_is_mean_and_interval_and_names_unknown_experiments():
    found = summary(RUNS, "baseline")
    values = [r.value for r in RUNS if (r.experiment, r.method, r.setting) == ("baseline", "logistic regression", "100")]
    mean, low, high = found["logistic regression", "100", "new"]
    assert mean == pytest.approx(sum(values) / 3)
    assert low <= mean <= high
    with pytest.raises(ValueError, match="an experiment of the table, got 'magic'"):
        summary(RUNS, "magic")


def test_the_untrained_row_is_measured_again():
    """Another CPU may round a few close calls otherwise: 3 of 597 images."""
    shown, _, _ = summary(RUNS, "baseline")["no training", "0", "new"]
    assert validation_accuracy(load_pretrained("mnist_cnn"), load_digits().test) == pytest.approx(shown, abs=3 / 597 + 1e-4)


def test_what_the_readers_are_told_holds_in_the_table():
    distilled, recovered = summary(RUNS, "distillation"), summary(RUNS, "recovery")
    assert recovered["pruned 90 %", "after", "clothes"][0] > recovered["pruned 90 %", "before", "clothes"][0]
    assert recovered["3 bits", "after", "clothes"][0] > recovered["3 bits", "before", "clothes"][0]
    assert distilled["teacher", "digits, 100 labels", "new"][0] > distilled["alone", "digits, 100 labels", "new"][0]
