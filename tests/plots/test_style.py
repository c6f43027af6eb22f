"""The house style: lines of text, ticks of logarithmic axes, colours that are seen."""

import math

import pytest

from posttrain_lab import plots
from tests.plots.figure_rules import contrast


def test_lines_and_marks_are_seen_on_white():
    for style in (plots.line_style, plots.marker_style):
        assert min(contrast(style(i)["color"], "#FFFFFF") for i in range(8)) >= 3
        assert len({style(i)["color"] for i in range(8)}) == 8
    assert all(plots.bar_style(i)["line"]["color"] == plots.INK for i in range(8))
    assert contrast(plots.INK, "#FFFFFF") >= 4.5


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([20, 1000], "10 20 50 100 200 500 1,000 2,000"),
        ([0.03, 0.4], "0.02 0.05 0.1 0.2 0.5"),
        ([240], "50 100 200 500 1,000 2,000"),
        ([1e-7, 0.02], "10<sup>-7</sup> 10<sup>-6</sup> 10<sup>-5</sup> 10<sup>-4</sup> 0.001 0.01 0.1"),
        ([0.0, -3.0, 2e-5, 2e-4], "10<sup>-5</sup> 2·10<sup>-5</sup> 5·10<sup>-5</sup> 10<sup>-4</sup> 0.0002"),
    ],
)
def test_ticks_are_at_one_two_and_five(values, ticks):
    axis = plots.log_axis(values)
    assert " ".join(axis["ticktext"]) == ticks
    for tick in axis["tickvals"]:
        assert round(tick / 10 ** math.floor(math.log10(tick) + 1e-9)) in (1, 2, 5)


def test_close_values_leave_the_ticks_to_plotly():
    assert plots.log_axis([100, 120], [130]) == {"type": "log"}
    with pytest.raises(ValueError, match="positive value"):
        plots.log_axis([0, -1], [])


def test_a_long_title_has_lines_and_room():
    short, long = (plots.figure(title=text).layout for text in ("one", "one " * 40))
    assert short.margin.t < long.margin.t
    assert max(map(len, long.title.text.split("<br>"))) <= plots.TITLE_WIDTH
    assert long.title.text.replace("<br>", " ") == ("one " * 40).strip()
    assert plots.in_lines("first<br>second and third", 12) == "first<br>second and<br>third"


def test_names_of_axes_have_lines():
    made = plots.figure(x="what is on the horizontal axis of this figure", y="what is on its vertical axis, in (%)").layout
    assert "<br>" in made.xaxis.title.text
    assert "<br>" in made.yaxis.title.text
