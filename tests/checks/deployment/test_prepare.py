"""`prepare`: what every exercise must do, and an independent right answer: the library's."""

from posttrain_lab.checks.deployment import prepare
from posttrain_lab.checks.deployment.prepare import STEPS
from posttrain_lab.deployment import preprocess
from tests.checks.exercise_tests import ExerciseTests


class TestPrepare(ExerciseTests):
    exercise = prepare
    independent = staticmethod(preprocess.prepare)

    def test_arithmetic_in_uint8_is_named(self):
        def in_bytes(photo, contract):
            for step in ("turn", "cut", "order"):
                photo = STEPS[step](photo, contract)
            grey = (299 * photo[..., 0] + 587 * photo[..., 1] + 114 * photo[..., 2] + 500) // 1000
            for step in ("shrink", "invert", "type"):
                grey = STEPS[step](grey, contract)
            return grey

        assert self.checked(in_bytes, (0,)).mistake == "grey in uint8"
