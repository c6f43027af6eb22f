"""Remove channels, heads and hidden units from a whole network: all parts of a unit are removed together, nothing else changes.

`find_groups` says what can be removed; `mask_units` gives a network of the same size with these units masked; `remove_units` the
smaller network. Both compute the same: a unit is masked by zeros in the layers that read it, so removing it changes no sum.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from posttrain_lab.metrics import check_model
from posttrain_lab.module_walks import check_own_weights, exchange

from .arguments import check_unshared, check_weight
from .channels import slice_inputs, slice_norm, slice_outputs
from .comparing import check_same, livened
from .labels import FIXED
from .tracing import follow

Keep = Mapping[str, Bool[Tensor, " units"]]


@dataclass(frozen=True)
class Cut:
    """Positions of one side of one layer: "out" or "in" of a Linear or convolution (inputs of one group), "norm" of a batch norm."""

    layer: str
    side: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """What must be removed together: one channel, one head or one hidden unit, in every layer that has a part of it."""

    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Group:
    """Units that are in the same layers, as the channels of a residual stream are; `name` is the first layer that computes them."""

    name: str
    units: tuple[Unit, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that have a part of a unit, in the order of the network."""
        return tuple(dict.fromkeys(cut.layer for cut in self.units[0].cuts))

    def __len__(self) -> int:
        return len(self.units)


def find_groups(model: nn.Module, example: Tensor) -> tuple[Group, ...]:
    """Which channels, heads and hidden units can be removed, and which parts of other layers must be removed with each?

    Found by tracing: batch norm, residual additions, flatten, grouped and depthwise convolutions, concatenation, attention heads that
    are made by a reshape with -1. What the rules cannot follow (LayerNorm's width, sizes written in the code) is not pruned.
    A group of one unit is listed, but its unit cannot be removed.

    example [n, ...]: one input. The model is not changed. Raises TypeError unless it is a model; ValueError, naming the layer, for
    shared parameters, NaN weights, code that torch.fx cannot trace, an example that does not fit.

    >>> groups = find_groups(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 4))
    >>> [(group.name, len(group), group.layers) for group in groups]
    [('0', 8, ('0', '2'))]
    """
    check_model("find_groups", model)
    check_own_weights("find_groups", model)
    check_unshared("find_groups", model)
    for name, parameter in model.named_parameters():
        check_weight("find_groups", parameter, name.rpartition(".")[0])
    labels, places = follow(model, example, "find_groups")
    positions: dict[int, dict[tuple[str, str], list[int]]] = {}
    order = {name: number for number, (name, _) in enumerate(model.named_modules(remove_duplicate=False))}
    for side in sorted(places, key=lambda side: (order[side[0]], side[1] == "out")):
        for position, root in enumerate(labels.roots(places[side]).tolist()):
            if root != FIXED:
                positions.setdefault(root, {}).setdefault(side, []).append(position)
    units = [Unit(tuple(Cut(*side, tuple(at)) for side, at in found.items())) for found in positions.values()]
    return _grouped(units)


def _grouped(units: list[Unit]) -> tuple[Group, ...]:
    """Units with the same sides, in the order in which their first layers come; a second group of a layer gets '#2'."""
    together: dict[tuple, list[Unit]] = {}
    for unit in units:
        together.setdefault(tuple((cut.layer, cut.side, len(cut.positions)) for cut in unit.cuts), []).append(unit)
    groups: dict[str, Group] = {}
    for members in together.values():
        makers = [cut.layer for cut in members[0].cuts if cut.side == "out"] or [members[0].cuts[0].layer]
        taken = sum(name.partition("#")[0] == makers[0] for name in groups)
        name = makers[0] + (f"#{taken + 1}" if taken else "")
        groups[name] = Group(name, tuple(members))
    return tuple(groups.values())


