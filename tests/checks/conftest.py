"""The unit's files of answers, for the tests in `exercise_tests.py`: {name: answer} of the exercise that a test is about."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest

SOLUTIONS = Path(__file__).parents[2] / "solutions"


@cache
def answers(unit, file):
    """A file of answers beside a unit's notebook, as a module."""
    spec = importlib.util.spec_from_file_location(f"{file}_of_{unit}", SOLUTIONS / unit / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed(exercise, file, name):
    found = getattr(answers(exercise.unit, file), name).get(exercise.name, ())
    return {f"{number} {getattr(one, '__name__', '')}": one for number, one in enumerate(found, start=1)}


@pytest.fixture
def alternatives(request):
    return listed(request.cls.exercise, "alternatives", "ALTERNATIVES")


@pytest.fixture
def wrong(request):
    return listed(request.cls.exercise, "unnamed_mistakes", "WRONG")
