"""`posttrain-lab prove` beyond the known mistakes: saboteurs, mutants and folders of written answers, as tables in a terminal."""

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from posttrain_lab.checks import UNITS
from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.cli.unit_names import full_name
from posttrain_lab.grading.course import find_course
from posttrain_lab.proof.all_saboteurs import SABOTEURS
from posttrain_lab.proof.library_use import library_use
from posttrain_lab.proof.mutants import mutants
from posttrain_lab.proof.record import is_stale, keep, kept, solved
from posttrain_lab.proof.report import write_report
from posttrain_lab.proof.standing import TEN, Findings, prove_exercise
from posttrain_lab.proof.trials import Bench, Judged, mutated, sabotaged, tried, written_answers

console = Console()


def prove_further(unit: str | None, saboteurs: bool, count: int, cases: Path | None) -> bool:
    """Try what was asked for on one unit or all; true when no written answer is misjudged. What survives is printed."""
    right = True
    for name in [full_name(unit)] if unit else list(UNITS):
        bench = Bench(name)
        if cases:
            right &= _written(bench, cases)
        if saboteurs:
            _table(f"Saboteurs of {name}", _shown(bench, partial(sabotaged, bench, saboteurs=SABOTEURS), _tries(bench)))
        if count:
            _table(f"Mutants of {name}", _shown(bench, partial(_of_mutants, bench, count), count * len(bench.exercises)))
    return right


def _written(bench: Bench, folder: Path) -> bool:
    """Print the written answers that are judged otherwise than their first line says; true when there are none."""
    wrong, count = 0, sum(1 for _ in written_answers(folder, bench.unit))
    for answer, judged in tqdm(tried(bench, folder), total=count, desc=f"answers of {bench.unit}", leave=False, disable=None):
        if judged.passed != answer.right:
            wrong += 1
            said = judged.message.partition("\n")[0]
            what = "a right answer loses its points" if answer.right else "a wrong answer passes"
            console.print(f"{answer.exercise}/{answer.path.stem}: {what}: {answer.source.partition(chr(10))[0][9:]} ({said})")
    console.print(f"{bench.unit}: {count} written answers, {wrong} judged otherwise than they say.")
    return not wrong


def _shown(bench: Bench, trial: Callable[..., Iterator[Judged]], total: int) -> Iterator[tuple[str, list[Judged]]]:
    with tqdm(total=total, desc=bench.unit, unit="answer", leave=False, disable=None) as bar:
        for exercise in bench.exercises.values():
            found = []
            for judged in trial(exercise=exercise):
                found.append(judged)
                bar.update()
            yield exercise.name, found


def _of_mutants(bench: Bench, count: int, exercise: Exercise) -> Iterator[Judged]:
    for mutant, judged in mutated(bench, exercise, count):
        yield replace(judged, name=mutant.text)


def _tries(bench: Bench) -> int:
    return sum(len(SABOTEURS) + len(library_use(exercise)) for exercise in bench.exercises.values())


def _table(title: str, rows: Iterable[tuple[str, list[Judged]]]) -> None:
    """One line an exercise: killed, not applicable (nothing to act on), and those that survive by name."""
    table = Table("exercise", "killed", "nothing to act on", "survive", title=title, title_justify="left")
    for exercise, found in rows:
        alive = [judged for judged in found if judged.passed]
        names = [judged.name for judged in alive if judged.acted]
        table.add_row(exercise, str(len(found) - len(alive)), str(len(alive) - len(names)), "; ".join(names) or "none")
    console.print(table)


def prove_standing(unit: str | None, every: bool) -> bool:
    """Prove the exercises whose record is out of date (`every`: all of them, with all mutants), write the records and the report.

    True when nothing passes that should not. An exercise with a complaint keeps its old record, so it is tried again the next time.
    Several units are proven in a process each: once autograd has started threads in one, torch refuses to work in its forks.
    """
    if unit is None:
        right = all([_in_a_process(name, every) for name in UNITS if _to_prove(name, every)])
    else:
        todo = _to_prove(full_name(unit), every)
        right = _proven(full_name(unit), todo, sys.maxsize if every else TEN) if todo else True
    write_report(find_course().root)
    return right


def _in_a_process(unit: str, every: bool) -> bool:
    command = [sys.executable, "-m", "posttrain_lab", "prove", unit, "--all" if every else "--changed"]
    return subprocess.run(command).returncode == 0


def _to_prove(unit: str, every: bool) -> list[Exercise]:
    return [exercise for exercise, solution in solved(unit) if every or is_stale(exercise, solution)]


def _proven(unit: str, exercises: list[Exercise], count: int) -> bool:
    """Try the exercises of one unit and keep the records of those without a complaint; true when there is none."""
    right, records = True, kept(unit)
    bench = Bench(unit)
    for exercise in exercises:
        findings = _standing(bench, exercise, count)
        complaints = findings.complaints()
        for complaint in complaints:
            console.print(complaint, markup=False, soft_wrap=True)
        if complaints:
            right = False
        else:
            records[exercise.name] = findings.record()
            keep(unit, records)
    console.print(f"{unit}: {len(exercises)} exercises tried.")
    return right


def _standing(bench: Bench, exercise: Exercise, count: int) -> Findings:
    """Try one exercise, with a bar."""
    tries = len(SABOTEURS) + len(library_use(exercise)) + min(count, len(mutants(bench.solutions[exercise.name])))
    bar = tqdm(prove_exercise(bench, exercise, count), total=tries, desc=exercise.name, leave=False, disable=None)
    return deque(bar, maxlen=1).pop()
