"""The instructor's pages: their minutes are those of the exercises, their commands exist, their links lead somewhere."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from posttrain_lab import checks, units
from posttrain_lab.cli.app import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "instructor"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}


def section(unit: units.CourseUnit) -> str:
    return PAGES["units.md"].partition(f"\n## {unit.name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("unit", units.UNITS, ids=lambda unit: unit.folder)
def test_the_minutes_by_part_are_those_of_the_exercises(unit):
    exercises, told = checks.exercises(unit.folder), []
    for part, names, minutes in re.findall(r"^\| ([^|]+) \| ([^|]*) \| (\d+) \|$", section(unit), re.M):
        named = re.findall(r"`(\w+)`", names)
        told += named
        own = unit.reading if part == "reading" else unit.beside.minutes
        assert int(minutes) == (sum(exercises[name].minutes for name in named) if named else own), part
    assert told == list(exercises)


@pytest.mark.parametrize("unit", units.UNITS, ids=lambda unit: unit.folder)
def test_each_unit_has_all_that_an_instructor_asks(unit):
    text = section(unit)
    assert [
        word for word in ("**Aims.**", "**Prerequisites.**", "**Misconceptions.**", "**For a discussion.**") if word not in text
    ] == []
    questions = re.findall(r"^- [^*]+\?[^*]*\*[^*]+\*$", text, re.M)
    assert len(questions) == 3
    number = unit.folder[:2]
    assert len(re.findall(rf"^\*\*{number}\.\d\*\* .*", PAGES["assessment.md"], re.M)) == 2


def test_the_whole_course_takes_as_long_as_the_page_says():
    whole = sum(unit.minutes(sum(one.minutes for one in checks.exercises(unit.folder).values())) for unit in units.UNITS)
    assert f"about {whole} minutes" in PAGES["README.md"].replace("\n", " ")


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page):
    known = get_command(app).commands
    for line in re.findall(r"`posttrain-lab ([^`]+)`", PAGES[page]):
        name, *words = line.split()
        assert name in known, line
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES)
def test_links_and_files_exist(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", PAGES[page])
    assert [link for link in links if not (FOLDER / link).exists()] == []
    named = set(re.findall(r"`((?:posttrain_lab|solutions|course|docs)/[\w/.]*)`", PAGES[page]))
    assert [name for name in named if not (ROOT / name).exists()] == []
