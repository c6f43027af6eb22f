"""Do two networks that should compute the same do it? After a merge, a cut, a fold, a copy, a cache."""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from posttrain_lab.metrics import evaluating

Answers = Callable[[Tensor], Tensor]


def same_answers(a: Answers, b: Answers, x: Shaped[Tensor, "n ..."]) -> float:
    """By how much do the answers of two networks differ at most? max |a(x) - b(x)| over all examples and all logits.

    0 or rounding (about 1e-6 times the logits) where b is only another form of a. Both answer in eval mode and are then as they were;
    functions are taken, too. Symmetric; never negative; infinite where one of them answers with NaN, as no number is near it.
    x [n, ...], n >= 1. Raises TypeError for what cannot be called; ValueError for answers of different shapes, or no examples.

    >>> layer, x = nn.Linear(3, 2), torch.tensor([[-0.5, 2.0]])
    >>> same_answers(layer, layer, torch.ones(4, 3)), same_answers(nn.Identity(), nn.ReLU(), x)
    (0.0, 0.5)
    """
    for name, model in (("a", a), ("b", b)):
        if not callable(model):
            raise TypeError(f"same_answers wants {name} to be a network or a function, got {type(model).__name__}.")
    if len(x) == 0:
        raise ValueError("same_answers wants at least one example, got none.")
    with ExitStack() as modes, torch.no_grad():
        for model in (a, b):
            if isinstance(model, nn.Module):
                modes.enter_context(evaluating(model))
        first, second = a(x), b(x)
    if first.shape != second.shape:
        raise ValueError(f"same_answers wants answers of one shape, got {list(first.shape)} and {list(second.shape)}.")
    gap = float((first.double() - second.double()).abs().max())
    return float("inf") if gap != gap else gap
