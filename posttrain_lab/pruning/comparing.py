"""Does a smaller network compute what the masked one computes? Compared on the example and on inputs drawn like it.

An example of zeros, or a last layer of zeros, would hide a difference: inputs are drawn too, and weights that are all 0 are drawn first.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.metrics import evaluating

SAME = 1e-4  # of the largest output: the smaller network may add in another order
SMALL = 1e-2  # outputs below this are compared as if this were the largest: rounding inside the network does not shrink with them
PRECISE = (torch.float32, torch.float64)


def check_same(smaller: nn.Module, masked: nn.Module, example: Tensor) -> None:
    """Raise ValueError unless both give the same outputs for the example and for drawn inputs. `masked` may be changed."""
    if any(p.is_floating_point() and p.dtype not in PRECISE for p in smaller.parameters()):
        smaller, masked = copy.deepcopy(smaller).float(), masked.float()
        example = example.float() if example.is_floating_point() else example
    with torch.no_grad(), evaluating(smaller), evaluating(masked):
        _compare(smaller, example, list(tensors_in(masked(example))))
        drawn = inputs_like(example)
        try:
            want = None if drawn is None else list(tensors_in(masked(drawn)))
        except (RuntimeError, ValueError, IndexError):  # a network may refuse inputs that are not like real ones
            return
        if want and all(one.isfinite().all() for one in want):
            _compare(smaller, drawn, want)


def _compare(smaller: nn.Module, x: Any, want: list[Tensor]) -> None:
    try:
        got = list(tensors_in(smaller(x)))
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"remove_units made a network that does not run: {error}. Its code holds a size; use -1 there."
        ) from error
    far = max(map(_distance, got, want), default=0.0) if len(got) == len(want) else float("inf")
    if not far <= SAME:
        raise ValueError(
            f"remove_units wants a network that does not depend on its width, got one whose output differs by {far:.3g} of its size "
            "when units go; leave out the group whose layers its code counts."
        )


def _distance(got: Tensor, want: Tensor) -> float:
    """The largest difference, in units of the largest output."""
    if got.shape != want.shape:
        return float("inf")
    if not want.is_floating_point():
        return float(not torch.equal(got, want))
    return float((got - want).abs().max()) / max(SMALL, float(want.abs().max())) if want.numel() else 0.0


def tensors_in(output: Any) -> Iterator[Tensor]:
    """The tensors of an output that may be a tensor, or tuples, lists and dicts of these.

    >>> [one.item() for one in tensors_in({"a": torch.tensor(1), "b": (torch.tensor(2), None)})]
    [1, 2]
    """
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping | tuple | list):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from tensors_in(part)


def inputs_like(example: Tensor) -> Tensor | None:
    """Drawn inputs of the same shape, type and range; from a normal distribution for a constant example; None for constant integers.

    >>> inputs_like(torch.zeros(2, 3)).abs().min() > 0, inputs_like(torch.tensor([[0, 9]])).shape
    (tensor(True), torch.Size([1, 2]))
    """
    low, high = example.min(), example.max()
    rng = torch.Generator().manual_seed(0)
    if example.is_floating_point():
        normal = torch.randn(example.shape, generator=rng, dtype=torch.float64)
        drawn = low + (high - low) * torch.special.ndtr(normal) if low < high else normal
        return drawn.to(example)
    if example.dtype == torch.bool or low == high:
        return None
    return torch.randint(int(low), int(high) + 1, example.shape, generator=rng).to(example)


def livened(model: nn.Module) -> nn.Module:
    """The network, or when a matrix or kernel of it is all 0, a copy in which it is drawn."""
    dead = [name for name, p in model.named_parameters() if p.ndim > 1 and p.is_floating_point() and not p.any()]
    if not dead:
        return model
    rng = torch.Generator().manual_seed(0)
    live = copy.deepcopy(model)
    with torch.no_grad():
        for name in dead:
            value = live.get_parameter(name)
            value.copy_(torch.randn(value.shape, generator=rng) / value[0].numel() ** 0.5)
    return live
