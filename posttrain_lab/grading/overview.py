"""The course at a glance: a row for each unit, for README's table and for the index page, from the list of units and the exercises."""

import re

from posttrain_lab import checks, units
from posttrain_lab.grading.course import CourseError

NOTICE = "<!-- Made by `posttrain-lab release`: change the sources, not this file. -->"
BEGIN, END = "<!-- units: made by `posttrain-lab release` from posttrain_lab/units.py -->", "<!-- end -->"
MINUTES = "The minutes are for a whole unit, reading included; the points are those of the exercises."
PARAGRAPH = "Each unit ends with a paragraph in your own words, which a person marks with 3 points more."


def counts(unit: str) -> tuple[int, int, int]:
    """How many exercises has a unit, how many minutes take they in all, and how many points are they worth?

    >>> counts("00_start_here")
    (4, 31, 7)
    """
    exercises = checks.exercises(unit).values()
    return len(exercises), sum(e.minutes for e in exercises), sum(e.points for e in exercises)


def index_page(folders: tuple[str, ...]) -> str:
    """The page that opens first: each unit with its exercises, its minutes and its points."""
    rows = [NOTICE, "# The course", "", "| unit | exercises | minutes | points |", "|---|---|---|---|"]
    for unit in map(units.find, folders):
        exercises, minutes, points = counts(unit.folder)
        link = f"[{unit.heading}]({unit.folder}/{unit.folder}.ipynb)"
        rows.append(f"| {link} | {exercises} | {unit.minutes(minutes)} | {points} |")
    text = f"Open a unit, read from the top and run every cell. A check may be run as often as you like. {MINUTES} {PARAGRAPH}"
    return "\n".join([*rows, "", text, "", "What a word means: [glossary](glossary.md)."]) + "\n"


def readme_table(folders: tuple[str, ...]) -> str:
    """README's table of the units."""
    rows = ["| unit | what you do | exercises | minutes | points |", "|---|---|---|---|---|"]
    for unit in map(units.find, folders):
        exercises, minutes, points = counts(unit.folder)
        link = f"[{unit.name}](course/{unit.folder}/{unit.folder}.ipynb)"
        rows.append(f"| {link} | {unit.does} | {exercises} | {unit.minutes(minutes)} | {points} |")
    return "\n".join(rows)


def with_table(readme: str, folders: tuple[str, ...]) -> str:
    """README with the present table between its two marks. Raises CourseError when a mark is missing."""
    between = re.compile(rf"(?<=^{re.escape(BEGIN)}\n).*?(?=^{re.escape(END)}$)", re.DOTALL | re.MULTILINE)
    if not between.search(readme):
        raise CourseError(
            f"README.md has no table of the units; write `{BEGIN}` and, below it, `{END}`, each on a line of its own."
        )
    return between.sub(lambda _: f"{readme_table(folders)}\n", readme, count=1)
