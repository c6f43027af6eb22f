"""Figures of Passports: they show the numbers they were given, in house style, readable in grey, and stay small."""

import dataclasses
import subprocess
import sys
from itertools import pairwise

import pytest
from plotly.graph_objects import Figure

from posttrain_lab import plots
from posttrain_lab.passport import compare
from posttrain_lab.plots.passports import accuracy_against_bytes, latency_bars, pareto_front, passport_card
from tests.passports import ONE
from tests.plots.figure_rules import luminance

MANY = [dataclasses.replace(ONE, name=f"model {i}", bytes=ONE.bytes // (i + 1)) for i in range(8)]
FIGURES = {
    "accuracy_against_bytes": lambda: accuracy_against_bytes(MANY),
    "latency_bars": lambda: latency_bars(MANY),
    "passport_card": lambda: passport_card(ONE),
}


def test_the_scatter_shows_kilobytes_percent_and_the_interval():
    figure = accuracy_against_bytes([ONE, MANY[1]])
    point = figure.data[0]
    assert (point.x, point.y, point.name) == ((434.976,), (92.0,), "fp32")
    assert point.error_y.array == (pytest.approx(1.1),)
    assert point.error_y.arrayminus == (pytest.approx(1.3),)
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "size (kB, log scale)")
    assert figure.layout.yaxis.title.text == "accuracy (%)"


def test_the_bars_show_milliseconds_an_example_from_p20_to_p80():
    figure = latency_bars([ONE])
    bar = figure.data[0]
    assert bar.x == ("batch of 1", "batch of 64")
    assert bar.y == pytest.approx((3.0, 1.0))
    assert bar.error_y.array == pytest.approx((2.0, 1.0))
    assert bar.error_y.arrayminus == pytest.approx((1.0, 0.5))
    assert figure.layout.yaxis.title.text == "time per example (ms)"


def test_the_card_holds_the_lines_of_the_table():
    table = passport_card(ONE).data[0]
    rows = [list(row) for row in zip(*table.cells["values"], strict=True)]
    assert rows == compare([ONE]).grid()[1:]
    assert table.header["values"] == ("", "<b>fp32</b>")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_small_in_house_style_and_shows_nothing(name, monkeypatch):
    monkeypatch.setattr(Figure, "show", lambda *_: pytest.fail("a plot function may not show its figure"))
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure.layout.template.layout.colorway == plots.PALETTE
    assert len(figure.to_json()) < 6_000


@pytest.mark.parametrize("draw", [accuracy_against_bytes, latency_bars])
def test_models_differ_by_more_than_colour(draw):
    markers = [trace.marker.to_plotly_json() for trace in draw(MANY).data]
    shapes = [marker["symbol"] if "symbol" in marker else marker["pattern"]["shape"] for marker in markers]
    colours = [marker["color"] for marker in markers]
    assert len(set(shapes)) == len(set(colours)) == len(MANY)


@pytest.mark.parametrize("style", [plots.line_style, plots.marker_style, plots.bar_style])
def test_styles_start_again_after_the_last(style):
    assert style(0)["color"] == style(len(plots.PALETTE))["color"] == plots.BLUE
    assert len({str(style(i)) for i in range(8)}) == 8


def test_neighbouring_colours_differ_in_grey():
    greys = [luminance(colour) for colour in plots.PALETTE]
    contrasts = [(max(a, b) + 0.05) / (min(a, b) + 0.05) for a, b in pairwise(greys)]
    assert min(contrasts) > 1.3


def test_tags_in_a_name_are_shown_and_not_obeyed():
    hostile = dataclasses.replace(ONE, name="<b>int8 & co")
    assert accuracy_against_bytes([hostile]).data[0].name == "&lt;b>int8 &amp; co"
    assert latency_bars([hostile]).data[0].name == "&lt;b>int8 &amp; co"
    assert passport_card(hostile).data[0].header["values"][1] == "<b>&lt;b>int8 &amp; co</b>"


@pytest.mark.parametrize("draw", [accuracy_against_bytes, latency_bars])
def test_refuses_nothing_and_strangers(draw):
    name = draw.__name__
    with pytest.raises(ValueError, match=f"{name} wants at least one Passport, got none"):
        draw([])
    with pytest.raises(TypeError, match=rf"{name} wants Passports, got \['str'\]"):
        draw(["fp32"])
    with pytest.raises(TypeError, match=f"{name} wants a list of Passports, got one Passport"):
        draw(ONE)
    with pytest.raises(TypeError, match="passport_card wants a Passport, got list"):
        passport_card([ONE])


def test_figure_names_axes_and_title_and_passes_layout_on():
    made = plots.figure([], "bits", "error", "Rounding", height=200, xaxis_type="log")
    assert (made.layout.xaxis.title.text, made.layout.yaxis.title.text) == ("bits", "error")
    assert (made.layout.title.text, made.layout.height, made.layout.xaxis.type) == ("Rounding", 200, "log")
    assert plots.figure().layout.xaxis.title.text is None


def test_importing_plots_loads_neither_plotly_nor_torch():
    code = "import sys, posttrain_lab.plots.passports; print([m for m in ('plotly', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_pareto_front_leaves_out_what_another_beats():
    sizes_and_hits = {
        "small": (100, 0.80),
        "beaten": (200, 0.79),
        "equal": (200, 0.80),
        "good": (300, 0.9),
        "same size": (300, 0.85),
    }
    passports = [
        dataclasses.replace(ONE, name=name, bytes=size, accuracy=share, accuracy_low=share - 0.01, accuracy_high=share + 0.01)
        for name, (size, share) in sizes_and_hits.items()
    ]
    assert [one.name for one in pareto_front(passports)] == ["small", "good"]
    figure = accuracy_against_bytes(passports, front=True)
    assert list(figure.data[0].y) == [80.0, 90.0]
    assert len(figure.data) == len(passports) + 1
