"""Every unit is listed once, and everything that speaks of the units says the same: pages, README, index, glossary, folders."""

import re
from pathlib import Path

import jupytext
import pytest

from posttrain_lab import checks, glossary, units
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.overview import (
    BEGIN,
    END,
    NOTHING_YET,
    counts,
    index_page,
    progress_in,
    readme_table,
    way_on,
    with_progress,
    with_table,
)

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
    assert len({unit.folder[:2] for unit in units.UNITS}) == len(units.UNITS)


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
    assert re.findall(r"(\w+) exercises[;.]|is (one) exercise;", opening) == [
        (NUMBERS[exercises], "") if exercises > 1 else ("", "one")
    ]


@each_unit
def test_the_minutes_for_reading_fit_the_words_of_the_page(unit):
    words = re.findall(r"\w+", NOT_READ.sub(" ", page(unit)))
    assert abs(unit.reading - len(words) / WORDS_A_MINUTE) <= SPARE


def test_the_minutes_are_rounded_up_to_the_next_five():
    unit = units.CourseUnit("90_tiny", "tiny", "Tiny: two functions", "write", reading=7)
    assert [unit.minutes(exercises) for exercises in (0, 1, 5, 6, 10)] == [15, 20, 20, 25, 25]


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
            str(sum(e.points for e in exercises) + unit.beside.points),
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


def test_the_first_page_greets_says_where_to_begin_and_gives_a_path_for_the_time_one_has():
    page = index_page(FOLDERS)
    assert page.index("Welcome") < page.index("**Begin with [00 Start here](00_start_here/") < page.index("## The units")
    paths = [line.strip("| ").split(" | ") for line in page[: page.index("## The units")].splitlines() if line.startswith("| ")]
    assert [row[0] for row in paths] == ["you have", "30 minutes", "a day", "a term"]
    minutes = sum(unit.minutes(counts(unit.folder)[1]) for unit in units.UNITS)
    assert f"about {round(minutes / 60)} hours in all" in paths[-1][1]
    assert "| you have" not in index_page(FOLDERS[2:])


def test_every_link_of_the_first_page_and_of_the_last_cells_leads_to_a_file():
    links = {Path(name) for name in re.findall(r"\]\(([^)]+)\)", index_page(FOLDERS))}
    for folder in FOLDERS:
        links |= {Path(folder, name) for name in re.findall(r"\]\(([^)]+)\)", way_on(FOLDERS, folder))}
    assert [link for link in links if not (ROOT / "course" / link).is_file()] == []


def test_from_every_unit_one_comes_to_the_one_before_the_first_page_and_the_one_after():
    found = [re.findall(r"\]\(\.\./([^)]+)\)", way_on(FOLDERS, folder)) for folder in FOLDERS]
    pages = [f"{folder}/{folder}.ipynb" for folder in FOLDERS]
    wanted = zip(["", *pages], [*pages[1:], ""], strict=False)
    assert found == [[name for name in (before, "index.md", after) if name] for before, after in wanted]


def test_the_learner_s_progress_is_put_between_its_marks():
    page = index_page(FOLDERS)
    assert progress_in(page) == NOTHING_YET
    filled = with_progress(page, "| a |\n|---|\n| \\1 |")
    assert progress_in(filled) == "| a |\n|---|\n| \\1 |"
    assert with_progress(filled, NOTHING_YET) == page
    assert with_progress("no marks", "x") == "no marks"
    assert progress_in("no marks") == ""
