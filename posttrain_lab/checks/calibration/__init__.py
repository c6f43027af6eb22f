"""The exercises of unit 04, in the notebook's order. Their conventions stand in the modules that they come from."""

from posttrain_lab.checks.calibration import (
    answering,
    binning,
    deciding,
    isotonic,
    isotonic_mistakes,
    masses,
    platt,
    promising,
    scoring,
    sets,
    squares,
    temperature,
    temperature_mistakes,
)
from posttrain_lab.checks.compare import close
from posttrain_lab.checks.exercise import Exercise

UNIT = "04_calibration"

expected_calibration_error = Exercise(
    "expected_calibration_error", UNIT, 3, 2, 14, binning.right_ece, binning.ece_cases, binning.ECE_MISTAKES
)
adaptive_ece = Exercise("adaptive_ece", UNIT, 2, 3, 10, masses.right_adaptive, masses.adaptive_cases, masses.ADAPTIVE_MISTAKES)
nll = Exercise("nll", UNIT, 2, 2, 8, scoring.right_nll, scoring.nll_cases, scoring.NLL_MISTAKES)
brier = Exercise("brier", UNIT, 2, 2, 7, squares.right_brier, squares.brier_cases, squares.BRIER_MISTAKES)
fit_temperature = Exercise(
    "fit_temperature",
    UNIT,
    3,
    3,
    14,
    temperature.right_temperature,
    temperature.temperature_cases,
    temperature_mistakes.TEMPERATURE_MISTAKES,
    temperature.temperature_judge(),
    temperature.TEMPERATURE_LAWS,
)
fit_platt = Exercise(
    "fit_platt",
    UNIT,
    3,
    3,
    12,
    platt.right_platt,
    platt.platt_cases,
    platt.PLATT_MISTAKES,
    close(platt.RTOL, platt.ATOL),
    platt.PLATT_LAWS,
)
# 1e-4: between two scores that lie close together a float32 line is less exact than its ends
fit_isotonic = Exercise(
    "fit_isotonic",
    UNIT,
    4,
    5,
    20,
    isotonic.right_isotonic,
    isotonic.isotonic_cases,
    isotonic_mistakes.ISOTONIC_MISTAKES,
    close(1e-4, 1e-5),
    isotonic.ISOTONIC_LAWS,
    through="calibration.isotonic:fitted_at",
)
# 1e-6: a quotient of floats, whatever the order of its operations
bayes_threshold = Exercise(
    "bayes_threshold",
    UNIT,
    1,
    1,
    4,
    deciding.right_threshold,
    deciding.threshold_cases,
    deciding.THRESHOLD_MISTAKES,
    close(1e-6, 0.0),
)
expected_cost = Exercise("expected_cost", UNIT, 2, 2, 8, deciding.right_cost, deciding.cost_cases, deciding.COST_MISTAKES)
conformal_quantile = Exercise(
    "conformal_quantile", UNIT, 3, 3, 10, promising.right_quantile, promising.quantile_cases, promising.QUANTILE_MISTAKES
)
prediction_sets = Exercise("prediction_sets", UNIT, 1, 1, 4, sets.right_sets, sets.sets_cases, sets.SETS_MISTAKES)
risk_coverage = Exercise(
    "risk_coverage", UNIT, 2, 3, 9, answering.right_risk_coverage, answering.coverage_cases, answering.COVERAGE_MISTAKES
)
