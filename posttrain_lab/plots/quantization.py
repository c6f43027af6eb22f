"""The figures of unit 02: arrays in, a plotly Figure out. Nothing is shown here; titles summarize the data.

Every figure has labelled axes with units, is readable in grey (dashes and markers besides colours) and has few points.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float, Int, Int8
from torch import Tensor

from posttrain_lab.metrics import wilson_interval
from posttrain_lab.plots import (
    BLUE,
    PURPLE,
    VERMILLION,
    bar_style,
    empty,
    entitle,
    line_style,
    log_axis,
    marker_style,
    numbers,
)
from posttrain_lab.plots.speedups import speedup_maps


def _numbers(values: Iterable[Any], digits: int = 5) -> list[float]:
    return numbers(values, digits)


def grid_line(values: Sequence[float], codes: Sequence[int], zero_point: int, wanted: tuple[float, float]) -> go.Figure:
    """Where on the number line do the codes lie? values[i] belongs to codes[i]; `wanted` is the range asked for."""
    plot = empty("real number", "", f"{len(codes)} codes; code {zero_point} means 0", height=240)
    names = [str(code) for code in codes]
    ticks = {"symbol": "line-ns-open", "size": 18, "color": BLUE}
    plot.add_scatter(x=_numbers(values), y=[1] * len(values), mode="markers+text", name="codes", text=names, marker=ticks)
    plot.data[0].textposition = "top center"
    zero = [value for value, code in zip(values, codes, strict=True) if code == zero_point]
    diamond = {"symbol": "diamond-open", "size": 14, "color": VERMILLION, "line": {"width": 2}}
    plot.add_scatter(x=_numbers(zero), y=[1] * len(zero), mode="markers", name="zero point", marker=diamond)
    bar = {"color": line_style(1)["color"], "width": 6}
    plot.add_scatter(x=_numbers(wanted), y=[0.6, 0.6], mode="lines", name="range asked for", line=bar)
    return plot.update_yaxes(visible=False, range=[0.4, 1.5]).update_xaxes(range=[-3.6, 4.6])


def staircase(x: Float[Tensor, " n"], codes: Mapping[str, Int8[Tensor, " n"]]) -> go.Figure:
    """Which code does each real number get? One staircase a name."""
    plot = empty("real number x", "code q (whole number)")
    for index, (name, values) in enumerate(codes.items()):
        steps = {**line_style(index), "shape": "hv"}
        plot.add_scatter(x=_numbers(x), y=values.tolist(), mode="lines", name=name, line=steps)
    return plot


def number_line(x: Float[Tensor, " n"], back: Float[Tensor, " n"], scale: float) -> go.Figure:
    """Quantize and dequantize: the numbers above, the dequantized ones below, and a connection for each."""
    error = (back - x).square().mean().item()
    inside = (back - x).abs() <= scale / 2 * 1.001
    title = f"step {scale:.3g}; mean squared error {error:.3g}; {int((~inside).sum())} of {len(x)} numbers cut off"
    plot = empty("real number", "", title, height=280)
    between = [value for a, b in zip(_numbers(x), _numbers(back), strict=True) for value in (a, b, None)]
    levels = [1, 0, None] * len(x)
    plot.add_scatter(x=between, y=levels, mode="lines", name="moved by", line={"color": "#888888", "width": 1})
    plot.add_scatter(x=_numbers(x), y=[1] * len(x), mode="markers", name="before", marker=marker_style(0, 9))
    plot.add_scatter(x=_numbers(back), y=[0] * len(x), mode="markers", name="after", marker=marker_style(1, 9))
    return plot.update_yaxes(visible=False, range=[-0.4, 1.4]).update_xaxes(range=[-1.4, 4.2])


def accuracy_against_bits(bits: Sequence[int], curves: Mapping[str, Sequence[float]], reference: float, n: int) -> go.Figure:
    """How much accuracy is left at each width? One curve a granularity; the band is the reference's 95 % interval."""
    plot = empty("bits of a weight", "validation accuracy, %", f"measured on {n} images")
    for index, (name, values) in enumerate(curves.items()):
        plot.add_scatter(
            x=list(bits),
            y=_numbers([100 * v for v in values]),
            name=name,
            line=line_style(index),
            marker=marker_style(index),
        )
    _reference(plot, reference, n)
    return plot.update_xaxes(tickvals=list(bits)).update_yaxes(range=[0, 100])


def _reference(plot: go.Figure, accuracy: float, n: int) -> None:
    """A dashed line for the float network and a grey band for its interval."""
    low, high = wilson_interval(round(accuracy * n), n)
    plot.add_hrect(y0=100 * low, y1=100 * high, fillcolor="#888888", opacity=0.25, line_width=0)
    line = {"dash": "dash", "color": "#444444", "width": 1}
    plot.add_hline(y=100 * accuracy, line=line, annotation_text="float", annotation_position="bottom left")


