"""What was measured, as a CSV file and as tables for a terminal."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from posttrain_lab.whole_files import csv_text, write_whole

from .machine import Machine
from .rows import CSR, FBGEMM, FP32, INT_MM, LAST, OURS, SCIPY
from .timing import Ratio, Result
from .verdicts import ABOVE, FAILS, HOLDS, UNKNOWN, TargetVerdict, ratio_of

RATIO = ("ratio", "ratio_low", "ratio_high")  # how many times as fast ours is as this one, and the 95 % interval
COLUMNS = (
    *("op", "m", "k", "n", "density", "threads", "implementation", "p20", "p50", "p80"),
    *RATIO,
    *("device", "versions", "note"),
)
SHORT_NAMES = {
    FBGEMM: "torch int8",
    FP32: "torch fp32",
    LAST: "torch fp32 cl",
    INT_MM: "torch int_mm",
    CSR: "torch csr",
    SCIPY: "scipy csr",
}
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
            ratio = ratio_of(result, one.name) if one.name != OURS else None
            numbers = (ratio.value, ratio.low, ratio.high) if ratio else (None,) * len(RATIO)
            ratios = ["" if value is None else f"{value:.4g}" for value in numbers]
            rows.append([*start, one.name, *times, *ratios, device, machine.versions, one.note])
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
    ratio = "-" if one.ratio is None else str(one.sure or Ratio(one.ratio))
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


def interval(ratio: Ratio) -> str:
    """The interval of a ratio in nine characters at most; empty where there is none.

    >>> interval(Ratio(1.0, 0.98, 1.049)), interval(Ratio(120.0, 98.0, 160.0)), interval(Ratio(1.0))
    ('0.98-1.05', '98-160', '')
    """
    if ratio.low is None or ratio.high is None:
        return ""
    return "-".join(f"{end:.2f}" if end < 9.995 else f"{end:.0f}" for end in (ratio.low, ratio.high))


def short_rows(lines: Sequence[TargetVerdict]) -> list[list[str]]:
    """One row a shape: ours in milliseconds, its fastest peer, how many times as fast ours is and how sure that is, whether all targets hold."""
    rows = []
    for (op, shape, ours), group in groupby((one for one in lines if one.best), lambda one: (one.op, one.shape, one.ours)):
        found = list(group)
        name, ratio, answers = found[0].best, found[0].best_ratio, {one.holds for one in found}
        holds = next((one for one in (FAILS, ABOVE, UNKNOWN, HOLDS) if one in answers), UNKNOWN)
        times = [f"{ratio.value:.2f}x", interval(ratio)] if ratio else ["-", ""]
        names = [*short_name(op, shape), milliseconds(ours), SHORT_NAMES.get(name, name.partition("_")[0])]
        rows.append([*names, *times, "peak" if holds == ABOVE else holds])
    return rows


def short_name(op: str, shape: str) -> tuple[str, str]:
    """An op with what is special about its numbers, and its shape.

    >>> short_name("block_sparse_linear", "(64, 1024, 1024), 80 % zeros")
    ('block_sparse 80 %', '64,1024,1024')
    >>> short_name("int8_linear", "(16, 1024, 1024), extremes"), short_name("nm_linear", "(16, 4, 4)")
    (('int8_linear max', '16,1024,1024'), ('nm', '16,4,4'))
    """
    numbers, _, special = shape.replace(", ", ",").partition("),")
    name = op if op.startswith("int") else op.removesuffix("_linear")
    special = special.replace("extremes", "max").removesuffix(" zeros")
    return f"{name} {special}".rstrip(), numbers.strip("()")


def over_all(lines: Sequence[TargetVerdict]) -> list[str]:
    """What is said of several shapes: a sentence each."""
    alone = (one for one in lines if not one.best)
    texts = ((one, "not measured" if one.ratio is None else f"{one.ratio:.2f}x") for one in alone)
    return [f"{one.op}, {one.shape}, against {one.against}: {text} (target {one.target}: {one.holds})." for one, text in texts]


def print_report(
    results: Sequence[Result], lines: Sequence[TargetVerdict], machine: Machine, console: Console | None = None
) -> None:
    """The speed table in 80 columns, what went wrong, and the machine."""
    console = console or Console(markup=False, highlight=False)
    title = "Speed on 1 thread, medians of pairs of calls, with the ratio's 95 % interval"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    for name in ("op", "m, k, n", "ours", "fastest peer", "ratio", "95 %", "target"):
        table.add_column(name, overflow="fold", justify="right" if name in ("ours", "ratio") else "left")
    for row in short_rows(lines):
        table.add_row(*row)
    console.print(table)
    for text in [*over_all(lines), summary(lines), *remarks(results), *peak_lines(machine)]:
        console.print(text)
    console.print("Every peer and every target: --html; every time: --csv.")
