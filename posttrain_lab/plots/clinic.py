"""The figures of unit 11: numbers in, a plotly Figure out. Nothing is computed or shown here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from posttrain_lab.plots import BLUE, INK, empty, figure, log_axis, marker_style, numbers, percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BELOW = 3.0  # a zero is drawn so many times below the smallest number


def sizes(groups: Mapping[str, Mapping[str, float]], x_name: str) -> Figure:
    """Dots on a logarithmic axis: one row for each name, one marker for each of at most two groups. What is 0 stands at the left end, marked "0".

    Raises ValueError when all numbers are 0 or there are none.
    """
    from plotly.graph_objects import Scatter

    positive = [value for group in groups.values() for value in group.values() if 0 < value < float("inf")]
    if not positive:
        raise ValueError("sizes wants at least one number above 0.")
    left = min(positive) / BELOW
    rows = list(dict.fromkeys(name for group in groups.values() for name in group))
    traces, said = [], set[str]()
    for index, (group, values) in enumerate(groups.items()):
        drawn = numbers(left if value == 0 else value for value in values.values())
        words = ["0" if value == 0 and name not in said else "" for name, value in values.items()]  # once in a row
        said |= {name for name, value in values.items() if value == 0}
        style = {"mode": "markers+text", "text": words, "textposition": "middle right"}
        traces.append(Scatter(x=drawn, y=list(values), name=group, marker=marker_style(index, 13 - 5 * index), **style))
    plot = figure(traces, x_name, "", height=130 + 30 * len(rows), showlegend=len(groups) > 1)
    ends = [left / 2, 2 * max(positive)]
    plot.update_xaxes(**log_axis(ends), range=[math.log10(end) for end in ends])
    return plot.update_yaxes(type="category", categoryorder="array", categoryarray=rows[::-1])


def shares(found: Mapping[str, tuple[int, int, float, float]], whole: float) -> Figure:
    """Accuracy with its interval: one row for each group, found[name] = (hits, n, low, high); a line at the accuracy of all, `whole`.

    Raises ValueError for no groups.
    """
    from plotly.graph_objects import Scatter

    if not found:
        raise ValueError("shares wants at least one group, got none.")
    middle = percent(hits / n for hits, n, _, _ in found.values())
    up, down = (percent(abs(row[place] - row[0] / row[1]) for row in found.values()) for place in (3, 2))
    arms = {"type": "data", "array": up, "arrayminus": down, "color": BLUE}
    dots = Scatter(x=middle, y=list(found), mode="markers", error_x=arms, marker={"color": BLUE, "size": 9})
    plot = figure([dots], "accuracy (%)", "", height=110 + 26 * len(found), showlegend=False)
    plot.add_vline(x=percent([whole])[0], line={"color": INK, "width": 1, "dash": "dot"})
    return plot.update_yaxes(type="category", categoryorder="array", categoryarray=list(found)[::-1])


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
