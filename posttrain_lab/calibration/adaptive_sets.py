"""Prediction sets that are larger where the model is uncertain (APS, RAPS), and sets with a coverage guarantee for every class.

The plain score 1 - p gives few classes on average, but also empty sets, and hard examples that are never covered.
Adding up probabilities from the top until the true class is reached makes the size of a set follow the uncertainty.

Source: Romano, Sesia, Candès (2020) for APS; Angelopoulos, Bates, Malik, Jordan (2021) for RAPS; Vovk (2012) for class-conditional.
"""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import check_labels, check_probabilities, check_probability
from .conformal import conformal_quantile


def adaptive_scores(
    probabilities: Float[Tensor, "n c"], u: Float[Tensor, " n"] | None = None, penalty: float = 0.0, free_ranks: int = 0
) -> Float[Tensor, "n c"]:
    """What is the nonconformity score of each class, when classes are added from the most probable down?

    score[i, k] = (sum of the probabilities of the classes up to and with k) - u_i * p[i, k] + penalty * max(0, rank_k - free_ranks)
    rank 1 is the most probable class; equal probabilities: the lower class number first. u [n] uniform in [0, 1] makes the coverage
    exact instead of too large (none: u = 0, no randomness, larger sets). penalty = 0 is APS, > 0 is RAPS. float64.
    Raises TypeError for other dtypes; ValueError for rows that are not probabilities, u outside [0, 1], penalty < 0, free_ranks < 0.
    Source: Romano et al. (2020), Angelopoulos et al. (2021).

    >>> adaptive_scores(torch.tensor([[0.25, 0.75]]), penalty=0.5, free_ranks=1)
    tensor([[1.5000, 0.7500]], dtype=torch.float64)
    """
    check_probabilities("adaptive_scores", probabilities)
    check_count("adaptive_scores", "free_ranks", free_ranks, 0)
    if not penalty >= 0:
        raise ValueError(f"adaptive_scores wants penalty >= 0, got {penalty}; 0 is APS.")
    p = probabilities.double()
    order = p.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    reached = p.gather(1, order).cumsum(dim=1).gather(1, rank)
    if u is not None:
        check_probability("adaptive_scores", "u", u)
        if len(u) != len(p):
            raise ValueError(f"adaptive_scores wants one u per row, got {len(u)} for {len(p)} rows.")
        reached = reached - u.double()[:, None] * p
    return reached + penalty * (rank + 1 - free_ranks).clamp(min=0)


def true_scores(scores: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The score of each example's own class, as `conformal_quantile` takes it.

    >>> true_scores(torch.tensor([[0.1, 0.9], [0.6, 0.4]]), torch.tensor([1, 0]))
    tensor([0.9000, 0.6000])
    """
    check_labels("true_scores", labels, *scores.shape)
    return scores.gather(1, labels.long()[:, None]).squeeze(1)


def score_sets(scores: Float[Tensor, "n c"], q: float | Float[Tensor, " c"]) -> Bool[Tensor, "n c"]:
    """For which classes is the nonconformity score at most q (one number, or one per class)? scores <= q, [n, c] bool.

    Raises TypeError for scores that are not a float matrix; ValueError for NaN in either, or a q per class of another length.

    >>> score_sets(torch.tensor([[0.5, 0.9]]), 0.5)
    tensor([[ True, False]])
    """
    if not (isinstance(scores, Tensor) and scores.is_floating_point() and scores.ndim == 2):
        raise TypeError("score_sets wants scores as a float Tensor [n, c]; see adaptive_scores.")
    bound = torch.as_tensor(q, dtype=torch.float64)
    if scores.isnan().any() or bound.isnan().any():
        raise ValueError("score_sets wants scores and q that are numbers, got NaN.")
    if bound.ndim and bound.shape != scores.shape[1:]:
        raise ValueError(f"score_sets wants one q, or one per class [{scores.shape[1]}], got shape {list(bound.shape)}.")
    return scores.double() <= bound


def class_quantiles(
    scores: Float[Tensor, " n"], labels: Integer[Tensor, " n"], alpha: float, classes: int
) -> Float[Tensor, " {classes}"]:
    """Which nonconformity score do new examples of each class exceed with a probability of at most alpha?

    q_k = conformal_quantile(scores[labels == k], alpha), infinite for a class with fewer than 1/alpha - 1 examples: such a class is
    in every set. P(class in set | class = k) >= 1 - alpha for every k, where one q for all may fail rare classes.
    scores [n] of each example's own class. Raises as `conformal_quantile`. Source: Vovk (2012).

    >>> class_quantiles(torch.tensor([0.5, 0.25, 0.75]), torch.tensor([0, 0, 1]), alpha=0.5, classes=3)
    tensor([0.5000, 0.7500,    inf], dtype=torch.float64)
    """
    check_count("class_quantiles", "classes", classes)
    conformal_quantile(scores, alpha)
    check_labels("class_quantiles", labels, len(scores), classes)
    each = [scores[labels == k] for k in range(classes)]
    found = [conformal_quantile(own, alpha) if len(own) else torch.inf for own in each]
    return torch.tensor(found, dtype=torch.float64)
