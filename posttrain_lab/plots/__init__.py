"""Arrays or Passports in, a plotly Figure out. Nothing here shows a figure or computes a result.

Colours are those of Okabe and Ito (2008), which the colour-blind can tell apart; dashes, markers and hatches repeat
the difference for grey prints. The house style is a few hundred bytes in each figure, instead of plotly's 6.5 kB.
A page that gives text and grid the colours of its theme (JupyterLab's style sheet and the site do) takes the white ground away.
Importing this loads no plotly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY, YELLOW, BLACK = "#D55E00", "#56B4E9", "#F0E442", "#000000"
PALETTE = (BLUE, ORANGE, GREEN, SKY, VERMILLION, BLACK, PURPLE, YELLOW)  # in this order neighbours differ in grey
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "triangle-down")
HATCHES = ("", "/", ".", "x", "-", "|", "+", "\\")
# Bars have an edge in ink; of lines and marks the three pale colours are darkened, until each has a contrast of 3 : 1 on white.
DARKER = {ORANGE: "#BF8200", SKY: "#3596CC", YELLOW: "#A39600"}
INK, GRID = "#333333", "#DDDDDD"
LEGEND = {"orientation": "h", "x": 0, "y": 0, "xref": "container", "yref": "container", "yanchor": "bottom"}
STACKED = {"narrow": "stacked"}  # a figure's meta: on a narrow page the site sets panels that are side by side below one another
TITLE_WIDTH, X_WIDTH, Y_WIDTH = 44, 38, 26  # characters in a line that a figure of 340 pixels shows whole


def template() -> dict[str, Any]:
    """The house style as a plotly template: white ground, thin grid, Okabe-Ito colours in order, the legend below."""
    axis = {"gridcolor": GRID, "linecolor": INK, "ticks": "outside", "zerolinecolor": GRID, "automargin": True}
    axis |= {"title": {"standoff": 8, "font": {"size": 13}}}
    layout = {
        "colorway": list(PALETTE),
        "font": {"color": INK, "size": 13},
        "paper_bgcolor": "white",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "xaxis": axis,
        "yaxis": axis,
        "margin": {"l": 60, "r": 20, "t": 20, "b": 55},
        "legend": LEGEND,
        "title": {"x": 0.02, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 8}, "font": {"size": 14}},
    }
    return {"layout": layout}


def figure(traces: Sequence[Any] = (), x: str = "", y: str = "", title: str = "", **layout: Any) -> Figure:
    """A figure in the house style: `traces` on axes named `x` and `y` (name the unit in brackets), under `title`.

    Long names are broken into lines. `layout` goes to plotly's `update_layout`, for example `height=300`.

    >>> figure(x="size (kB)", y="accuracy (%)").layout.yaxis.title.text
    'accuracy (%)'
    """
    from plotly.graph_objects import Figure

    made = Figure(data=list(traces), layout={"template": template(), "height": 380})
    for name, text, width in (("xaxis", x, X_WIDTH), ("yaxis", y, Y_WIDTH)):
        if text:
            made.update_layout({name: {"title": {"text": in_lines(text, width)}}})
    if title:
        entitle(made, title)
    return made.update_layout(**layout)


def entitle(plot: Figure, title: str) -> Figure:
    """Give the figure a title, in lines, and the room above it that they need."""
    lines = in_lines(title, TITLE_WIDTH)
    rows = 1 + lines.count("<br>")
    top = 8 if rows == 1 else 20  # plotly hangs one line by its top, several by the baseline of the first
    return plot.update_layout(title={"text": lines, "pad": {"t": top}}, margin_t=14 + 19 * rows)


def in_lines(text: str, width: int) -> str:
    """The text in lines of at most `width` characters, so that a narrow page does not cut it off.

    >>> in_lines("accuracy of the top answer (%)", 20)
    'accuracy of the top<br>answer (%)'
    """
    return "<br>".join(line for part in text.split("<br>") for line in wrap(part, width, break_long_words=False))


def empty(x: str, y: str, title: str = "", height: int = 360, **layout: Any) -> Figure:
    """A figure in the house style, without traces."""
    return figure((), x, y, title, height=height, **layout)


def log_axis(*values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis for these values: ticks at 1, 2, 5, 10, 20, ..., or at powers of ten over more than two and a half decades.

    Where the values are so close that no such tick may lie between them, plotly chooses. Raises ValueError without a positive value.

    >>> log_axis([0.5, 8])["ticktext"]
    ['0.5', '1', '2', '5', '10']
    """
    found = [float(value) for some in values for value in some if value > 0]
    if not found:
        raise ValueError("log_axis wants a positive value, got none.")
    low, high = log10(min(found)), log10(max(found))
    wide, narrow = high - low > 2.5, 0 < high - low < 0.4
    steps = (1,) if wide else (1, 2, 5)
    around = 0.302 if high > low else 1.01  # decades: how far plotly's axis reaches beyond the values
    ticks = [step * 10.0**power for power in range(floor(low) - (not wide), ceil(high) + 1) for step in steps]
    if narrow:
        return {"type": "log"}
    shown = ticks if wide else [tick for tick in ticks if low - around <= log10(tick) <= high + around]
    return {"type": "log", "tickvals": [float(f"{tick:.1g}") for tick in shown], "ticktext": [_tick(tick) for tick in shown]}


