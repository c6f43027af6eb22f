"""The figures of unit 00: arrays in, a plotly Figure out. Nothing is computed or shown here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from posttrain_lab.plots import INK, bar_style, figure, in_lines, line_style, log_axis, marker_style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PERCENTILES = ("p20", "p50", "p80")
INK_ON_WHITE = [
    [0, "rgba(0,0,0,0)"],
    [0.002, "rgba(0,0,0,0)"],
    [0.002, "#ffffff"],
    [1, "rgb(0,0,0)"],
]  # 0 is no pixel: captions lie there
CAPTION = {"showarrow": False, "yanchor": "top", "font_size": 10}


def _short(values: Sequence[float], factor: float = 1.0) -> list[float]:
    """Rounded to five digits: the saved notebook stays small."""
    return [float(f"{factor * float(value):.5g}") for value in values]


def gallery(images: Float[Tensor, "n 1 height width"], captions: Sequence[str], columns: int = 5) -> Figure:
    """What do the examples look like? A grid of images, ink dark, a caption under each.

    images [n, 1, height, width] in [0, 1]; one caption an image. Raises ValueError for another number of captions.
    """
    from plotly.graph_objects import Heatmap

    if len(images) == 0 or len(images) != len(captions):
        raise ValueError(f"gallery wants one caption per image, got {len(images)} images, {len(captions)} captions.")
    height, width = images.shape[2:]
    row_height, rows = height + 16, -(-len(images) // columns)
    canvas = images.new_zeros(rows * row_height, columns * width)
    notes = []
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = (index // columns) * row_height, (index % columns) * width
        canvas[top : top + height, left : left + width] = 1 + (254 * image[0]).round()
        notes.append({"x": left + width / 2, "y": top + height, "text": in_lines(caption, 60 // columns), **CAPTION})
    picture = Heatmap(z=canvas.byte().numpy(), colorscale=INK_ON_WHITE, zmin=0, zmax=255, showscale=False, hoverinfo="skip")
    made = figure([picture], height=60 + 120 * rows)
    made.update_layout(annotations=notes, margin={"l": 5, "r": 5, "t": 5, "b": 5})
    made.update_xaxes(visible=False, constrain="domain")
    return made.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")


def accuracy_of_samples(samples: Mapping[int, Sequence[float]], whole: float) -> Figure:
    """How much does accuracy vary from sample to sample? samples[n]: accuracies (fractions) measured on n images each.

    The line is the accuracy on all images, `whole`. Raises ValueError without samples.
    """
    from plotly.graph_objects import Scatter

    if not samples:
        raise ValueError("accuracy_of_samples wants at least one sample, got none; measure some.")
    sizes = [size for size, found in samples.items() for _ in found]
    found = [value for values in samples.values() for value in values]
    ends = [min(samples), max(samples)]
    dots = Scatter(x=sizes, y=_short(found, 100), mode="markers", name="one sample", marker=marker_style(0, 7))
    line = Scatter(x=ends, y=_short([whole, whole], 100), mode="lines", name="all images", line=line_style(1))
    axis = {"type": "log", "tickvals": list(samples)}
    return figure([dots, line], "images in the sample (log scale)", "accuracy (%)", xaxis=axis)


def intervals(found: Mapping[str, tuple[float, float]], share: float) -> Figure:
    """Confidence intervals of an accuracy: one horizontal line for each method, `found[method] = (low, high)`.

    share: the observed fraction of hits. The two grey lines are 0 % and 100 %: no accuracy lies beyond.
    Raises ValueError without intervals.
    """
    from plotly.graph_objects import Scatter

    if not found:
        raise ValueError("intervals wants at least one interval, got none; give a name and its two ends.")
    traces = []
    for index, (name, ends) in enumerate(found.items()):
        style = {"line": {**line_style(index), "width": 4}, "marker": marker_style(index, 12)}
        traces.append(Scatter(x=_short(ends, 100), y=[name, name], mode="lines+markers", name=name, **style))
    seen = {"color": INK, "symbol": "line-ns-open", "size": 22}
    names = list(found)
    traces.append(Scatter(x=_short([share] * len(names), 100), y=names, mode="markers", name="seen", marker=seen))
    made = figure(traces, "accuracy (%)", height=250, showlegend=False)
    for wall in (0, 100):
        made.add_vline(x=wall, line={"color": "#888888", "width": 1})
    return made.update_xaxes(range=[-25, 125]).update_yaxes(autorange="reversed")


def part_shares(parts: Sequence[str], shares: Mapping[str, Sequence[float]], what: str) -> Figure:
    """How is a quantity distributed over the network? Bars in percent of the whole, a group for each part, a hatch for each name.

    what: names the axis, for example "share of the bytes (%)". Raises ValueError unless there is one share per part.
    """
    from plotly.graph_objects import Bar

    for name, values in shares.items():
        if len(values) != len(parts):
            raise ValueError(f"part_shares wants {len(parts)} shares of {name}, one per part, got {len(values)}.")
    bars = [
        Bar(x=list(parts), y=_short(values), name=name, marker=bar_style(index))
        for index, (name, values) in enumerate(shares.items())
    ]
    made = figure(bars, "part of the network, from the image to the logits", what, barmode="group", showlegend=True)
    return made.update_yaxes(range=[0, 100])


def call_times(calls: Sequence[float], percentiles: Sequence[float]) -> Figure:
    """How long did each call take, in the order of the calls? The lines are p20, p50 and p80.

    calls, percentiles: seconds; shown in milliseconds on a log axis, because a first call may be many times slower.
    Raises ValueError without calls or unless there are three percentiles.
    """
    from plotly.graph_objects import Scatter

    if not len(calls) or len(percentiles) != len(PERCENTILES):
        raise ValueError(f"call_times wants calls and 3 percentiles, got {len(calls)} and {len(percentiles)}.")
    number = list(range(1, len(calls) + 1))
    traces = [Scatter(x=number, y=_short(calls, 1000), mode="markers", name="one call", marker=marker_style(0, 7))]
    for index, (name, value) in enumerate(zip(PERCENTILES, percentiles, strict=True), start=1):
        ends, level = [number[0], number[-1]], _short([value, value], 1000)
        traces.append(Scatter(x=ends, y=level, mode="lines", name=name, line=line_style(index)))
    shown = log_axis(_short(calls, 1000), _short(percentiles, 1000))
    return figure(traces, "number of the call", "time (ms, log scale)", yaxis=shown)
