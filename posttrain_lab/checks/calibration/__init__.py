"""The exercises of unit 04, in the notebook's order; each is in the module of its name, with its conventions."""

from posttrain_lab.checks.calibration.adaptive_ece import adaptive_ece
from posttrain_lab.checks.calibration.bayes_threshold import bayes_threshold
from posttrain_lab.checks.calibration.brier import brier
from posttrain_lab.checks.calibration.conformal_quantile import conformal_quantile
from posttrain_lab.checks.calibration.expected_calibration_error import expected_calibration_error
from posttrain_lab.checks.calibration.expected_cost import expected_cost
from posttrain_lab.checks.calibration.fit_isotonic import fit_isotonic
from posttrain_lab.checks.calibration.fit_platt import fit_platt
from posttrain_lab.checks.calibration.fit_temperature import fit_temperature
from posttrain_lab.checks.calibration.nll import nll
from posttrain_lab.checks.calibration.prediction_sets import prediction_sets
from posttrain_lab.checks.calibration.risk_coverage import risk_coverage

EXERCISES = (
    expected_calibration_error,
    adaptive_ece,
    nll,
    brier,
    fit_temperature,
    fit_platt,
    fit_isotonic,
    bayes_threshold,
    expected_cost,
    conformal_quantile,
    prediction_sets,
    risk_coverage,
)
