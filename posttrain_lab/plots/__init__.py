"""Arrays or Passports in, a plotly Figure out. Nothing here shows a figure or computes a result.

Colours are those of Okabe and Ito (2008), which the colour-blind can tell apart; dashes, markers and hatches repeat
the difference for grey prints. The house style is a few hundred bytes in each figure, instead of plotly's 6.5 kB.
Importing this loads no plotly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILLION, SKY, YELLOW, BLACK = "#D55E00", "#56B4E9", "#F0E442", "#000000"
PALETTE = (BLUE, ORANGE, GREEN, SKY, VERMILLION, BLACK, PURPLE, YELLOW)  # in this order neighbours differ in grey
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "triangle-down")
HATCHES = ("", "/", ".", "x", "-", "|", "+", "\\")
INK, GRID = "#333333", "#DDDDDD"
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}  # above the figure, where titles of axes do not meet it


def template() -> dict[str, Any]:
    """The house style as a plotly template: white ground, thin grid, Okabe-Ito colours in order."""
    axis = {"gridcolor": GRID, "linecolor": INK, "ticks": "outside", "zerolinecolor": GRID, "automargin": True}
    layout = {
        "colorway": list(PALETTE),
        "font": {"color": INK, "size": 13},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "xaxis": axis,
        "yaxis": axis,
        "margin": {"l": 60, "r": 20, "t": 50, "b": 55},
        "title": {"x": 0.02, "font": {"size": 15}},
    }
    return {"layout": layout}


def figure(traces: Sequence[Any] = (), x: str = "", y: str = "", title: str = "", **layout: Any) -> Figure:
    """A figure in the house style: `traces` on axes named `x` and `y` (name the unit in brackets), under `title`.

    `layout` goes to plotly's `update_layout`, for example `height=300` or `xaxis_type="log"`.

    >>> figure(x="size (kB)", y="accuracy (%)").layout.yaxis.title.text
    'accuracy (%)'
    """
    from plotly.graph_objects import Figure

    made = Figure(data=list(traces), layout={"template": template(), "height": 380})
    for name, text in (("xaxis", x), ("yaxis", y)):
        if text:
            made.update_layout({name: {"title": {"text": text}}})
    if title:
        made.update_layout(title_text=title)
    return made.update_layout(**layout)


def under_legend(x: str, y: str, title: str = "", height: int = 360, margin_t: int = 80, **layout: Any) -> Figure:
    """An empty figure in the house style, with room for the legend above it."""
    return figure((), x, y, title, height=height, legend=LEGEND, margin_t=margin_t, **layout)


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
    {'color': '#E69F00', 'dash': 'dash'}
    """
    return {"color": PALETTE[index % len(PALETTE)], "dash": DASHES[index % len(DASHES)]}


def marker_style(index: int, size: int = 10) -> dict[str, Any]:
    """Colour and symbol of the `index`-th group of points, for `Scatter(marker=...)`.

    >>> marker_style(2)
    {'color': '#009E73', 'symbol': 'diamond', 'size': 10}
    """
    return {"color": PALETTE[index % len(PALETTE)], "symbol": MARKERS[index % len(MARKERS)], "size": size}


def bar_style(index: int) -> dict[str, Any]:
    """Colour and hatch of the `index`-th group of bars, for `Bar(marker=...)`.

    >>> bar_style(1)["pattern"]["shape"]
    '/'
    """
    pattern = {"shape": HATCHES[index % len(HATCHES)], "fgcolor": INK, "fillmode": "overlay", "solidity": 0.2}
    return {"color": PALETTE[index % len(PALETTE)], "pattern": pattern, "line": {"color": INK, "width": 1}}
