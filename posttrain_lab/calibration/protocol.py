"""Fit on calibration, choose on validation, report on test: three functions, and none of them takes a part by name.

A calibration method here is `fit(logits, labels) -> map`, where `map(logits)` gives probabilities [n, c]. `choose` fits every method
on the calibration part and keeps the one with the best score on validation. It never sees the test part: that goes to `report`
only, together with the choice that was made.

Source: the three-way split of Hastie, Tibshirani, Friedman (2009), 7.2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn.functional import nll_loss

from posttrain_lab.arguments import check_count

from .arguments import check_finite, check_labels
from .binary import apply_platt, fit_beta, fit_histogram, fit_isotonic, fit_platt
from .errors import expected_calibration_error
from .estimates import Interval, bootstrap_interval
from .scaling import fit_dirichlet, fit_vector
from .scores import brier
from .temperature import apply_temperature, fit_temperature

DIRICHLET_PENALTIES = (100.0, 10.0, 1.0)
Map = Callable[[Tensor], Tensor]
Method = Callable[[Tensor, Tensor], Map]


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's logits [n, c] for one part, and the true labels [n]."""

    logits: Float[Tensor, "n c"]
    labels: Integer[Tensor, " n"]

    def __post_init__(self) -> None:
        check_finite("Predictions", "logits", self.logits, 2)
        check_labels("Predictions", self.labels, *self.logits.shape)


@dataclass(frozen=True, eq=False)
class Fitting:
    """The data for fitting and choosing: predictions for calibration and validation. The test part is not here."""

    calibration: Predictions
    validation: Predictions


