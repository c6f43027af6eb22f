"""Do two runtimes compute the same network? Code by code, layer by layer; and where do they part?

The same class for each image is no proof: it misses 6 of 14 planted bugs, and three wrong roundings change no logit of real images.
"""

from collections.abc import Mapping

from jaxtyping import Shaped
from torch import Tensor


def first_difference(
    ours: Mapping[str, Shaped[Tensor, "..."]], theirs: Mapping[str, Shaped[Tensor, "..."]]
) -> tuple[str, float, int] | None:
    """(layer, share of its numbers that differ, the first image that differs) for the first layer in our order; None: all equal.

    ours, theirs: each layer's numbers [n, ...] by its name; `ours` in the order of execution. NaN equals nothing.
    Raises ValueError for other names, or another shape.

    >>> import torch
    >>> first_difference({"a": torch.tensor([1, 2]), "b": torch.tensor([3, 4])}, {"b": torch.tensor([3, 5]), "a": torch.tensor([1, 2])})
    ('b', 0.5, 1)
    """
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        raise ValueError(f"first_difference wants the same layers twice, only one has {', '.join(map(repr, odd[:3]))}.")
    for layer, mine in ours.items():
        other = theirs[layer]
        if mine.shape != other.shape:
            raise ValueError(
                f"first_difference wants one shape for layer {layer!r}, got {list(mine.shape)} and {list(other.shape)}."
            )
        wrong = (mine != other).reshape(len(mine), -1)
        if wrong.any():
            return layer, wrong.double().mean().item(), int(wrong.any(1).nonzero()[0])
    return None
