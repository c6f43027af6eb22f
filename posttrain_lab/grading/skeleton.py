"""The files of a new exercise or a new unit, as stubs that `posttrain-lab prove` names until they are written.

Everything is worked out before the first file is written, and no file is overwritten: an existing one only gets a line more.
The texts stand in `templates/`.
"""

import ast
import keyword
import re
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import jupytext
import nbformat
from nbformat import NotebookNode

from posttrain_lab.grading.course import Course, CourseError, read_notebook, standard_check
from posttrain_lab.grading.source_edits import listed, with_import, with_item
from posttrain_lab.units import UNITS, CourseUnit, find
from posttrain_lab.whole_files import write_whole

TEMPLATES = Path(__file__).parent / "templates"
ANSWERS = (
    ("alternatives.py", "ALTERNATIVES", "right answers of another shape. They prove the grader; students do not get them."),
    ("unnamed_mistakes.py", "WRONG", "wrong answers that no message names. They prove the grader, as alternatives.py does."),
)
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


@dataclass
class Plan:
    """What is to be written: new files, and files that get more lines, by their paths."""

    root: Path
    made: dict[Path, str] = field(default_factory=dict)
    changed: dict[Path, str] = field(default_factory=dict)

    def make(self, path: str, text: str) -> None:
        """A new file. Raises CourseError when it is there."""
        if (self.root / path).exists():
            raise CourseError(f"{path} exists already; nothing was written. Choose another name, or go on in that file.")
        self.made[self.root / path] = text

    def change(self, path: str, text: str) -> None:
        self.changed[self.root / path] = text

    def read(self, path: str) -> str:
        """A file as it is, changes of this plan included. Raises CourseError when it is missing."""
        full = self.root / path
        if full not in self.changed and not full.is_file():
            raise CourseError(f"{path} is missing; nothing was written. Restore it.")
        return self.changed.get(full) or full.read_text(encoding="utf-8")

    def add_item(self, path: str, name: str, item: str, key: str = "") -> None:
        """One more item in the listing `name` of a source."""
        self.change(path, with_item(self.read(path), name, item, Path(path), key))

    def write(self) -> list[str]:
        """Write all files; their paths, new ones first."""
        for path, text in self.made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        for path, text in self.changed.items():
            write_whole(path, text)
        return [path.relative_to(self.root).as_posix() for path in (*self.made, *self.changed)]


def new_exercise(course: Course, folder: str, name: str) -> Plan:
    """The files of one more exercise of a unit. Raises ValueError for an unknown unit or a name that will not do."""
    unit, plan = find(folder), Plan(course.root)
    _require_name(name, "An exercise is named after its function", "quantize")
    home = f"posttrain_lab/checks/{unit.module}"
    listing = plan.read(f"{home}/__init__.py")
    known = [ast.unparse(one) for one in getattr(listed(listing, "EXERCISES", Path(home) / "__init__.py"), "elts", ())]
    if name in known:
        raise CourseError(f"{folder} has an exercise {name!r} already; choose another name, or go on in {home}/{name}.py.")
    words: dict[str, object] = {"name": name, "capitals": name.upper(), "words": name.title().replace("_", "")}
    words |= {"unit": folder, "module": unit.module, "number": len(known) + 1, "check": standard_check(unit.module, name, name)}
    plan.make(f"{home}/{name}.py", _filled("exercise", words))
    plan.make(f"tests/checks/{unit.module}/test_{name}.py", _filled("exercise_test", words))
    plan.change(f"{home}/__init__.py", with_import(listing, f"from posttrain_lab.checks.{unit.module}.{name} import {name}"))
    plan.add_item(f"{home}/__init__.py", "EXERCISES", name)
    plan.add_item("tests/checks/test_exercises.py", "POINTS", f'"{name}": 2', key=folder)
    for file, listing_name, _ in ANSWERS:
        plan.add_item(f"solutions/{folder}/{file}", listing_name, f'"{name}": ()')
    _add_cells(plan, course, unit, name, jupytext.reads(_filled("exercise_cells", words), fmt="py:percent").cells)
    _add_term(plan, unit, name)
    return plan


def new_unit(course: Course, name: str) -> Plan:
    """The files of one more unit without exercises, after the last. Raises ValueError for a name that will not do."""
    _require_name(name, "A unit is named like a module", "pruning")
    if name in {unit.module for unit in UNITS} or name in {unit.folder.partition("_")[2] for unit in UNITS}:
        raise CourseError(f"There is a unit {name!r} already; choose another name.")
    number = f"{int(UNITS[-1].folder.partition('_')[0]) + 1:02}"
    title = name.replace("_", " ").capitalize()
    unit = CourseUnit(f"{number}_{name}", name, f"{title}: a question", "say in a few words what one does", reading=5)
    plan = Plan(course.root)
    listing = f'"""The exercises of unit {number}, in the notebook\'s order; each stands in the module with its name."""\n\nEXERCISES = ()\n'
    plan.make(f"posttrain_lab/checks/{name}/__init__.py", listing)
    plan.make(f"tests/checks/{name}/__init__.py", "")
    for file, answers, what in ANSWERS:
        plan.make(f"solutions/{unit.folder}/{file}", f'"""Unit {number}: {what}"""\n\n{answers} = {{}}\n')
    _make_page(plan, unit, number)
    strings = [f'    "{text}",' for text in (unit.folder, unit.module, unit.title, unit.does)]
    plan.add_item("posttrain_lab/units.py", "UNITS", "\n".join(["CourseUnit(", *strings, f"    reading={unit.reading},", ")"]))
    plan.add_item("tests/checks/test_exercises.py", "POINTS", f'"{unit.folder}": {{}}')
    _make_glossary(plan, unit)
    _add_floor(plan, unit)
    return plan


