"""The figures of unit 01: arrays in, a plotly Figure out. Nothing is shown here; titles summarize the data.

Every figure has labelled axes with units, is readable in grey (dashes, markers and hatches besides colours) and has few points.
"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posttrain_lab.metrics import wilson_interval
from posttrain_lab.plots import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    STACKED,
    VERMILLION,
    bar_style,
    empty,
    entitle,
    figure,
    line_style,
    log_axis,
    marker_style,
    numbers,
    panel,
    percent,
)
from posttrain_lab.plots.speedups import speedup_maps

DASHED = {"dash": "dash", "color": "#444444", "width": 1}


def _dense(plot: go.Figure, accuracy: float, n: int, words: str = "dense") -> go.Figure:
    """A dashed line for the dense network and a grey band for its 95 % interval."""
    low, high = wilson_interval(round(accuracy * n), n)
    plot.add_hrect(y0=100 * low, y1=100 * high, fillcolor="#888888", opacity=0.25, line_width=0)
    return plot.add_hline(y=100 * accuracy, line=DASHED, annotation_text=words, annotation_position="bottom left")


def weight_histogram(weights: Float[Tensor, " n"], threshold: float, accuracy: float, reference: float, n: int) -> go.Figure:
    """How many weights lie below a threshold, and how accurate is the network without them?"""
    gone = (weights.abs() <= threshold).float().mean().item()
    title = f"{gone:.1%} of {len(weights):,} weights gone; accuracy {accuracy:.1%}, dense {reference:.1%} ({n} images)"
    plot = empty("weight", "number of weights (log scale)", title)
    edge = float(weights.abs().max())
    counts = torch.histc(weights, 81, -edge, edge).int().tolist()
    width = 2 * edge / 81
    centers = [-edge + width * (k + 0.5) for k in range(81)]
    for index, (name, wanted) in enumerate({"kept": False, "removed": True}.items()):
        heights = [count if count and (abs(x) <= threshold) == wanted else None for x, count in zip(centers, counts, strict=True)]
        line = {**line_style(index), "dash": "solid", "shape": "hvh", "width": 2 + 2 * index}
        plot.add_scatter(x=numbers(centers), y=heights, mode="lines", name=name, line=line)
    for side in (-threshold, threshold):
        plot.add_vline(x=side, line={"color": VERMILLION, "width": 2, "dash": "dash"})
    return plot.update_yaxes(**log_axis(counts))


def accuracy_against_sparsity(
    sparsities: Sequence[float], curves: Mapping[str, Sequence[float]], reference: float, n: int
) -> go.Figure:
    """How much accuracy is left at each sparsity? One curve a name; the band is the dense network's 95 % interval."""
    plot = empty("sparsity (% of the weights that are gone)", "validation accuracy (%)", f"measured on {n} images")
    for index, (name, values) in enumerate(curves.items()):
        style = {"line": line_style(index), "marker": marker_style(index, 8)}
        plot.add_scatter(x=percent(sparsities), y=percent(values), name=name, **style)
    return _dense(plot, reference, n).update_yaxes(range=[0, 100])


def layer_shares(shares: Mapping[str, Mapping[str, float]], title: str = "") -> go.Figure:
    """How sparse is each layer? shares[way][layer], one group of bars a layer."""
    plot = empty("layer", "sparsity (%)", title, barmode="group")
    for index, (name, by_layer) in enumerate(shares.items()):
        plot.add_bar(x=[_layer(one) for one in by_layer], y=percent(by_layer.values()), name=name, marker=bar_style(index))
    return plot.update_yaxes(range=[0, 100])


def _layer(name: str) -> str:
    """A label that plotly does not interpret as a number."""
    return f"layer {name}" if name.isdigit() else name


def pareto(ways: Mapping[str, Sequence[tuple[float, float]]], reference: float, n: int, title: str = "") -> go.Figure:
    """Accuracy against size for each way to prune. ways[name]: pairs (kB, accuracy); one pair alone is drawn as a point."""
    plot = empty("size of the weights that are kept (kB)", "validation accuracy (%)", title or f"measured on {n} images")
    for index, (name, pairs) in enumerate(ways.items()):
        alone = len(pairs) == 1
        style = {"marker": marker_style(6 if alone else index, 16 if alone else 8), "line": line_style(index)}
        x, y = numbers(size for size, _ in pairs), percent(value for _, value in pairs)
        plot.add_scatter(x=x, y=y, name=name, mode="markers" if alone else "lines+markers", **style)
    return _dense(plot, reference, n)


