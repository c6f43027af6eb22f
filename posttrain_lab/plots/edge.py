"""The figure of project 12: numbers in, a plotly Figure out. Nothing is computed or shown here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from posttrain_lab.plots import BLUE, INK, figure, numbers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def scores(found: Mapping[str, tuple[float, float, float]], limits: Mapping[str, float]) -> Figure:
    """Brier scores with their intervals: one row for each network, found[name] = (score, low, high); a dotted line at each limit.

    Raises ValueError for no networks.
    """
    from plotly.graph_objects import Scatter

    if not found:
        raise ValueError("scores wants at least one network, got none.")
    middle = numbers(score for score, _, _ in found.values())
    up = numbers(high - score for score, _, high in found.values())
    down = numbers(score - low for score, low, _ in found.values())
    arms = {"type": "data", "array": up, "arrayminus": down, "color": BLUE, "thickness": 3}
    dots = Scatter(x=middle, y=list(found), mode="markers", error_x=arms, marker={"color": BLUE, "size": 10})
    plot = figure([dots], "Brier score (0 is perfect)", "", height=170 + 45 * len(found), showlegend=False)
    for name, limit in limits.items():
        plot.add_vline(x=limit, line={"color": INK, "width": 1, "dash": "dot"})
        plot.add_annotation(x=limit, y=1, yref="paper", yanchor="bottom", text=name, showarrow=False)
    plot.update_layout(margin={"t": 40})
    plot.update_xaxes(range=[0, 1.1 * max(*middle, *limits.values())])
    return plot.update_yaxes(type="category", categoryorder="array", categoryarray=list(found)[::-1])
