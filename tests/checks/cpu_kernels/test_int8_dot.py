"""`int8_dot`: what every exercise must do, and an independent right answer."""

import numpy as np

from posttrain_lab.checks.cpu_kernels import int8_dot
from tests.checks.exercise_tests import ExerciseTests


class TestInt8Dot(ExerciseTests):
    exercise = int8_dot
    # (the library's kernel stops at 131,071 products, which fit into 32 bits)
    independent = staticmethod(lambda a, b: int(np.vdot(np.array(a.tolist(), np.int64), np.array(b.tolist(), np.int64))))
