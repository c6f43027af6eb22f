"""The figures of unit 03: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import plotly.graph_objects as go
import pytest
import torch

from posttrain_lab.plots import finetuning as plots
from tests.plots.figure_rules import check_figure

LINE = torch.linspace(-1, 1, 9)
PATHS = {"plain": torch.tensor([[0.5, 0.5], [0.2, 0.1]]), "Adam": torch.tensor([[0.5, 0.5], [0.1, 0.0]])}
ROWS = [(20.0, 0.7, 0.6, 0.8), (100.0, 0.9, 0.88, 0.92)]
FIGURES = {
    "trainable_counts": lambda: plots.trainable_counts({"head": 10, "all": 1000}, 1000),
    "grouped_accuracy": lambda: plots.grouped_accuracy(
        {"old": {"a": 0.9, "b": 0.5}, "new": {"a": 0.2, "b": 0.8}}, {"old": 100, "new": 50}
    ),
    "layer_rates": lambda: plots.layer_rates(["0.weight", "0.bias"], [0.1, 0.01], [True, False]),
    "surface_walks": lambda: plots.surface_walks((LINE, LINE), LINE[:, None] * LINE, PATHS, {"plain": 0.5, "Adam": 0.1}),
    "label_curves": lambda: plots.label_curves({"head": ROWS, "LoRA": ROWS}, {"LoRA": (20, 0.75)}, 597),
    "frontier": lambda: plots.frontier({"EWC": [("0", 0.9, 0.5), ("10", 0.8, 0.9)], "head": [("", 0.7, 0.9)]}, (0.5, 0.98)),
    "softened": lambda: plots.softened("ab", {"teacher": [0.9, 0.1], "softened": [0.6, 0.4]}, 4.0),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name])


@pytest.mark.parametrize("name", ["surface_walks", "label_curves"])
def test_curves_differ_in_more_than_colour(name):
    dashes = [trace.line.dash for trace in FIGURES[name]().data if isinstance(trace, go.Scatter) and trace.mode != "markers"]
    dashes = [dash for dash in dashes if dash]
    assert len(set(dashes)) == len(dashes) == 2


def test_bars_differ_in_more_than_colour():
    shapes = [trace.marker.pattern.shape for trace in FIGURES["grouped_accuracy"]().data]
    assert len(set(shapes)) == 2


def test_trainable_counts_give_shares():
    (bars,) = FIGURES["trainable_counts"]().data
    assert bars.text == ("1 %", "100 %")
    assert bars.y == (10, 1000)


def test_accuracies_are_shown_in_percent_with_their_intervals():
    old, new = FIGURES["grouped_accuracy"]().data
    assert old.y == pytest.approx([90, 50])
    assert new.error_y.array[0] > old.error_y.array[0] > 0


def test_label_curves_mark_what_is_live():
    head, _, live = FIGURES["label_curves"]().data
    assert (live.x, live.y) == ((20,), (75.0,))
    assert live.marker.symbol == "star"
    assert head.error_y.arrayminus == pytest.approx([10, 2])
    assert "597 images" in FIGURES["label_curves"]().layout.title.text


def test_frontier_puts_the_new_task_across_and_the_old_up():
    ewc, head, before = FIGURES["frontier"]().data
    assert (ewc.x, ewc.y) == ((90.0, 80.0), (50.0, 90.0))
    assert head.mode == "markers"
    assert (before.x, before.y) == ((50.0,), (98.0,))


def test_walks_begin_together_and_say_where_they_end():
    figure = FIGURES["surface_walks"]()
    assert {trace.name for trace in figure.data[1:]} == {"plain: loss 0.5", "Adam: loss 0.1", "start"}
    assert figure.data[1].x[0] == figure.data[2].x[0] == 0.5
