"""The figures of unit 04: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import math

import pytest
import torch

from posttrain_lab.plots import calibration as plots
from tests.plots.figure_rules import check_figure

X = torch.linspace(0.1, 1, 40)
NAN = float("nan")

FIGURES = {
    "reliability_diagram": lambda: plots.reliability_diagram([0.2, NAN, 0.8], [0.3, NAN, 0.7], [5, 0, 20], "T = 1"),
    "error_against_bins": lambda: plots.error_against_bins((5, 15), {"width": [0.01, 0.02], "mass": [0.02, 0.02]}),
    "scorecard": lambda: plots.scorecard({"a": {"accuracy": 0.9, "ECE": 0.1}, "b": {"accuracy": 0.1, "ECE": 0.0}}, ["accuracy"]),
    "loss_against_temperature": lambda: plots.loss_against_temperature(X.tolist(), {"fit": X.tolist(), "new": X.tolist()}, 1.1),
    "probability_maps": lambda: plots.probability_maps({"Platt": (X, X), "isotonic": (X, X)}, (X[::9], X[::9])),
    "cost_against_threshold": lambda: plots.cost_against_threshold(
        X, {name: [(0.5, 0.4, 0.6)] * 40 for name in ("as it is", "Platt")}, 1 / 11
    ),
    "coverage_histogram": lambda: plots.coverage_histogram({"yours": [0.9, 0.92], "plain": [0.88, 0.89]}, 0.9, 100),
    "accuracy_by_set_size": lambda: plots.accuracy_by_set_size([1, 2], [90, 10], [0.99, 0.6]),
    "risk_against_coverage": lambda: plots.risk_against_coverage({"a": (X, X / 10), "b": (X, X / 9)}),
    "confidence_under_shift": lambda: plots.confidence_under_shift(
        {kind: {"accuracy": ([0, 1], [0.9, 0.2]), "confidence": ([0, 1], [0.9, 0.7])} for kind in ("turn", "blur")}
    ),
    "error_maps": lambda: plots.error_maps(["8", "4"], ["0 %", "50 %"], {"old": [[0.01, 0.02], [0.3, 0.4]]}, "zeros", "bits"),
    "costs_with_intervals": lambda: plots.costs_with_intervals({"raw": (0.8, 0.7, 0.9), "mended": (0.5, 0.4, 0.6)}),
}
CURVES = ["error_against_bins", "loss_against_temperature", "risk_against_coverage", "probability_maps"]
BLANK_Y = {"scorecard", "costs_with_intervals"}  # rows carry names


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name], y_title=name not in BLANK_Y)


@pytest.mark.parametrize("name", CURVES)
def test_curves_differ_in_more_than_colour(name):
    dashes = [trace.line.dash for trace in FIGURES[name]().data if trace.mode != "markers"]
    assert len(set(dashes)) == len(dashes) > 1


def test_a_reliability_diagram_leaves_empty_bins_out_of_the_gaps():
    _, gap, dots, counts = FIGURES["reliability_diagram"]().data
    assert gap.x == (0.2, 0.2, None, 0.8, 0.8, None)
    assert gap.y == (0.2, 0.3, None, 0.8, 0.7, None)
    assert dots.y == (0.3, None, 0.7)
    assert counts.y == (5, 0, 20)
    assert counts.x == pytest.approx([1 / 6, 0.5, 5 / 6], abs=1e-3)
    with pytest.raises(ValueError, match="one of each a bin, got 1, 1 and 2"):
        plots.reliability_diagram([0.1], [0.1], [1, 2])


def test_a_scorecard_marks_the_best_of_each_column():
    heat = FIGURES["scorecard"]().data[0]
    assert [list(row) for row in heat.text] == [["<b>0.900</b>", "0.100"], ["0.100", "<b>0.000</b>"]]
    assert [list(row) for row in heat.z] == [[0, 1], [1, 0]]
    with pytest.raises(ValueError, match="the same scores for every model"):
        plots.scorecard({"a": {"ECE": 0.1}, "b": {"NLL": 0.1}})


def test_the_cost_figure_has_a_band_around_each_curve_and_a_note_at_the_mark():
    figure = FIGURES["cost_against_threshold"]()
    low, high, cost = figure.data[:3]
    assert (low.y[0], high.y[0], cost.y[0]) == (0.4, 0.6, 0.5)
    assert high.fill == "tonexty"
    assert figure.layout.annotations[0].x == pytest.approx(math.log10(1 / 11))


def test_a_coverage_histogram_counts_every_split():
    yours, plain = FIGURES["coverage_histogram"]().data
    assert sum(yours.y) == sum(plain.y) == 2
    assert "yours 91.00 %" in FIGURES["coverage_histogram"]().layout.title.text


def test_error_maps_show_percentage_points_and_refuse_other_shapes():
    heat = FIGURES["error_maps"]().data[0]
    assert [list(row) for row in heat.text] == [["1.0", "2.0"], ["30.0", "40.0"]]
    with pytest.raises(ValueError, match="2 rows of 1 numbers"):
        plots.error_maps(["8", "4"], ["0 %"], {"old": [[0.1]]}, "zeros", "bits")


def test_intervals_of_costs_reach_from_low_to_high():
    raw, _ = FIGURES["costs_with_intervals"]().data
    assert raw.error_x.array == pytest.approx([0.1])
    assert raw.error_x.arrayminus == pytest.approx([0.1])
