"""What the functions of this folder accept. Each check raises in the name of its caller: what it wants, what it got, what to do."""

import math

import torch
from torch import Tensor

ROUNDED = 1e-3  # a probability that is outside [0, 1] by less is a rounded one (in 16 bits too), not a logit
SUM_SLACK = 1e-5  # how far from 1 a row of probabilities may sum, beside the rounding of its dtype


def check_floats(name: str, argument: str, value: Tensor, ndim: int) -> None:
    """Raise unless `value` is a float Tensor of `ndim` dimensions with numbers in it, none of them NaN."""
    if not (isinstance(value, Tensor) and value.is_floating_point()):
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} wants {argument} to be a floating-point Tensor, got {got}; do torch.tensor(...).float().")
    if value.ndim != ndim or value.numel() == 0:
        shape = "[n]" if ndim == 1 else "[n, c]"
        raise ValueError(f"{name} wants {argument} {shape} with n >= 1, got shape {list(value.shape)}; give one row per example.")
    if value.isnan().any():
        raise ValueError(f"{name} wants {argument} that are numbers, got NaN; look for the layer that made it.")


def check_finite(name: str, argument: str, value: Tensor, ndim: int) -> None:
    """As `check_floats`, and infinities are refused too."""
    check_floats(name, argument, value, ndim)
    if value.isinf().any():
        raise ValueError(f"{name} wants finite {argument}, got infinity; clamp or clean them first.")


def outside(low: float, high: float, remedy: str) -> str:
    """The range that left [0, 1], with enough digits to see it, and what to do: `remedy`, or to clamp what rounding has moved out.

    >>> outside(0.5, 1.0000001, "do softmax")
    '0.5..1.0000001; rounding moved some out by less than 0.001: do .clamp(0, 1)'
    """
    near = low >= -ROUNDED and high <= 1 + ROUNDED
    digits = 9 if near else 4
    what = f"rounding moved some out by less than {ROUNDED}: do .clamp(0, 1)" if near else remedy
    return f"{low:.{digits}g}..{high:.{digits}g}; {what}"


def check_probability(name: str, argument: str, value: Tensor) -> None:
    """Raise unless `value` is [n] in [0, 1]."""
    check_floats(name, argument, value, 1)
    low, high = value.min().item(), value.max().item()
    if not (low >= 0 and high <= 1):
        remedy = "these look like logits or scores: give probabilities (sigmoid or softmax)"
        raise ValueError(f"{name} wants {argument} in [0, 1], got {outside(low, high, remedy)}.")


def check_probabilities(name: str, value: Tensor, slack: float = SUM_SLACK) -> None:
    """Raise unless `value` is [n, c], each row in [0, 1] with sum 1, or nearly. Says so when it looks like logits."""
    check_floats(name, "probabilities", value, 2)
    low, high = value.min().item(), value.max().item()
    if not (low >= 0 and high <= 1):
        remedy = "these look like logits: do logits.softmax(dim=1)"
        raise ValueError(f"{name} wants probabilities in [0, 1], got {outside(low, high, remedy)}.")
    slack = max(slack, 2 * value.shape[1] * torch.finfo(value.dtype).eps)
    sums = value.double().sum(dim=1)
    worst = int((sums - 1).abs().argmax())
    if abs(sums[worst].item() - 1) > slack:
        raise ValueError(
            f"{name} wants rows of probabilities that sum to 1, got {sums[worst].item():.6g} in row {worst}; "
            "do logits.softmax(dim=1), or divide each row by its sum."
        )


def check_labels(name: str, labels: Tensor, n: int, classes: int) -> None:
    """Raise unless labels are [n] class numbers in 0..classes-1."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"{name} wants labels to be a Tensor of whole numbers, got {got}; give class numbers, for example int64.")
    if labels.ndim != 1 or len(labels) != n:
        raise ValueError(f"{name} wants labels [{n}], one per row, got shape {list(labels.shape)}; give one label per example.")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"{name} wants labels in 0..{classes - 1}, one column each, got {lowest}..{highest}; "
            "check that the labels belong to this model."
        )


def check_zero_one(name: str, argument: str, value: Tensor, n: int) -> None:
    """Raise unless `value` is [n] of bool or 0 and 1."""
    if not isinstance(value, Tensor) or value.is_complex():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} wants {argument} to be a Tensor of bool or 0/1, got {got}; do prediction == labels.")
    if value.ndim != 1 or len(value) != n:
        raise ValueError(f"{name} wants {argument} [{n}], one per example, got shape {list(value.shape)}; give one value each.")
    if not ((value == 0) | (value == 1)).all():
        raise ValueError(f"{name} wants {argument} to be bool or 0/1, got other values; do prediction == labels.")


def check_both_classes(name: str, labels: Tensor) -> None:
    """Raise unless 0 and 1 both occur."""
    positives = int((labels != 0).sum())
    if positives in (0, len(labels)):
        raise ValueError(
            f"{name} wants labels of both classes, got {positives} ones among {len(labels)}; "
            "one class says nothing about the other: use more data."
        )


def check_weights(name: str, weights: Tensor | None, n: int) -> None:
    """Raise unless weights are None or [n], finite, >= 0 and not all 0."""
    if weights is None:
        return
    check_finite(name, "weights", weights, 1)
    if len(weights) != n:
        raise ValueError(f"{name} wants weights [{n}], one per example, got shape {list(weights.shape)}.")
    if weights.min() < 0:
        raise ValueError(f"{name} wants weights >= 0, got {weights.min().item():.4g}; a weight counts examples.")
    if not weights.any():
        raise ValueError(f"{name} wants a weight above 0, got only zeros; leave weights out to count each example once.")


def check_positive(name: str, **values: float) -> None:
    """Raise unless each value is a finite number above 0."""
    for argument, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} wants {argument} to be a finite number > 0, got {value!r}.")


def check_share(name: str, argument: str, value: float) -> None:
    """Raise unless 0 < value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"{name} wants 0 < {argument} < 1, got {value!r}; 0.1 means one in ten.")
