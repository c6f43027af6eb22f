"""The known mistakes of `select_for_labelling`, each with its message."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.select_for_labelling_oracle import (
    RIVALS,
    entropy_of,
    first_of,
    margin_of,
    probabilities,
    right_select,
    uncertainty,
)

Select = Callable[[Tensor, int, str], Any]


def _wrong(
    scores: Callable[[Tensor, str], Tensor] = uncertainty,
    random: Callable[[Tensor, int], Tensor] = lambda logits, k: torch.randperm(len(logits))[:k],
    last: Callable[[Tensor, int], Any] = first_of,
) -> Select:
    def select_for_labelling(logits: Tensor, k: int, method: str) -> Any:
        return random(logits, k) if method == "random" else last(scores(logits, method), k)

    return select_for_labelling


def _other(entropy: Callable[[Tensor], Tensor] | None = None, margin: Callable[[Tensor], Tensor] | None = None) -> Select:
    """Another score in place of one of the two."""
    chosen = {"entropy": entropy, "margin": margin}

    def scores(logits: Tensor, method: str) -> Tensor:
        other = chosen[method]
        return other(logits) if other else uncertainty(logits, method)

    return _wrong(scores)


def _nan_entropy(logits: Tensor) -> Tensor:
    p = logits.softmax(1)
    return -(p * p.log()).sum(1)


SELECT_MISTAKES = (
    Mistake(
        "most certain first",
        "You select the rows about which the network is most certain; select the most uncertain ones.",
        _wrong(lambda logits, method: -uncertainty(logits, method)),
    ),
    Mistake(
        "largest margin first",
        "You take the largest margins, the most certain rows; take the smallest.",
        _other(margin=lambda logits: margin_of(probabilities(logits))),
    ),
    Mistake(
        "smallest entropy first",
        "You take the smallest entropies, the most certain rows; take the largest.",
        _other(entropy=lambda logits: -entropy_of(probabilities(logits))),
    ),
    Mistake(
        "margin of logits",
        "Your margin is a difference of logits; take softmax first, because the margin is a difference of probabilities.",
        _other(margin=RIVALS["logits' margin"]),
    ),
    Mistake(
        "largest probability",
        "You use the largest probability alone; the margin is its difference from the second largest.",
        _other(margin=RIVALS["top"]),
    ),
    Mistake(
        "largest minus smallest",
        "You subtract the smallest probability; the margin is the difference of the two largest.",
        _other(margin=RIVALS["spread"]),
    ),
    Mistake(
        "squares",
        "You take 1 minus the sum of squares (Gini's measure); the entropy is -sum p log p.",
        _other(entropy=RIVALS["squares"]),
    ),
    Mistake(
        "softmax over the images",
        "Your softmax runs over the images; probabilities add up to 1 over the classes of one row.",
        _other(entropy=RIVALS["over the images"]),
    ),
    Mistake(
        "always entropy",
        'Your function ignores `method`; for "margin" take the smallest margins.',
        _other(margin=RIVALS["entropy"]),
    ),
    Mistake(
        "always margin",
        'Your function ignores `method`; for "entropy" take the largest entropies.',
        _other(entropy=RIVALS["margin"]),
    ),
    Mistake(
        "logarithm of 0",
        "Where a probability is 0, 0 times its logarithm is not a number; use log_softmax or torch.special.entr.",
        _other(entropy=_nan_entropy),
    ),
    Mistake(
        "logarithm of 0, smallest first",
        "0 times the logarithm of 0 is not a number, and sorts behind all rows; such a p counts as 0: torch.special.entr.",
        _other(entropy=lambda logits: _nan_entropy(logits).nan_to_num(-torch.inf)),
    ),
    Mistake(
        "sorted by number",
        "You sorted the rows by their numbers; the most uncertain row comes first.",
        _wrong(last=lambda scores, k: first_of(scores, k).sort().values),
    ),
    Mistake(
        "scores returned",
        "You return the uncertainties; return the row numbers (argsort, or topk(...).indices).",
        _wrong(last=lambda scores, k: scores.sort(descending=True).values[:k].float()),
    ),
    Mistake(
        "k ignored",
        "You return all rows; return only the first k.",
        _wrong(last=lambda scores, k: first_of(scores, len(scores))),
    ),
    Mistake(
        "duplicates",
        "You draw the random rows with replacement, so some are repeated; use torch.randperm.",
        _wrong(random=lambda logits, k: torch.randint(len(logits), (k,)) if len(logits) else torch.arange(0)),
    ),
    Mistake(
        "the first k",
        'Your "random" always takes the first rows; shuffle them first (torch.randperm).',
        _wrong(random=lambda logits, k: torch.arange(k)),
    ),
    Mistake(
        "a slice of the pool",
        'Your "random" takes rows that are neighbours; draw each row independently (torch.randperm).',
        _wrong(random=lambda logits, k: torch.arange(k) + torch.randint(len(logits) - k + 1, ())),
    ),
    Mistake(
        "random is entropy",
        'Your "random" uses the logits; it must not, because it is the baseline for the other methods.',
        _wrong(random=lambda logits, k: right_select(logits, k, "entropy")),
    ),
)