def mask_units(model: nn.Module, groups: tuple[Group, ...], keep: Keep) -> nn.Module:
    """A copy of the network, of the same size, in which some units are masked: zeros where they are computed and read.

    keep: by the name of the group, a bool [units], True where a unit stays; groups that are not named stay whole.
    Raises ValueError for an unknown group, a mask of another length, or a group of which nothing would stay.
    """
    masked = copy.deepcopy(model)
    for (name, side), gone in removed_positions(groups, keep).items():
        layer: Any = masked.get_submodule(name)
        at = torch.tensor(sorted(gone))
        with torch.no_grad():
            for part in ("weight", "bias") if side != "in" else ("weight",):
                value = getattr(layer, part, None)
                if value is not None and side == "in":
                    value[:, at] = 0
                elif value is not None:
                    value[at] = 0
    return masked


def remove_units(model: nn.Module, groups: tuple[Group, ...], keep: Keep, example: Tensor) -> nn.Module:
    """A new, smaller network without these units, that computes what `mask_units` computes.

    groups from `find_groups`; keep as for `mask_units`; example [n, ...]: the result is run on it and on drawn inputs of its shape and
    range, and compared, so that a network whose code depends on its width raises an error and never gives a wrong answer. The model
    is not changed.

    Raises ValueError as `mask_units`, and when the smaller network fails or differs.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> x = torch.ones(1, 4)
    >>> remove_units(model, find_groups(model, x), {"0": torch.arange(8) < 3}, x)[0]
    Linear(in_features=4, out_features=3, bias=True)
    """
    smaller, probe = without_units(model, groups, keep), livened(model)
    pair = smaller if probe is model else without_units(probe, groups, keep)
    check_same(pair, mask_units(probe, groups, keep), example)
    return smaller


def without_units(model: nn.Module, groups: tuple[Group, ...], keep: Keep) -> nn.Module:
    """`remove_units` without the comparison: for a network that was compared before."""
    smaller = copy.deepcopy(model)
    for (name, side), gone in removed_positions(groups, keep).items():
        if not name:
            raise ValueError("remove_units wants a network of several layers, got a single one: its outputs are the answer.")
        old = smaller.get_submodule(name)
        exchange(smaller, old, _sliced(old, side, gone, _is_depthwise(model.get_submodule(name))))
    return smaller


def _is_depthwise(layer: Any) -> bool:
    """One input for each group. Asked of the network as it was: a grouped convolution may have one input a group left, and is none."""
    return getattr(layer, "groups", 1) == getattr(layer, "in_channels", 0) > 1


def _sliced(layer: Any, side: str, gone: set[int], depthwise: bool) -> Any:
    """The layer without these positions of one side; a depthwise convolution loses groups and inputs with its outputs."""
    if side == "norm":
        return slice_norm(layer, _left(layer.num_features, gone))
    if side == "in":
        return slice_inputs(layer, _left(layer.weight.shape[1], gone))
    each = len(layer.weight) // layer.groups if depthwise else 1
    layer = slice_outputs(layer, _left(len(layer.weight), gone))
    if depthwise:
        layer.in_channels = layer.groups = len(layer.weight) // each
    return layer


def _left(size: int, gone: set[int]) -> Tensor:
    return torch.tensor([position for position in range(size) if position not in gone], dtype=torch.int64)


def removed_positions(groups: tuple[Group, ...], keep: Keep) -> dict[tuple[str, str], set[int]]:
    """The positions to remove of each side of each layer."""
    named = {group.name: group for group in groups}
    gone: dict[tuple[str, str], set[int]] = {}
    for name, kept in keep.items():
        if name not in named:
            raise ValueError(
                f"keep wants names of groups ({', '.join(named) or 'there are none'}), got {name!r}; see find_groups."
            )
        size = len(named[name])
        if not isinstance(kept, Tensor) or kept.dtype != torch.bool or kept.shape != (size,):
            got = f"{kept.dtype} {tuple(kept.shape)}" if isinstance(kept, Tensor) else type(kept).__name__
            raise ValueError(f"keep wants a bool tensor [{size}] for layer '{name}', got {got}; True keeps a unit.")
        if not kept.any():
            raise ValueError(f"keep wants at least one of the {size} units of layer '{name}' to stay, got none; keep the best.")
        for unit, stays in zip(named[name].units, kept.tolist(), strict=True):
            for cut in () if stays else unit.cuts:
                gone.setdefault((cut.layer, cut.side), set()).update(cut.positions)
    return gone
