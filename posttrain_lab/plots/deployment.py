"""The figures of unit 08: plain numbers in, a plotly Figure out. Nothing is computed or shown here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from posttrain_lab.plots import HATCHES, INK, PALETTE, empty, figure, line_style, marker_style, numbers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def staircases(lines: Mapping[str, Sequence[int]], x_name: str, y_name: str) -> Figure:
    """One line of steps for each name, over 0, 1, 2, ..."""
    plot = empty(x_name, y_name)
    for index, (name, values) in enumerate(lines.items()):
        plot.add_scatter(
            x=list(range(len(values))), y=list(values), mode="lines", name=name, line={**line_style(index), "shape": "hv"}
        )
    return plot


def marked(points: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str) -> Figure:
    """One group of markers for each name, at (x, y); the groups of a row lie a little below one another."""
    plot = empty(x_name, y_name)
    for index, (name, found) in enumerate(points.items()):
        x, y = [one[0] for one in found], [one[1] - 0.17 * index for one in found]
        plot.add_scatter(x=numbers(x), y=numbers(y), mode="markers", name=name, marker=marker_style(index, 7))
    return plot


def against_bound(groups: Mapping[str, Sequence[float]], good: Mapping[str, Sequence[bool]], bound: float, y_name: str) -> Figure:
    """A column of markers for each group, those that are not good in another form and colour, and the bound as a line."""
    plot = empty("layer", y_name)
    for index, (name, wanted) in enumerate((("exact", True), ("not exact", False))):
        found = [
            (group, y) for group, values in groups.items() for y, fits in zip(values, good[group], strict=True) if fits == wanted
        ]
        x, y = [one[0] for one in found], numbers(one[1] for one in found)
        plot.add_scatter(x=x, y=y, mode="markers", name=name, marker=marker_style(4 * index, 8 + 6 * index))
    plot.update_xaxes(type="category", categoryorder="array", categoryarray=list(groups))
    return plot.add_hline(y=bound, line={"color": INK, "width": 1, "dash": "dash"})


def rectangles(buffers: Sequence[tuple[int, int, int]], offsets: Sequence[int], bound: int, top: int) -> Figure:
    """Each buffer (bytes, first, last) as a rectangle: steps to the right, bytes upwards from its offset; the bound as a line.

    Raises ValueError for another number of offsets.
    """
    from plotly.graph_objects import Bar

    if len(offsets) != len(buffers):
        raise ValueError(f"rectangles wants {len(buffers)} offsets, got {len(offsets)}.")
    middles = [(first + last) / 2 for _, first, last in buffers]
    widths = [last - first + 0.94 for _, first, last in buffers]
    shapes = [HATCHES[number % len(HATCHES)] for number in range(len(buffers))]
    colours = [PALETTE[number % len(PALETTE)] for number in range(len(buffers))]
    pattern = {"shape": shapes, "fgcolor": INK, "fillmode": "overlay", "solidity": 0.15}
    marker = {"color": colours, "opacity": 0.75, "pattern": pattern, "line": {"color": INK, "width": 1}}
    bars = Bar(x=middles, y=[size for size, _, _ in buffers], base=list(offsets), width=widths, marker=marker, showlegend=False)
    plot = figure([bars], "step", "bytes", height=360, barmode="overlay")
    plot.update_yaxes(range=[0, 1.05 * top])
    return plot.add_hline(y=bound, line={"color": INK, "width": 2, "dash": "dash"})


def budget_box(points: Sequence[tuple[str, float, float]], limit: float, chosen: str, x_name: str, y_name: str) -> Figure:
    """Named points (name, x, y), the chosen one in another form and colour, and the largest x that is allowed as a line."""
    plot = figure([], x_name, y_name, height=360, showlegend=False)
    for name, x, y in points:
        marker = marker_style(4 * (name == chosen), 10)
        plot.add_scatter(
            x=numbers([x]),
            y=numbers([y]),
            mode="markers+text",
            text=[name],
            textposition="top center",
            name=name,
            marker=marker,
            cliponaxis=False,
        )
    least, most = (end([limit, *(x for _, x, _ in points)]) for end in (min, max))
    room = 0.2 * ((most - least) or 1)  # for the names of the first and the last
    plot.update_xaxes(range=[least - room, most + room])
    return plot.add_vline(x=limit, line={"color": INK, "width": 2, "dash": "dash"})
