"""Logistic regression and naive Bayes against scikit-learn; on the real data, what calibration and the right threshold are worth."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

from posttrain_lab.calibration import (
    Fitting,
    Predictions,
    bayes_threshold,
    case_costs,
    choose,
    fit_logistic_regression,
    fit_naive_bayes,
    log_odds,
    report,
    roc_auc,
    saving,
)
from posttrain_lab.data import Dataset, load_mortality
from posttrain_lab.measure import passport


@pytest.fixture(scope="module")
def people():
    return load_mortality()


def test_logistic_regression_is_scikit_learns(people):
    model = fit_logistic_regression(people.train)
    x = people.train.images.double().numpy()
    scaler = StandardScaler().fit(x)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=500, solver="newton-cholesky")
    oracle.fit(scaler.transform(x), people.train.labels.numpy())
    new = people.validation.images
    want = oracle.predict_proba(scaler.transform(new.double().numpy()))[:, 1]
    np.testing.assert_allclose(model(new).double().softmax(1)[:, 1].numpy(), want, atol=1e-5)


def test_a_penalty_is_scikit_learns(people):
    x = people.train.images.double().numpy()
    scaler = StandardScaler().fit(x)
    n, l2 = len(x), 0.1
    oracle = LogisticRegression(C=1 / (n * l2), tol=1e-12, max_iter=500, solver="newton-cholesky")
    oracle.fit(scaler.transform(x), people.train.labels.numpy())
    found = fit_logistic_regression(people.train, l2).weight.double().numpy() * scaler.scale_
    np.testing.assert_allclose(found, oracle.coef_[0], atol=1e-5)


def test_naive_bayes_is_scikit_learns(people):
    model = fit_naive_bayes(people.train)
    oracle = GaussianNB().fit(people.train.images.double().numpy(), people.train.labels.numpy())
    new = people.validation.images
    want = oracle.predict_proba(new.double().numpy())[:, 1]
    np.testing.assert_allclose(model(new).double().softmax(1)[:, 1].numpy(), want, atol=1e-4)


def chosen(model, split):
    parts = (split.calibration, split.validation)
    return choose(Fitting(*(Predictions(model(part.images), part.labels) for part in parts)))


@pytest.mark.parametrize("fit", [fit_logistic_regression, fit_naive_bayes])
def test_calibrated_thresholds_cut_the_cost_of_the_rule_at_one_half_by_35_percent(people, fit, record_property):
    model, test = fit(people.train), people.test
    choice = chosen(model, people)  # calibration and validation only
    logits, costs = model(test.images), (1.0, 10.0)
    before = case_costs(log_odds(logits).sigmoid(), test.labels, 0.5, *costs)
    after = case_costs(choice.map(logits)[:, 1], test.labels, bayes_threshold(*costs), *costs)
    cut = saving(before, after)
    record_property("saving", str(cut))
    assert cut.value >= 0.35
    assert cut.low > 0.25
    assert cut.low < cut.value < cut.high


def test_calibration_repairs_naive_bayes(people):
    model = fit_naive_bayes(people.train)
    found = report(chosen(model, people), Predictions(model(people.test.images), people.test.labels), resamples=100)
    assert found.ece.high < found.ece_before.low
    assert found.brier.high < found.brier_before.value
    assert found.nll < found.nll_before


def test_the_models_rank_well_and_are_modules_like_any_other(people):
    for fit in (fit_logistic_regression, fit_naive_bayes):
        model = fit(people.train)
        area = roc_auc(log_odds(model(people.test.images)), people.test.labels)
        assert area.low > 0.75
        assert passport(model, people, "risk", repeats=1).task == "mortality"
        assert not list(model.parameters())


@pytest.mark.parametrize("fit", [fit_logistic_regression, fit_naive_bayes])
def test_refuse(fit, people):
    x = torch.zeros(2, 1)
    with pytest.raises(TypeError, match="wants a Dataset, got Split"):
        fit(people)
    with pytest.raises(ValueError, match="labels 0 and 1, both of them"):
        fit(Dataset(x, torch.tensor([1, 1]), ("no", "yes")))
    with pytest.raises(ValueError, match="got NaN"):
        fit(Dataset(x * torch.nan, torch.tensor([0, 1]), ("no", "yes")))


def test_separated_people_need_a_penalty():
    easy = Dataset(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]), ("no", "yes"))
    with pytest.raises(ValueError, match="No finite answer"):
        fit_logistic_regression(easy)
    assert fit_logistic_regression(easy, l2=0.1).weight.isfinite().all()
    with pytest.raises(ValueError, match="l2 >= 0, got -1"):
        fit_logistic_regression(easy, l2=-1)
