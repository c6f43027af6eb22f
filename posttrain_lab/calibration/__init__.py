"""Are the confidences of a model right? When it says 0.8, is it right eight times in ten? And what should be done then?

fit_* on the calibration part, choose on validation, report on test. fit_* gives plain numbers or a frozen callable;
apply_* uses them.
"""

from .binary import (
    Beta,
    Histogram,
    Isotonic,
    apply_platt,
    fit_beta,
    fit_histogram,
    fit_isotonic,
    fit_platt,
    pool_adjacent_violators,
)
from .conformal import conformal_quantile, conformal_scores, coverage, prediction_sets
from .decisions import bayes_threshold, case_costs, expected_cost
from .errors import (
    Reliability,
    adaptive_ece,
    classwise_ece,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from .scores import BrierParts, brier, brier_decomposition, nll
from .selective import aurc, excess_aurc, risk_coverage
from .temperature import apply_temperature, fit_temperature

__all__ = [
    "Beta",
    "BrierParts",
    "Histogram",
    "Isotonic",
    "Reliability",
    "adaptive_ece",
    "apply_platt",
    "apply_temperature",
    "aurc",
    "bayes_threshold",
    "brier",
    "brier_decomposition",
    "case_costs",
    "classwise_ece",
    "conformal_quantile",
    "conformal_scores",
    "coverage",
    "excess_aurc",
    "expected_calibration_error",
    "expected_cost",
    "fit_beta",
    "fit_histogram",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
    "maximum_calibration_error",
    "nll",
    "pool_adjacent_violators",
    "prediction_sets",
    "reliability",
    "risk_coverage",
]
