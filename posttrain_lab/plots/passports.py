"""Passports as figures: what a technique gained and lost, how fast it is, and one card per model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from posttrain_lab.passport import Passport, compare
from posttrain_lab.plots import GRID, bar_style, figure, line_style, log_axis, marker_style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CLEAR = "rgba(0,0,0,0)"  # the page's own ground, in light and in dark


def _checked(name: str, passports: Sequence[Passport]) -> list[Passport]:
    """The passports as a list; TypeError or ValueError, in the name of the function `name`, unless there are some."""
    if isinstance(passports, Passport):
        raise TypeError(f"{name} wants a list of Passports, got one Passport; do {name}([passport]).")
    found = list(passports)
    if not all(isinstance(one, Passport) for one in found):
        raise TypeError(f"{name} wants Passports, got {[type(one).__name__ for one in found]}; do measure.passport(...).")
    if not found:
        raise ValueError(f"{name} wants at least one Passport, got none; do {name}([before, after]).")
    return found


def pareto_front(passports: Sequence[Passport]) -> list[Passport]:
    """The passports for which no other is both smaller and more accurate, the smallest first."""
    front: list[Passport] = []
    for one in sorted(passports, key=lambda one: (one.bytes, -one.accuracy)):
        if not front or one.accuracy > front[-1].accuracy:
            front.append(one)
    return front


def accuracy_against_bytes(passports: Sequence[Passport], title: str = "Accuracy against size", front: bool = False) -> Figure:
    """Which model is small and accurate? One marker for each passport: size in kB (1000 bytes, log axis), accuracy in percent.

    `front`: a line joins the Pareto front, the models for which no other is both smaller and more accurate.

    The bars are the 95 % Wilson intervals: where they overlap widely, the order of two models may be chance.
    Raises TypeError for anything but Passports, ValueError for none.
    """
    from plotly.graph_objects import Scatter

    best = pareto_front(_checked("accuracy_against_bytes", passports)) if front else []
    x, y = [one.bytes / 1000 for one in best], [100 * one.accuracy for one in best]
    line = {**line_style(0), "color": GRID, "shape": "hv"}
    traces = [Scatter(x=x, y=y, mode="lines", name="Pareto front", line=line, hoverinfo="skip")] if front else []
    checked = _checked("accuracy_against_bytes", passports)
    for index, one in enumerate(checked):
        up, down = one.accuracy_high - one.accuracy, one.accuracy - one.accuracy_low
        interval = {"type": "data", "symmetric": False, "array": [100 * up], "arrayminus": [100 * down]}
        trace = Scatter(
            x=[one.bytes / 1000],
            y=[100 * one.accuracy],
            error_y=interval,
            mode="markers",
            name=_plain(one.name),
            marker=marker_style(index),
            hovertemplate=f"%{{x:.4g}} kB, %{{y:.2f}} % of {one.n} {one.part} examples",
        )
        traces.append(trace)
    shown = log_axis(one.bytes / 1000 for one in checked)
    return figure(traces, "size (kB, log scale)", "accuracy (%)", title, xaxis=shown, showlegend=True)


def latency_bars(passports: Sequence[Passport], title: str = "Time per example") -> Figure:
    """Which model is fast, one image at a time and in batches? Median milliseconds an example, bars from p20 to p80.

    One group of bars a batch size, one colour and hatch a passport. The time of a call is that times the batch.
    Raises TypeError for anything but Passports, ValueError for none.
    """
    from plotly.graph_objects import Bar

    traces = []
    for index, one in enumerate(_checked("latency_bars", passports)):
        rows = [(f"batch of {row.batch}", 1000 / row.batch, row) for row in one.latency]
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [scale * (row.p80 - row.p50) for _, scale, row in rows],
            "arrayminus": [scale * (row.p50 - row.p20) for _, scale, row in rows],
        }
        trace = Bar(
            x=[label for label, _, _ in rows],
            y=[scale * row.p50 for _, scale, row in rows],
            error_y=spread,
            name=_plain(one.name),
            marker=bar_style(index),
            hovertemplate=f"%{{y:.4g}} ms on {one.threads} thread(s)",
        )
        traces.append(trace)
    return figure(traces, "examples a call", "time per example (ms)", title, barmode="group", showlegend=True)


def passport_card(passport: Passport) -> Figure:
    """One passport as a card: the lines of `Passport.table()`. Raises TypeError for anything else."""
    from plotly.graph_objects import Table

    if not isinstance(passport, Passport):
        raise TypeError(f"passport_card wants a Passport, got {type(passport).__name__}; do measure.passport(...).")
    _, *lines = compare([passport]).grid()
    quantities, values = (list(column) for column in zip(*lines, strict=True))
    cells = {"values": [quantities, values], "align": "left", "height": 26, "fill": {"color": CLEAR}}
    head = {
        "values": ["", f"<b>{_plain(passport.name)}</b>"],
        "align": "left",
        "height": 30,
        "fill": {"color": CLEAR},
        "line": {"color": GRID},
    }
    card = Table(cells={**cells, "line": {"color": GRID}}, header=head, columnwidth=[2, 3])
    return figure([card], height=30 + 26 * len(lines) + 50, margin={"l": 10, "r": 10, "t": 10, "b": 10})


def _plain(text: str) -> str:
    """Text that plotly shows as it is, without reading tags in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
