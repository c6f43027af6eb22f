"""Calibration: when a model says 0.8, is it right eight times in ten? How to measure it, correct it, and decide with it.

errors, estimates, scores  calibration errors and their intervals    decisions, curves  from a probability to a decision
temperature, scaling,      maps that correct the probabilities       selective          answer only at high confidence
binary                                                               conformal, adaptive_sets, conformal_regression
protocol                   fit, choose, report, in this order                           sets with guaranteed coverage
risk_models                models to work on                         corruptions, label_shift   distribution shift

fit_* on the calibration part, choose on validation, report on test. fit_* gives plain numbers or a frozen callable. Everything
can be imported from here.
"""

from .adaptive_sets import adaptive_scores, class_quantiles, score_sets, true_scores
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
from .conformal_regression import Line, fit_quantile, interval_scores, pinball_loss, widen
from .corruptions import add_noise, blur, rotate
from .curves import PrecisionRecall, Roc, average_precision, precision_recall, roc_auc, roc_curve
from .decisions import CostCurve, bayes_threshold, case_costs, cost_curve, expected_cost, net_benefit, saving
from .errors import Reliability, adaptive_ece, classwise_ece, expected_calibration_error, maximum_calibration_error, reliability
from .estimates import Interval, bootstrap_interval, debiased_error, ece_by_chance, kernel_error
from .label_shift import adjust_prior, black_box_shares, class_shares, saerens_em
from .protocol import ChosenMethod, Fitting, Predictions, Report, choose, log_odds, methods, report, softmax, top_ece, two_columns
from .risk_models import LogisticRegression, NaiveBayes, fit_logistic_regression, fit_naive_bayes
from .scaling import Scaling, fit_dirichlet, fit_vector
from .scores import BrierParts, brier, brier_decomposition, nll
from .selective import aurc, excess_aurc, risk_coverage
from .temperature import apply_temperature, fit_temperature

__all__ = [
    "Beta",
    "BrierParts",
    "ChosenMethod",
    "CostCurve",
    "Fitting",
    "Histogram",
    "Interval",
    "Isotonic",
    "Line",
    "LogisticRegression",
    "NaiveBayes",
    "PrecisionRecall",
    "Predictions",
    "Reliability",
    "Report",
    "Roc",
    "Scaling",
    "adaptive_ece",
    "adaptive_scores",
    "add_noise",
    "adjust_prior",
    "apply_platt",
    "apply_temperature",
    "aurc",
    "average_precision",
    "bayes_threshold",
    "black_box_shares",
    "blur",
    "bootstrap_interval",
    "brier",
    "brier_decomposition",
    "case_costs",
    "choose",
    "class_quantiles",
    "class_shares",
    "classwise_ece",
    "conformal_quantile",
    "conformal_scores",
    "cost_curve",
    "coverage",
    "debiased_error",
    "ece_by_chance",
    "excess_aurc",
    "expected_calibration_error",
    "expected_cost",
    "fit_beta",
    "fit_dirichlet",
    "fit_histogram",
    "fit_isotonic",
    "fit_logistic_regression",
    "fit_naive_bayes",
    "fit_platt",
    "fit_quantile",
    "fit_temperature",
    "fit_vector",
    "interval_scores",
    "kernel_error",
    "log_odds",
    "maximum_calibration_error",
    "methods",
    "net_benefit",
    "nll",
    "pinball_loss",
    "pool_adjacent_violators",
    "precision_recall",
    "prediction_sets",
    "reliability",
    "report",
    "risk_coverage",
    "roc_auc",
    "roc_curve",
    "rotate",
    "saerens_em",
    "saving",
    "score_sets",
    "softmax",
    "top_ece",
    "true_scores",
    "two_columns",
    "widen",
]
