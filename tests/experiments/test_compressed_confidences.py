"""The Fashion networks, compressed and shown bad pictures. Fewer pictures than in the course, for the clock's sake."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from posttrain_lab.calibration import add_noise, choose, fit_temperature, report
from posttrain_lab.calibration.protocol import Predictions
from posttrain_lab.data import load_fashion
from posttrain_lab.experiments.compressed_confidences import (
    compress,
    ece_grid,
    final_predictions,
    fitting_predictions,
    scaled,
    shift_table,
    temperature_or_limit,
)
from posttrain_lab.measure import predict
from posttrain_lab.metrics import sparsity
from posttrain_lab.models import load_pretrained
from posttrain_lab.pruning import PruningConfig, prune_model
from posttrain_lab.quantization import QuantizationConfig, quantize_model


@pytest.fixture(scope="module")
def network():
    return load_pretrained("fashion_cnn")


@pytest.fixture(scope="module")
def small():
    split = load_fashion()
    return replace(
        split, calibration=split.calibration.first(300), validation=split.validation.first(200), test=split.test.first(300)
    )


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_compressing_answers_as_the_coded_network(network, small, bits):
    config = QuantizationConfig(bits=bits, mode="weight_only")
    coded = quantize_model(prune_model(network, PruningConfig(sparsity=0.5)).model, small.calibration, config)
    fast = compress(network, small.calibration, 0.5, bits)
    x = small.test.images[:50]
    assert torch.allclose(predict(fast, x), predict(coded, x), atol=1e-3, rtol=1e-4)  # float sums in another order
    assert sparsity(fast) >= 0.5 - 1e-4
    assert all(conv.weight[0].unique().numel() <= 2**bits for conv in fast if isinstance(conv, nn.Conv2d))


def test_32_bits_leave_the_weights(network, small):
    assert sparsity(compress(network, small.calibration, 0.7, 32)) == pytest.approx(0.7, abs=1e-4)


@pytest.mark.slow
def test_the_grid_measures_and_refitting_never_moves_the_accuracy(network, small):
    cells = ece_grid(network, small, sparsities=(0.0, 0.8), bits=(32, 3), n=300)
    assert [(cell.sparsity, cell.bits) for cell in cells] == [(0.0, 32), (0.0, 3), (0.8, 32), (0.8, 3)]
    dense, worst = cells[0], cells[-1]
    assert dense.ece_old_temperature == pytest.approx(dense.ece_refitted, abs=0.01)  # the same network; a bin edge may be crossed
    assert worst.accuracy < dense.accuracy - 0.1
    assert worst.ece_refitted < worst.ece
    small_network = compress(network, small.calibration, 0.8, 3)
    after = final_predictions(small_network, small)
    temperature = fit_temperature(fitting_predictions(small_network, small).calibration.logits, small.calibration.labels)
    assert temperature == pytest.approx(worst.temperature)
    hits = [(p.argmax(1) == after.labels).double().mean().item() for p in (after.logits, scaled(after.logits, temperature))]
    assert hits == [worst.accuracy, worst.accuracy]


@pytest.mark.slow
def test_choice_and_report_on_the_network(network, small):
    choice = choose(fitting_predictions(network, small), None)
    found = report(choice, final_predictions(network, small), resamples=50)
    assert found.n == 300
    assert found.accuracy_before.value > 0.85


@pytest.mark.slow
def test_noise_makes_the_network_wrong_faster_than_unsure(network, small):
    temperature = temperature_or_limit(fitting_predictions(network, small).calibration)
    rows = shift_table(network, small.test, temperature, {"noise": (add_noise, (0.0, 0.1, 0.3))})
    assert [row.strength for row in rows] == [0.0, 0.1, 0.3]
    accuracy, ece = ([getattr(row, name) for row in rows] for name in ("accuracy", "ece_scaled"))
    assert accuracy[0] > accuracy[1] > accuracy[2]
    assert ece[0] < ece[1] < ece[2]
    assert all(row.confidence_scaled < row.confidence for row in rows if temperature > 1)


def test_a_network_that_knows_nothing_has_the_limit():
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert temperature_or_limit(Predictions(logits, torch.tensor([1, 0]))) == math.inf
    assert scaled(logits, math.inf).tolist() == [[0.5, 0.5]] * 2
    with pytest.raises(ValueError, match="every label on top"):
        temperature_or_limit(Predictions(logits, torch.tensor([0, 1])))
