"""The figures of unit 11: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest

from posttrain_lab.plots import clinic as plots
from tests.plots.figure_rules import check_figure

FIGURES = {
    "sizes": lambda: plots.sizes({"first": {"a": 0.5, "b": 0.0}, "second": {"a": 20.0, "c": 3.0}}, "relative change"),
    "shares": lambda: plots.shares({"bag": (9, 10, 0.6, 0.98), "shirt": (4, 10, 0.2, 0.7)}, 0.65),
    "band": lambda: plots.band([1.0, 0.5], [0.9, 0.4], [1.1, 0.6], "patient 1"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_rules(name):
    check_figure(FIGURES[name], y_title=name == "band")  # the rows of the others carry names


def test_a_zero_stands_left_of_all_others_and_says_so():
    first, second = FIGURES["sizes"]().data
    assert list(first.text) == ["", "0"]
    assert first.x[1] < min(first.x[0], *second.x)
    assert list(second.y) == ["a", "c"]
    both = plots.sizes({"first": {"a": 0.0, "b": 1.0}, "second": {"a": 0.0, "b": 0.0}}, "relative change")
    assert [list(one.text) for one in both.data] == [["0", ""], ["", "0"]]  # two words in one place could not be read
    with pytest.raises(ValueError, match="above 0"):
        plots.sizes({"": {"a": 0.0}}, "x")


def test_shares_stand_with_their_intervals():
    (dots,) = FIGURES["shares"]().data
    assert (list(dots.x), list(dots.error_x.array), list(dots.error_x.arrayminus)) == ([90, 40], [8, 30], [30, 20])
    with pytest.raises(ValueError, match="got none"):
        plots.shares({}, 0.5)


def test_a_band_has_its_limits_and_the_run():
    high, low, run = FIGURES["band"]().data
    assert (list(high.y), list(low.y), list(run.y)) == ([1.1, 0.6], [0.9, 0.4], [1.0, 0.5])
    assert low.fill == "tonexty"
    with pytest.raises(ValueError, match="2, 1 and 2"):
        plots.band([1, 2], [1], [1, 2])
