"""Sets instead of single answers: which classes must be in the set so that the true one is in it 9 times in 10?

Split conformal prediction does not rely on calibrated probabilities. Its guarantee holds for any model and any n, when
calibration and new examples come from the same source in any order (exchangeable), on average over both.

Source: Vovk, Gammerman, Shafer (2005); Sadinle, Lei, Wasserman (2019); Angelopoulos and Bates (2023).
Left out here: sets that adapt (adaptive_sets.py) and intervals for numbers (conformal_regression.py).
"""

import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from .arguments import check_floats, check_labels, check_probabilities, check_share

ROUNDING = 1e-9  # where (n + 1)(1 - alpha) is a whole number, floats may give a slightly larger one


def conformal_scores(probabilities: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> Float[Tensor, " n"]:
    """What is the nonconformity score of the true class? 1 - its probability, from 0 (expected) to 1 (thought impossible).

    >>> conformal_scores(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
    tensor([0.2500, 0.7500])
    """
    check_probabilities("conformal_scores", probabilities)
    check_labels("conformal_scores", labels, *probabilities.shape)
    return 1 - probabilities.gather(1, labels.long()[:, None]).squeeze(1)


def conformal_quantile(scores: Float[Tensor, " n"], alpha: float) -> float:
    """Which nonconformity score does a new example exceed with a probability of at most alpha?

    q = the k-th smallest score, k = ceil((n + 1)(1 - alpha)); infinite when k > n, that is when n < 1/alpha - 1: these are
    too few examples for the guarantee, and every set then has every class. The + 1 is the new example itself; without it
    the coverage is too small. scores [n] of the calibration part, larger = less expected; 0 < alpha < 1.
    P(new score <= q) >= 1 - alpha. Raises TypeError for other dtypes; ValueError for no scores, NaN, alpha outside (0, 1).
    Source: Vovk et al. (2005).

    >>> conformal_quantile(torch.tensor([0.25, 0.5, 0.75, 1.0]), alpha=0.4), conformal_quantile(torch.rand(4), alpha=0.1)
    (0.75, inf)
    """
    check_floats("conformal_quantile", "scores", scores, 1)
    check_share("conformal_quantile", "alpha", alpha)
    k = math.ceil((len(scores) + 1) * (1 - alpha) - ROUNDING)
    return math.inf if k > len(scores) else scores.double().sort().values[k - 1].item()


def prediction_sets(probabilities: Float[Tensor, "n c"], q: float) -> Bool[Tensor, "n c"]:
    """For which classes is the nonconformity score at most q? [n, c] bool: class k is in the set of example i.

    set_i = {k : 1 - probabilities[i, k] <= q}: with <=, as the guarantee of `conformal_quantile` needs. A set may have
    several classes, where the model is uncertain, or none. q = inf: all. The bound is compared in the dtype of the
    probabilities, so give the calibration part and the new one in the same dtype.
    Raises TypeError for other dtypes; ValueError for rows that are not probabilities, q = NaN.

    >>> prediction_sets(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), q=0.5)
    tensor([[ True, False],
            [ True,  True]])
    """
    check_probabilities("prediction_sets", probabilities)
    if isinstance(q, bool) or not isinstance(q, int | float) or math.isnan(q):
        raise ValueError(f"prediction_sets wants q to be a number, got {q!r}; see conformal_quantile.")
    return (1 - probabilities).double() <= q


def coverage(sets: Bool[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """In which share of the examples is the true class in the set?

    >>> coverage(torch.tensor([[True, False], [True, True]]), torch.tensor([1, 1]))
    0.5
    """
    if not isinstance(sets, Tensor) or sets.dtype != torch.bool or sets.ndim != 2 or not len(sets):
        raise TypeError("coverage wants sets as a bool Tensor [n, c] with n >= 1; see prediction_sets.")
    check_labels("coverage", labels, *sets.shape)
    return sets.gather(1, labels.long()[:, None]).double().mean().item()
