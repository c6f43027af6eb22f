"""One HTML page that holds all it needs: the speed table, rooflines, and every time that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttrain_lab.plots import INK, MARKERS, figure, line_style, log_axis, marker_style
from posttrain_lab.whole_files import write_whole

from .machine import Machine, Peaks
from .report import COLUMNS, HEADER, csv_rows, peak_lines, remarks, summary, verdict_cells
from .roofline import roofline_points
from .rows import LINEUP, OURS
from .timing import Result
from .verdicts import TargetVerdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>posttrain-lab bench</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 80em; margin: 2em auto; padding: 0 1em; color: #333 }}
table {{ border-collapse: collapse; font-size: 14px }} td, th {{ padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: left }}
</style></head>
<body><h1>What post-training is worth on this machine</h1>
<p>{machine}</p><p>{summary}</p>{remarks}
<h2>Rooflines</h2>
<p>A point is one implementation at one shape. The sloped lines are bandwidth, the level ones arithmetic, all measured here; where
weights stay in a cache, a point may lie above the line of the memory. Work on weights that are 0 is not counted.</p>
{figures}
<h2>The speed table</h2>{verdicts}
<h2>All times</h2><p>Seconds; p20, p50 and p80 of calls that were interleaved with those of the others.</p>{times}
</body></html>
"""
SHORTEST, LONGEST = 0.03, 1000.0  # operations for a byte, where the roofs are drawn


def _roofs(peaks: Peaks) -> list[Any]:
    """The lines: level for arithmetic, sloped up to the higher of them for bandwidth."""
    from plotly.graph_objects import Scatter

    top, lines = max(peaks.int8, peaks.fp32), []
    for index, (name, gops) in enumerate((("int8", peaks.int8), ("fp32", peaks.fp32))):
        start = max(SHORTEST, gops / max(peaks.cache, peaks.memory))
        style = {**line_style(index), "color": INK}
        words = f"{name}: {gops:.0f} GOPS"
        lines.append(Scatter(x=[start, LONGEST], y=[gops, gops], mode="lines", name=words, line=style))
    for index, (name, rate) in enumerate((("memory", peaks.memory), ("cache", peaks.cache))):
        style = {**line_style(index + 2), "color": INK}
        end = top / rate
        ends = {"x": [SHORTEST, end], "y": [SHORTEST * rate, top]}
        lines.append(Scatter(**ends, mode="lines", name=f"{name}: {rate:.0f} GB/s", line=style))
    return lines


def _marks(name: str) -> dict[str, Any]:
    """The same in every figure; from the ninth implementation on, hollow."""
    order = [OURS, *sorted({name for entrants in LINEUP.values() for name in entrants} - {OURS})]
    index = order.index(name)
    style = marker_style(index, 11 if name == OURS else 8)
    return style if index < len(MARKERS) else {**style, "symbol": f"{style['symbol']}-open"}


def roofline(results: Sequence[Result], peaks: Peaks) -> Figure:
    """Speed against operations for a byte, both log: how near is each implementation to what this machine can do?"""
    from plotly.graph_objects import Scatter

    traces = _roofs(peaks)
    points = roofline_points(results, peaks.threads)
    for name in sorted(points, key=lambda name: (name != OURS, name)):
        x, y, words = (list(column) for column in zip(*points[name], strict=True))
        shown = "%{text}<br>%{y:.4g} GOPS"
        marks = _marks(name)
        traces.append(Scatter(x=x, y=y, text=words, mode="markers", name=name, marker=marks, hovertemplate=shown))
    title = f"Roofline on {peaks.threads} thread{'s' if peaks.threads > 1 else ''}"
    speeds = [value for trace in traces for value in trace.y]
    axes = {"xaxis": log_axis([SHORTEST, LONGEST]), "yaxis": log_axis(speeds), "height": 560, "showlegend": True}
    return figure(traces, "operations for a byte moved", "speed (GOPS)", title, **axes)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = ["".join(f"<td>{escape(text)}</td>" for text in line) for line in lines]
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def as_page(results: Sequence[Result], lines: Sequence[TargetVerdict], machine: Machine) -> str:
    """The page as text; plotly is inside, once."""
    figures = [
        roofline(results, peaks).to_html(full_html=False, include_plotlyjs=index == 0)
        for index, peaks in enumerate(machine.peaks)
    ]
    kept = [index for index, name in enumerate(COLUMNS) if name not in ("device", "versions")]
    times = [[row[index] for index in kept] for row in csv_rows(results, machine)]
    wrong = "".join(f"<li>{escape(text)}</li>" for text in remarks(results))
    return PAGE.format(
        machine="<br>".join(map(escape, [*peak_lines(machine), machine.versions])),
        summary=escape(summary(lines)),
        remarks=f"<ul>{wrong}</ul>" if wrong else "",
        figures="".join(figures),
        verdicts=_table((*HEADER, "note"), [[*verdict_cells(line), line.note] for line in lines]),
        times=_table([COLUMNS[index] for index in kept], times),
    )


def write_page(path: Path, results: Sequence[Result], lines: Sequence[TargetVerdict], machine: Machine) -> None:
    """The page as a file, which is whole or not there."""
    write_whole(path, as_page(results, lines, machine))
