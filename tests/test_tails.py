"""`tails`: scipy and closed forms as oracles."""

import math

import pytest

from posttrain_lab.tails import binomial_tail, incomplete_beta, lower_bound, t_tails

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("a", [0.5, 1.0, 7.3, 900.0])
@pytest.mark.parametrize("b", [0.5, 2.0, 41.0, 5000.0])
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.1, 0.5, 0.87, 1 - 1e-9, 1.0])
def test_the_incomplete_beta_function_is_scipys(a, b, x):
    assert incomplete_beta(a, b, x) == pytest.approx(float(stats.beta.cdf(x, a, b)), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("count", "n", "p"), [(0, 5, 0.2), (3, 5, 0.5), (5, 5, 0.9), (60, 100, 0.5), (9000, 10_000, 0.9), (1, 1, 0.0)]
)
def test_the_binomial_tail_is_the_sum_of_its_terms(count, n, p):
    assert binomial_tail(count, n, p) == pytest.approx(float(stats.binom.sf(count - 1, n, p)), rel=1e-9)


@pytest.mark.parametrize(("count", "n"), [(0, 4), (1, 4), (4, 4), (50, 100), (997, 1000), (99_900, 100_000)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_lower_bound_is_the_quantile_of_a_beta_distribution(count, n, alpha):
    wanted = float(stats.beta.ppf(alpha, count, n - count + 1)) if count else 0.0
    assert lower_bound(count, n, alpha) == pytest.approx(wanted, rel=1e-9)


def test_when_all_succeed_the_lower_bound_is_a_root():
    assert lower_bound(100, 100, 0.001) == pytest.approx(0.001 ** (1 / 100), rel=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.3, -2.2, 15.0, math.inf])
@pytest.mark.parametrize("freedom", [1.0, 3.7, 200.0])
def test_students_tails_are_scipys(t, freedom):
    assert t_tails(t, freedom) == pytest.approx(float(2 * stats.t.sf(abs(t), freedom)), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: incomplete_beta(0, 1, 0.5), ValueError, "a, b > 0"),
        (lambda: incomplete_beta(1, 1, 1.5), ValueError, r"x in \[0, 1\]"),
        (lambda: binomial_tail(5, 4, 0.5), ValueError, "count <= n"),
        (lambda: binomial_tail(1.0, 4, 0.5), TypeError, "count"),
        (lambda: lower_bound(0, 0, 0.05), ValueError, "n to be a whole number >= 1"),
        (lambda: lower_bound(1, 2, 1.0), ValueError, "0 < alpha < 1"),
    ],
)
def test_bad_input_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