def moved_again(counts: Mapping[str, Sequence[int]], total: int) -> go.Figure:
    """How many pruned weights are not 0 after each step? One curve a way of masking."""
    plot = empty("steps of the optimizer", "pruned weights not at 0", f"{total:,} weights are pruned")
    for index, (name, values) in enumerate(counts.items()):
        steps = list(range(1, len(values) + 1))
        plot.add_scatter(x=steps, y=list(values), name=name, line=line_style(index), marker=marker_style(index, 8))
    return plot.update_xaxes(dtick=1)


def recovery(rows: Sequence[tuple[float, float, float, float]], reference: tuple[float, float], n: int) -> go.Figure:
    """How much does training recover? rows: (sparsity, kB, accuracy before, accuracy after); reference: (kB, accuracy) of dense."""
    plot = empty("stored bytes (kB, log scale)", "validation accuracy (%)", f"measured on {n} images")
    sizes = numbers(size for _, size, _, _ in rows)
    names = [f"{share:.0%}" for share, *_ in rows]
    series = {"pruned": [row[2] for row in rows], "after training": [row[3] for row in rows]}
    for index, (name, values) in enumerate(series.items()):
        style = {"line": line_style(index), "marker": marker_style(index)}
        plot.add_scatter(x=sizes, y=percent(values), name=name, text=names, textposition="bottom center", **style)
    plot.data[0].update(mode="lines+markers+text")
    plot.add_scatter(x=numbers(reference[:1]), y=percent(reference[1:]), name="dense", mode="markers", marker=marker_style(2, 12))
    plot.update_xaxes(**log_axis(sizes, reference[:1]))
    return _dense(plot, reference[1], n, words="")


def patterns(masks: Mapping[str, Bool[Tensor, "out in"]]) -> go.Figure:
    """Where are the zeros? The corner of a weight under each kind of mask, one square a weight, dark where it is kept."""
    plot = figure(height=300, meta=STACKED)
    for index, (name, mask) in enumerate(masks.items()):
        axis, domain = panel(index, len(masks))
        heat = go.Heatmap(z=mask.int().tolist(), showscale=False, zmin=0, zmax=1, xgap=1, ygap=1, name=name)
        plot.add_trace(heat.update(colorscale=[[0, "#EEEEEE"], [1, BLUE]], xaxis=f"x{axis}", yaxis=f"y{axis}"))
        title = {"text": f"input<br>{name}:<br>{mask.float().mean():.0%} kept"}
        plot.layout[f"xaxis{axis}"] = {"domain": domain, "title": title, "anchor": f"y{axis}", "showticklabels": False}
        plot.layout[f"yaxis{axis}"] = {"anchor": f"x{axis}", "autorange": "reversed", "showticklabels": False}
    return plot.update_layout(yaxis_title="output")


def judged(
    magnitude: Float[Tensor, " n"], norm: Float[Tensor, " n"], by_size: Bool[Tensor, " n"], by_score: Bool[Tensor, " n"]
) -> go.Figure:
    """Which weights does only one of two scores keep? One marker a weight: its magnitude, and the size of its input."""
    groups = {
        "kept by both": by_size & by_score,
        "by magnitude only": by_size & ~by_score,
        "by Wanda only": ~by_size & by_score,
        "removed by both": ~by_size & ~by_score,
    }
    odd = int((by_size ^ by_score).sum())
    title = f"they differ on {odd} of {len(norm)} weights"
    plot = empty("l2 norm of the input that the weight meets", "magnitude of the weight", title)
    for index, (name, chosen) in enumerate(groups.items()):
        style = marker_style(index, 7)
        plot.add_scatter(x=numbers(norm[chosen], 3), y=numbers(magnitude[chosen], 3), mode="markers", name=name, marker=style)
    return plot


