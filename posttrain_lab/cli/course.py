"""The commands about units, as tables in a terminal: check, progress, release, prove, grade."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from posttrain_lab.checks import UNITS, exercises
from posttrain_lab.cli.unit_names import full_name
from posttrain_lab.units import find
from posttrain_lab.whole_files import write_whole

if TYPE_CHECKING:
    from posttrain_lab.checks.engine.exercise import Verdict
    from posttrain_lab.grading.classroom import Graded, Order
    from posttrain_lab.grading.prove import Proof

console = Console(markup=False, highlight=False)
KEPT = Path(".posttrain_lab")  # where progress is kept
KINDS = ("reference", "blank", "mistake", "wrong", "alternative", "again")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def as_written(when: str) -> str:
    """An ISO time as people write it, in the time of this machine's zone; "never" for none.

    >>> as_written("")
    'never'
    """
    if not when:
        return "never"
    time = datetime.fromisoformat(when).astimezone()
    return f"{time.day} {time:%b %Y, %H:%M}"


def check_unit(unit: str, folder: Path) -> bool:
    """Check a learner's notebook and save the result; true when every exercise is right."""
    from posttrain_lab.grading.check_notebook import check_notebook
    from posttrain_lab.grading.progress import save

    unit = full_name(unit)
    path = folder / unit / f"{unit}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: run posttrain-lab start first, or name your folder with --folder.")
    with tqdm(total=len(exercises(unit)), desc=f"checking {unit}", unit="exercise", leave=False, disable=None) as bar:

        def step(_: "Verdict") -> None:
            bar.update()

        verdicts = check_notebook(path, unit, step)
    table = _table(f"{unit}, {path}", "exercise", "points", "message")
    for verdict in verdicts:
        table.add_row(verdict.exercise, f"{verdict.points} of {verdict.max_points}", verdict.message)
    console.print(table)
    got, most = sum(v.points for v in verdicts), sum(v.max_points for v in verdicts)
    console.print(f"{got} of {most} points.")
    try:
        save(folder, unit, verdicts)
        note_progress(folder)
    except OSError as error:
        console.print(f"The result is not saved: {error}")
    return got == most


def note_progress(folder: Path) -> None:
    """Write into the learner's first page how far they are, and with which unit to go on; nothing where the page is gone."""
    from posttrain_lab.grading.overview import INDEX, link, with_progress
    from posttrain_lab.grading.progress import summary

    page = folder / INDEX
    rows = summary(folder)
    if not page.is_file() or not any(row.when for row in rows):
        return
    lines = ["| unit | points | right | last check |", "|---|---|---|---|"]
    for row in rows:
        if row.when:
            numbers = f"{row.points} of {row.max_points} | {row.solved} of {row.exercises}"
            lines.append(f"| {find(row.unit).name} | {numbers} | {as_written(row.when)} |")
    open_units = [find(row.unit) for row in rows if not row.done]
    last = f"Go on with {link(open_units[0])}." if open_units else "All units are solved."
    write_whole(page, with_progress(page.read_text(encoding="utf-8"), "\n".join([*lines, "", last])))


def show_progress(folder: Path) -> None:
    """Print the last result of each unit."""
    if not any((folder / name).exists() for name in (*UNITS, KEPT)):
        raise FileNotFoundError(
            f"There is no course in {folder}: run posttrain-lab start first, or name your folder with --folder."
        )
    from posttrain_lab.grading.progress import summary

    table = _table(f"Progress in {folder}", "unit", "points", "right", "last check")
    for row in summary(folder):
        table.add_row(row.unit, f"{row.points} of {row.max_points}", f"{row.solved} of {row.exercises}", as_written(row.when))
    console.print(table)
    console.print("A unit is counted when you check it: posttrain-lab check UNIT")


def release_course(check: bool) -> bool:
    """Write course/ (or only compare it); true when it is up to date."""
    from posttrain_lab.grading.release import release

    result = release(check)
    print(result.message)
    return result.passed


def prove_units(unit: str | None, solutions: Path | None = None) -> bool:
    """Prove one unit or all; true when every check is correct."""
    from posttrain_lab.grading.course import find_course
    from posttrain_lab.grading.prove import prove

    passed, course = True, find_course(solutions=solutions)
    for name in [full_name(unit)] if unit else list(UNITS):
        with tqdm(desc=f"proving {name}", unit="variant", leave=False, disable=None) as bar:

            def step(done: int, total: int, what: str, bar: tqdm = bar) -> None:
                bar.total = total
                bar.set_postfix_str(what)
                bar.update(done - bar.n)

            proof = prove(name, course, progress=step)
        console.print(proof_table(proof))
        for row in proof.failures:
            console.print(f"{row.exercise}, {row.kind} {row.variant}: {row.complaint}")
        console.print(f"{name}: {'proven' if proof.passed else 'NOT proven'} in {proof.seconds:.0f} s.")
        passed &= proof.passed
    return passed


def proof_table(proof: "Proof") -> Table:
    """One line an exercise: how many variants of each kind were judged as they should be."""
    table = _table(f"Proof of {proof.unit}", "exercise", *KINDS)
    for exercise in dict.fromkeys(row.exercise for row in proof.rows if row.exercise):
        rows = [row for row in proof.rows if row.exercise == exercise]
        counts = [[row.passed for row in rows if row.kind == kind] for kind in KINDS]
        table.add_row(exercise, *(f"{sum(found)}/{len(found)}" if found else "-" for found in counts))
    return table


def grade_unit(unit: str, order: "Order") -> bool:
    """Grade the submissions; true when every submission got a score."""
    import posttrain_lab.grading.sooner  # noqa: F401  (before the others)
    from posttrain_lab.grading.classroom import grade

    if not order.sandbox:
        console.print("Without the sandbox, students' code can read and change what you can. Each grade is marked so.")
    name = full_name(unit)
    with tqdm(desc=f"grading {name}", unit="submission", disable=None) as bar:

        def step(_: "Graded", total: int) -> None:
            bar.total = total
            bar.update()

        try:
            report = grade(name, order=order, progress=step)
        except KeyboardInterrupt:
            console.print("Stopped. What was graded is kept: the same command goes on.")
            return False
    table = _table(f"Grades of {report.unit}", "student", "score", "problem")
    for row in report.rows:
        score = "-" if row.error else f"{row.score:g} of {row.max_score:g}{'' if row.sandboxed else ', without the sandbox'}"
        table.add_row(escape(row.student), score, escape(row.error))
    console.print(table)
    if remarks := [row for row in report.rows if row.remark]:
        noted = _table("Graded, and to look at", "student", "remark")
        for row in remarks:
            noted.add_row(escape(row.student), escape(row.remark))
        console.print(noted)
    console.print(f"The gradebook is in {report.csv.name}; feedback pages are in feedback/, a page about the class in reports/.")
    return not any(row.error for row in report.rows)
