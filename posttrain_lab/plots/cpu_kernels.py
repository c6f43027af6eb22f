"""The figures of unit 05: arrays in, a plotly Figure out. Nothing is shown here; titles summarize the data.

Speeds are operations a second and shown in GOPS (1e9 of them); a multiplication with its addition counts as two.
"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from jaxtyping import Int, Int8
from torch import Tensor

from posttrain_lab.plots import (
    BLACK,
    BLUE,
    GREEN,
    LEGEND,
    PURPLE,
    SKY,
    VERMILLION,
    bar_style,
    figure,
    line_style,
    marker_style,
    numbers,
)

GIGA = 1e9
KINDS = (
    GREEN,
    SKY,
    VERMILLION,
    BLACK,
    PURPLE,
    "#777777",
)  # the roofs have the first two colours; yellow marks are hard to see on white


def roofline(
    intensities: Sequence[float],
    roofs: Mapping[str, Sequence[float]],
    points: Mapping[str, Sequence[tuple[float, float]]],
    title: str = "",
) -> go.Figure:
    """A roofline plot. roofs[name][i]: operations/s at intensities[i]; points[name]: (intensity, operations/s) pairs."""
    plot = figure((), "arithmetic intensity, operations per byte", "speed, GOPS", title, height=460, legend=LEGEND, margin_t=120)
    for index, (name, roof) in enumerate(roofs.items()):
        line = {**line_style(index), "width": 2}
        plot.add_scatter(x=numbers(intensities), y=numbers([r / GIGA for r in roof]), mode="lines", name=name, line=line)
    for index, (name, pairs) in enumerate(points.items()):
        x, y = numbers([x for x, _ in pairs]), numbers([y / GIGA for _, y in pairs])
        mode = "markers+lines" if len(pairs) > 1 else "markers"
        line = {"width": 1, "dash": "dot"}
        style = marker_style(len(roofs) + index, 11)  # colours of their own
        plot.add_scatter(x=x, y=y, mode=mode, name=name, marker=style, line={**line, "color": style["color"]})
    power = {"type": "log", "dtick": 1, "exponentformat": "power"}
    return plot.update_xaxes(**power).update_yaxes(**power)


def versions_on_roof(
    intensities: Sequence[float],
    roofs: Mapping[str, Sequence[float]],
    kinds: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    title: str = "",
) -> go.Figure:
    """A roofline with many versions: kinds[kind][name] are (intensity, operations/s) pairs. A kind has its colour and mark.

    Marks are full where the name begins with "your", open for all others.
    """
    plot = roofline(intensities, roofs, {}, title)
    plot.update_traces(legendgroup="roofs", legendgrouptitle_text="roofs")
    for index, (kind, versions) in enumerate(kinds.items()):
        style = {**marker_style(len(roofs) + index, 10), "color": KINDS[index % len(KINDS)]}
        for name, pairs in versions.items():
            x, y = numbers([x for x, _ in pairs]), numbers([y / GIGA for _, y in pairs])
            marker = style if name.startswith("your") else {**style, "symbol": f"{style['symbol']}-open", "line": {"width": 2}}
            group = {"legendgroup": kind, "legendgrouptitle": {"text": kind}}
            line = {"width": 1, "dash": "dot", "color": style["color"]}
            plot.add_scatter(x=x, y=y, mode="markers+lines", name=name, marker=marker, line=line, **group)
    legend = {
        "orientation": "v",
        "x": 1.02,
        "y": 1,
        "yanchor": "top",
        "groupclick": "toggleitem",
        "tracegroupgap": 3,
        "font_size": 11,
    }
    return plot.update_layout(legend=legend, height=620, margin_t=50)


def accumulators(lengths: Sequence[int], sums: Mapping[str, Sequence[int]]) -> go.Figure:
    """A sum in accumulators of different widths: one curve for each width, over the length of the vectors."""
    plot = figure(
        (), "length of the vectors", "result", "products of 100 and 100, added up", height=340, legend=LEGEND, margin_t=90
    )
    for index, (name, values) in enumerate(sums.items()):
        line = line_style(index)
        plot.add_scatter(
            x=list(lengths), y=list(values), mode="lines+markers", name=name, line=line, marker=marker_style(index, 6)
        )
    return plot


def memory_order(places: Int[Tensor, "n k"], panel: int) -> go.Figure:
    """Where in memory is each weight? places[o, k]: index of weight (o, k); `panel` rows share a panel."""
    n, k = places.shape
    texts = [[str(int(value)) for value in row] for row in places] if n * k <= 320 else None
    plot = figure(
        (), "input k", "output", f"{n} outputs, {k} inputs: position of each weight in memory", height=90 + 17 * max(n, 12)
    )
    shades = [[0, "#ffffff"], [1, BLUE]]
    heat = go.Heatmap(z=places.tolist(), text=texts, texttemplate="%{text}", colorscale=shades, xgap=1, ygap=1)
    plot.add_trace(heat.update(colorbar={"title": {"text": "position"}}))
    for edge in range(panel, n, panel):
        plot.add_hline(y=edge - 0.5, line={"color": VERMILLION, "width": 3})
    return plot.update_yaxes(autorange="reversed")


def speeds(values: Mapping[str, float], title: str = "") -> go.Figure:
    """How fast is each version? values[name] operations/s, on a logarithmic axis."""
    plot = figure((), "speed, GOPS", "version", title, height=120 + 34 * len(values), margin_l=170)
    names, heights = list(values), numbers([value / GIGA for value in values.values()], 3)
    labels = [f"{height:g}" for height in heights]
    plot.add_bar(x=heights, y=names, orientation="h", text=labels, textposition="outside", cliponaxis=False, marker=bar_style(0))
    largest = max(heights)
    plot.update_yaxes(title_standoff=25)
    return plot.update_xaxes(type="log", dtick=1, exponentformat="power", range=[_log10(min(heights) / 2), _log10(largest * 4)])


def _log10(value: float) -> float:
    from math import log10

    return log10(value)


def tile_speeds(tiles: Sequence[int], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """How does speed depend on the size of a tile? curves[name][i] operations/s for tiles[i]."""
    plot = figure((), "side of a tile", "speed, GOPS", height=340, legend=LEGEND, margin_t=80)
    for index, (name, values) in enumerate(curves.items()):
        y = numbers([value / GIGA for value in values], 3)
        plot.add_scatter(x=list(tiles), y=y, name=name, line=line_style(index), marker=marker_style(index))
    return plot.update_xaxes(type="log", tickvals=list(tiles)).update_yaxes(rangemode="tozero")


def nibbles(codes: Int8[Tensor, " 256"]) -> go.Figure:
    """Which code does each nibble stand for? codes[i] is the low code of the byte i; the nibbles 0 to 15 repeat."""
    plot = figure((), "byte (unsigned)", "code", height=300, legend=LEGEND, margin_t=60)
    line = {**line_style(0), "shape": "hv"}
    plot.add_scatter(x=list(range(len(codes))), y=codes.tolist(), mode="lines", name="low code", line=line)
    return plot.update_xaxes(dtick=16)


def sparse_race(kept: Sequence[float], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """From which sparsity on is a sparse product faster? curves[name][i]: dense time over its time, at kept[i] of the weights."""
    plot = figure((), "weights kept, %", "times as fast as dense", height=360, legend=LEGEND, margin_t=90)
    for index, (name, values) in enumerate(curves.items()):
        style = {"line": line_style(index), "marker": marker_style(index)}
        plot.add_scatter(x=numbers([100 * share for share in kept]), y=numbers(values, 3), name=name, **style)
    plot.add_hline(y=1, line={"dash": "dash", "color": "#444444", "width": 1})
    note = {"text": "as fast as dense", "showarrow": False, "xanchor": "right", "yanchor": "bottom"}
    plot.add_annotation(x=1, xref="paper", y=0, **note)  # on a logarithmic axis the position of a note is its logarithm
    plot.update_xaxes(type="log", tickvals=numbers([100 * share for share in kept]))
    return plot.update_yaxes(type="log", tickvals=[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30])
