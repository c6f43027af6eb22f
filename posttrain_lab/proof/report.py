"""The standing proof as text: docs/proof.md has a row for each exercise, README one for each unit."""

import re
from collections.abc import Iterable
from pathlib import Path

from posttrain_lab import checks, units
from posttrain_lab.grading.course import CourseError
from posttrain_lab.proof.record import Record, kept
from posttrain_lab.proof.regions import REGIONS
from posttrain_lab.whole_files import write_whole

BEGIN, END = "<!-- proof: made by `posttrain-lab prove --changed` from posttrain_lab/proof/records -->", "<!-- end -->"
HEAD = "| {} | calls of the checks | saboteurs failed | allowed by the page | mutants failed | equivalent | not tried | known mistakes |"
INTRO = """# What the checks were tried with

Made by `posttrain-lab prove --changed`. Each right answer is made wrong in systematic ways (saboteurs: wrong in a region, coarse inputs,
another form of result, arguments or machine left changed, the library's own function), and by small changes of its text (mutants).
All must fail, but for those that the page allows and for mutants that are right answers too; their reasons stand in the exercises
(`legal`) and in posttrain_lab/proof/equivalents. "Regions without a case" are those where a saboteur had nothing to act on.
"""


def proof_page() -> str:
    """docs/proof.md."""
    lines = [INTRO]
    for unit in units.UNITS:
        records = kept(unit.folder)
        lines += [f"## {unit.name}\n", f"{HEAD.format('exercise')} regions without a case |", "|---" * 9 + "|"]
        for name, exercise in checks.exercises(unit.folder).items():
            if record := records.get(name):
                lines.append(
                    f"| {name} | {_counts([record], len(exercise.mistakes))} | {', '.join(_unvisited(record)) or 'none'} |"
                )
        lines.append("")
    return "\n".join(lines)


def readme_rows() -> str:
    """README's table: a row for each unit."""
    lines = [HEAD.format("unit | exercises tried so far"), "|---" * 9 + "|"]
    for unit in units.UNITS:
        mistakes = sum(len(exercise.mistakes) for exercise in checks.exercises(unit.folder).values())
        records = kept(unit.folder)
        tried = f"{len(records)} of {len(checks.exercises(unit.folder))}"
        lines.append(f"| {unit.name} | {tried} | {_counts(records.values(), mistakes)} |")
    return "\n".join(lines)


def write_report(root: Path) -> None:
    """Write docs/proof.md and README's table. Raises CourseError when README lacks the marks."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    between = re.compile(rf"(?<=^{re.escape(BEGIN)}\n).*?(?=^{re.escape(END)}$)", re.DOTALL | re.MULTILINE)
    if not between.search(readme):
        raise CourseError(f"README.md has no table of the proof; write `{BEGIN}` and, below it, `{END}`.")
    write_whole(root / "README.md", between.sub(lambda _: f"{readme_rows()}\n", readme, count=1))
    write_whole(root / "docs" / "proof.md", proof_page())


def _counts(records: Iterable[Record], mistakes: int) -> str:
    """The cells of a row: sums over records."""
    every = list(records)
    failed = sum(one.tried - one.equivalent for one in every)
    left = sum(one.mutants - one.tried for one in every)
    legal = sum(len(one.legal) for one in every)
    numbers = [sum(one.calls for one in every), sum(one.killed for one in every), legal, failed]
    return " | ".join(map(str, [*numbers, sum(one.equivalent for one in every), left, mistakes]))


def _unvisited(record: Record) -> list[str]:
    regions = {saboteur.name for saboteur in REGIONS}
    return [name.removeprefix("wrong where ") for name in record.idle if name in regions]