def _make_page(plan: Plan, unit: CourseUnit, number: str) -> None:
    """A notebook with an opening, a setup cell and a last section, and its percent twin."""
    words: dict[str, object] = {"heading": unit.heading, "minutes": unit.minutes(0), "number": number}
    page = jupytext.reads(_filled("page", words), fmt="py:percent")
    page.metadata = nbformat.from_dict({"jupytext": {"formats": "ipynb,py:percent"}, "kernelspec": KERNEL})
    path = f"solutions/{unit.folder}/{unit.folder}"
    plan.make(f"{path}.ipynb", nbformat.writes(page) + "\n")
    plan.make(f"{path}.py", jupytext.writes(page, fmt="py:percent"))


def _require_name(name: str, rule: str, example: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise CourseError(
            f"{rule}: small letters, digits and single underscores, a letter first, no word of Python's own; got {name!r}. "
            f"Choose a name such as {example!r}."
        )


def _filled(template: str, words: dict[str, object]) -> str:
    return Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(words)


def _add_cells(plan: Plan, course: Course, unit: CourseUnit, name: str, cells: list[NotebookNode]) -> None:
    """The exercise's cells in front of the section that follows the last exercise, in the notebook and in its percent twin."""
    path = f"solutions/{unit.folder}/{unit.folder}"
    notebook = read_notebook(course.source(unit.folder))
    twin = jupytext.reads(plan.read(f"{path}.py"), fmt="py:percent")
    if [(cell.cell_type, cell.source) for cell in twin.cells] != [(cell.cell_type, cell.source) for cell in notebook.cells]:
        raise CourseError(f"{path}.py and its notebook differ; bring them together first: jupytext --sync {path}.py")
    if any(re.search(rf"\b{name}\b", cell.source) for cell in notebook.cells if cell.cell_type == "code"):
        raise CourseError(f"The code of {path}.ipynb uses the name {name!r} already; choose another name.")
    checks = [place for place, cell in enumerate(notebook.cells) if cell.metadata.get("nbgrader", {}).get("grade")]
    sections = [
        place for place, cell in enumerate(notebook.cells) if cell.cell_type == "markdown" and cell.source.startswith("## ")
    ]
    after = max(checks, default=0)
    place = next((place for place in sections if place > after), len(notebook.cells))
    notebook.cells[place:place] = cells
    plan.change(f"{path}.ipynb", nbformat.writes(notebook) + "\n")
    plan.change(f"{path}.py", jupytext.writes(notebook, fmt="py:percent"))


def _glossary_file(unit: CourseUnit) -> tuple[str, str]:
    """The file of a unit's words, and the name of the listing in it."""
    name = unit.folder.partition("_")[2]
    return f"posttrain_lab/glossary/words_{name}.py", f"{name.upper()}_WORDS"


def _add_term(plan: Plan, unit: CourseUnit, name: str) -> None:
    """A term to be explained, when the glossary has none of this name; its test fails until it has a sentence."""
    from posttrain_lab.glossary import TERMS, Term

    term = Term(name.replace("_", " ").capitalize(), "not written yet")
    if term.anchor not in {known.anchor for known in TERMS}:
        path, _ = _glossary_file(unit)
        plan.change(path, plan.read(path).replace("import of_unit\n", "import Term, of_unit\n"))  # the first word of a new unit
        plan.add_item(*_glossary_file(unit), f'Term(\n    "{term.name}",\n    "{term.meaning}",\n)')


def _make_glossary(plan: Plan, unit: CourseUnit) -> None:
    """An empty file of words, and its place in the glossary."""
    path, listing = _glossary_file(unit)
    plan.make(
        path,
        f'"""The words of unit {unit.folder[:2]}, sorted."""\n\nfrom posttrain_lab.glossary.term import of_unit\n\n'
        f'{listing} = of_unit(\n    "{unit.folder}",\n)\n',
    )
    glossary = "posttrain_lab/glossary/__init__.py"
    line = f"from posttrain_lab.glossary.{Path(path).stem} import {listing}"
    plan.change(glossary, with_import(plan.read(glossary), line))
    plan.add_item(glossary, "WORDS", f"*{listing}")


def _add_floor(plan: Plan, unit: CourseUnit) -> None:
    """The contract that the engine knows no exercise holds for the new unit too."""
    last = f"posttrain_lab.checks.{UNITS[-1].module}"
    settings = plan.read("pyproject.toml")
    if last not in settings:
        raise CourseError(f"pyproject.toml has no contract about {last}; restore the one that names every unit's checks.")
    plan.change("pyproject.toml", settings.replace(last, f"{last} | posttrain_lab.checks.{unit.module}", 1))
