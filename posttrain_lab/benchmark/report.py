"""What was measured, as a CSV file and as tables for a terminal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from posttrain_lab.whole_files import csv_text, write_whole

from .machine import Machine
from .timing import Result
from .verdicts import ABOVE, FAILS, HOLDS, UNKNOWN, TargetVerdict

COLUMNS = ("op", "m", "k", "n", "density", "threads", "implementation", "p20", "p50", "p80", "device", "versions", "note")
HEADER = ("op", "(m, k, n)", "ours", "of peak", "best peer", "against", "ratio", "target", "holds")


def csv_rows(results: Sequence[Result], machine: Machine) -> list[list[str]]:
    """One row for each entrant of each race; seconds are empty where there are none."""
    rows = []
    for result in results:
        race = result.race
        start = [race.op, *map(str, (race.m, race.k, race.n)), f"{race.density:g}", str(race.threads)]
        for one in result.timings:
            times = [f"{value:.6g}" for value in one.seconds] if one.seconds else [""] * 3
            device = f"{machine.device}, {machine.simd}"
            rows.append([*start, one.name, *times, device, machine.versions, one.note])
    return rows


def write_csv(path: Path, results: Sequence[Result], machine: Machine) -> None:
    """The rows under their header; the file is whole or not there."""
    write_whole(path, csv_text([COLUMNS, *csv_rows(results, machine)]))


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds of three digits.

    >>> milliseconds(0.00012345)
    '0.123 ms'
    """
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:.0f} ms" if value >= 99.95 else f"{value:#.3g} ms" if value >= 0.1 else f"{value:.3f} ms"


def verdict_cells(one: TargetVerdict) -> list[str]:
    """The texts of a line under HEADER."""
    best = f"{one.best} {milliseconds(one.best_seconds)}" if one.best else "-"
    ratio = "-" if one.ratio is None else f"{one.ratio:.2f}x"
    share = "-" if one.share is None else f"{100 * one.share:.0f} %"
    return [one.op, one.shape, milliseconds(one.ours), share, best, one.against, ratio, one.target, one.holds]


def summary(lines: Sequence[TargetVerdict]) -> str:
    """How many targets hold, in a sentence."""
    count = Counter(line.holds for line in lines)
    unknown = f", {count[UNKNOWN]} could not be measured" if count[UNKNOWN] else ""
    above = f", {count[ABOVE]} would need more than this machine's measured peak" if count[ABOVE] else ""
    return f"{count[HOLDS]} of {len(lines)} targets hold, {count[FAILS]} do not{above}{unknown}."


def peak_lines(machine: Machine) -> list[str]:
    """The machine and its measured peaks."""
    lines = [f"{machine.device}: {machine.simd}; {machine.cores} cores."]
    if machine.load > 0.5:
        lines.append(f"Other programs were busy (load {machine.load:.1f} at the start): times are longer and spread more.")
    for one in machine.peaks:
        what = f"{one.fp32:.0f} GFLOP/s fp32, {one.int8:.0f} GOPS int8, {one.memory:.0f} GB/s memory, {one.cache:.0f} GB/s cache"
        lines.append(f"Measured peaks on {one.threads} thread{'s' if one.threads > 1 else ''}: {what}.")
    return lines


def remarks(results: Sequence[Result]) -> list[str]:
    """What went wrong: entrants without times or with wrong results, each sentence once."""
    found: Counter[str] = Counter()
    for result in results:
        for one in result.timings:
            if one.seconds is None or not one.right:
                note = one.note.removeprefix(result.race.note).removeprefix("; ")
                found[f"{result.race.op}, {one.name}: {note}"] += 1
    return [f"{text} ({times} times)" if times > 1 else text for text, times in found.items()]


def print_report(
    results: Sequence[Result], lines: Sequence[TargetVerdict], machine: Machine, console: Console | None = None
) -> None:
    """The speed table, what went wrong, and the machine."""
    console = console or Console(markup=False, highlight=False)
    table = Table(title="Speed on 1 thread, medians: ours against its peers", title_justify="left")
    for name in HEADER:
        table.add_column(name, overflow="fold", justify="right" if name in ("ours", "of peak", "ratio") else "left")
    for line in lines:
        table.add_row(*verdict_cells(line))
    console.print(table)
    for text in [summary(lines), *remarks(results), *peak_lines(machine)]:
        console.print(text)
