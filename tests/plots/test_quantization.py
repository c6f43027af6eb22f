"""The figures of unit 02: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest
import torch

from posttrain_lab.plots import quantization as plots
from tests.plots.figure_rules import check_figure, words

X = torch.linspace(-1, 1, 41)
CODES = (X * 3).round().to(torch.int8)

FIGURES = {
    "grid_line": lambda: plots.grid_line([-0.5, 0.0, 0.5], [-1, 0, 1], 0, (-0.4, 0.6)),
    "staircase": lambda: plots.staircase(X, {"3 bits": CODES}),
    "number_line": lambda: plots.number_line(X, CODES / 3, 1 / 3),
    "accuracy_against_bits": lambda: plots.accuracy_against_bits((2, 4), {"a": [0.1, 0.9], "b": [0.2, 0.8]}, 0.9, 100),
    "range_errors": lambda: plots.range_errors(X[21:], [0.2] * 20, [0.1] * 19 + [0.0], {"minmax": 1.0, "mse": 0.5}),
    "channel_ranges": lambda: plots.channel_ranges(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 1.0])),
    "rounding_errors": lambda: plots.rounding_errors(torch.arange(41), {"mine": X / 2, "down": X / 2 - 0.5}),
    "agreement": lambda: plots.agreement(X.reshape(-1, 1), X.reshape(-1, 1) + 0.01),
    "race": lambda: plots.race((64, 128), (1, 8), {"int8": [[0.5, 2.0], [1.0, 3.0]], "int4": [[0.1, 9.0], [1.0, 1.0]]}),
    "straight_through": lambda: plots.straight_through(X, CODES / 3, (X.abs() < 0.9).float()),
    "training_curve": lambda: plots.training_curve([0.5, 0.8, 0.9], 0.92, 1000),
    "layer_errors": lambda: plots.layer_errors({"nearest": {"a": 0.1, "b": 0.2}, "yours": {"a": 0.05, "b": 0.1}}),
}
HIDDEN_Y = {"grid_line", "number_line"}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name], y_title=name not in HIDDEN_Y)
    if name in HIDDEN_Y:
        assert FIGURES[name]().layout.yaxis.visible is False


@pytest.mark.parametrize("name", ["staircase", "accuracy_against_bits", "rounding_errors", "straight_through", "layer_errors"])
def test_curves_differ_in_more_than_colour(name):
    dashes = [trace.line.dash for trace in FIGURES[name]().data]
    assert len(set(dashes)) == len(dashes)


def test_grid_line_marks_the_zero_point():
    _, zero, wanted = FIGURES["grid_line"]().data
    assert zero.x == (0.0,)
    assert wanted.x == (-0.4, 0.6)


def test_number_line_counts_what_was_cut_off():
    x = torch.tensor([0.0, 0.4, 5.0])
    figure = plots.number_line(x, torch.tensor([0.0, 0.5, 1.0]), 0.5)
    assert "1 of 3 numbers cut off" in words(figure)
    assert figure.data[1].x == pytest.approx([0.0, 0.4, 5.0])
    assert figure.data[2].x == (0.0, 0.5, 1.0)


def test_range_errors_leaves_out_what_a_logarithmic_axis_cannot_show():
    both, clipping, rounding = FIGURES["range_errors"]().data[:3]
    assert clipping.y[-1] is None
    assert both.y[0] == 0.2
    assert rounding.y[0] == pytest.approx(0.1)


def test_race_says_where_a_method_lost():
    int8, _ = FIGURES["race"]().data
    assert int8.text[0][0] == "<b>0.5</b><br>slower"
    assert int8.text[0][1] == "2"
    assert int8.z[0][0] < 0 < int8.z[0][1]


def test_channel_ranges_states_the_spread_and_keeps_gradients_out():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    figure = plots.channel_ranges(weight, weight * torch.tensor([1.0, 2.0]))
    assert words(figure) == "largest over smallest channel: 2 before, 4 after"
    assert weight.requires_grad
