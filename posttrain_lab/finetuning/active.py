"""Active learning: which examples should be labelled next, when labels are expensive and images are not?

Sources: entropy and margin, Settles 2009; core-set, Sener and Savarese 2018; disagreement of a committee, Seung et al. 1992, with
the divergence of McCallum and Nigam 1998. None of them is always better than a random choice: measure.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

METHODS = ("random", "entropy", "margin")


def _check_k(caller: str, k: int, n: int) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or not 0 <= k <= n:
        raise ValueError(f"{caller} wants k from 0 to {n}, the number of examples, got {k!r}.")


def _check_finite(caller: str, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise ValueError(f"{caller} wants finite numbers, got NaN or infinity; find the layer that diverged.")


def entropy(logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """How uncertain is the model about each example? H = -sum_c p log p, in nats, with p = softmax(logits).

    >>> entropy(torch.tensor([[0.0, 0.0], [200.0, 0.0]]))
    tensor([0.6931, 0.0000])
    """
    return torch.special.entr(logits.softmax(-1)).sum(-1)


def margin(logits: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
    """How far is the first class ahead of the second? The difference of the two largest probabilities: small means uncertain.

    >>> margin(torch.tensor([[0.0, 0.0, -100.0], [100.0, 0.0, 0.0]]))
    tensor([0., 1.])
    """
    if logits.shape[-1] < 2:
        raise ValueError(f"margin wants at least two classes, got logits {list(logits.shape)}.")
    first, second = logits.softmax(-1).topk(2, dim=-1).values.unbind(-1)
    return first - second


def _highest(scores: Tensor, k: int) -> Tensor:
    """Indices of the k highest scores, highest first; of equals the earlier one first."""
    return scores.sort(descending=True, stable=True).indices[:k]


def select_for_labelling(
    logits: Float[Tensor, "n c"], k: int, method: Literal["random", "entropy", "margin"], seed: int = 0
) -> Int64[Tensor, " k"]:
    """Which k of the n examples should be labelled next? Their indices, all different, the most uncertain first.

    "entropy": the largest -sum p log p.  "margin": the smallest difference of the two largest probabilities.
    "random": any, drawn with `seed`: the baseline. Of equals, the earlier example comes first.
    Raises ValueError for k outside 0..n, another method, NaN or infinity. Source: Settles 2009.

    >>> logits = torch.tensor([[9.0, 0.0], [0.1, 0.0], [1.0, 0.0]])
    >>> select_for_labelling(logits, 2, "margin")
    tensor([1, 2])
    """
    if method not in METHODS:
        raise ValueError(f"select_for_labelling wants one of {', '.join(METHODS)}, got {method!r}.")
    _check_k("select_for_labelling", k, len(logits))
    _check_finite("select_for_labelling", logits)
    if method == "random":
        return torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed))[:k]
    return _highest(entropy(logits) if method == "entropy" else -margin(logits), k)


def core_set(
    features: Float[Tensor, "n d"], k: int, labelled: Float[Tensor, "m d"] | None = None, seed: int = 0
) -> Int64[Tensor, " k"]:
    """Which k examples leave no other far from a labelled one? Greedily the farthest point from all chosen so far.

    features [n, d] of the unlabelled examples, labelled [m, d] of the labelled ones (none: the first is drawn with `seed`).
    The largest distance to the nearest chosen point is at most twice the smallest possible. Returns indices, in the order
    of choice. Raises ValueError for k outside 0..n, other widths, NaN or infinity.
    Source: Sener and Savarese 2018; Gonzalez 1985.

    >>> core_set(torch.tensor([[0.0], [1.0], [5.0], [5.1]]), 2, labelled=torch.tensor([[0.1]]))
    tensor([3, 1])
    """
    _check_k("core_set", k, len(features))
    _check_finite("core_set", features)
    chosen: list[int] = []
    if labelled is not None and len(labelled):
        if labelled.shape[1:] != features.shape[1:]:
            raise ValueError(f"core_set wants equal widths, got {list(features.shape)} and {list(labelled.shape)}.")
        distance = torch.cdist(features, labelled).amin(1)
    else:
        distance = torch.full((len(features),), torch.inf)
        generator = torch.Generator().manual_seed(seed)
        if k:
            chosen = [int(torch.randint(len(features), (), generator=generator))]
            distance = torch.cdist(features, features[chosen]).amin(1)
    taken = torch.zeros(len(features), dtype=torch.bool)
    taken[chosen] = True
    while len(chosen) < k:
        nearest = int(distance.masked_fill(taken, -1.0).argmax())
        chosen.append(nearest)
        taken[nearest] = True
        distance = torch.minimum(distance, torch.cdist(features, features[nearest : nearest + 1]).squeeze(1))
    return torch.tensor(chosen, dtype=torch.int64)


def disagreement(logits: Float[Tensor, "members n c"]) -> Float[Tensor, " n"]:
    """On which examples do several models contradict each other? H(mean of p) - mean of H(p), in nats, at least 0.

    logits [members, n, c] of models that differ in their training seed only. All may be uncertain and still agree: then it
    is 0. Raises ValueError for fewer than two members, NaN or infinity.
    Source: McCallum and Nigam 1998 (mean divergence from the committee's mean).

    >>> sure, other = [9.0, 0.0], [0.0, 9.0]
    >>> disagreement(torch.tensor([[sure, sure], [other, sure]])) > 0.1
    tensor([ True, False])
    """
    if len(logits) < 2:
        raise ValueError(f"disagreement wants at least two members, got logits {list(logits.shape)}; see select_for_labelling.")
    _check_finite("disagreement", logits)
    mean = logits.softmax(-1).mean(0)
    return (torch.special.entr(mean).sum(-1) - entropy(logits).mean(0)).clamp_min(0)


def select_by_disagreement(logits: Float[Tensor, "members n c"], k: int) -> Int64[Tensor, " k"]:
    """Which k examples does the committee disagree about most? Raises like `disagreement`, and for k outside 0..n.

    >>> sure, other = [9.0, 0.0], [0.0, 9.0]
    >>> select_by_disagreement(torch.tensor([[sure, sure], [sure, other]]), 1)
    tensor([1])
    """
    _check_k("select_by_disagreement", k, logits.shape[1])
    return _highest(disagreement(logits), k)
