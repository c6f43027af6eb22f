"""`overfit_one_batch`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import overfit_one_batch
from tests.checks.exercise_tests import ExerciseTests


class TestOverfitOneBatch(ExerciseTests):
    exercise = overfit_one_batch
    independent = staticmethod(clinic.overfit_one_batch)
