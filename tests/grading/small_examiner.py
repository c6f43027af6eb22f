"""The examiner of a course that has the small unit: `python -m small_examiner SOCKET UNIT`, with this folder on the module path."""

import sys
import types

import small_unit

from posttrain_lab import checks
from posttrain_lab.grading import examiner

if __name__ == "__main__":  # only here: pytest imports this file to look for doctests, and its units must stay as they are
    module = types.ModuleType("posttrain_lab.checks.small")
    module.EXERCISES = tuple(small_unit.exercises())  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    checks.UNITS[small_unit.UNIT] = "small"
    examiner.main()
