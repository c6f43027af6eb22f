"""`fit_temperature`: what every exercise must do, an independent right answer, and the promises of its docstring."""

import pytest

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import fit_temperature
from posttrain_lab.checks.calibration.fit_temperature import curvature, planted, temperature_cases
from posttrain_lab.checks.calibration.fit_temperature_oracle import HIGH, LOW, right_temperature
from posttrain_lab.checks.engine.random_cases import Draw
from tests.checks.exercise_tests import ExerciseTests


class TestFitTemperature(ExerciseTests):
    exercise = fit_temperature
    independent = staticmethod(calibration.fit_temperature)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_planted_temperature_is_the_optimum(temperature, classes):
    logits, labels = planted(Draw(3, "planted"), temperature, classes=classes)
    assert right_temperature(logits, labels) == pytest.approx(temperature, rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_one_percent_of_temperature_can_be_seen_in_float32(seed):
    for case in temperature_cases(seed):
        logits, labels = case.args
        best = right_temperature(logits, labels)
        assert 0.1 < curvature(logits, labels, best) < 1.5, case.words
        assert LOW < best < HIGH, case.words


def test_a_temperature_between_1_and_the_optimum_gets_a_hint():
    verdict = fit_temperature.check(fit_temperature.submission(lambda logits, labels: 1.37), (0,))
    assert "did the optimizer stop too early?" in verdict.message
