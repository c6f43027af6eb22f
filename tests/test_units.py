"""Every unit is listed once, and everything that speaks of the units says the same: pages, README, index, glossary, folders."""

import re
from pathlib import Path

import jupytext
import pytest

from posttrain_lab import checks, glossary, units
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.overview import BEGIN, END, counts, index_page, readme_table, with_table

ROOT = Path(__file__).parents[1]
FOLDERS = tuple(unit.folder for unit in units.UNITS)
NUMBERS = (
    "none",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
)
WORDS_A_MINUTE, SPARE = 200, 5
NOT_READ = re.compile(r"\$+.*?\$+|\]\(.*?\)|<[^>]+>|`[^`]*`", re.DOTALL)

each_unit = pytest.mark.parametrize("unit", units.UNITS, ids=FOLDERS)


def page(unit: units.CourseUnit) -> str:
    """The text of a unit's page, from its percent twin."""
    notebook = jupytext.read(ROOT / "solutions" / unit.folder / f"{unit.folder}.py")
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def folders(where: str, made_with: str) -> set[str]:
    return {path.parent.name for path in (ROOT / where).glob(f"*/{made_with}")}


def test_every_unit_is_listed_once_and_in_order():
    assert list(FOLDERS) == sorted(set(FOLDERS))
    assert len({unit.module for unit in units.UNITS}) == len(units.UNITS)
    assert [unit.folder[:2] for unit in units.UNITS] == [f"{number:02}" for number in range(len(units.UNITS))]


def test_folders_checks_and_glossary_have_the_listed_units_and_no_other():
    assert folders("solutions", "*.ipynb") == folders("course", "*.ipynb") == set(FOLDERS)
    assert folders("posttrain_lab/checks", "__init__.py") - {"engine"} == {unit.module for unit in units.UNITS}
    assert list(checks.UNITS.items()) == [(unit.folder, unit.module) for unit in units.UNITS]
    assert set(glossary.UNITS) == set(FOLDERS)


@each_unit
def test_the_page_begins_with_the_unit_s_heading(unit):
    assert page(unit).startswith(f"# {unit.heading}\n")


@each_unit
def test_the_page_states_the_minutes_and_the_number_of_its_exercises(unit):
    opening = page(unit)[:3000]
    exercises, minutes, _ = counts(unit.folder)
    assert re.findall(r"unit takes about\s+(\d+)\s+minutes", opening) == [str(unit.minutes(minutes))]
    assert re.findall(r"(\w+) exercises[;.]", opening) == [NUMBERS[exercises]]


@each_unit
def test_the_minutes_for_reading_fit_the_words_of_the_page(unit):
    words = re.findall(r"\w+", NOT_READ.sub(" ", page(unit)))
    assert abs(unit.reading - len(words) / WORDS_A_MINUTE) <= SPARE


def test_the_minutes_are_rounded_up_to_the_next_five():
    unit = units.CourseUnit("90_tiny", "tiny", "Tiny: two functions", "write", reading=7)
    assert [unit.minutes(exercises) for exercises in (0, 3, 4, 8, 9)] == [10, 10, 15, 15, 20]


def test_another_unit_is_refused():
    with pytest.raises(ValueError, match="There is no unit '99_magic'; the units are: 00_start_here, "):
        units.find("99_magic")


def test_index_and_readme_give_one_row_a_unit_with_the_same_numbers():
    pages = index_page(FOLDERS), readme_table(FOLDERS)
    rows = [[line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| [")] for text in pages]
    assert [row[1:] for row in rows[0]] == [row[2:] for row in rows[1]]
    assert [row[1] for row in rows[1]] == [unit.does for unit in units.UNITS]
    for unit, row in zip(units.UNITS, rows[0], strict=True):
        exercises = checks.exercises(unit.folder).values()
        assert row[1:] == [
            str(len(exercises)),
            str(unit.minutes(sum(e.minutes for e in exercises))),
            str(sum(e.points for e in exercises)),
        ]


def test_the_table_is_put_between_its_marks_and_nothing_else_changes():
    readme = f"# Title\n{END}\n\n{BEGIN}\n{END}\n\nMore.\n<!-- x -->\n{END}\n"
    done = with_table(readme, FOLDERS)
    assert done == f"# Title\n{END}\n\n{BEGIN}\n{readme_table(FOLDERS)}\n{END}\n\nMore.\n<!-- x -->\n{END}\n"
    assert with_table(done, FOLDERS) == done


@pytest.mark.parametrize("readme", ["", BEGIN, f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_the_marks_says_which_to_write(readme):
    with pytest.raises(CourseError, match=r"README.md has no table of the units; write `<!-- units: "):
        with_table(readme, FOLDERS)