def bytes_against_sparsity(sparsities: Sequence[float], ways: Mapping[str, Sequence[float]]) -> go.Figure:
    """When does leaving out zeros save bytes? One curve for each storage format, in kB."""
    plot = empty("sparsity (% of the weights that are gone)", "stored bytes (kB)")
    for index, (name, sizes) in enumerate(ways.items()):
        x, y = percent(sparsities), numbers(size / 1000 for size in sizes)
        plot.add_scatter(x=x, y=y, name=name, mode="lines", line=line_style(index))
    return plot


def break_even(speed: Mapping[str, Sequence[Sequence[float]]], sparsities: Sequence[float], batches: Sequence[int]) -> go.Figure:
    """Where is a pruned layer faster than a dense one? speed[way][i][j]: dense's time over its time, batches[i], sparsities[j].

    Cells below 1 are reddish and say "slower"; cells above 1 are bluish.
    """
    plot = speedup_maps(speed, [f"{share:.0%}" for share in sparsities], batches, "sparsity", across=2, most=10.0)
    return entitle(plot, "times faster than dense (below 1: slower)")


def tickets(kept: Sequence[float], curves: Mapping[str, Sequence[Sequence[float]]], n: int) -> go.Figure:
    """Do the initial values matter? curves[name][seed][round]: accuracy; markers are means, bars go from the worst seed to the best."""
    seeds = len(next(iter(curves.values())))
    plot = empty(
        "weights that are left (%, log scale)", "validation accuracy (%)", f"{seeds} seeds, {n} images", xaxis_type="log"
    )
    for index, (name, runs) in enumerate(curves.items()):
        columns = [list(column) for column in zip(*runs, strict=True)]
        means = [sum(column) / len(column) for column in columns]
        up = percent(max(column) - mean for column, mean in zip(columns, means, strict=True))
        down = percent(mean - min(column) for column, mean in zip(columns, means, strict=True))
        spread = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
        style = {"line": line_style(index), "marker": marker_style(index)}
        plot.add_scatter(x=percent(kept), y=percent(means), name=name, error_y=spread, **style)
    ticks = percent(kept)
    return plot.update_xaxes(autorange="reversed", tickvals=ticks, ticktext=[f"{tick:.3g}" for tick in ticks])


def channel_norms(norms: Float[Tensor, " channels"], keep: Bool[Tensor, " channels"]) -> go.Figure:
    """Which channels stay? One bar for each channel, sorted; the removed ones are hatched."""
    order = norms.argsort(descending=True)
    title = f"{int(keep.sum())} of {len(keep)} channels stay"
    plot = empty("channel (sorted)", "l2 norm of its filter", title, barmode="stack")
    for index, (name, chosen) in enumerate({"stays": keep[order], "goes": ~keep[order]}.items()):
        heights = numbers(norms[order] * chosen)
        plot.add_bar(x=list(range(len(order))), y=heights, name=name, marker=bar_style(index))
    return plot


def widths(before: Mapping[str, int], after: Mapping[str, int]) -> go.Figure:
    """How wide is each layer, before and after?"""
    plot = empty("layer", "output channels", barmode="group")
    for index, (name, sizes) in enumerate({"before": before, "after": after}.items()):
        plot.add_bar(x=[_layer(one) for one in sizes], y=list(sizes.values()), name=name, marker=bar_style(index))
    return plot


def agreement(want: Float[Tensor, "n c"], got: Float[Tensor, "n c"]) -> go.Figure:
    """Do two networks agree? Every logit of one on the horizontal axis, of the other on the vertical; equal ones on the diagonal."""
    title = f"{len(want)} images; largest difference {(got - want).abs().max():.1e}"
    plot = empty("logit of the masked network", "logit of the smaller network", title)
    ends = numbers([float(want.min()), float(want.max())])
    plot.add_scatter(x=ends, y=ends, mode="lines", name="equal", line={"color": GRID, "width": 6})
    dots = {"color": ORANGE, "size": 5, "line": {"color": INK, "width": 0.5}}
    return plot.add_scatter(x=numbers(want.flatten()), y=numbers(got.flatten()), mode="markers", name="one logit", marker=dots)
