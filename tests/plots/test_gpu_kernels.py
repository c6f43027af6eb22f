"""The figures of unit 06: what goes in is what is drawn, axes are named, titles count."""

import pytest

from posttrain_lab.plots import gpu_kernels as plots
from tests.plots.figure_rules import check_figure, words

FIGURES = {
    "lanes": lambda: plots.lanes(37, 16),
    "covering": lambda: plots.covering(100, 130, 64, 32),
    "curves": lambda: plots.curves((1, 2), {"a": [1.0, 2.0], "b": [3.0, 4.0]}, "side", "bytes", logarithmic="xy"),
    "order": lambda: plots.order([[0, 1], [2, 3]], 2),
    "bars": lambda: plots.bars({"a": {"x": 1.0}, "b": {"x": 2.0}}, "count", line=255),
    "logits": lambda: plots.logits([0.0, 1.0], [0.1, 0.9], "title"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name], x_title=name != "bars")


def test_lanes_counts_the_masked_ones():
    figure = FIGURES["lanes"]()
    assert [len(trace.x) for trace in figure.data] == [37, 11]
    assert "3 programs of 16 lanes for 37 numbers: 11 lanes (23%) masked" in words(figure)


def test_covering_counts_the_wasted_work():
    assert "10 tiles for 100 x 130 numbers; 37% of the work is masked" in words(FIGURES["covering"]())


def test_order_marks_the_first_tiles():
    assert [list(row) for row in FIGURES["order"]().data[0].z] == [[1, 1], [0, 0]]
