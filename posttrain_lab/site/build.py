"""Build the site: write the sources of all pages into a temporary folder, and let Sphinx make HTML of them."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from posttrain_lab import units
from posttrain_lab.grading.course import Course, find_course, read_notebook
from posttrain_lab.grading.overview import HOW_FAR, INDEX
from posttrain_lab.site.carried import carried, require
from posttrain_lab.site.library import library_pages
from posttrain_lab.site.pages import linked, unit_page
from posttrain_lab.site.slides import deck

HERE = Path(__file__).parent
TEACHING = ("instructor/README", "instructor/units", "instructor/assessment", "grading", "jupyterhub", "classwork", "proof")
FURTHER = ("conventions", "torchvision", "deployment")
WHOLE = "searchindex.js"  # written last: a folder with it is a site


def build_site(out: Path, solutions: bool = False, course: Course | None = None) -> int:
    """Write the site and the slides into the folder `out`; how many pages? `solutions` adds folded solutions, for those who learn alone.

    A folder that holds a site is written anew. Raises FileExistsError for one that holds something else, ImportError without
    the extra `site`, RuntimeError with Sphinx's own sentences when a page has a mistake.
    """
    require()
    course = course or find_course()
    course.sources()
    if out.exists() and any(out.iterdir()) and not (out / WHOLE).is_file():
        raise FileExistsError(f"{out} holds something that is not a site; choose an empty folder.")
    with tempfile.TemporaryDirectory() as name:
        source, made = Path(name, "source"), Path(name, "site")
        pages = {unit: _page(course, unit, solutions) for unit in course.units()}
        write_sources(course, pages, source)
        _sphinx(source, made)
        for unit, page in pages.items():
            _write(made / "slides" / f"{unit}.html", deck(page))
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(made, out)
    (out / ".nojekyll").touch()  # else GitHub Pages leaves out folders whose names begin with _
    return len(list(out.rglob("*.html")))


def _page(course: Course, unit: str, solutions: bool) -> NotebookNode:
    return unit_page(read_notebook(course.released(unit)), read_notebook(course.source(unit)), unit, solutions)


def write_sources(course: Course, pages: dict[str, NotebookNode], source: Path) -> None:
    """The sources of all pages, as Sphinx reads them, and its settings. `pages`: those of the units."""
    for unit, page in pages.items():
        _write(source / unit / f"{unit}.ipynb", nbformat.writes(page))
    glossary = (course.course / "glossary.md").read_text(encoding="utf-8")
    _write(source / "glossary.md", re.sub(r'<a id="(.+)"></a>\n\n### (.+)', _term, linked(glossary, "course")))
    first = (course.course / INDEX).read_text(encoding="utf-8").partition(HOW_FAR)[0]  # how far a reader is, a site cannot know
    _write(source / INDEX, linked(first, "course") + contents(course))
    for name in (*TEACHING, *FURTHER):
        text = (course.root / "docs" / f"{name}.md").read_text(encoding="utf-8")
        _write(source / "docs" / f"{name}.md", linked(text, "docs/instructor" if "/" in name else "docs"))
    for name, text in library_pages().items():
        _write(source / name, text)
    _write(source / "slides.md", slides_page(course))
    shutil.copytree(HERE / "look", source / "_static")
    shutil.copy(HERE / "conf.py", source)
    for name in ("plotly.min.js", "tex-svg.js"):
        shutil.copy(carried(name), source / "_static")


def _term(match: re.Match[str]) -> str:
    """A term's heading below its anchor, which is left out where the heading gives the same."""
    anchor, name = match.groups()
    own = re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-")
    return f"### {name}" if own == anchor else f"({anchor})=\n### {name}"


def contents(course: Course) -> str:
    """The lists of pages that Sphinx shows at the left."""
    pages = {
        "Units": [f"{units.find(unit).name} <{unit}/{unit}>" for unit in course.units()],
        "Look up": ["glossary", "library/index", *(f"docs/{name}" for name in FURTHER)],
        "Teach": ["slides", *(f"docs/{name}" for name in TEACHING)],
    }
    trees = (
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n" for caption, names in pages.items()
    )
    return "\n" + "\n".join(trees)


def slides_page(course: Course) -> str:
    """The page that leads to the slides; each deck is one file that needs no network."""
    decks = [f'<li><a href="slides/{unit}.html">{units.find(unit).heading}</a></li>' for unit in course.units()]
    said = "One deck a unit, made from its notebook: each figure with its question. Each is one file that can be saved and shown offline."
    return "\n".join(["# Slides", "", said, "", "<ul>", *decks, "</ul>", ""])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _sphinx(source: Path, out: Path) -> None:
    """Run Sphinx in a process of its own; a warning is an error."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(source.parent / "trees"),
        str(source),
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"Sphinx found mistakes:\n{done.stderr.strip()}")
