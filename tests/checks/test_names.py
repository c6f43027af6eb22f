"""One name for one exercise: its module, check, test, the notebook's cells and function, and the library's function where there is one."""

import importlib
import re
from pathlib import Path

import pytest

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.grading.course import find_course, graded_cells, read_notebook, standard_check

HERE = Path(__file__).parent
CHECKS = Path(checks.__file__).parent
EXERCISES = [exercise for unit in checks.UNITS for exercise in checks.exercises(unit).values()]
# where the course's exercises have their library functions
LIBRARY = (
    "metrics",
    "measure",
    "pruning",
    "quantization",
    "finetuning",
    "calibration",
    "kernels",
    "deployment.layouts",
    "deployment.rescaling",
    "deployment.memory",
)


def file_name(name):
    """A class keeps its name, its file does not: LoRALinear lives in lora_linear.

    >>> file_name("LoRALinear"), file_name("FakeQuantize"), file_name("to_csr")
    ('lora_linear', 'fake_quantize', 'to_csr')
    """
    return re.sub(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@pytest.fixture(params=EXERCISES, ids=lambda exercise: f"{exercise.unit}-{exercise.name}")
def exercise(request):
    return request.param


def test_the_module_has_the_name_of_the_exercise(exercise):
    module = importlib.import_module(f"posttrain_lab.checks.{checks.UNITS[exercise.unit]}.{file_name(exercise.name)}")
    assert [name for name, value in vars(module).items() if isinstance(value, Exercise)] == [exercise.name]
    assert vars(module)[exercise.name] is exercise


def test_the_check_has_the_name_of_the_exercise(exercise):
    unit = importlib.import_module(f"posttrain_lab.checks.{checks.UNITS[exercise.unit]}")
    assert getattr(unit, exercise.name) is exercise


def test_the_notebook_has_the_name_of_the_exercise(exercise):
    cells = {cell.grade_id: cell for cell in graded_cells(read_notebook(find_course().source(exercise.unit)))}
    assert re.search(rf"^(def|class) {exercise.function_name}\b", cells[exercise.name].source, re.MULTILINE)
    assert file_name(exercise.function_name) == file_name(exercise.name)
    check = standard_check(checks.UNITS[exercise.unit], exercise.name, exercise.function_name)
    assert cells[f"test_{exercise.name}"].source == check


def test_the_test_has_the_name_of_the_exercise(exercise):
    name = file_name(exercise.name)
    module = importlib.import_module(f"tests.checks.{checks.UNITS[exercise.unit]}.test_{name}")
    tested = [value.exercise for key, value in vars(module).items() if key.startswith("Test")]
    assert tested == [exercise]


def test_the_library_has_the_name_of_the_exercise(exercise):
    """Where a public module of the library has a function of this name, the exercise says so, and the other way round."""
    named = [one.partition(":")[::2] for one in exercise.library.split()]  # others that do the job stand beside it
    for home, name in named:
        assert hasattr(importlib.import_module(f"posttrain_lab.{home}"), name)
    if exercise.function_name not in [name for _, name in named]:
        modules = [importlib.import_module(f"posttrain_lab.{module}") for module in LIBRARY]
        assert not [module.__name__ for module in modules if hasattr(module, exercise.function_name)]


def test_nothing_else_lives_beside_the_exercises():
    """A file of a unit is an exercise, its oracle, its mistakes or its workload, or what several exercises of the unit share."""
    shared = {"separated_weights", "integer_judges", "recover_networks", "precise", "gradients", "at_work"}
    for unit, module in checks.UNITS.items():
        names = {file_name(name) for name in checks.exercises(unit)}
        found = {path.stem for path in (CHECKS / module).glob("*.py")} - {"__init__"}
        assert names <= found
        assert {re.sub("_(oracle|mistakes|workload)$", "", name) for name in found - names} <= names | shared
        tests = {path.stem.removeprefix("test_") for path in (HERE / module).glob("test_*.py")}
        assert tests == names


def test_every_unit_is_listed_once():
    folders = sorted(path.name for path in find_course().sources().iterdir() if path.is_dir())
    assert sorted(checks.UNITS) == folders
    assert len(set(checks.UNITS.values())) == len(checks.UNITS)
