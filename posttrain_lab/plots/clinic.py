"""The figures of unit 11: numbers in, a plotly Figure out. Nothing is computed or shown here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from posttrain_lab.plots import BLUE, INK, empty, figure, log_axis, marker_style, numbers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BELOW = 3.0  # a zero is drawn so many times below the smallest number


def sizes(groups: Mapping[str, Mapping[str, float]], x_name: str) -> Figure:
    """Dots on a logarithmic axis: one row for each name, one marker for each group. What is 0 stands at the left end, marked "0".

    Raises ValueError when all numbers are 0 or there are none.
    """
    from plotly.graph_objects import Scatter

    positive = [value for group in groups.values() for value in group.values() if 0 < value < float("inf")]
    if not positive:
        raise ValueError("sizes wants at least one number above 0.")
    left = min(positive) / BELOW
    rows = list(dict.fromkeys(name for group in groups.values() for name in group))
    traces = []
    for index, (group, values) in enumerate(groups.items()):
        drawn = numbers(left if value == 0 else value for value in values.values())
        words = ["0" if value == 0 else "" for value in values.values()]
        style = {"mode": "markers+text", "text": words, "textposition": "middle right"}
        traces.append(Scatter(x=drawn, y=list(values), name=group, marker=marker_style(index), **style))
    plot = figure(traces, x_name, "", height=130 + 30 * len(rows), showlegend=len(groups) > 1)
    plot.update_xaxes(**log_axis([left, *positive]))
    return plot.update_yaxes(type="category", categoryorder="array", categoryarray=rows[::-1])


def band(losses: Sequence[float], low: Sequence[float], high: Sequence[float], title: str = "") -> Figure:
    """A learning curve over the band of healthy runs. Raises ValueError for other lengths."""
    if not len(losses) == len(low) == len(high) > 0:
        raise ValueError(f"band wants as many losses as limits, got {len(losses)}, {len(low)} and {len(high)}.")
    epochs = list(range(1, len(losses) + 1))
    plot = empty("epoch", "mean loss", title)
    edge = {"mode": "lines", "line": {"color": INK, "width": 0.5}}
    plot.add_scatter(x=epochs, y=numbers(high), showlegend=False, hoverinfo="skip", **edge)
    plot.add_scatter(
        x=epochs, y=numbers(low), fill="tonexty", fillcolor="rgba(128,128,128,0.3)", name="nine in ten healthy runs", **edge
    )
    return plot.add_scatter(
        x=epochs,
        y=numbers(losses),
        mode="lines+markers",
        name="this run",
        line={"color": BLUE},
        marker={"color": BLUE, "size": 8},
    )
