"""The graded exercises as data, one module a unit: `checks.quantization.quantize(quantize)` checks a student's function.

`checks.try_examples(quantize)` runs the examples of its docstring, before that.
"""

import importlib
from typing import TYPE_CHECKING, Any

from posttrain_lab import units

if TYPE_CHECKING:
    from posttrain_lab.checks.engine.exercise import Exercise

UNITS = {unit.folder: unit.module for unit in units.UNITS}


def __getattr__(name: str) -> Any:
    if name == "try_examples":
        return importlib.import_module(f"{__name__}.examples").try_examples  # imported when used: it needs torch
    if name in UNITS.values():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"checks has no unit {name!r}; it has: {', '.join(UNITS.values())}.")


def exercises(unit: str) -> dict[str, "Exercise"]:
    """All exercises of a unit, in the notebook's order. Raises ValueError for an unknown unit.

    >>> list(exercises("00_start_here"))
    ['accuracy', 'wilson_interval', 'model_bytes', 'latency']
    """
    if unit not in UNITS:
        raise ValueError(f"There is no unit {unit!r}; the units are: {', '.join(UNITS)}.")
    module = importlib.import_module(f"{__name__}.{UNITS[unit]}")
    return {exercise.name: exercise for exercise in module.EXERCISES}
