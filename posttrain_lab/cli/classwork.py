"""The commands around grading, as tables in a terminal: collect, export, report, similarity, forget."""

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
