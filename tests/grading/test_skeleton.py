"""`posttrain-lab new`: stubs that `prove` names, that pass once they are written, and that overwrite nothing."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import pytest

from posttrain_lab import units
from posttrain_lab.grading import skeleton
from posttrain_lab.grading.course import Course, CourseError, graded_cells
from posttrain_lab.grading.skeleton import new_exercise, new_unit

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBER = f"{int(units.UNITS[-1].folder[:2]) + 1:02d}"  # of the next unit
NEW, NAME = f"{NUMBER}_tiny", "center_rows"
# commands in one process, so that torch is imported once; their exit codes come last
DRIVER = """
import sys
import pytest
from posttrain_lab.cli.app import main

codes = []
for line in sys.argv[1:]:
    program, *sys.argv[1:] = line.split()
    try:
        codes.append(int(pytest.main(sys.argv[1:])) if program == "pytest" else main())
    except SystemExit as stopped:
        codes.append(stopped.code or 0)
print(*codes)
"""
WRITTEN = {
    "the result is.": "is left of each row without its mean.",
    "center_rows(torch.tensor([[0.26, -2.0]]))  # numbers for which the usual mistake gives another result": (
        "center_rows(torch.tensor([[1.0, 4.0], [2.0, 2.0]]))"
    ),
    "tensor([[...]])": "tensor([[-1.5000,  1.5000],\n            [ 0.0000,  0.0000]])",
    "    raise NotImplementedError": "    return x - x.mean(dim=1, keepdim=True)",
}
MISTAKES = {
    "You took the mean of each column, dim=0; each row has a mean of its own, dim=1.": "x - x.mean(0, keepdim=True)",
    "You took one mean of all numbers; each row has a mean of its own.": "x - x.mean()",
    "You added the mean; subtract it, so that each row sums to zero.": "x + x.mean(1, keepdim=True)",
    "You give back the means; the rows without their means are wanted.": "x.mean(1, keepdim=True)",
}
MORE_MISTAKES = """    Mistake("nothing", "You give x back unchanged; subtract from each row its mean.", lambda x: x),
    Mistake("divided", "You divided by the number of rows; a row's mean is its sum by the number of columns.",
            lambda x: x - x.sum(1, keepdim=True) / len(x)),
)
"""


@pytest.fixture
def checkout(tmp_path):
    """What `new` reads of the repository: one unit, and the listings."""
    for name in ("posttrain_lab/checks/start_here/__init__.py", "posttrain_lab/glossary/__init__.py", "posttrain_lab/units.py"):
        _copy(name, tmp_path)
    for name in ("posttrain_lab/glossary/words_start_here.py", "tests/checks/test_exercises.py", "pyproject.toml"):
        _copy(name, tmp_path)
    for name in ("00_start_here.ipynb", "alternatives.py", "unnamed_mistakes.py"):
        _copy(f"solutions/00_start_here/{name}", tmp_path)
    notebook = nbformat.read(tmp_path / "solutions/00_start_here/00_start_here.ipynb", as_version=4)
    jupytext.write(notebook, tmp_path / "solutions/00_start_here/00_start_here.py", fmt="py:percent")
    return Course(tmp_path / "course", tmp_path / "solutions")


def _copy(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / name, folder / name)


def snapshot(course: Course) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in course.root.rglob("*") if path.is_file()}


# ---- from stubs to a proven exercise
@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the repository without data and units' pages."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(REPOSITORY / "posttrain_lab", folder / "posttrain_lab", ignore=shutil.ignore_patterns("files"))
    for name in ("nbgrader_config.py", "pyproject.toml", "tests/__init__.py"):
        _copy(name, folder)
    for path in (REPOSITORY / "tests" / "checks").glob("*.py"):
        _copy(f"tests/checks/{path.name}", folder)
    (folder / "solutions").mkdir()
    return folder


def run(folder: Path, *command: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def replaced(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def fill(folder: Path) -> None:
    """What a contributor does: write the stubs, in the order of CONTRIBUTING.md."""
    book = nbformat.read(folder / f"solutions/{NEW}/{NEW}.ipynb", as_version=4)
    for cell in book.cells:
        for old, new in WRITTEN.items() if f"def {NAME}" in cell.source else ():
            assert old in cell.source
            cell.source = cell.source.replace(old, new)
    nbformat.write(book, folder / f"solutions/{NEW}/{NEW}.ipynb")
    right, mean = (
        f"def right_{NAME}(x: Tensor) -> Tensor:\n",
        "torch.tensor([[sum(r) / len(r)] for r in x.tolist()], dtype=x.dtype)",
    )
    mistakes = [
        (f'"mistake {n}", "You ... .", not_written(lambda x: x)', f'"{n}", "{message}", lambda x: {function}')
        for n, (message, function) in enumerate(MISTAKES.items(), start=1)
    ]
    replaced(
        folder / f"posttrain_lab/checks/tiny/{NAME}.py",
        ("@not_written\n", ""),
        ("from posttrain_lab.checks.engine.stubs import not_written\n", ""),
        (f"{right}    return x\n", f"{right}    return x - {mean}\n"),
        ("import close\n", "import near\n"),
        ("close()", "near(1e-6)"),
        *mistakes,
        (")\n\n\ncenter_rows", f"{MORE_MISTAKES}\n\ncenter_rows"),
    )
    replaced(folder / f"solutions/{NEW}/alternatives.py", (f'"{NAME}": ()', f'"{NAME}": (lambda x: (x.T - x.T.mean(0)).T,)'))
    replaced(folder / f"tests/checks/tiny/test_{NAME}.py", ("raise NotImplementedError", "return x.sub(x.mean(-1)[:, None])"))


@pytest.mark.slow
def test_a_new_exercise_fails_the_proof_by_name_until_it_is_written(repository):
    new_unit(Course(repository / "course", repository / "solutions"), "tiny").write()
    code, text = run(repository, "-c", DRIVER, f"posttrain-lab new exercise tiny {NAME}", f"posttrain-lab prove {NUMBER}")
    assert (code, text.splitlines()[-1]) == (0, "0 1"), text
    file = f"in posttrain_lab/checks/tiny/{NAME}.py and take the mark `not_written` away"
    for part in ("the oracle", "the cases", "law 1", *(f"mistake {number}" for number in (1, 2, 3, 4))):
        assert f"{NAME}, cells : not written yet: {part} of `{NAME}`; write " in text
    assert f"mistake 2 of `{NAME}`; write a wrong answer that students give, and the sentence that it deserves {file}\n" in text
    assert "no alternative right answer in alternatives.py" in text
    assert f"not written yet: the solution of `{NAME}`; write it in the notebook" in text
    assert f"{NEW}: NOT proven" in text
    fill(repository)
    code, text = run(
        repository,
        "-c",
        DRIVER,
        f"posttrain-lab prove {NUMBER}",
        "pytest -q -n 0 -p no:cacheprovider --assert=plain tests/checks/tiny",
    )
    assert (code, text.splitlines()[-1]) == (0, "0 0"), text
    assert f"{NEW}: proven" in text
    assert " passed" in text


@pytest.mark.slow
def test_what_is_generated_is_formatted_and_passes_the_linter(checkout, monkeypatch):
    new_unit(checkout, "tiny").write()
    monkeypatch.setattr(units, "UNITS", (*units.UNITS, units.CourseUnit(NEW, "tiny", "Tiny: a question", "write", reading=5)))
    new_exercise(checkout, NEW, "first").write()
    new_exercise(checkout, NEW, "second").write()
    new_exercise(checkout, "00_start_here", "trimmed_mean").write()
    ours = "lint.isort.known-first-party=['posttrain_lab', 'tests']"  # the checkout has not all of their modules
    for command in (["check"], ["format", "--check"]):
        code, text = run(checkout.root, "-m", "ruff", *command, "--no-cache", "--config", ours, ".")
        assert code == 0, text


# ---- what is written
def test_an_exercise_goes_to_every_place_that_lists_exercises(checkout):
    before = snapshot(checkout)
    plan = new_exercise(checkout, "00_start_here", NAME)
    assert snapshot(checkout) == before, "planning writes nothing"
    assert plan.write() == [
        f"posttrain_lab/checks/start_here/{NAME}.py",
        f"tests/checks/start_here/test_{NAME}.py",
        "posttrain_lab/checks/start_here/__init__.py",
        "tests/checks/test_exercises.py",
        "solutions/00_start_here/alternatives.py",
        "solutions/00_start_here/unnamed_mistakes.py",
        "solutions/00_start_here/00_start_here.ipynb",
        "solutions/00_start_here/00_start_here.py",
        "posttrain_lab/glossary/words_start_here.py",
    ]
    for path, old in before.items():
        lost = Counter(old.decode().splitlines()) - Counter(path.read_text(encoding="utf-8").splitlines())
        assert [line.split()[0] for line in lost] == (['"00_start_here":'] if path.name == "test_exercises.py" else [])
    listing = (checkout.root / "posttrain_lab/checks/start_here/__init__.py").read_text(encoding="utf-8")
    assert f"    latency,\n    {NAME},\n)\n" in listing
    assert f"import accuracy\nfrom posttrain_lab.checks.start_here.{NAME} import {NAME}\n" in listing


def test_the_cells_follow_the_last_exercise_in_notebook_and_twin(checkout):
    new_exercise(checkout, "00_start_here", NAME).write()
    path = checkout.source("00_start_here")
    notebook, twin = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    assert [cell.source for cell in twin.cells] == [cell.source for cell in notebook.cells]
    assert [cell.grade_id for cell in graded_cells(notebook)][-3:] == ["test_latency", NAME, f"test_{NAME}"]
    place = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Exercise 5: "))
    assert notebook.cells[place + 5].source.startswith("## "), "the next section begins behind the new cells"
    assert notebook.cells[place - 1].cell_type == "markdown"
    solution, tried, check = notebook.cells[place + 1 : place + 4]
    assert tried.source == f"checks.try_examples({NAME})"
    assert solution.metadata.nbgrader == _like(notebook, "latency", NAME)
    assert check.metadata.nbgrader == _like(notebook, "test_latency", f"test_{NAME}")


def _like(notebook, known: str, name: str) -> dict:
    cell = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == known)
    return {**cell.metadata.nbgrader, "grade_id": name}


def test_a_word_of_the_glossary_gets_no_second_entry(checkout):
    assert "Center rows" in _words(new_exercise(checkout, "00_start_here", NAME))
    plan = new_exercise(checkout, "00_start_here", "throughput")
    assert checkout.root / "posttrain_lab/glossary/words_start_here.py" not in plan.changed


def _words(plan) -> str:
    return plan.changed[plan.root / "posttrain_lab/glossary/words_start_here.py"]


def test_a_unit_goes_to_every_place_that_lists_units(checkout):
    assert new_unit(checkout, "tiny").write() == [
        "posttrain_lab/checks/tiny/__init__.py",
        "tests/checks/tiny/__init__.py",
        f"solutions/{NEW}/alternatives.py",
        f"solutions/{NEW}/unnamed_mistakes.py",
        f"solutions/{NEW}/{NEW}.ipynb",
        f"solutions/{NEW}/{NEW}.py",
        "posttrain_lab/glossary/words_tiny.py",
        "posttrain_lab/units.py",
        "tests/checks/test_exercises.py",
        "posttrain_lab/glossary/__init__.py",
        "pyproject.toml",
    ]
    listing = {"__name__": "units"}
    exec((checkout.root / "posttrain_lab/units.py").read_text(encoding="utf-8"), listing)
    assert listing["UNITS"][-1].heading == f"{NUMBER} Tiny: a question"
    assert checkout.units() == ("00_start_here", NEW)


# ---- what is refused
@pytest.mark.parametrize("name", ["", "Quantize", "two words", "class", "_hidden", "a__b", "1st", "é", "../x", "end_"])
def test_a_name_that_will_not_do(checkout, name):
    before = snapshot(checkout)
    for begin, example in (
        (lambda: new_exercise(checkout, "00_start_here", name), "named after its function"),
        (lambda: new_unit(checkout, name), "named like a module"),
    ):
        with pytest.raises(CourseError, match=rf"{example}: small letters.*; got .*\. Choose a name such as '"):
            begin()
    assert snapshot(checkout) == before


def test_an_exercise_that_is_there(checkout):
    with pytest.raises(CourseError, match=r"00_start_here has an exercise 'latency' already; choose another name, or go on in"):
        new_exercise(checkout, "00_start_here", "latency")


def test_a_name_that_the_notebook_uses(checkout):
    with pytest.raises(CourseError, match=r"00_start_here\.ipynb uses the name 'stopwatch' already; choose another name"):
        new_exercise(checkout, "00_start_here", "stopwatch")


def test_an_unknown_unit(checkout):
    with pytest.raises(ValueError, match="There is no unit '99_magic'; the units are: 00_start_here, "):
        new_exercise(checkout, "99_magic", NAME)


@pytest.mark.parametrize("name", ["pruning", "fine_tuning", "finetuning"])
def test_a_unit_that_is_there(checkout, name):
    with pytest.raises(CourseError, match=f"There is a unit '{name}' already; choose another name"):
        new_unit(checkout, name)


@pytest.mark.parametrize(
    "file", ["posttrain_lab/checks/start_here/center_rows.py", "tests/checks/start_here/test_center_rows.py"]
)
def test_no_file_is_overwritten(checkout, file):
    (checkout.root / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout.root / file).write_text("mine\n", encoding="utf-8")
    before = snapshot(checkout)
    with pytest.raises(CourseError, match=rf"{file} exists already; nothing was written\. Choose another name, or go on in"):
        new_exercise(checkout, "00_start_here", NAME)
    assert snapshot(checkout) == before


def test_a_file_that_appears_between_plan_and_writing_is_kept(checkout):
    plan = new_exercise(checkout, "00_start_here", NAME)
    file = checkout.root / f"posttrain_lab/checks/start_here/{NAME}.py"
    file.write_text("mine\n", encoding="utf-8")
    before = snapshot(checkout)
    with pytest.raises(FileExistsError):
        plan.write()
    assert snapshot(checkout) == before


def test_a_notebook_that_differs_from_its_twin(checkout):
    twin = checkout.source("00_start_here").with_suffix(".py")
    replaced(twin, ("# ## How to work here", "# ## How to work"))
    with pytest.raises(
        CourseError, match=r"differ; bring them together first: jupytext --sync solutions/00_start_here/00_start_"
    ):
        new_exercise(checkout, "00_start_here", NAME)


@pytest.mark.parametrize("file", ["solutions/00_start_here/alternatives.py", "posttrain_lab/glossary/words_start_here.py"])
def test_a_missing_file_and_a_missing_listing(checkout, file):
    (checkout.root / file).write_text("nothing = ()\n", encoding="utf-8")
    with pytest.raises(CourseError, match=rf"{file} has no line `\w+ = \.\.\.` to add to; write it"):
        new_exercise(checkout, "00_start_here", NAME)
    (checkout.root / file).unlink()
    with pytest.raises(CourseError, match=rf"{file} is missing; nothing was written\. Restore it"):
        new_exercise(checkout, "00_start_here", NAME)


def test_the_contract_of_the_engine_must_be_there(checkout):
    replaced(checkout.root / "pyproject.toml", (f"posttrain_lab.checks.{skeleton.UNITS[-1].module}", "posttrain_lab.checks.gone"))
    with pytest.raises(CourseError, match=r"pyproject\.toml has no contract about posttrain_lab\.checks\."):
        new_unit(checkout, "tiny")