def _tick(value: float) -> str:
    """A tick as people write it: 0.05, 20,000, and powers of ten beyond."""
    if 1e-4 < value < 1e6:
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    step, power = f"{value:.0e}".split("e")
    return ("" if step == "1" else f"{step}·") + f"10<sup>{int(power)}</sup>"


def numbers(values: Iterable[Any], digits: int = 4) -> list[float]:
    """Plain rounded numbers: the saved notebook stays small.

    >>> numbers([1 / 3, 200_000 / 3])
    [0.3333, 66670.0]
    """
    return [float(f"{float(value):.{digits}g}") for value in values]


def percent(values: Iterable[Any]) -> list[float]:
    """Fractions as rounded percentages.

    >>> percent([0.5, 1 / 3])
    [50.0, 33.33]
    """
    return numbers(100 * value for value in values)


def panel(index: int, count: int) -> tuple[str, list[float]]:
    """Which axes has the `index`-th of `count` panels side by side, and how much of the width? (suffix of x and y, domain of x)

    >>> panel(1, 2)
    ('2', [0.52, 0.98])
    """
    return "" if index == 0 else str(index + 1), [index / count + 0.02, (index + 1) / count - 0.02]


def line_style(index: int) -> dict[str, str]:
    """Colour and dash of the `index`-th curve, for `Scatter(line=...)`: both differ, so that grey prints can be read.

    >>> line_style(1)
    {'color': '#BF8200', 'dash': 'dash'}
    """
    return {"color": _mark_colour(index), "dash": DASHES[index % len(DASHES)]}


def marker_style(index: int, size: int = 10) -> dict[str, Any]:
    """Colour and symbol of the `index`-th group of points, for `Scatter(marker=...)`.

    >>> marker_style(2)
    {'color': '#009E73', 'symbol': 'diamond', 'size': 10}
    """
    return {"color": _mark_colour(index), "symbol": MARKERS[index % len(MARKERS)], "size": size}


def _mark_colour(index: int) -> str:
    colour = PALETTE[index % len(PALETTE)]
    return DARKER.get(colour, colour)


def bar_style(index: int) -> dict[str, Any]:
    """Colour and hatch of the `index`-th group of bars, for `Bar(marker=...)`.

    >>> bar_style(1)["pattern"]["shape"]
    '/'
    """
    pattern = {"shape": HATCHES[index % len(HATCHES)], "fgcolor": INK, "fillmode": "overlay", "solidity": 0.2}
    return {"color": PALETTE[index % len(PALETTE)], "pattern": pattern, "line": {"color": INK, "width": 1}}
