"""The figures of unit 06: counts in, a plotly Figure out. Nothing is shown here; titles summarize the data."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from posttrain_lab.plots import BLUE, INK, VERMILLION, bar_style, empty, line_style, log_axis, marker_style


def lanes(n: int, block: int) -> go.Figure:
    """Which lanes of which program are active? One row for each program, one square for each lane; lanes beyond n are masked."""
    programs = -(-n // block)
    idle = programs * block - n
    title = f"{programs} programs of {block} lanes for {n} numbers: {idle} lanes ({idle / (programs * block):.0%}) masked"
    plot = empty("offset inside the block", "program", title, height=120 + 24 * min(programs, 12))
    for index, (name, wanted) in enumerate((("works", True), ("masked", False))):
        spots = [(i % block, i // block) for i in range(programs * block) if (i < n) == wanted]
        style = {"symbol": ("square", "x-thin-open")[index], "size": 9, "color": (BLUE, VERMILLION)[index]}
        plot.add_scatter(x=[s[0] for s in spots], y=[s[1] for s in spots], mode="markers", name=name, marker=style)
    return plot.update_yaxes(autorange="reversed", dtick=1)


def covering(m: int, n: int, tile_m: int, tile_n: int) -> go.Figure:
    """How well do tiles cover a matrix? The matrix in blue, the tiles as outlines; the part outside is computed for nothing."""
    down, across = -(-m // tile_m), -(-n // tile_n)
    wasted = 1 - m * n / (down * tile_m * across * tile_n)
    plot = empty("column n", "row m", f"{down * across} tiles for {m} x {n} numbers; {wasted:.0%} of the work is masked")
    plot.add_shape(type="rect", x0=0, y0=0, x1=n, y1=m, fillcolor=BLUE, opacity=0.4, line_width=0)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i in range(down + 1):
        xs, ys = [*xs, 0, across * tile_n, None], [*ys, i * tile_m, i * tile_m, None]
    for j in range(across + 1):
        xs, ys = [*xs, j * tile_n, j * tile_n, None], [*ys, 0, down * tile_m, None]
    plot.add_scatter(x=xs, y=ys, mode="lines", name="tiles", line={"color": INK, "width": 1})
    return plot.update_yaxes(autorange="reversed")


def curves(
    x: Sequence[float], values: Mapping[str, Sequence[float]], x_name: str, y_name: str, title: str = "", logarithmic: str = ""
) -> go.Figure:
    """One curve a name over x; `logarithmic` names the axes with a logarithmic scale ("x", "y", "xy")."""
    plot = empty(x_name, y_name, title)
    for index, (name, y) in enumerate(values.items()):
        numbers = [float(f"{v:.4g}") for v in y]
        plot.add_scatter(
            x=list(x), y=numbers, name=name, line=line_style(index), marker=marker_style(index), mode="lines+markers"
        )
    if "x" in logarithmic:
        plot.update_xaxes(type="log", tickvals=list(x))
    if "y" not in logarithmic:
        return plot.update_yaxes(rangemode="tozero")
    return plot.update_yaxes(**log_axis(*values.values()))


def order(number: Sequence[Sequence[int]], together: int, title: str = "") -> go.Figure:
    """In which order are tiles computed? number[i][j] is the position of tile (i, j) in the order; the first `together` are dark."""
    first = [[1 if turn < together else 0 for turn in row] for row in number]
    colours = [[0, "#EEEEEE"], [1, BLUE]]
    plot = empty("tile column", "tile row", title)
    plot.add_heatmap(z=first, text=[list(row) for row in number], texttemplate="%{text}", colorscale=colours, showscale=False)
    return plot.update_yaxes(autorange="reversed", dtick=1).update_xaxes(dtick=1)


def bars(values: Mapping[str, Mapping[str, float]], y_name: str, title: str = "", line: float | None = None) -> go.Figure:
    """One group of bars a name, one bar an inner name; a dashed line at `line`."""
    plot = empty("", y_name, title).update_layout(barmode="group")
    for index, (name, heights) in enumerate(values.items()):
        plot.add_bar(x=list(heights), y=[float(f"{v:.4g}") for v in heights.values()], name=name, marker=bar_style(index))
    if line is not None:
        plot.add_hline(y=line, line={"dash": "dash", "color": INK})
    return plot


def logits(before: Sequence[float], after: Sequence[float], title: str) -> go.Figure:
    """Do two ways give the same numbers? One point a number; on the diagonal they agree."""
    plot = empty("float logit", "logit of your kernels", title)
    ends = [min(before), max(before)]
    plot.add_scatter(x=ends, y=ends, mode="lines", name="equal", line={"color": "#888888", "dash": "dash"})
    x, y = ([float(f"{v:.3g}") for v in values] for values in (before, after))
    return plot.add_scatter(x=x, y=y, mode="markers", name="logits", marker=marker_style(0, 5))
