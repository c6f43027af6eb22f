"""What holds for every figure of a unit."""

from collections.abc import Callable, Iterator

import plotly.graph_objects as go
import plotly.io as pio

from posttrain_lab.plots import GRID


def check_figure(draw: Callable[[], go.Figure], x_title: bool = True, y_title: bool = True) -> None:
    """Its axes have titles (but those whose rows or columns carry names), it is small, in house style, and drawn again it is the same."""
    figure = draw()
    assert isinstance(figure, go.Figure)
    assert figure.layout.xaxis.title.text or not x_title
    assert figure.layout.yaxis.title.text or not y_title
    assert len(pio.to_json(figure)) < 12_000
    assert pio.to_json(figure) == pio.to_json(draw())
    check_style(figure)


def check_style(figure: go.Figure) -> None:
    """Its legend is below it, no bar stands on a log axis, and lines and marks are seen on white."""
    assert {"x", "y", "orientation"}.isdisjoint(figure.layout.legend.to_plotly_json())  # the template's hold
    for trace in figure.data:
        if trace.type == "bar":
            assert "log" not in (_axis(figure, trace.xaxis, "x").type, _axis(figure, trace.yaxis, "y").type)
    assert [colour for colour in colours(figure) if contrast(colour, "#FFFFFF") < 3] == []


def colours(figure: go.Figure) -> Iterator[str]:
    """Those of lines and of marks without an edge; the broad grey line of a diagonal lies below what is to be seen."""
    for trace in figure.data:
        if trace.type == "scatter":
            if trace.line.color and trace.line.color != GRID:
                yield trace.line.color
            if trace.marker.color and trace.marker.line.color is None:
                yield trace.marker.color


def words(figure: go.Figure) -> str:
    """Its title without the ends of lines."""
    return figure.layout.title.text.replace("<br>", " ")


def _axis(figure: go.Figure, name: str | None, letter: str):
    return figure.layout[f"{letter}axis{(name or letter)[1:]}"]


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", in [0, 1] (WCAG 2.2)."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
