"""The commands around grading, as tables in a terminal: collect, export, report, similarity, sheets, forget."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from posttrain_lab.cli.course import full_name

console = Console(markup=False, highlight=False)


def collect_unit(unit: str, source: Path, roster: Path | None) -> bool:
    """Take in a class's submissions; true when none needs attention."""
    from posttrain_lab.grading.collecting.collect import collect

    name = full_name(unit)
    with tqdm(desc=f"collecting {name}", unit="submission", disable=None) as bar:
        found = collect(name, source, roster=roster, progress=lambda row: bar.update())
    told = [row for row in found.rows if row.remark]
    if told:
        table = Table(title=f"Submissions of {found.unit} to look at", title_justify="left")
        for column in ("student", "state", "remark"):
            table.add_column(column, overflow="fold")
        for row in told:
            table.add_row(escape(row.student), row.state, escape(row.remark))
        console.print(table)
    counts = {
        state: sum(row.state == state for row in found.rows) for state in ("new", "newer", "older", "same", "needs attention")
    }
    console.print(f"{len(found.rows)} submissions: {', '.join(f'{count} {state}' for state, count in counts.items() if count)}.")
    if found.missing:
        more = f" and {len(found.missing) - 10} more" if len(found.missing) > 10 else ""
        console.print(f"Nothing from {len(found.missing)} of the roster: {', '.join(found.missing[:10])}{more}.")
    return not counts["needs attention"]


def export_grades(unit: str, platform: str) -> None:
    """Write the table of one unit for a learning platform."""
    from posttrain_lab.grading.exports import export_unit
    from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools

    book = CourseGradebook(Path.cwd(), full_name(unit))
    with nbgrader_tools(), book.base() as base:
        path = export_unit(base, book.root, book.unit, platform)
        waiting = [one for one in base.assignment_submissions(book.unit) if one.needs_manual_grade]
    console.print(f"Written: {path.relative_to(book.root)}.")
    if waiting:
        console.print(
            f"{len(waiting)} submissions have answers that a person must still mark, in formgrader; their scores are without them."
        )


def report_unit(unit: str) -> None:
    """Write the page about the class."""
    from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
    from posttrain_lab.grading.jobs import Jobs
    from posttrain_lab.grading.results.class_report import write_report

    book = CourseGradebook(Path.cwd(), full_name(unit))
    with nbgrader_tools(), book.base() as base, Jobs(book.root) as jobs:
        path = write_report(base, book.root, jobs, book.unit)
    console.print(f"Written: {path.relative_to(book.root)} (open it in a browser).")


def similarity_unit(unit: str) -> None:
    """Write the folder in which to look for copies."""
    from posttrain_lab.grading.gradebook import nbgrader_tools
    from posttrain_lab.grading.results.similarity import write_folder

    with nbgrader_tools():
        folder = write_folder(full_name(unit))
    console.print((folder / "README.md").read_text(encoding="utf-8"))
    console.print(f"The folder: {folder.relative_to(Path.cwd().resolve())}.")


def write_sheets(roster: Path) -> None:
    """Write the tokens of a class, and say which secret they came from."""
    from posttrain_lab.grading.sheets import SECRET, TOKENS, write_tokens

    students = write_tokens(Path.cwd(), roster)
    console.print(f"Written: {TOKENS}, a token for each of {students} students. Give each their own.")
    console.print(f"They follow from {SECRET}: keep it to yourself, and keep it, or everybody gets other patients.")


def forget_student(student: str) -> None:
    """Remove all that is stored of a student, and say what it was."""
    from posttrain_lab.grading.forget import forget

    for what in forget(student):
        console.print(f"Removed from or removed: {what}")
    console.print("Not touched: roster.csv, backups, nbgrader's exchange, and what you have handed to others.")
