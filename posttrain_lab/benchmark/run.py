"""The whole benchmark: files first, then peers that crash, the machine's peaks, every race, and the report."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from posttrain_lab.whole_files import check_target

if TYPE_CHECKING:
    from .rows import Race
    from .timing import Result

QUICK_SECONDS, FULL_SECONDS = 10.0, 300.0  # for all races; checks and the fewest rounds may take longer
QUICK_PEAK, FULL_PEAK = 0.1, 1.0  # for each peak


def run_races(races: "Sequence[Race]", seconds: float, crashed: Mapping[str, str], bar: tqdm) -> "list[Result]":
    """Every race; each gets an equal share of the seconds that are left. `crashed` has keys `op/name`."""
    from .timing import run_race

    results: list[Result] = []
    left, problem = seconds, None
    gc.collect()
    gc.freeze()  # what was imported stays: each race's own collection is then a short one
    for index, race in enumerate(races):
        bar.set_postfix_str(f"{race.op} ({race.m}, {race.k}, {race.n}), {race.threads} threads")
        known = {key.partition("/")[2]: how for key, how in crashed.items() if key.startswith(f"{race.op}/")}
        start = time.perf_counter()
        again = index > 0 and replace(races[index - 1], threads=race.threads, targets=race.targets) == race
        problem = problem if problem and again else race.problem()  # what is right is computed once
        results.append(run_race(race, problem, max(0.0, left) / (len(races) - index), known))
        left -= min(time.perf_counter() - start, left)
        bar.update()
    gc.unfreeze()
    return results


def bench(csv: Path | None = None, html: Path | None = None, quick: bool = False) -> None:
    """Measure, print the speed table, write the files. Raises OSError for a file that cannot be written."""
    check_target("bench", csv, "--csv")
    check_target("bench", html, "--html")
    from . import machine, page, probe, report, rows, verdicts

    races = rows.races(machine.usable_cores(), quick)
    with tqdm(total=len(races) + 2, desc="bench", unit="race", leave=False, disable=None) as bar:
        bar.set_postfix_str("trying the peers")
        crashed = probe.crashes(probe.trials())
        bar.update()
        bar.set_postfix_str("measuring the peaks of this machine")
        here = machine.describe(QUICK_PEAK if quick else FULL_PEAK)
        bar.update()
        results = run_races(races, QUICK_SECONDS if quick else FULL_SECONDS, crashed, bar)
    lines = verdicts.verdicts(results, here.peaks[0])
    report.print_report(results, lines, here)
    if csv:
        report.write_csv(csv, results, here)
        print(f"Every time: {csv}")
    if html:
        page.write_page(html, results, lines, here)
        print(f"With rooflines: {html} (open it in a browser).")
