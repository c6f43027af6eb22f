"""docs/conventions.md: each row is a test here, which computes the numbers of both sides."""

from pathlib import Path

import numpy as np
import pytest
import torch

from posttrain_lab.calibration import (
    adaptive_scores,
    aurc,
    classwise_ece,
    conformal_quantile,
    expected_calibration_error,
    fit_isotonic,
    score_sets,
    true_scores,
)
from posttrain_lab.quantization import (
    FakeQuantize,
    affine_qparams,
    channel_qparams,
    code_range,
    dequantize,
    quantize,
    quantize_weight,
)
from posttrain_lab.quantization.granularity import PerChannel

from .conformal import mapie_classifier, torchcp

pytestmark = pytest.mark.peers
PAGE = Path(__file__).parents[2] / "docs/conventions.md"


@pytest.fixture(scope="module")
def torchao():
    from torchao.quantization import quant_primitives

    return quant_primitives


def test_each_row_of_the_page_is_a_test_here():
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ") and "| test |" not in line]
    named = [row.rsplit("|", 2)[1].strip().strip("`") for row in rows]
    here = [name for name in globals() if name.startswith("test_") and name != "test_each_row_of_the_page_is_a_test_here"]
    assert sorted(named) == sorted(here)


def test_mapie_counts_edges_as_bins():
    from mapie.metrics.calibration import expected_calibration_error as theirs
    from mapie.tests.test_metrics import y_score, y_true  # its toy data

    confidence, correct = torch.tensor(y_score), torch.tensor(y_true)
    assert theirs(y_true, y_score, num_bins=10) == pytest.approx(0.3322, abs=1e-4)
    assert expected_calibration_error(confidence, correct, 10) == pytest.approx(0.3175, abs=1e-4)
    for n in (2, 5, 10, 50):
        assert theirs(y_true, y_score, num_bins=n) == pytest.approx(expected_calibration_error(confidence, correct, n - 1))
    # 0 has a bin of its own there, and joins the first one here
    p, hit = np.array([0.0, 0.5]), np.array([1, 0])
    assert theirs(hit, p, num_bins=2) == pytest.approx((1 + 0.5) / 2)
    assert expected_calibration_error(torch.tensor(p), torch.tensor(hit), 1) == pytest.approx(0.5 - 0.25)


def test_edges_of_bins():
    from mapie.metrics.calibration import expected_calibration_error as mapie
    from sklearn.calibration import calibration_curve
    from torchmetrics.functional.classification import binary_calibration_error

    p, hit = torch.tensor([0.5, 0.75]), torch.tensor([0, 1])
    apart, together = (0.5 + 0.25) / 2, abs(0.5 - 0.625)
    assert expected_calibration_error(p, hit, 2) == pytest.approx(apart)
    assert binary_calibration_error(p, hit, n_bins=2).item() == pytest.approx(together)
    assert mapie(hit.numpy(), p.numpy(), num_bins=3) == pytest.approx(apart)
    assert len(calibration_curve(hit.numpy(), p.numpy(), n_bins=2)[0]) == 2  # in two bins, as ours


def test_errors_per_class():
    from mapie.metrics.calibration import top_label_ece

    p = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.8, 0.1, 0.1]])
    y = np.array([0, 1, 1, 0])
    ours = classwise_ece(torch.tensor(p), torch.tensor(y), 1)
    assert ours == pytest.approx(np.abs(p.mean(0) - np.bincount(y, minlength=3) / 4).mean())
    # its two bins of edges 0 and 1 are one: |2/3 - (0.6 + 0.6 + 0.8)/3| for class 0, |1 - 0.6| for class 1; nothing predicts class 2
    assert top_label_ece(y, p, num_bins=2) == pytest.approx((abs(2 / 3 - 2.0 / 3) + 0.4) / 2)


def one_after_the_other(confidence: torch.Tensor, correct: torch.Tensor) -> float:
    order = confidence.argsort(descending=True, stable=True)
    wrong = (correct[order] == 0).double().cumsum(0)
    return (wrong / torch.arange(1, len(wrong) + 1)).mean().item()


def test_ties_in_the_area_under_the_risk_coverage_curve():
    p, hit = torch.tensor([0.9, 0.5, 0.5, 0.5]), torch.tensor([1, 0, 1, 1])
    assert aurc(p, hit) == pytest.approx(aurc(p.flip(0), hit.flip(0))) == pytest.approx(0.75 * 0.25)
    assert one_after_the_other(p, hit) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert one_after_the_other(p.flip(0), hit.flip(0)) == pytest.approx((1 / 4) / 4)
    different = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert aurc(different, hit) == pytest.approx(one_after_the_other(different, hit))


def test_symmetric_codes(torchao):
    w = torch.tensor([[1.0, -1.0, 0.25]])
    scale, zero = torchao.choose_qparams_affine(w, torchao.MappingType.SYMMETRIC, (1, 3), torch.int8)
    theirs = torchao.dequantize_affine(
        torchao.quantize_affine(w, (1, 3), scale, zero, torch.int8), (1, 3), scale, zero, torch.int8
    )
    assert scale.item() == pytest.approx(1 / 127.5)
    assert (theirs[0, :2] - w[0, :2]).abs().tolist() == pytest.approx([scale.item() / 2] * 2, rel=1e-3)
    codes, ours = quantize_weight(w, 8, PerChannel(0))
    assert code_range(8, symmetric=True) == (-127, 127)
    assert ours.item() == pytest.approx(1 / 127)
    assert codes.tolist() == [[127, -127, 32]]
    same, _ = torchao.choose_qparams_affine(w, torchao.MappingType.SYMMETRIC, (1, 3), torch.int8, -127, 127)
    assert same.item() == ours.item()


