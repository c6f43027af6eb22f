"""The figures of unit 05: arrays in, a plotly Figure out. Nothing is shown here; titles summarize the data.

Speeds are operations a second and shown in GOPS (1e9 of them); a multiplication with its addition counts as two.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Int, Int8
from torch import Tensor

from posttrain_lab.plots import (
    BLUE,
    GREEN,
    PURPLE,
    STACKED,
    VERMILLION,
    entitle,
    figure,
    line_style,
    log_axis,
    marker_style,
    numbers,
    panel,
)

GIGA = 1e9
KINDS = (BLUE, GREEN, VERMILLION, PURPLE, "#BF8200", "#777777")  # one for each panel


def roofline(
    intensities: Sequence[float],
    roofs: Mapping[str, Sequence[float]],
    points: Mapping[str, Sequence[tuple[float, float]]],
    title: str = "",
) -> go.Figure:
    """A roofline plot. roofs[name][i]: operations/s at intensities[i]; points[name]: (intensity, operations/s) pairs."""
    plot = figure((), "arithmetic intensity, operations per byte", "speed, GOPS", title, height=460)
    for index, (name, roof) in enumerate(roofs.items()):
        line = {**line_style(index), "width": 2}
        plot.add_scatter(x=numbers(intensities), y=numbers([r / GIGA for r in roof]), mode="lines", name=name, line=line)
    for index, (name, pairs) in enumerate(points.items()):
        x, y = numbers([x for x, _ in pairs]), numbers([y / GIGA for _, y in pairs])
        mode = "markers+lines" if len(pairs) > 1 else "markers"
        line = {"width": 1, "dash": "dot"}
        style = marker_style(len(roofs) + index, 11)  # colours of their own
        plot.add_scatter(x=x, y=y, mode=mode, name=name, marker=style, line={**line, "color": style["color"]})
    seen = [pair for pairs in points.values() for pair in pairs]
    speeds = [[rate / GIGA for rate in roof] for roof in roofs.values()]
    plot.update_xaxes(**log_axis(intensities, [x for x, _ in seen]))
    return plot.update_yaxes(**log_axis(*speeds, [y / GIGA for _, y in seen]))


def versions_on_roof(
    intensities: Sequence[float],
    roofs: Mapping[str, Sequence[float]],
    kinds: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    title: str = "",
) -> go.Figure:
    """Rooflines with many versions, a panel for each kind: kinds[kind][name] are (intensity, operations/s) pairs.

    Marks are full where the name begins with "your", open for all others; what is written below a panel says which is which.
    """
    rows = -(-len(kinds) // 2)
    plot = entitle(figure(height=90 + 270 * rows, meta=STACKED), f"{title}; to the right: operations per byte")
    every = [pair for versions in kinds.values() for pairs in versions.values() for pair in pairs]
    speeds = [[rate / GIGA for rate in roof] for roof in roofs.values()]
    across = log_axis(intensities, [x for x, _ in every])
    up = log_axis(*speeds, [y / GIGA for _, y in every])
    for index, (kind, versions) in enumerate(kinds.items()):
        axis, _ = panel(index, len(kinds))
        _, domain = panel(index % 2, 2)
        top = 1 - (index // 2) / rows
        here = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
        lines: Any = roofline(intensities, roofs, {}).data
        for line in lines:
            plot.add_trace(line.update(showlegend=index == 0, legendgroup=line.name, **here))
        for name, pairs in versions.items():
            plot.add_trace(_version(name, pairs, index).update(here))
        below = {"text": f"<b>{kind}</b><br>{_key(versions)}"}
        plot.layout[f"xaxis{axis}"] = {"domain": domain, "anchor": f"y{axis}", "title": below, "matches": "x", **across}
        first = {"title": {"text": "speed, GOPS"}} if index % 2 == 0 else {"showticklabels": False}
        plot.layout[f"yaxis{axis}"] = {"domain": [top - 0.6 / rows, top], "anchor": f"x{axis}", "matches": "y", **first, **up}
    return plot


def _version(name: str, pairs: Sequence[tuple[float, float]], kind: int) -> go.Scatter:
    """One version as marks joined by a line, in the colour of its kind."""
    x, y = numbers([x for x, _ in pairs]), numbers([y / GIGA for _, y in pairs])
    style = {**marker_style(kind, 10), "color": KINDS[kind % len(KINDS)]}
    marker = style if name.startswith("your") else {**style, "symbol": f"{style['symbol']}-open", "line": {"width": 2}}
    line = {"width": 1, "dash": "dot", "color": style["color"]}
    return go.Scatter(x=x, y=y, mode="markers+lines", name=name, marker=marker, line=line, showlegend=False)


def _key(versions: Iterable[str]) -> str:
    """Which version has which mark, in words: a legend of its own for each panel."""
    return "<br>".join(f"{'full' if name.startswith('your') else 'open'}: {name}" for name in versions)


def accumulators(lengths: Sequence[int], sums: Mapping[str, Sequence[int]]) -> go.Figure:
    """A sum in accumulators of different widths: one curve for each width, over the length of the vectors."""
    plot = figure((), "length of the vectors", "result", "products of 100 and 100, added up", height=340)
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
    """How fast is each version? values[name] operations/s, a point on a logarithmic axis with its number."""
    plot = figure((), "speed, GOPS (log scale)", "", title, height=130 + 34 * len(values))
    names, found = list(values), numbers([value / GIGA for value in values.values()], 3)
    labels = [f"{one:g}" for one in found]
    style = {"mode": "markers+text", "textposition": "top center", "cliponaxis": False, "marker": marker_style(0, 12)}
    plot.add_scatter(x=found, y=names, text=labels, **style)
    return plot.update_xaxes(**log_axis(found), range=[log10(min(found) / 2), log10(max(found) * 2)])


def tile_speeds(tiles: Sequence[int], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """How does speed depend on the size of a tile? curves[name][i] operations/s for tiles[i]."""
    plot = figure((), "side of a tile", "speed, GOPS", height=340)
    for index, (name, values) in enumerate(curves.items()):
        y = numbers([value / GIGA for value in values], 3)
        plot.add_scatter(x=list(tiles), y=y, name=name, line=line_style(index), marker=marker_style(index))
    return plot.update_xaxes(type="log", tickvals=list(tiles)).update_yaxes(rangemode="tozero")


def nibbles(codes: Int8[Tensor, " 256"]) -> go.Figure:
    """Which code does each nibble stand for? codes[i] is the low code of the byte i; the nibbles 0 to 15 repeat."""
    plot = figure((), "byte (unsigned)", "code", height=300)
    line = {**line_style(0), "shape": "hv"}
    plot.add_scatter(x=list(range(len(codes))), y=codes.tolist(), mode="lines", name="low code", line=line)
    return plot.update_xaxes(dtick=16)


def sparse_race(kept: Sequence[float], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """From which sparsity on is a sparse product faster? curves[name][i]: dense time over its time, at kept[i] of the weights."""
    plot = figure((), "weights kept, %", "times as fast as dense", height=360)
    for index, (name, values) in enumerate(curves.items()):
        style = {"line": line_style(index), "marker": marker_style(index)}
        plot.add_scatter(x=numbers([100 * share for share in kept]), y=numbers(values, 3), name=name, **style)
    plot.add_hline(y=1, line={"dash": "dash", "color": "#444444", "width": 1})
    note = {"text": "as fast as dense", "showarrow": False, "xanchor": "right", "yanchor": "bottom"}
    plot.add_annotation(x=1, xref="paper", y=0, **note)  # on a logarithmic axis the position of a note is its logarithm
    plot.update_xaxes(type="log", tickvals=numbers([100 * share for share in kept]))
    return plot.update_yaxes(**log_axis([1], *curves.values()))
