"""The course at a glance: a row for each unit, for README's table and for the index page, from the list of units and the exercises."""

import re

from posttrain_lab import checks, units
from posttrain_lab.grading.course import CourseError

NOTICE = "<!-- Made by `posttrain-lab release`: change the sources, not this file. -->"
BEGIN, END = "<!-- units: made by `posttrain-lab release` from posttrain_lab/units.py -->", "<!-- end -->"
MINUTES = "The minutes are for a whole unit, reading included; the points are those of the exercises."
INDEX = "index.md"
PROGRESS = "<!-- progress: written by `posttrain-lab check` -->"
BETWEEN = re.compile(rf"(?<=^{re.escape(PROGRESS)}\n).*?(?=^{re.escape(END)}$)", re.DOTALL | re.MULTILINE)
NOTHING_YET = "No unit has been checked yet. Save its notebook, and type in a terminal: `posttrain-lab check 00`."
HOW_FAR = "## How far you are"
GREETING = (
    "Welcome. Here you make trained networks smaller and faster, adapt them, correct their confidences, and measure each time what it "
    "costs. You write every step yourself."
)
WORK = "Read a unit from the top and run every cell. A check may be run as often as you like."
WORDS = "What a word means: [glossary](glossary.md)."
PARAGRAPH = "Each unit ends with a paragraph in your own words, which a person marks with 3 points more."


def counts(unit: str) -> tuple[int, int, int]:
    """How many exercises has a unit, how many minutes take they in all, and how many points has it, with what is beside them?

    >>> counts("00_start_here")
    (4, 31, 7)
    """
    exercises = checks.exercises(unit).values()
    beside = units.find(unit).beside.points
    return len(exercises), sum(e.minutes for e in exercises), sum(e.points for e in exercises) + beside


def index_page(folders: tuple[str, ...]) -> str:
    """The page that opens first: a greeting, where to begin, a path for the time one has, each unit, how far one is."""
    found = [(unit, *counts(unit.folder)) for unit in map(units.find, folders)]
    rows = ["| unit | exercises | minutes | points |", "|---|---|---|---|"]
    for unit, exercises, minutes, points in found:
        rows.append(f"| {link(unit, unit.heading)} | {exercises} | {unit.minutes(minutes)} | {points} |")
    hours = round(sum(unit.minutes(minutes) for unit, _, minutes, _ in found) / 60)
    begin = f"**Begin with {link(found[0][0])}:** it says how to work here. {WORK}"
    text = f"{MINUTES} {PARAGRAPH}"
    parts = [
        *_paths(folders, hours),
        "## The units",
        "",
        *rows,
        "",
        text,
        "",
        HOW_FAR,
        "",
        PROGRESS,
        NOTHING_YET,
        END,
    ]
    return "\n".join([NOTICE, "# The course", "", GREETING, "", begin, "", *parts, "", WORDS]) + "\n"


def _paths(folders: tuple[str, ...], hours: int) -> list[str]:
    """What to do with the time one has; nothing in a course without these units."""
    if any(folder not in folders for _, path in units.PATHS for folder, _ in path):
        return []
    rows = [[time, ", then ".join(f"{link(units.find(f))}{part}" for f, part in path)] for time, path in units.PATHS]
    rows.append(["a term", f"all units in their order, about {hours} hours in all; each can also be taken alone"])
    return ["| you have | a path |", "|---|---|", *(f"| {time} | {path} |" for time, path in rows), ""]


def way_on(folders: tuple[str, ...], unit: str) -> str:
    """The last cell of a student's notebook: to the unit before, to the first page, to the unit after."""
    place = folders.index(unit)
    before = [f"← {link(units.find(folders[place - 1]), above='../')}"] if place else []
    after = [f"{link(units.find(folders[place + 1]), above='../')} →"] if place + 1 < len(folders) else []
    return " | ".join([*before, f"[All units](../{INDEX})", *after])


def link(unit: units.CourseUnit, text: str = "", above: str = "") -> str:
    """A link to a unit's notebook, in Markdown; `above` is the way to the folder of the units.

    >>> link(units.find("02_quantization"), above="../")
    '[02 Quantization](../02_quantization/02_quantization.ipynb)'
    """
    return f"[{text or unit.name}]({above}{unit.folder}/{unit.folder}.ipynb)"


def progress_in(page: str) -> str:
    """The text between the marks of the learner's progress; empty for a page without them.

    >>> progress_in(f"{PROGRESS}\\n7 of 7 points\\n{END}\\n")
    '7 of 7 points'
    """
    found = BETWEEN.search(page)
    return found[0].strip() if found else ""


def with_progress(page: str, text: str) -> str:
    """The page with this text between the marks; as it is, when somebody removed them."""
    return BETWEEN.sub(lambda _: f"{text}\n", page, count=1)


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
