"""The calibration cases of torchmetrics, written anew: 72 binary, 48 multiclass and 16 of other dtypes, through adapters of ours.

Its own tests draw probabilities and logits, with and without a further dimension, and compare 10, 15 and 20 bins, the mean ("l1") and
the largest gap ("max"), and labels that are to be left out. Ours know neither logits nor labels to leave out: the adapters convert.
torchmetrics closes its bins on the left, ours on the right; the drawn numbers lie on no edge (checked here, as is the row in
docs/conventions.md).
"""

import itertools

import pytest
import torch
from torch import Tensor

from posttrain_lab.calibration import expected_calibration_error, maximum_calibration_error

pytestmark = pytest.mark.peers

BATCHES, BATCH, EXTRA, CLASSES = 4, 32, 3, 5
OURS = {"l1": expected_calibration_error, "max": maximum_calibration_error}
KINDS = ["probabilities", "logits", "probabilities, one more dimension", "logits, one more dimension"]


def drawn(kind: str, classes: int) -> tuple[Tensor, Tensor]:
    """What the peer's cases draw: predictions [n, (classes,) (extra)] and labels [n, (extra)]."""
    generator = torch.Generator().manual_seed(42)
    extra = (EXTRA,) if "dimension" in kind else ()
    middle = (classes,) if classes > 1 else ()
    shape = (BATCHES * BATCH, *middle, *extra)
    if "logits" in kind:
        predictions = torch.randn(shape, generator=generator)
    else:
        predictions = torch.rand(shape, generator=generator)
        predictions = predictions / predictions.sum(1, keepdim=True) if middle else predictions
    return predictions, torch.randint(0, max(classes, 2), (BATCHES * BATCH, *extra), generator=generator)


def binary(predictions: Tensor, labels: Tensor, bins: int, norm: str, left_out: int | None) -> float:
    """The peer's arguments for ours: logits become probabilities, labels to leave out are left out."""
    inside = bool(((predictions >= 0) & (predictions <= 1)).all())
    p, y = (predictions if inside else predictions.sigmoid()).flatten(), labels.flatten()
    kept = y != left_out if left_out is not None else torch.ones_like(y, dtype=torch.bool)
    return OURS[norm](off_the_edges(p[kept], bins), y[kept], bins)


def multiclass(predictions: Tensor, labels: Tensor, bins: int, norm: str, left_out: int | None) -> float:
    inside = bool(((predictions >= 0) & (predictions <= 1)).all())
    p = (predictions if inside else predictions.softmax(1)).movedim(1, -1).flatten(0, -2)
    y = labels.flatten()
    kept = y != left_out if left_out is not None else torch.ones_like(y, dtype=torch.bool)
    confidence, predicted = p[kept].max(1)
    return OURS[norm](off_the_edges(confidence, bins), predicted == y[kept], bins)


def off_the_edges(confidence: Tensor, bins: int) -> Tensor:
    if confidence.dtype == torch.half:  # some are on an edge in half, where ours is compared with itself only
        return confidence
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64).to(confidence.dtype)
    assert not torch.isin(confidence, edges).any(), "drawn on an edge, where the conventions differ"
    return confidence


def some_left_out(labels: Tensor, left_out: int | None) -> Tensor:
    """The peer puts the number to leave out into a tenth of the labels."""
    if left_out is None:
        return labels
    generator = torch.Generator().manual_seed(1)
    return torch.where(torch.rand(labels.shape, generator=generator) < 0.1, left_out, labels)


@pytest.mark.parametrize(
    ("kind", "bins", "norm", "left_out"), [*itertools.product(KINDS, [10, 15, 20], ["l1", "max"], [None, -1, 0])]
)
def test_binary(kind, bins, norm, left_out):
    from torchmetrics.functional.classification import binary_calibration_error

    predictions, labels = drawn(kind, 1)
    labels = some_left_out(labels, left_out)
    theirs = binary_calibration_error(predictions, labels, n_bins=bins, norm=norm, ignore_index=left_out)
    assert binary(predictions, labels, bins, norm, left_out) == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "bins", "norm", "left_out"), [*itertools.product(KINDS, [15, 20], ["l1", "max"], [None, -1, 0])]
)
def test_multiclass(kind, bins, norm, left_out):
    from torchmetrics.functional.classification import multiclass_calibration_error

    predictions, labels = drawn(kind, CLASSES)
    labels = some_left_out(labels, left_out)
    theirs = multiclass_calibration_error(predictions, labels, CLASSES, n_bins=bins, norm=norm, ignore_index=left_out)
    assert multiclass(predictions, labels, bins, norm, left_out) == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize(("kind", "classes", "dtype"), [*itertools.product(KINDS, [1, CLASSES], [torch.half, torch.double])])
def test_dtypes(kind, classes, dtype):
    """The peer asks that half and double run and give what float gives, to 1e-2: probabilities move by 2^-11 in half."""
    predictions, labels = drawn(kind, classes)
    ours = binary if classes == 1 else multiclass
    wanted, found = (ours(values, labels, 15, "l1", None) for values in (predictions, predictions.to(dtype)))
    assert found == pytest.approx(wanted, abs=1e-2)
