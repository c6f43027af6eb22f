"""The figures of unit 03: numbers in, a plotly Figure out. Nothing is shown here; titles summarize the data.

Every figure has labelled axes with units and is readable in grey: dashes, markers and hatches differ where colours do.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial

import plotly.graph_objects as go
from torch import Tensor

from posttrain_lab.metrics import wilson_interval
from posttrain_lab.plots import BLACK, INK, bar_style, empty, line_style, log_axis, marker_style, numbers, percent

Row = tuple[float, float, float, float]  # where, mean, low, high
_figure = partial(empty, height=380)


def _between(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> dict[str, object]:
    """Error bars from low to high, in percent."""
    up = percent(high - value for value, high in zip(values, highs, strict=True))
    down = percent(value - low for value, low in zip(values, lows, strict=True))
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.2}


def trainable_counts(counts: Mapping[str, int], total: int) -> go.Figure:
    """How many parameters are trainable for each choice? A point for each name, on a log axis; the line is the whole network."""
    plot = _figure("what may learn", "trainable numbers (log scale)", f"of {total:,} numbers in the network", height=320)
    shares = [f"{100 * count / total:.3g} %" for count in counts.values()]
    style = {"mode": "markers+text", "textposition": "top center", "cliponaxis": False, "marker": marker_style(0, 12)}
    plot.add_scatter(x=list(counts), y=list(counts.values()), text=shares, name="trainable", **style)
    plot.add_hline(y=total, line={"color": INK, "dash": "dash", "width": 1})
    top = math.log10(3 * total)  # room for the share above the highest point
    return plot.update_yaxes(**log_axis(counts.values()), range=[math.log10(min(counts.values()) / 2), top])


def grouped_accuracy(groups: Mapping[str, Mapping[str, float]], n: Mapping[str, int], x: str = "network") -> go.Figure:
    """How well does each network do at each task? groups[task][network] is an accuracy on n[task] images; bars with 95 % intervals."""
    plot = _figure(x, "accuracy (%)", ", ".join(f"{task}: {count} images" for task, count in n.items()))
    for index, (task, found) in enumerate(groups.items()):
        values = list(found.values())
        ends = [wilson_interval(round(value * n[task]), n[task]) for value in values]
        bars = _between(values, [low for low, _ in ends], [high for _, high in ends])
        plot.add_bar(x=list(found), y=percent(values), error_y=bars, marker=bar_style(index), name=task)
    return plot.update_layout(barmode="group", yaxis_range=[0, 105])


def layer_rates(names: Sequence[str], rates: Sequence[float], decays: Sequence[bool]) -> go.Figure:
    """The learning rate of each parameter. A point for each; another form where weight decay is switched off."""
    plot = _figure("parameter, from the image to the answer", "learning rate (log scale)")
    for index, (label, wanted) in enumerate((("weight decay", True), ("no weight decay", False))):
        found = [(name, rate) for name, rate, decay in zip(names, rates, decays, strict=True) if decay is wanted]
        x, y = [name for name, _ in found], numbers(rate for _, rate in found)
        plot.add_scatter(x=x, y=y, mode="markers", marker=marker_style(index, 10), name=label)
    plot.update_xaxes(categoryorder="array", categoryarray=list(names), type="category", tickangle=-60)
    top = math.log10(max(rates))  # four decades for all rates, so that a slider moves the points and not the axis
    return plot.update_yaxes(**log_axis([max(rates) / 1e4, max(rates)]), range=[top - 4, top + 0.2])


def surface_walks(
    axes: tuple[Tensor, Tensor], heights: Tensor, paths: Mapping[str, Tensor], losses: Mapping[str, float]
) -> go.Figure:
    """Paths of optimizers: contours of log10(loss) over two weights, a path [steps, 2] for each name, its last loss in the legend."""
    plot = _figure("first weight", "second weight", height=440)
    x, y = (numbers(axis, 3) for axis in axes)
    z = [numbers(row, 3) for row in heights]
    shades = [[0, "#FFFFFF"], [1, "#B8B8B8"]]
    contour = go.Contour(x=x, y=y, z=z, ncontours=14, colorscale=shades, showscale=False, hoverinfo="skip")
    plot.add_trace(contour.update(line={"color": "#9A9A9A", "width": 0.7}))
    for index, (name, path) in enumerate(paths.items()):
        style = {**line_style(index), "width": 2}
        spots = {**marker_style(index, 6), "maxdisplayed": 30}
        label = f"{name}: loss {losses[name]:.2g}"
        first, second = numbers(path[:, 0]), numbers(path[:, 1])
        plot.add_scatter(x=first, y=second, mode="lines+markers", name=label, line=style, marker=spots)
    start = next(iter(paths.values()))[0].tolist()
    plot.add_scatter(
        x=[start[0]], y=[start[1]], mode="markers", name="start", marker={"symbol": "star", "size": 13, "color": BLACK}
    )
    plot.update_xaxes(range=[x[0], x[-1]])
    return plot.update_yaxes(range=[y[0], y[-1]])


def label_curves(
    curves: Mapping[str, Sequence[Row]], live: Mapping[str, tuple[float, float]], n: int, y: str = "test accuracy (%)"
) -> go.Figure:
    """Accuracy against the number of labels: rows (labels, mean, low, high) for each method; `live`: points measured just now."""
    title = f"curves: means with 95 % intervals; white: measured just now, {n} images"
    plot = _figure("labels (log scale)", y, title if live else "", height=450)
    for index, (name, rows) in enumerate(curves.items()):
        labels, means, lows, highs = (list(column) for column in zip(*rows, strict=True))
        shifted = [count * (1 + 0.012 * (index - len(curves) / 2)) for count in labels]
        bars = {**_between(means, lows, highs), "color": line_style(index)["color"]}
        style, spots = line_style(index), marker_style(index, 8)
        plot.add_scatter(x=numbers(shifted), y=percent(means), error_y=bars, name=name, line=style, marker=spots)
    for (name, (labels, accuracy)), symbol in zip(live.items(), itertools.cycle(("star", "diamond")), strict=False):
        spot = {"symbol": symbol, "size": 15, "color": "white", "line": {"color": BLACK, "width": 1.5}}
        plot.add_scatter(x=[labels], y=percent([accuracy]), mode="markers", name=f"{name}, just now", marker=spot)
    counts = sorted({int(row[0]) for rows in curves.values() for row in rows})
    return plot.update_xaxes(type="log", tickvals=counts, ticktext=[str(count) for count in counts])


def frontier(points: Mapping[str, Sequence[tuple[str, float, float]]], before: tuple[float, float]) -> go.Figure:
    """Accuracy on the new and the old task. points[method]: (label, new, old) each; `before`: the network before adaptation."""
    plot = _figure("new task, accuracy (%)", "old task, accuracy (%)", "up and to the right is better", height=430)
    for index, (name, rows) in enumerate(points.items()):
        labels = [label for label, _, _ in rows]
        x, y = percent(new for _, new, _ in rows), percent(old for _, _, old in rows)
        mode = "lines+markers+text" if len(rows) > 1 else "markers"
        trace = go.Scatter(x=x, y=y, mode=mode, text=labels, name=name, line=line_style(index), marker=marker_style(index, 11))
        plot.add_trace(trace.update(textposition="middle left", textfont={"size": 11}))
    spot = {"symbol": "star", "size": 14, "color": BLACK}
    x, y = percent(before)
    return plot.add_scatter(x=[x], y=[y], mode="markers", name="before", marker=spot)


def softened(names: Sequence[str], columns: Mapping[str, Sequence[float]], temperature: float) -> go.Figure:
    """The teacher's probabilities for one image: in percent by class, a group of points for each name, on a logarithmic axis."""
    plot = _figure("class", "probability (%, log scale)", f"temperature {temperature:g}", height=340)
    for index, (name, values) in enumerate(columns.items()):
        plot.add_scatter(x=list(names), y=percent(values), mode="markers", marker=marker_style(index, 11), name=name)
    plot.update_xaxes(type="category")
    return plot.update_yaxes(**log_axis([0.001, 100]), range=[-3, 2.1])