def range_errors(
    highs: Float[Tensor, " n"], total: Sequence[float], clipped: Sequence[float], marks: Mapping[str, float]
) -> go.Figure:
    """Where do clipping and rounding balance? Errors over the range; marks: the upper end of each observer."""
    plot = empty("upper end of the range", "mean squared error", height=380)
    rounded = [max(whole - part, 0.0) for whole, part in zip(total, clipped, strict=True)]
    curves = {"both": total, "clipping": clipped, "rounding": rounded}
    for index, (name, values) in enumerate(curves.items()):
        shown = [value if value > 0 else None for value in values]
        y = [None if value is None else float(f"{value:.4g}") for value in shown]
        plot.add_scatter(x=_numbers(highs), y=y, mode="lines", name=name, line=line_style(index))
    floor = min(value for value in total if value > 0) / 3
    spots = {"symbol": "triangle-up", "size": 13, "color": PURPLE}
    names = [f"{name}: {end:.3g}" for name, end in marks.items()]
    plot.add_scatter(x=_numbers(marks.values()), y=[floor] * len(marks), mode="markers", name="your observe", marker=spots)
    plot.data[-1].update(hovertext=names)
    for index, (name, end) in enumerate(marks.items()):
        plot.add_annotation(x=end, y=0.02 + 0.06 * index, yref="paper", text=name, showarrow=False, xanchor="right", xshift=-8)
        plot.add_vline(x=end, line={**line_style(index), "color": PURPLE, "width": 1})
    return plot.update_yaxes(**log_axis([floor], *curves.values()))


def channel_ranges(before: Float[Tensor, " out"], after: Float[Tensor, " out"]) -> go.Figure:
    """How large is the largest weight of each channel, before and after folding?"""
    before, after = before.detach(), after.detach()
    spread = [float(values.max() / values.min()) for values in (before, after)]
    title = f"largest over smallest channel: {spread[0]:.3g} before, {spread[1]:.3g} after"
    plot = empty("output channel (sorted by the folded range)", "largest |weight|", title)
    order = after.argsort()
    for index, (name, values) in enumerate({"before folding": before, "after folding": after}.items()):
        heights = _numbers(values[order])
        plot.add_bar(x=list(range(len(order))), y=heights, name=name, marker=bar_style(index))
    return plot


def rounding_errors(sums: Int[Tensor, " n"], errors: Mapping[str, Tensor]) -> go.Figure:
    """How far is each code from the real result? One saw-tooth a method, in steps of the output."""
    means = ", ".join(f"{name} {values.mean().item():+.3f}" for name, values in errors.items())
    plot = empty("int32 sum", "code minus real number, steps", f"mean error in steps: {means}")
    for index, (name, values) in enumerate(errors.items()):
        plot.add_scatter(x=sums.tolist(), y=_numbers(values), name=name, line=line_style(index))
    return plot


def agreement(wanted: Float[Tensor, "n c"], got: Float[Tensor, "n c"]) -> go.Figure:
    """Do two networks agree? Every logit of the first on the horizontal axis, the difference of the second on the vertical."""
    x, change = wanted.flatten(), (got - wanted).flatten()
    title = f"{len(wanted)} images; largest difference {change.abs().max():.2g}"
    plot = empty("logit of the float network", "change with integer layers", title)
    dots = {"color": BLUE, "size": 4}
    plot.add_scatter(x=_numbers(x, 4), y=_numbers(change, 3), mode="markers", name="one logit", marker=dots)
    plot.add_hline(y=0, line={"color": "#444444", "dash": "dash", "width": 1})
    return plot.update_layout(showlegend=False)


def race(sizes: Sequence[int], batches: Sequence[int], speed: Mapping[str, Sequence[Sequence[float]]]) -> go.Figure:
    """Where is a method faster than float32? speed[name][i][j] for batches[i], sizes[j]: float's time over its time."""
    plot = speedup_maps(speed, [str(size) for size in sizes], batches, "layer n x n", across=len(speed), most=5.0)
    return entitle(plot, "times faster than float32 (below 1: slower)")


def straight_through(x: Float[Tensor, " n"], y: Float[Tensor, " n"], slope: Float[Tensor, " n"]) -> go.Figure:
    """Fake quantization, forward and backward: the rounded output and the gradient."""
    plot = empty("x", "output y, gradient of x")
    for index, (name, values) in enumerate({"output y": y, "gradient of x": slope}.items()):
        line = {**line_style(index), "shape": "hv"}
        plot.add_scatter(x=_numbers(x), y=_numbers(values), mode="lines", name=name, line=line)
    return plot


def training_curve(curve: Sequence[float], reference: float, n: int) -> go.Figure:
    """How fast does a network recover? Accuracy before training and after each epoch."""
    plot = empty("epochs of training with 3-bit weights", "validation accuracy, %", f"measured on {n} images")
    epochs = list(range(len(curve)))
    plot.add_scatter(x=epochs, y=_numbers([100 * v for v in curve]), name="3 bits", line=line_style(0), marker=marker_style(0))
    _reference(plot, reference, n)
    return plot.update_xaxes(tickvals=epochs)


def layer_errors(errors: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """How much does each layer's output change? errors[method][layer]: squared change over squared output."""
    plot = empty("layer", "relative squared error of the output")
    for index, (name, by_layer) in enumerate(errors.items()):
        plot.add_scatter(
            x=list(by_layer),
            y=_numbers(by_layer.values()),
            name=name,
            line=line_style(index),
            marker=marker_style(index),
        )
    return plot.update_yaxes(**log_axis(*(by_layer.values() for by_layer in errors.values())))
