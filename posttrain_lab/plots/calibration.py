"""The figures of unit 04: arrays in, a plotly Figure out. Nothing is shown or computed here; titles summarize the data.

Every figure has labelled axes with units, is readable in grey (dashes, markers and numbers besides colours) and has few points.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import plotly.graph_objects as go
from torch import Tensor

from posttrain_lab.plots import (
    GRID,
    INK,
    ORANGE,
    STACKED,
    VERMILLION,
    bar_style,
    empty,
    figure,
    in_lines,
    line_style,
    log_axis,
    marker_style,
    panel,
)

BESIDE = 20  # characters below a plot whose left half has names
THIN = {"color": "#888888", "width": 1, "dash": "dash"}
SHADES = [[0.0, "#ffffff"], [1.0, ORANGE]]  # lightness shows the value, so that grey prints have the same order
_figure = partial(empty, showlegend=True)
Curve = tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]


def _short(values: Iterable[float] | Tensor, factor: float = 1.0, digits: int = 4) -> list[float | None]:
    """Plain rounded numbers, None for NaN: the saved notebook stays small."""
    return [float(f"{factor * float(v):.{digits}g}") if math.isfinite(float(v)) else None for v in values]


def _add(plot: go.Figure, name: str, curve: Curve, index: int, y_factor: float = 1.0, **more: object) -> None:
    x, y = curve
    plot.add_scatter(x=_short(x), y=_short(y, y_factor), mode="lines", name=name, line=line_style(index), **more)


def reliability_diagram(claimed: Sequence[float], hit_rate: Sequence[float], count: Sequence[int], title: str = "") -> go.Figure:
    """Does the hit rate of each bin equal its mean confidence? Above: one against the other; below: number of answers.

    claimed, hit_rate: fractions, one for each bin, NaN where a bin is empty. A dot on the dashed line is calibrated; the bar from the
    line to the dot is the gap. Raises ValueError for lengths that differ.
    """
    if not len(claimed) == len(hit_rate) == len(count):
        raise ValueError(f"reliability_diagram wants one of each a bin, got {len(claimed)}, {len(hit_rate)} and {len(count)}.")
    plot = _figure("confidence", "hit rate", title, height=470)
    x, y = _short(claimed), _short(hit_rate)
    ends = [(a, b) for a, b in zip(x, y, strict=True) if a is not None and b is not None]
    gaps = [
        [value for a, b in ends for value in triple(a, b)] for triple in (lambda a, b: (a, a, None), lambda a, b: (a, b, None))
    ]
    plot.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="as claimed", line=THIN)
    plot.add_scatter(x=gaps[0], y=gaps[1], mode="lines", name="gap", line={"color": VERMILLION, "width": 5})
    plot.add_scatter(x=x, y=y, mode="markers", name="bin", marker=marker_style(0, 11), cliponaxis=False)
    centres, width = [(b + 0.5) / len(count) for b in range(len(count))], 0.9 / len(count)
    bars = {"x": _short(centres), "y": [int(n) for n in count], "width": width, "marker": bar_style(3)}
    plot.add_bar(**bars, name="answers in the bin", yaxis="y2")
    plot.update_layout(
        yaxis={"domain": [0.38, 1], "range": [-0.02, 1.02]},
        yaxis2={"domain": [0, 0.24], "title": {"text": "answers"}, "anchor": "x"},
        xaxis={"range": [-0.02, 1.02], "anchor": "y2"},
    )
    return plot


def error_against_bins(bins: Sequence[int], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """How much does the error depend on the bins? One curve for each way to bin, or for chance alone; errors as fractions."""
    plot = _figure("number of bins (log scale)", "calibration error (percentage points)")
    for index, (name, values) in enumerate(curves.items()):
        _add(plot, name, (bins, values), index, 100)
        plot.data[-1].update(mode="lines+markers", marker=marker_style(index, 8))
    return plot.update_xaxes(type="log", tickvals=list(bins)).update_yaxes(rangemode="tozero")


def scorecard(scores: Mapping[str, Mapping[str, float]], larger_is_better: Sequence[str] = ()) -> go.Figure:
    """Which model is best, and does every score agree? scores[model][score]; the best of each column is bold and dark.

    Shades show the rank in the column, 1 is the best. Raises ValueError unless every model has the same scores.
    """
    models, names = list(scores), list(next(iter(scores.values())))
    if any(list(row) != names for row in scores.values()):
        raise ValueError("scorecard wants the same scores for every model; give each model all of them, in one order.")
    places, text = [[0] * len(names) for _ in models], [[""] * len(names) for _ in models]
    for column, name in enumerate(names):
        values = [scores[model][name] for model in models]
        ranked = sorted(values, reverse=name in larger_is_better)
        for row, value in enumerate(values):
            places[row][column] = ranked.index(value)
            shown = f"{value:.3f}"
            text[row][column] = f"<b>{shown}</b>" if value == ranked[0] else shown
    plot = figure((), "score", "", height=90 + 45 * len(models), margin_b=10)
    shades = [[0.0, ORANGE], [1.0, "#ffffff"]]
    heat = go.Heatmap(
        x=names, y=models, z=places, text=text, texttemplate="%{text}", colorscale=shades, showscale=False, xgap=2, ygap=2
    )
    plot.add_trace(heat)
    return plot.update_yaxes(autorange="reversed").update_xaxes(side="top")


def loss_against_temperature(temperatures: Sequence[float], curves: Mapping[str, Sequence[float]], fitted: float) -> go.Figure:
    """Where is the loss smallest? One curve for each set of examples; the vertical line is the fitted temperature."""
    plot = _figure("temperature T (log scale)", "mean negative log-likelihood (nats)", f"fitted: T = {fitted:.3f}")
    for index, (name, values) in enumerate(curves.items()):
        _add(plot, name, (temperatures, values), index)
    plot.add_vline(x=fitted, line={"color": INK, "width": 1})
    return plot.update_xaxes(**log_axis(temperatures))


def probability_maps(curves: Mapping[str, Curve], seen: Curve) -> go.Figure:
    """The probability that each method gives to a score. One curve for each method; the dots are shares of deaths in groups."""
    plot = _figure("what the model says: log-odds of death", "probability of death within 5 years")
    for index, (name, curve) in enumerate(curves.items()):
        _add(plot, name, curve, index)
    dots = {"symbol": "circle-open", "size": 10, "color": INK, "line": {"width": 2}}
    plot.add_scatter(x=_short(seen[0]), y=_short(seen[1]), mode="markers", name="share seen", marker=dots)
    return plot.update_yaxes(range=[-0.03, 1.03])


def cost_against_threshold(
    thresholds: Sequence[float], curves: Mapping[str, Sequence[tuple[float, float, float]]], mark: float
) -> go.Figure:
    """At which threshold is the cost lowest? curves[model]: (cost, low, high) at each threshold; the line is Bayes' threshold.

    The bands are 95 % intervals; costs are per person, in units of one false alarm.
    """
    plot = _figure("threshold: alarm from this probability on (log scale)", "cost a person (false alarms)", height=400)
    for index, (name, rows) in enumerate(curves.items()):
        style, cost, low, high = line_style(index), *zip(*rows, strict=True)
        edge = {"mode": "lines", "line": {"color": style["color"], "width": 0}, "hoverinfo": "skip", "showlegend": False}
        plot.add_scatter(x=_short(thresholds), y=_short(low), **edge)
        plot.add_scatter(x=_short(thresholds), y=_short(high), fill="tonexty", opacity=0.2, **edge)
        plot.data[-1].fillcolor = f"rgba({','.join(str(int(style['color'][i : i + 2], 16)) for i in (1, 3, 5))},0.18)"
        plot.add_scatter(x=_short(thresholds), y=_short(cost), mode="lines", name=name, line={**style, "width": 3})
    plot.add_vline(x=mark, line={"color": INK, "width": 1})
    note = {"text": "c_fp / (c_fp + c_fn)", "showarrow": False, "xanchor": "right", "xshift": -5}
    plot.add_annotation(
        x=math.log10(mark), y=0.02, yref="paper", yanchor="bottom", **note
    )  # on a log axis the position of a note is the exponent
    plot.update_layout(legend_traceorder="normal")
    return plot.update_xaxes(**log_axis(thresholds)).update_yaxes(rangemode="tozero")


def coverage_histogram(found: Mapping[str, Sequence[float]], promise: float, n: int) -> go.Figure:
    """Does the guarantee hold? The coverage over many splits; the dashed line is the guaranteed one (`promise`).

    found[method]: coverages as fractions, each measured on n examples.
    """
    means = ", ".join(f"{name} {100 * sum(values) / len(values):.2f} %" for name, values in found.items())
    plot = _figure("coverage (%)", "splits", f"mean: {means}")
    everything = [100 * v for values in found.values() for v in values]
    low, size = math.floor(min(everything)), 1.0
    places = [low + size * k for k in range(math.ceil((max(everything) - low) / size) + 1)]
    for index, (name, values) in enumerate(found.items()):
        counts = [sum(place <= 100 * v < place + size for v in values) for place in places]
        bars = {
            "x": [place + size / 2 for place in places],
            "y": counts,
            "width": 0.45 * size,
            "offset": (index - 1) * 0.45 * size,
        }
        plot.add_bar(**bars, name=f"{name}, {n} examples each", marker=bar_style(index))
    plot.add_vline(x=100 * promise, line={**THIN, "color": INK}, annotation_text="guaranteed", annotation_position="top left")
    return plot


def accuracy_by_set_size(sizes: Sequence[int], counts: Sequence[int], accuracy: Sequence[float]) -> go.Figure:
    """Are sets large where the model is wrong? One bar for each set size: its height is the accuracy, above it the number of images."""
    plot = _figure("classes in the set", "accuracy of the top answer (%)", height=320)
    text = [f"{n} images" for n in counts]
    bars = {
        "x": [str(s) for s in sizes],
        "y": _short(accuracy, 100),
        "text": text,
        "textposition": "outside",
        "marker": bar_style(0),
    }
    plot.add_bar(**bars, name="accuracy")
    plot.update_xaxes(type="category").update_yaxes(range=[0, 115], tickvals=[0, 25, 50, 75, 100])
    return plot.update_layout(showlegend=False)


def risk_against_coverage(curves: Mapping[str, Curve]) -> go.Figure:
    """The share of wrong answers against coverage. One curve for each order of the examples; fractions in, percent drawn."""
    plot = _figure("questions answered (%)", "wrong answers among them (%)")
    for index, (name, (share, risk)) in enumerate(curves.items()):
        _add(plot, name, ([100 * float(s) for s in share], risk), index, 100)
    return plot


def confidence_under_shift(panels: Mapping[str, Mapping[str, Curve]]) -> go.Figure:
    """Does the confidence fall with the accuracy? One panel for each kind of shift, one curve for each quantity, in percent."""
    plot = _figure("", "%", height=380)
    for place, (kind, curves) in enumerate(panels.items()):
        axis, domain = panel(place, len(panels))
        for index, (name, curve) in enumerate(curves.items()):
            more = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": place == 0, "legendgroup": name}
            _add(plot, name, curve, index, 100, **more)
            plot.data[-1].update(mode="lines+markers", marker=marker_style(index, 7))
        plot.layout[f"xaxis{axis}"] = {"domain": domain, "title": {"text": in_lines(kind, 22)}, "anchor": f"y{axis}"}
        plot.layout[f"yaxis{axis}"] = {
            "anchor": f"x{axis}",
            **({"title": {"text": "%"}} if place == 0 else {"showticklabels": False}),
        }
    return plot.update_yaxes(range=[0, 102]).update_layout(meta=STACKED)


def error_maps(
    rows: Sequence[str], columns: Sequence[str], maps: Mapping[str, Sequence[Sequence[float]]], x: str, y: str
) -> go.Figure:
    """Which compressed network is calibrated? maps[name][row][column] in fractions, drawn in percentage points; dark is bad.

    All maps share one scale of shades, which ends at 30 points. Raises ValueError for maps of another shape.
    """
    if any(len(values) != len(rows) or {len(row) for row in values} != {len(columns)} for values in maps.values()):
        raise ValueError(f"error_maps wants {len(rows)} rows of {len(columns)} numbers in each map.")
    plot = _figure("", "", height=330)
    for index, (name, values) in enumerate(maps.items()):
        axis, domain = panel(index, len(maps))
        text = [[f"{100 * v:.1f}" for v in row] for row in values]
        heat = go.Heatmap(x=list(columns), y=list(rows), z=[_short(row, 100, 3) for row in values], text=text, name=name)
        heat.update(texttemplate="%{text}", textfont={"color": "black"}, zmin=0, zmax=30, xgap=2, ygap=2)
        heat.update(colorscale=SHADES, showscale=False, xaxis=f"x{axis}", yaxis=f"y{axis}")
        plot.add_trace(heat)
        plot.layout[f"xaxis{axis}"] = {"domain": domain, "title": {"text": f"{x}<br><b>{name}</b>"}, "anchor": f"y{axis}"}
        first = {"title": {"text": y}} if index == 0 else {"showticklabels": False}
        plot.layout[f"yaxis{axis}"] = {"anchor": f"x{axis}", **first}
    plot.update_xaxes(type="category").update_yaxes(type="category")
    return plot.update_layout(showlegend=False, meta=STACKED)


def costs_with_intervals(costs: Mapping[str, tuple[float, float, float]]) -> go.Figure:
    """The cost of each way to decide. costs[way]: (cost, low, high) per person, in false alarms; bars are 95 % intervals."""
    plot = _figure(in_lines("cost a person (false alarms)", BESIDE), "", height=130 + 45 * len(costs))
    for index, (name, (cost, low, high)) in enumerate(costs.items()):
        spread = {
            "type": "data",
            "symmetric": False,
            "array": _short([high - cost]),
            "arrayminus": _short([cost - low]),
            "thickness": 3,
        }
        plot.add_scatter(x=_short([cost]), y=[name], mode="markers", error_x=spread, name=name, marker=marker_style(index, 13))
    plot.update_xaxes(rangemode="tozero", gridcolor=GRID).update_yaxes(autorange="reversed")
    return plot.update_layout(showlegend=False)
