"""How many times faster? The map of a race over batch sizes, for every unit that runs one."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from posttrain_lab.plots import BLUE, STACKED, VERMILLION, figure, panel

PANEL_HEIGHT = 250
SHADES = [[0, VERMILLION], [0.5, "#f7f7f7"], [1, BLUE]]


def speedup_maps(
    speed: Mapping[str, Sequence[Sequence[float]]],
    columns: Sequence[str],
    batches: Sequence[int],
    x: str,
    across: int,
    most: float,
) -> go.Figure:
    """speed[name][i][j]: the other's time over the time of `name`, for batches[i] and columns[j]; one panel a name, `across` in a row.

    Cells below 1 are reddish and say "slower"; cells above 1 are bluish. Shades end at `most` times faster or slower. Without a
    title: the caller names what the others are compared with.
    """
    rows = -(-len(speed) // across)
    plot = figure(height=80 + PANEL_HEIGHT * rows, meta=STACKED)
    for index, (name, values) in enumerate(speed.items()):
        down, right = divmod(index, across)
        axis, _ = panel(index, len(speed))
        _, domain = panel(right, across)
        plot.add_trace(_heat(values, columns, batches, most).update(name=name, xaxis=f"x{axis}", yaxis=f"y{axis}"))
        title = {"text": f"{x}<br><b>{name}</b>"}
        plot.layout[f"xaxis{axis}"] = {"domain": domain, "title": title, "anchor": f"y{axis}"}
        top = 1 - down / rows
        height = {"domain": [top - (0.64 / rows if rows > 1 else 1), top]}  # a row below leaves room for titles
        first = {"title": {"text": "batch (rows of x)"}} if right == 0 else {"showticklabels": False}
        plot.layout[f"yaxis{axis}"] = {"anchor": f"x{axis}", **height, **first}
    return plot.update_xaxes(type="category").update_yaxes(type="category")


def _heat(values: Sequence[Sequence[float]], columns: Sequence[str], batches: Sequence[int], most: float) -> go.Heatmap:
    """One panel: two digits a cell, shades by the logarithm."""
    shown = [[float(f"{value:.2g}") for value in row] for row in values]
    cells = [[f"{v:g}" if v >= 1 else f"<b>{v:g}</b><br>slower" for v in row] for row in shown]
    shades = [[round(math.log(min(max(v, 1 / most), most)), 3) for v in row] for row in shown]
    end = round(math.log(most), 3)
    heat = go.Heatmap(x=list(columns), y=[str(b) for b in batches], z=shades, text=cells, texttemplate="%{text}")
    return heat.update(colorscale=SHADES, zmin=-end, zmax=end, showscale=False, textfont={"size": 11}, xgap=2, ygap=2)
