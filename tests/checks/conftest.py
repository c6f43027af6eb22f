"""The known mistakes and the unit's files of answers, as parameters of the tests in `exercise_tests.py`."""

import importlib.util
from functools import cache
from pathlib import Path

SOLUTIONS = Path(__file__).parents[2] / "solutions"
FILES = {"alternative": ("alternatives", "ALTERNATIVES"), "wrong": ("unnamed_mistakes", "WRONG")}


@cache
def answers(unit, file):
    """A file of answers beside a unit's notebook, as a module."""
    spec = importlib.util.spec_from_file_location(f"{file}_of_{unit}", SOLUTIONS / unit / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc):
    exercise = getattr(metafunc.cls, "exercise", None)
    if "mistake" in metafunc.fixturenames:
        metafunc.parametrize("mistake", exercise.mistakes, ids=lambda mistake: mistake.name)
    for name, (file, listed) in FILES.items():
        if name in metafunc.fixturenames:
            found = getattr(answers(exercise.unit, file), listed).get(exercise.name, ())
            metafunc.parametrize(name, found, ids=[getattr(one, "__name__", "").strip("<>") for one in found])
