"""The figures of unit 05: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest
import torch

from posttrain_lab.plots import cpu_kernels as plots
from tests.plots.figure_rules import check_figure

SCALE = [0.25, 4.0, 64.0]
KINDS = {"int8": {"your kernel": [(1.0, 5e8), (8.0, 1e9)], "library": [(1.0, 6e8)]}, "4 bits": {"your other": [(2.0, 1e9)]}}
FIGURES = {
    "roofline": lambda: plots.roofline(SCALE, {"a": [1e9, 2e9, 2e9]}, {"mine": [(1.0, 5e8), (8.0, 1e9)], "one": [(2.0, 1e9)]}),
    "versions_on_roof": lambda: plots.versions_on_roof(SCALE, {"a": [1e9, 2e9, 2e9]}, KINDS),
    "accumulators": lambda: plots.accumulators([1, 2], {"exact": [10, 20], "int8": [10, -3]}),
    "memory_order": lambda: plots.memory_order(torch.arange(34).reshape(17, 2), 16),
    "speeds": lambda: plots.speeds({"slow": 1.5e9, "fast": 2.5e11}, "two"),
    "tile_speeds": lambda: plots.tile_speeds([8, 16], {"mine": [1e9, 2e9], "plain": [1e9, 1e9]}),
    "nibbles": lambda: plots.nibbles(torch.arange(256).to(torch.int8)),
    "sparse_race": lambda: plots.sparse_race([0.1, 0.5], {"mine": [2.0, 0.5], "library": [3.0, 1.0]}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_axes_and_is_small(name):
    check_figure(FIGURES[name], y_title=name != "speeds")


@pytest.mark.parametrize("name", ["accumulators", "tile_speeds", "sparse_race"])
def test_curves_differ_in_more_than_colour(name):
    dashes = [trace.line.dash for trace in FIGURES[name]().data]
    assert len(set(dashes)) == len(dashes)


def test_speeds_are_shown_in_gops():
    roof, mine, one = FIGURES["roofline"]().data
    assert roof.y == (1.0, 2.0, 2.0)
    assert mine.y == (0.5, 1.0)
    assert one.mode == "markers"
    assert FIGURES["speeds"]().data[0].x == (1.5, 250.0)


def test_versions_of_a_kind_share_colour_and_mark_and_yours_are_full():
    roof, yours, library, again, other = FIGURES["versions_on_roof"]().data
    assert (yours.marker.color, f"{yours.marker.symbol}-open") == (library.marker.color, library.marker.symbol)
    assert other.marker.color != yours.marker.color
    assert other.marker.symbol != yours.marker.symbol
    assert yours.y == (0.5, 1.0)
    assert (yours.xaxis, library.xaxis, other.xaxis) == ("x", "x", "x2")
    assert (roof.showlegend, again.showlegend) == (True, False)


def test_a_panel_says_which_version_has_which_mark():
    layout = FIGURES["versions_on_roof"]().layout
    assert layout.xaxis.title.text == "<b>int8</b><br>full: your kernel<br>open: library"
    assert layout.xaxis2.title.text == "<b>4 bits</b><br>full: your other"


def test_panels_are_parted_by_a_line():
    assert [line.y0 for line in FIGURES["memory_order"]().layout.shapes] == [15.5]
    assert plots.memory_order(torch.zeros(40, 40, dtype=torch.long), 16).data[0].text is None
