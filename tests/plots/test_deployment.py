"""The figures of unit 08: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest

from posttrain_lab.plots import deployment as plots
from tests.plots.figure_rules import check_figure

FIGURES = {
    "staircases": lambda: plots.staircases({"8 bits": list(range(-128, 128)), "2 bits": [-2, -1, 0, 1]}, "pixel", "code"),
    "marked": lambda: plots.marked({"no half": [(1, 31), (2, 32)], "to even": [(5, 31)]}, "sum", "shift"),
    "against_bound": lambda: plots.against_bound(
        {"0": [40.0, 41.0], "13": [54.0]}, {"0": [True, True], "13": [False]}, 53, "log2"
    ),
    "budget_box": lambda: plots.budget_box([("a", 10, 0.8), ("b", 20, 0.9)], 15, "a", "bytes", "accuracy"),
    "rectangles": lambda: plots.rectangles([(4, 0, 1), (8, 1, 2)], [8, 0], 12, 12),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_rules(name):
    check_figure(FIGURES[name])


def test_a_staircase_has_a_step_for_each_value():
    first, second = FIGURES["staircases"]().data
    assert (list(first.y), first.line.shape) == (list(range(-128, 128)), "hv")
    assert list(second.x) == [0, 1, 2, 3]


def test_groups_of_marks_lie_below_one_another():
    first, second = FIGURES["marked"]().data
    assert (list(first.x), list(first.y)) == ([1.0, 2.0], [31.0, 32.0])
    assert list(second.y) == [30.83]


def test_what_is_not_exact_is_marked_apart():
    exact, other = FIGURES["against_bound"]().data
    assert (list(exact.x), list(other.x), list(other.y)) == (["0", "0"], ["13"], [54.0])
    assert FIGURES["against_bound"]().layout.shapes[0].y0 == 53


def test_rectangles_stand_at_their_offsets():
    (bars,) = FIGURES["rectangles"]().data
    assert (list(bars.base), list(bars.y), list(bars.x)) == ([8, 0], [4, 8], [0.5, 1.5])
    assert list(bars.width) == [1.94, 1.94]
    with pytest.raises(ValueError, match="rectangles wants 2 offsets, got 1"):
        plots.rectangles([(4, 0, 1), (8, 1, 2)], [8], 12, 12)


def test_the_chosen_point_is_marked_apart_and_the_limit_drawn():
    plot = FIGURES["budget_box"]()
    chosen, other = plot.data
    assert (list(chosen.x), list(other.x), list(other.text)) == ([10.0], [20.0], ["b"])
    assert chosen.marker.symbol != other.marker.symbol
    assert plot.layout.shapes[0].x0 == 15
    assert plot.layout.xaxis.range == (8, 22)  # room for the names
