"""The figures of unit 07: arrays in, a plotly Figure out. Nothing is computed or shown here.

Maps with a sign are drawn from blue (against the class) over white (nothing) to dark orange (for it), a pair that the colour-blind can tell apart;
what a map says in grey is written in its caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from posttrain_lab.plots import BLUE, INK, bar_style, empty, figure, in_lines, line_style, marker_style, numbers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Heatmap

SIGNED = [[0.0, BLUE], [0.5, "#ffffff"], [1.0, "#9E4A00"]]
SHADES = [[0.0, "#ffffff"], [1.0, "#E69F00"]]
HIDDEN = {"visible": False, "constrain": "domain"}
NOTE = {"showarrow": False, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom", "font_size": 12}
BESIDE = 20  # characters of a name beside a plot, or below one that has such names
WORDS = 48  # characters that fit above the pictures of a row, side by side


def curves(x: Sequence[float], lines: Mapping[str, Sequence[float]], x_name: str, y_name: str, title: str = "") -> Figure:
    """One line with markers for each name; a value of NaN leaves a gap. Raises ValueError for lines of another length."""
    if any(len(values) != len(x) for values in lines.values()):
        raise ValueError(f"curves wants {len(x)} values in each line, got {[len(values) for values in lines.values()]}.")
    plot = empty(x_name, y_name, title)
    for index, (name, values) in enumerate(lines.items()):
        style = {"line": line_style(index), "marker": marker_style(index, 8)}
        plot.add_scatter(x=list(x), y=numbers(values), mode="lines+markers", name=name, **style)
    return plot


def panels(rows: Sequence[Sequence[Float[Tensor, "h w"]]], captions: Sequence[Sequence[str]], last_plain: bool = False) -> Figure:
    """A grid of pictures. The first of each row is the image, ink dark; the others are maps, each on its own symmetric scale.

    last_plain: the last of each row is an image too. Raises ValueError for another number of captions.
    """
    if [len(row) for row in rows] != [len(row) for row in captions]:
        raise ValueError("panels wants one caption for each picture.")
    columns = max(map(len, rows))
    plot = figure((), height=70 + 160 * len(rows), margin={"l": 5, "r": 5, "t": 40, "b": 5}, showlegend=False)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            axis = "" if r + c == 0 else str(r * columns + c + 1)
            across = [c / columns + 0.01, (c + 1) / columns - 0.01]
            down = [1 - (r + 0.8) / len(rows), 1 - (r + 0.08) / len(rows)]
            plot.add_trace(_picture(picture, axis, signed=0 < c < len(row) - last_plain))
            plot.layout[f"xaxis{axis}"] = {"domain": across, "anchor": f"y{axis}", **HIDDEN}
            plot.layout[f"yaxis{axis}"] = {
                "domain": down,
                "anchor": f"x{axis}",
                "scaleanchor": f"x{axis}",
                "autorange": "reversed",
                **HIDDEN,
            }
            plot.add_annotation(text=in_lines(captions[r][c], WORDS // columns), x=sum(across) / 2, y=down[1], **NOTE)
    return plot


def _picture(picture: Tensor, axis: str, signed: bool) -> Heatmap:
    """One panel, in whole percent, so that the saved notebook stays small."""
    from plotly.graph_objects import Heatmap

    top = max(float(picture.abs().max()), 1e-12) if signed else 1.0
    scale = {"colorscale": SIGNED, "zmin": -100} if signed else {"colorscale": "Greys", "zmin": 0}
    values = (picture / top).mul(100).round().char().numpy()  # as bytes: a list takes a line of the notebook for each number
    return Heatmap(z=values, zmax=100, showscale=False, hoverinfo="skip", xaxis=f"x{axis}", yaxis=f"y{axis}", **scale)


def class_bars(names: Sequence[str], groups: Mapping[str, Sequence[float]], y_name: str, title: str = "") -> Figure:
    """Bars for each class, one group for each population. Values as they are, for example in points."""
    from plotly.graph_objects import Bar

    bars = [
        Bar(x=list(names), y=numbers(values), name=group, marker=bar_style(i)) for i, (group, values) in enumerate(groups.items())
    ]
    plot = figure(bars, "", y_name, title, height=360, barmode="group")
    plot.update_xaxes(type="category")  # else classes with digits as names would be numbers
    return plot.add_hline(y=0, line={"color": INK, "width": 1})


def matrix(values: Mapping[str, Mapping[str, float]], x_name: str, y_name: str) -> Figure:
    """Shares as a table of percentages: values[row][column]; darker is higher."""
    from plotly.graph_objects import Heatmap

    rows, columns = list(values), list(next(iter(values.values())))
    z = [[100 * values[row][column] for column in columns] for row in rows]
    text = [[f"{value:.0f} %" for value in line] for line in z]
    heat = Heatmap(
        x=columns,
        y=[in_lines(row, BESIDE) for row in rows],
        z=[numbers(line) for line in z],
        text=text,
        texttemplate="%{text}",
        colorscale=SHADES,
    )
    heat.update(zmin=0, zmax=100, showscale=False, xgap=2, ygap=2, textfont={"color": "black"})
    plot = figure([heat], x_name, y_name, height=120 + 50 * len(rows))
    return plot.update_yaxes(autorange="reversed")


def features(names: Sequence[str], models: Mapping[str, Sequence[float]], x_name: str) -> Figure:
    """Horizontal bars: one number for each feature, one group of bars for each model."""
    from plotly.graph_objects import Bar

    bars = [
        Bar(y=list(names), x=numbers(values), name=name, orientation="h", marker=bar_style(i))
        for i, (name, values) in enumerate(models.items())
    ]
    plot = figure(bars, in_lines(x_name, BESIDE), "", height=120 + 34 * len(names), barmode="group")
    return plot.update_yaxes(autorange="reversed")
