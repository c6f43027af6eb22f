"""The shipped table of unit 03: complete, plausible, and its first row is what the code measures here."""

import math
import statistics

import pytest
import torch

from posttrain_lab.data import few_labels, load_digits
from posttrain_lab.data.label_curves import STUDENT, load_label_curves, mean_interval
from posttrain_lab.finetuning import METHODS, AdaptConfig, adapt
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy
from posttrain_lab.models import load_pretrained

RUNS = load_label_curves()


def test_every_method_has_five_runs_for_every_number_of_labels():
    keys = [(run.method, run.labels, run.seed) for run in RUNS]
    assert len(set(keys)) == len(keys) == len(METHODS) * 4 * 5
    assert {run.method for run in RUNS} == set(METHODS)
    assert all(0 < run.new <= 1 and 0 <= run.old <= 1 for run in RUNS)


def test_student_factors_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    found = {n: float(stats.t.ppf(0.975, n - 1)) for n in range(2, 13)}
    assert found == pytest.approx(STUDENT, abs=5e-4)


def test_interval_by_hand():
    values = [0.5, 0.7, 0.6]
    mean, low, high = mean_interval(values)
    half = 4.303 * statistics.stdev(values) / math.sqrt(3)
    assert (mean, low, high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))
    with pytest.raises(ValueError, match="wants 2 to 12 runs, got 1"):
        mean_interval([0.5])


@pytest.mark.slow
def test_a_row_of_the_table_comes_out_again():
    """Another processor may round otherwise: two of the 597 test images may flip."""
    (row,) = [run for run in RUNS if (run.method, run.labels, run.seed) == ("head", 20, 0)]
    torch.set_num_threads(1)
    new = load_digits()
    network = adapt(load_pretrained("mnist_cnn"), few_labels(new.train, 20, 0), "head", AdaptConfig(seed=0))
    assert accuracy(predict(network, new.test.images), new.test.labels) == pytest.approx(row.new, abs=2.5 / len(new.test))
