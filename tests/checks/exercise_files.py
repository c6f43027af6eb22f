"""All exercises of all units, with the right and wrong answers of alternatives.py and unnamed_mistakes.py, as parameters for the tests."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from posttrain_lab import checks

SOLUTIONS = Path(__file__).parents[2] / "solutions"


@cache
def answers(unit: str, file: str) -> ModuleType:
    """A file of the unit's answers."""
    spec = importlib.util.spec_from_file_location(f"{file}_of_{unit}", SOLUTIONS / unit / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXERCISES = [exercise for unit in checks.UNITS for exercise in checks.exercises(unit).values()]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)


def _mistakes() -> list[Any]:
    return [pytest.param(e, m, id=f"{e.name}-{m.name}") for e in EXERCISES for m in e.mistakes]


def _answers(file: str, which: str) -> list[Any]:
    return [
        pytest.param(e, function, id=f"{e.name}-{number}")
        for e in EXERCISES
        for number, function in enumerate(getattr(answers(e.unit, file), which).get(e.name, ()))
    ]


each_mistake = pytest.mark.parametrize(("exercise", "mistake"), _mistakes())
each_right = pytest.mark.parametrize(("exercise", "function"), _answers("alternatives", "ALTERNATIVES"))
each_wrong = pytest.mark.parametrize(("exercise", "function"), _answers("unnamed_mistakes", "WRONG"))