@dataclass(frozen=True, eq=False)
class ChosenMethod:
    """The chosen method, its fitted map, and the validation score of every method that was tried (smaller is better)."""

    name: str
    map: Map
    scores: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Test numbers with their bootstrap intervals, before (softmax alone) and after the chosen map."""

    method: str
    n: int
    accuracy_before: Interval
    accuracy: Interval
    ece_before: Interval
    ece: Interval
    brier_before: Interval
    brier: Interval
    nll_before: float
    nll: float


def softmax(logits: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """The probabilities of the model itself, in float64: rows sum to 1 up to rounding.

    >>> softmax(torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    return logits.double().softmax(dim=1)


def log_odds(logits: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """log(p_1 / p_0) of a binary model: the score for Platt and isotonic. Raises ValueError for another number of classes.

    >>> log_odds(torch.tensor([[1.0, 3.0]]))
    tensor([2.], dtype=torch.float64)
    """
    if logits.ndim != 2 or logits.shape[1] != 2:
        raise ValueError(
            f"log_odds wants logits of two classes [n, 2], got shape {list(logits.shape)}; use fit_temperature for more."
        )
    return (logits[:, 1] - logits[:, 0]).double()


def two_columns(p: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """(1 - p, p): the probabilities of a binary model, one row for each example.

    >>> two_columns(torch.tensor([0.25]))
    tensor([[0.7500, 0.2500]])
    """
    return torch.stack([1 - p, p], dim=1)


def _temperature(logits: Tensor, labels: Tensor) -> Map:
    t = fit_temperature(logits, labels)
    return lambda new: softmax(apply_temperature(new, t))


def _scaling(fit: Callable[[Tensor, Tensor], Map]) -> Method:
    def method(logits: Tensor, labels: Tensor) -> Map:
        scaling = fit(logits, labels)
        return lambda new: softmax(scaling(new))

    return method


def _platt(logits: Tensor, labels: Tensor) -> Map:
    a, b = fit_platt(log_odds(logits), labels)
    return lambda new: two_columns(apply_platt(log_odds(new), a, b))


def _isotonic(logits: Tensor, labels: Tensor) -> Map:
    curve = fit_isotonic(log_odds(logits), labels)
    return lambda new: two_columns(curve(log_odds(new)))


def _of_probability(fit: Callable[[Tensor, Tensor], Map]) -> Method:
    def method(logits: Tensor, labels: Tensor) -> Map:
        curve = fit(log_odds(logits).sigmoid(), labels)
        return lambda new: two_columns(curve(log_odds(new).sigmoid()))

    return method


def _regularized(penalty: float) -> Callable[[Tensor, Tensor], Map]:
    return lambda logits, labels: fit_dirichlet(logits, labels, penalty, penalty)


def methods(classes: int) -> dict[str, Method]:
    """Every method of this folder for this number of classes, by name, the simplest first; "none" is softmax alone.

    >>> list(methods(2))
    ['none', 'temperature', 'Platt', 'beta', 'isotonic', 'histogram']
    """
    check_count("methods", "classes", classes, 2)
    always: dict[str, Method] = {"none": lambda logits, labels: softmax, "temperature": _temperature}
    if classes > 2:
        dirichlet = {f"Dirichlet, penalty {penalty:g}": _scaling(_regularized(penalty)) for penalty in DIRICHLET_PENALTIES}
        return {**always, "vector": _scaling(fit_vector), **dirichlet}
    return {
        **always,
        "Platt": _platt,
        "beta": _of_probability(fit_beta),
        "isotonic": _isotonic,
        "histogram": _of_probability(fit_histogram),
    }


def choose(
    fitting: Fitting,
    candidates: Mapping[str, Method] | None = None,
    score: Callable[[Tensor, Tensor], float] = brier,
) -> ChosenMethod:
    """Which method makes the probabilities best? Each is fitted on the calibration part and scored on validation.

    score(probabilities, labels) -> float, smaller is better: the Brier score, which is proper and stays finite when a probability is 0. A
    tie goes to the method named first. A method that cannot be fitted (ValueError) is left out, and `failed` says why. candidates: names
    and methods (none: `methods(c)`). Raises TypeError unless `fitting` is a Fitting; ValueError when no method could be fitted.

    >>> part = Predictions(torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
    >>> choose(Fitting(calibration=part, validation=part), {k: methods(2)[k] for k in ("none", "temperature")}).name
    'temperature'
    """
    if not isinstance(fitting, Fitting):
        raise TypeError(
            f"choose wants Fitting(calibration, validation), got {type(fitting).__name__}; the test part is for report."
        )
    tried = methods(fitting.calibration.logits.shape[1]) if candidates is None else candidates
    maps: dict[str, Map] = {}
    scores: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, fit in tried.items():
        try:
            maps[name] = fit(fitting.calibration.logits, fitting.calibration.labels)
        except ValueError as error:
            failed[name] = str(error)
            continue
        scores[name] = score(maps[name](fitting.validation.logits), fitting.validation.labels)
    if not scores:
        raise ValueError(f"choose could fit none of {', '.join(tried) or 'no methods'}: {failed}.")
    best = min(scores, key=lambda name: scores[name])
    return ChosenMethod(best, maps[best], scores, failed)


def report(choice: ChosenMethod, test: Predictions, resamples: int = 200, seed: int = 0) -> Report:
    """How good is the chosen map on examples that were not used to fit or choose? Before and after, with 95 % bootstrap intervals.

    `choice` must come from `choose`, so that nobody can choose by the report. Raises TypeError for anything else.

    >>> part = Predictions(torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
    >>> found = report(choose(Fitting(part, part), {"temperature": methods(2)["temperature"]}), part)
    >>> round(found.ece_before.value, 3), round(found.ece.value, 3)
    (0.232, 0.0)
    """
    if not isinstance(choice, ChosenMethod) or not isinstance(test, Predictions):
        raise TypeError("report wants a ChosenMethod, made by choose, and the Predictions of the test part.")
    before, after, labels = softmax(test.logits), choice.map(test.logits), test.labels

    def interval(statistic: Callable[..., float], p: Tensor) -> Interval:
        return bootstrap_interval(statistic, p, labels, resamples=resamples, seed=seed)

    return Report(
        method=choice.name,
        n=len(labels),
        accuracy_before=interval(_hit_rate, before),
        accuracy=interval(_hit_rate, after),
        ece_before=interval(top_ece, before),
        ece=interval(top_ece, after),
        brier_before=interval(brier, before),
        brier=interval(brier, after),
        nll_before=nll_loss(before.log(), labels.long()).item(),
        nll=nll_loss(after.log(), labels.long()).item(),
    )


def _hit_rate(p: Tensor, labels: Tensor) -> float:
    return (p.argmax(dim=1) == labels).double().mean().item()


def top_ece(probabilities: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """The ECE of the predicted class, 15 bins of equal width: confidence and hits are taken from the rows.

    >>> top_ece(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
    0.25
    """
    confidence, predicted = probabilities.max(dim=1)
    return expected_calibration_error(confidence.clamp(max=1), predicted == labels)
