"""The right answer to `select_for_labelling`, and the scores that it is told from."""

from collections.abc import Callable

import torch
from torch import Tensor


def probabilities(logits: Tensor, dim: int = 1) -> Tensor:
    shifted = (logits.double() - logits.double().amax(dim, keepdim=True)).exp()
    return shifted / shifted.sum(dim, keepdim=True)


def entropy_of(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum(1)


def margin_of(p: Tensor) -> Tensor:
    ordered = p.sort(dim=1, descending=True).values
    return ordered[:, 0] - ordered[:, 1]


def uncertainty(logits: Tensor, method: str) -> Tensor:
    p = probabilities(logits)
    return entropy_of(p) if method == "entropy" else -margin_of(p)


def first_of(scores: Tensor, k: int) -> Tensor:
    return scores.argsort(descending=True)[:k]


def right_select(logits: Tensor, k: int, method: str) -> Tensor:
    if method == "random":
        return torch.randperm(len(logits))[:k]
    return first_of(uncertainty(logits, method), k)


RIVALS: dict[str, Callable[[Tensor], Tensor]] = {
    "logits' margin": lambda logits: -margin_of(logits.double()),
    "top": lambda logits: -probabilities(logits).amax(1),
    "entropy": lambda logits: entropy_of(probabilities(logits)),
    "margin": lambda logits: -margin_of(probabilities(logits)),
    "over the images": lambda logits: entropy_of(probabilities(logits, 0)),
    "softmax twice": lambda logits: -margin_of(probabilities(probabilities(logits))),
    "squares": lambda logits: -probabilities(logits).square().sum(1),
    "spread": lambda logits: probabilities(logits).amin(1) - probabilities(logits).amax(1),
}
