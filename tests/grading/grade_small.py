"""Grade the small unit of the course in the current folder, and print the rows as JSON: `python grade_small.py WORKERS`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from small_unit import UNIT, register

from posttrain_lab.grading.classroom import Order, grade

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        report = grade(UNIT, Path.cwd(), Order(workers=int(sys.argv[1])))
    print(json.dumps([asdict(row) for row in report.rows]))
