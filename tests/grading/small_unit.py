"""A unit of five small exercises, one for each kind of value that is sent to a kernel, and submissions for it."""

import os
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from torch import nn

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.grading.course import standard_check

UNIT = "91_small"
REPOSITORY = Path(__file__).resolve().parents[2]
SETUP = (
    "import time\n\nimport torch\nfrom torch import Tensor, nn\n\nfrom posttrain_lab import checks\n\ntorch.set_num_threads(1)"
)
HEADS = {
    "double": 'def double(x: Tensor) -> Tensor:\n    """Twice x."""\n',
    "split": 'def split(x: Tensor, at: float = 0.0) -> dict:\n    """How many are above, and where."""\n',
    "cube": "class Cube(torch.autograd.Function):\n    @staticmethod\n",
    "stack": 'def stack(first: nn.Module, second: nn.Module) -> nn.Module:\n    """One after the other."""\n',
    "seconds": 'def seconds(fn) -> float:\n    """How long one call takes."""\n',
}
BODIES = {
    "double": "    return 2 * x",
    "split": '    return {"above": int((x > at).sum()), "where": x > at}',
    "cube": (
        "    def forward(ctx, x: Tensor) -> Tensor:\n        ctx.save_for_backward(x)\n        return x**3\n\n"
        "    @staticmethod\n    def backward(ctx, grad: Tensor) -> Tensor:\n"
        "        return 3 * ctx.saved_tensors[0] ** 2 * grad"
    ),
    "stack": "    return nn.Sequential(first, second)",
    "seconds": "    start = time.perf_counter()\n    fn()\n    return time.perf_counter() - start",
}
BLANK_CUBE = "    def forward(ctx, x: Tensor) -> Tensor:\n        raise NotImplementedError"
POINTS = {"double": 1, "split": 2, "cube": 3, "stack": 4, "seconds": 5}
FULL = sum(POINTS.values())


def _tensors(seed: int) -> Iterator[Case]:
    yield Case("random numbers", (torch.randn(5, generator=torch.Generator().manual_seed(seed)),))
    yield Case("a view with strides", (torch.arange(6.0).reshape(2, 3).T + seed,))


def _split_cases(seed: int) -> Iterator[Case]:
    yield Case("at zero", (torch.randn(7, generator=torch.Generator().manual_seed(seed)),))
    yield Case("at a half", (torch.linspace(0, 1, 7),), {"at": 0.5})


def _cube_cases(seed: int) -> Iterator[Case]:
    yield Case("a gradient", (torch.linspace(-1, 1, 4) + seed,), gradients=(0,))


def _layer_cases(seed: int) -> Iterator[Case]:
    torch.manual_seed(seed)
    yield Case("two linear layers", (nn.Linear(3, 4), nn.Linear(4, 2)))


def _clock_cases(seed: int) -> Iterator[Case]:
    yield Case("a call of known length", (TimedCall((0.25 + seed / 100,)),))


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: torch.Tensor) -> torch.Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * grad


def _doubles(call: Callable, seed: int) -> str | None:
    ones = torch.ones(3) * seed
    return None if torch.equal(call(ones), ones + ones) else "ones are not doubled."


def exercises() -> list[Exercise]:
    half = Mistake("half", "You halved x.", lambda x: x / 2)
    return [
        Exercise(
            name="double",
            unit=UNIT,
            points=1,
            difficulty=1,
            minutes=5,
            oracle=lambda x: 2 * x,
            cases=_tensors,
            mistakes=(half,),
            laws=(Law("ones", _doubles),),
        ),
        Exercise(
            name="split",
            unit=UNIT,
            points=2,
            difficulty=1,
            minutes=5,
            oracle=lambda x, at=0.0: {"above": int((x > at).sum()), "where": x > at},
            cases=_split_cases,
            mistakes=(),
        ),
        Exercise(
            name="cube",
            unit=UNIT,
            points=3,
            difficulty=1,
            minutes=5,
            oracle=Cube.apply,
            cases=_cube_cases,
            mistakes=(),
            function="Cube",
            attribute="apply",
        ),
        Exercise(
            name="stack", unit=UNIT, points=4, difficulty=1, minutes=5, oracle=nn.Sequential, cases=_layer_cases, mistakes=()
        ),
        Exercise(
            name="seconds",
            unit=UNIT,
            points=5,
            difficulty=1,
            minutes=5,
            oracle=lambda fn: fn.durations[0],
            cases=_clock_cases,
            mistakes=(),
        ),
    ]


def exercise(name: str) -> Exercise:
    return next(one for one in exercises() if one.name == name)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's `checks.exercises(UNIT)` know the unit, and the examiner that `grade` starts; a submission's process does not."""
    module = types.ModuleType("posttrain_lab.checks.small")
    module.EXERCISES = tuple(exercises())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(checks, "UNITS", {**checks.UNITS, UNIT: "small"})
    monkeypatch.setattr("posttrain_lab.grading.examination.EXAMINER", "small_examiner")
    here = str(Path(__file__).parent)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([here, str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    )


def source(name: str, body: str | None = None) -> str:
    return HEADS[name] + (BODIES[name] if body is None else body)


def blank(name: str) -> str:
    return source(name, BLANK_CUBE if name == "cube" else "    raise NotImplementedError")


def graded(grade_id: str, text: str, **data: object) -> NotebookNode:
    data = {"grade_id": grade_id, "schema_version": 3, "task": False, **data}
    return new_code_cell(text, id=grade_id, metadata={"nbgrader": data})


def solution_cell(name: str, text: str) -> NotebookNode:
    return graded(name, text, solution=True, grade=False, locked=False)


def check_cell(name: str) -> NotebookNode:
    text = standard_check("small", name, exercise(name).function_name)
    return graded(f"test_{name}", text, solution=False, grade=True, locked=True, points=POINTS[name])


def notebook(answers: dict[str, str] | None = None, source_notebook: bool = False) -> NotebookNode:
    """The unit with these solution cells in place of the right ones."""
    cells = [new_markdown_cell("# 91 Small", id="title"), new_code_cell(SETUP, id="setup", metadata={"tags": ["setup"]})]
    for name in POINTS:
        text = source(name, f"    ### BEGIN SOLUTION\n{BODIES[name]}\n    ### END SOLUTION") if source_notebook else source(name)
        cells += [solution_cell(name, (answers or {}).get(name, text)), check_cell(name)]
        cells.append(
            new_code_cell(f"print('a figure of {name}')", id=f"figure_{name}", metadata={"tags": ["nbval-ignore-output"]})
        )
    made = new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def cell(book: NotebookNode, cell_id: str) -> NotebookNode:
    return next(one for one in book.cells if one.id == cell_id)


def make_course(folder: Path, config: str = "") -> Path:
    """A checkout with the repository's own nbgrader settings and the small unit."""
    shutil.copy(REPOSITORY / "nbgrader_config.py", folder)
    with (folder / "nbgrader_config.py").open("a", encoding="utf-8") as file:
        file.write("\n" + config)
    write(notebook(source_notebook=True), folder / "solutions" / UNIT)
    return folder


def write(book: NotebookNode, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{UNIT}.ipynb"
    path.write_text(nbformat.v4.writes(book), encoding="utf-8")
    return path
