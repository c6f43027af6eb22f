"""The figures of unit 01: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest
import torch

from posttrain_lab.plots import pruning as plots
from tests.plots.figure_rules import check_figure

W = torch.linspace(-1, 1, 401)
MASK = torch.arange(64).reshape(8, 8) % 3 == 0
SPEED = {"torch CSR": [[0.5, 2.0], [0.25, 1.0]], "ours": [[1.5, 9.0], [0.5, 3.0]]}

FIGURES = {
    "weight_histogram": lambda: plots.weight_histogram(W, 0.25, 0.8, 0.9, 500),
    "accuracy_against_sparsity": lambda: plots.accuracy_against_sparsity(
        (0.5, 0.9), {"a": [0.9, 0.5], "b": [0.9, 0.7]}, 0.9, 500
    ),
    "layer_shares": lambda: plots.layer_shares({"a": {"0": 0.2, "4": 0.9}, "b": {"0": 0.5, "4": 0.5}}),
    "pareto": lambda: plots.pareto({"even": [(10.0, 0.5), (20.0, 0.8)], "yours": [(15.0, 0.7)]}, 0.9, 500),
    "moved_again": lambda: plots.moved_again({"gradient": [5, 9, 9], "yours": [0, 0, 0]}, 9),
    "recovery": lambda: plots.recovery([(0.8, 90.0, 0.7, 0.88), (0.9, 50.0, 0.4, 0.86)], (434.0, 0.9), 500),
    "patterns": lambda: plots.patterns({"any": MASK, "all": MASK | True}),
    "judged": lambda: plots.judged(W[:40].abs(), W[40:80].abs(), W[:40] > -0.95, W[:40] > -0.9),
    "bytes_against_sparsity": lambda: plots.bytes_against_sparsity((0.0, 0.9), {"dense": [4000, 4000], "csr": [8000, 800]}),
    "break_even": lambda: plots.break_even(SPEED, (0.5, 0.9), (1, 64)),
    "tickets": lambda: plots.tickets(
        (1.0, 0.1), {"rewound": [[0.8, 0.7], [0.9, 0.8]], "drawn anew": [[0.8, 0.6], [0.8, 0.5]]}, 500
    ),
    "channel_norms": lambda: plots.channel_norms(W[:9].abs(), W[:9] > -0.99),
    "widths": lambda: plots.widths({"0": 24, "4": 48}, {"0": 12, "4": 40}),
    "agreement": lambda: plots.agreement(W.reshape(-1, 1)[::8], W.reshape(-1, 1)[::8] + 1e-6),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name])


@pytest.mark.parametrize("name", ["accuracy_against_sparsity", "moved_again", "bytes_against_sparsity", "tickets", "recovery"])
def test_curves_differ_in_more_than_colour(name):
    dashes = [trace.line.dash for trace in FIGURES[name]().data if trace.line.dash]
    assert len(set(dashes)) == len(dashes) > 1


@pytest.mark.parametrize("name", ["layer_shares", "widths", "channel_norms"])
def test_bars_differ_in_more_than_colour(name):
    hatches = [trace.marker.pattern.shape for trace in FIGURES[name]().data]
    assert len(set(hatches)) == len(hatches) > 1


def test_what_is_removed_is_a_broader_line():
    kept, removed = FIGURES["weight_histogram"]().data
    assert removed.line.width > kept.line.width


def test_the_histogram_counts_each_weight_once():
    kept, removed = FIGURES["weight_histogram"]().data
    counts = [sum(count or 0 for count in trace.y) for trace in (kept, removed)]
    assert sum(counts) == len(W)
    assert counts[1] == pytest.approx(0.25 * len(W), abs=10)
    assert not [x for x, y in zip(removed.x, removed.y, strict=True) if y and abs(x) > 0.25]


def test_the_map_says_where_pruning_lost():
    torch_csr, ours = FIGURES["break_even"]().data
    assert list(torch_csr.text[0]) == ["<b>0.5</b><br>slower", "2"]
    assert torch_csr.z[0][0] < 0 < ours.z[0][1]
    assert torch_csr.z[1][1] == 0


def test_tickets_show_mean_and_range():
    rewound, anew = FIGURES["tickets"]().data
    assert rewound.y == pytest.approx((85, 75))
    assert rewound.error_y.array == pytest.approx((5, 5))
    assert anew.error_y.arrayminus == pytest.approx((0, 5))


def test_judged_says_on_how_many_weights_two_scores_differ():
    assert FIGURES["judged"]().layout.title.text == "they differ on 10 of 40 weights"
