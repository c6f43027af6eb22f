"""Equal-mass, maximum and classwise errors and the reliability diagram, against torchmetrics, scikit-learn and definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from posttrain_lab.calibration import (
    adaptive_ece,
    classwise_ece,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)

from .drawing import as_numpy, honest, honest_yes, modest, yes_or_no

pytestmark = pytest.mark.portable


@pytest.fixture(scope="module")
def peer():
    """torchmetrics: its import takes seconds, which only the worker that runs these tests needs to spend."""
    from torchmetrics.functional import classification

    return classification


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize(("ours", "norm"), [(expected_calibration_error, "l1"), (maximum_calibration_error, "max")])
def test_agree_with_torchmetrics_where_no_confidence_is_on_an_edge(ours, norm, bins, peer):
    # torchmetrics closes its bins on the left, we on the right: only edges tell them apart.
    logits, labels = honest(800, 5)
    p = (1.5 * logits).softmax(1)
    confidence, predicted = p.max(1)
    oracle = peer.multiclass_calibration_error(p, labels, num_classes=5, n_bins=bins, norm=norm)
    assert ours(confidence, predicted == labels, bins) == pytest.approx(oracle.item(), abs=1e-6)


def test_on_an_edge_the_two_conventions_differ(peer):
    # Stated, not hidden: the bins of torchmetrics hold 0.5 with 0.75, ours with 0.25.
    p, hit = torch.tensor([0.5, 0.75]), torch.tensor([0, 1])
    assert peer.binary_calibration_error(p, hit, n_bins=2, norm="l1").item() == pytest.approx(abs(0.5 - 0.625))
    assert expected_calibration_error(p, hit, bins=2) == pytest.approx((0.5 + 0.25) / 2)


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_equal_mass_agrees_with_scikit_learn_on_different_confidences(bins):
    p, hit = honest_yes(200)
    rate, mean = calibration_curve(*as_numpy(hit, p**2), n_bins=bins, strategy="quantile")
    assert adaptive_ece(p**2, hit, bins) == pytest.approx(np.abs(rate - mean).mean(), abs=1e-12)


def slow_adaptive(p: list[float], hit: list[int], bins: int) -> float:
    """One example at a time: its bin by counting those below it."""
    groups: dict[int, list[float]] = {}
    for value, right in zip(p, hit, strict=True):
        rank = sum(other < value for other in p)
        groups.setdefault(bins * rank // len(p), []).append(right - value)
    return sum(abs(sum(gaps)) for gaps in groups.values()) / len(p)


@modest
@given(data=yes_or_no(), bins=st.integers(1, 5))
def test_equal_mass_is_its_definition_and_does_not_see_the_order(data, bins):
    p, hit = data
    if len(p) < bins:
        return
    found = adaptive_ece(p, hit, bins)
    assert found == pytest.approx(slow_adaptive(p.tolist(), hit.tolist(), bins), abs=1e-12)
    assert adaptive_ece(p.flip(0), hit.flip(0), bins) == pytest.approx(found, abs=1e-12)


def test_ties_do_not_split():
    p, hit = torch.full((10,), 0.5), torch.tensor([0] * 5 + [1] * 5)
    assert adaptive_ece(p, hit, bins=5) == 0
    assert reliability(p, hit, bins=5, mass=True).count.tolist() == [10, 0, 0, 0, 0]


@modest
@given(data=yes_or_no(least=5), bins=st.integers(1, 5))
def test_laws_of_the_family(data, bins):
    p, hit = data
    ece, worst = expected_calibration_error(p, hit, bins), maximum_calibration_error(p, hit, bins)
    assert 0 <= ece <= worst + 1e-12 <= 1 + 1e-12
    whole = abs((p - hit).mean().item())
    assert ece >= whole - 1e-12  # bins cannot hide the total bias
    assert adaptive_ece(p, hit, bins) >= whole - 1e-12


@pytest.mark.parametrize("mass", [False, True])
def test_the_diagram_gives_back_the_error(mass):
    p, hit = honest_yes(500)
    bins = reliability(p, hit, 15, mass)
    gaps = (bins.count.double() / 500 * (bins.hit_rate - bins.confidence).abs()).nansum().item()
    assert gaps == pytest.approx((adaptive_ece if mass else expected_calibration_error)(p, hit, 15), abs=1e-12)
    assert bins.count.sum() == 500
    inside = bins.count > 0
    assert (bins.low[inside] <= bins.confidence[inside]).all()
    assert (bins.confidence[inside] <= bins.high[inside]).all()


def test_an_empty_bin_has_no_rate():
    bins = reliability(torch.tensor([0.9]), torch.tensor([1]), bins=2)
    assert bins.count.tolist() == [0, 1]
    assert bins.hit_rate.isnan().tolist() == [True, False]
    assert bins.low.tolist() == [0, 0.5]


def test_classwise_is_the_mean_over_one_against_the_rest(peer):
    logits, labels = honest(400, 4)
    p = (2 * logits).softmax(1)
    each = [
        peer.binary_calibration_error(p[:, k].contiguous(), (labels == k).long(), n_bins=15, norm="l1").item() for k in range(4)
    ]
    assert classwise_ece(p, labels) == pytest.approx(np.mean(each), abs=1e-6)


def test_top_label_can_be_right_where_a_class_is_wrong():
    # "Metrics that disagree": the top class holds its promise, the two others are swapped.
    p, labels = torch.tensor([[0.5, 0.5 - 0.125, 0.125]] * 8), torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    confidence, predicted = p.max(1)
    assert expected_calibration_error(confidence, predicted == labels) == 0
    assert classwise_ece(p, labels) == pytest.approx((0 + 0.25 + 0.25) / 3)


def test_columns_of_a_matrix_are_accepted_without_a_warning():
    p = torch.rand(100, 2)
    hit = torch.randint(2, (100,))
    assert adaptive_ece(p[:, 1], hit) == adaptive_ece(p[:, 1].clone(), hit)
    assert expected_calibration_error(p[:, 1], hit) == expected_calibration_error(p[:, 1].clone(), hit)


HALF, HIT = torch.tensor([0.5]), torch.tensor([True])


@pytest.mark.parametrize("function", [adaptive_ece, maximum_calibration_error, reliability])
@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        (torch.tensor([4.2]), HIT, 1, "not logits"),
        (torch.tensor([float("nan")]), HIT, 1, "got nan"),
        (HALF, torch.tensor([2]), 1, "bool or 0/1"),
        (HALF, HIT, 0, "bins to be a whole number >= 1"),
    ],
)
def test_refuse_as_the_ece_does(function, confidence, correct, bins, message):
    with pytest.raises(ValueError, match=f"^{function.__name__} wants .*{message}"):
        function(confidence, correct, bins)


def test_equal_mass_wants_an_example_per_bin():
    with pytest.raises(ValueError, match="adaptive_ece wants at least one example per bin, got n=1 and bins=2"):
        adaptive_ece(HALF, HIT, 2)
    with pytest.raises(ValueError, match="reliability wants at least one example per bin"):
        reliability(HALF, HIT, 2, mass=True)


@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (torch.tensor([[3.0, -1.0]]), torch.tensor([0]), "these look like logits"),
        (torch.tensor([[0.5, 0.4]]), torch.tensor([0]), "sum to 1, got 0.9 in row 0"),
        (torch.tensor([[0.5, float("nan")]]), torch.tensor([0]), "got NaN"),
        (torch.tensor([[0.5, 0.5]]), torch.tensor([2]), r"labels in 0\.\.1"),
        (torch.tensor([[0.5, 0.5]]), torch.tensor([0, 1]), r"labels \[1\], one per row"),
    ],
)
def test_classwise_refuses(p, labels, message):
    with pytest.raises(ValueError, match=f"^classwise_ece wants .*{message}"):
        classwise_ece(p, labels)
