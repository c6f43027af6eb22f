"""What has changed in a network, and by how much?"""

from collections.abc import Mapping

from jaxtyping import Shaped
from torch import Tensor

State = Mapping[str, Shaped[Tensor, "..."]]


def state_difference(before: State, after: State) -> dict[str, float]:
    """What moved between two state dicts, buffers and counters too? {name: relative change} for every entry.

    |after - before| / |before|, Euclidean norms in float64; 0 where nothing moved (0 / 0 too), infinite where 0 became something
    else, NaN where a NaN is. Take the first dict as a copy, {name: t.clone() for name, t in model.state_dict().items()}: a state dict
    shares its memory with the model.
    Raises TypeError for entries that are no Tensors; ValueError for other names or shapes.

    >>> import torch
    >>> state_difference({"mean": torch.tensor([3.0, 4.0])}, {"mean": torch.tensor([3.0, 5.0])})
    {'mean': 0.2}
    """
    if before.keys() != after.keys():
        other = sorted(before.keys() ^ after.keys())
        raise ValueError(f"state_difference wants two states of one network, got {other[:3]} in only one of them.")
    return {name: _change(name, before[name], after[name]) for name in before}


def _change(name: str, before: Tensor, after: Tensor) -> float:
    for value in (before, after):
        if not isinstance(value, Tensor):
            raise TypeError(f"state_difference wants Tensors, got {type(value).__name__} as {name!r}; give state_dict().")
    if before.shape != after.shape:
        raise ValueError(f"state_difference wants equal shapes, got {list(before.shape)} and {list(after.shape)} as {name!r}.")
    size = float(before.double().norm())
    moved = float((after.double() - before.double()).norm())
    if moved == 0:
        return 0.0
    return moved / size if size else float("inf")