def test_symmetric_scale_without_clipping(torchao):
    kind = torchao.MappingType.SYMMETRIC_NO_CLIPPING_ERR
    for w, theirs in ((torch.tensor([[1.0, -1.5]]), 1.5 / 128), (torch.tensor([[1.5, -1.0]]), 1.5 / 127)):
        scale, _ = torchao.choose_qparams_affine(w, kind, (1, 2), torch.int8)
        assert scale.item() == pytest.approx(theirs)
        assert channel_qparams(w).item() == pytest.approx(1.5 / 127)


def test_zero_range(torchao):
    zeros, eps = torch.zeros(2, 3), 1e-5
    scale, zero = torchao.choose_qparams_affine(zeros, torchao.MappingType.ASYMMETRIC, (2, 3), torch.int8, eps=eps)
    assert scale.item() == pytest.approx(eps)
    assert affine_qparams(0.0, 0.0) == (1.0, 0)
    assert channel_qparams(zeros).tolist() == [1.0, 1.0]
    back = torchao.dequantize_affine(
        torchao.quantize_affine(zeros, (2, 3), scale, zero, torch.int8), (2, 3), scale, zero, torch.int8
    )
    assert not back.any()
    assert not dequantize(quantize(zeros, 1.0, 0), 1.0, 0).any()


def test_division_or_reciprocal(torchao):
    """Half-way numbers: x / scale is k + 1/2 up to float32's rounding, and x * (1 / scale) may be on the other side."""
    scale = torch.tensor([[0.3]])
    x = ((torch.arange(-100, 100) + 0.5) * 0.3)[None]
    theirs = torchao.quantize_affine(x, x.shape, scale, torch.tensor([[0]]), torch.int8)
    ours = quantize(x, 0.3, 0)
    assert torch.equal(ours.float(), (x / scale).round())
    assert torch.equal(theirs.float(), (x * (1 / scale)).round())
    assert 0 < (theirs.int() - ours.int()).abs().sum() < x.numel()


def test_gradient_outside_of_the_range(torchao):
    x = torch.tensor([[-9.0, 0.1, 9.0]], requires_grad=True)
    scale, zero = affine_qparams(-1.0, 1.0)
    inputs = x.detach(), (1, 3), torch.tensor([[scale]]), torch.tensor([[zero]]), torch.int8, -128, 127
    assert torchao._fake_quantize_affine_cachemask(*inputs)[1].tolist() == [[True, True, True]]
    FakeQuantize.apply(x, scale, zero, 8).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0]]


P = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.7, 0.2, 0.1], [0.45, 0.3, 0.25]], dtype=torch.float64)


def test_adaptive_sets():
    labels = torch.tensor([0, 1, 0, 2])
    u = torch.from_numpy(
        np.random.RandomState(0).uniform(size=4)
    )  # MAPIE draws these when it calibrates, whatever is asked later
    q = conformal_quantile(true_scores(adaptive_scores(P, u), labels), 0.4)
    new = torch.tensor([[0.4, 0.35, 0.25], [0.8, 0.15, 0.05], [0.3, 0.25, 0.45]], dtype=torch.float64)
    ours = score_sets(adaptive_scores(new), q)
    predict = mapie_classifier("aps", P, labels, 0.6)
    without, beyond = (torch.tensor(predict(new, include)) for include in (False, True))
    top = new == new.amax(1, keepdim=True)
    assert torch.equal(without, ours | top)
    assert torch.equal(beyond.sum(1), (ours.sum(1) + 1).clamp(max=3))
    assert not ours.all(1).any()
    assert not ours.any(1).all()  # one of ours is empty
    torch.testing.assert_close(torchcp().APS(score_type="identity", randomized=False)(P), adaptive_scores(P))


def test_random_numbers_of_adaptive_sets():
    aps = torchcp().APS(score_type="identity", randomized=True)
    used = (P.cumsum(1) - aps(P)) / P  # the number that each class's score had
    assert used.std(dim=1).min() > 0.01
    u = torch.tensor([0.1, 0.5, 0.9, 0.3], dtype=torch.float64)
    torch.testing.assert_close((P.cumsum(1) - adaptive_scores(P, u)) / P, u[:, None].expand(4, 3))


def test_too_few_examples():
    assert conformal_quantile(torch.rand(4), 0.1) == torch.inf
    with pytest.raises(ValueError, match="Number of samples of the score is too low"):
        mapie_classifier("lac", P, torch.tensor([0, 1, 0, 1]), 0.9)(P)
    assert torchcp().calculate_conformal_value(torch.rand(4), 0.1) == torch.inf


def test_nearly_equal_scores():
    from sklearn.isotonic import IsotonicRegression

    x, y = np.array([0.0, 1.0, 1.0 + 2.3e-16, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    theirs = IsotonicRegression().fit(x, y)
    ours = fit_isotonic(torch.tensor(x), torch.tensor(y))
    assert theirs.predict(x[1:3]).tolist() == pytest.approx([0.5, 0.5])
    assert ours(torch.tensor(x[1:3])).tolist() == [0.0, 1.0]


def test_outside_of_the_scores():
    from sklearn.isotonic import IsotonicRegression

    x, y = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    assert np.isnan(IsotonicRegression().fit(x, y).predict([-1.0, 2.0])).all()
    assert fit_isotonic(torch.tensor(x), torch.tensor(y))(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]
