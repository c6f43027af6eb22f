"""An integer network's `forward` as one compiled call, wherever that gives what its layers give and nobody looks at them.

The tables are made at a network's first call and kept beside it. Before each call it is asked whether the network is still the one they
were made from: a dozen layers called one by one from Python would take ten times as long as the whole network does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from posttrain_lab.kernels.cpu.threads import MACS_A_THREAD
from posttrain_lab.kernels.operators import watched
from posttrain_lab.kernels.views_cache import array_of
from posttrain_lab.quantization import GraphNetwork, IntegerNetwork

from .from_chain import zeros_after
from .from_graph import graph_shapes
from .operations import operations
from .tables import NetworkTables, network_tables

MOST_MACS = 2 * MACS_A_THREAD  # for one image; beyond, calling layers costs nothing, and they share one image among threads
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@dataclass(frozen=True, eq=False)
class _Known:
    """What a network was like when its tables were made: everything that its modules held, and the versions of its tensors.

    `tables` is None where there are none; output_shape is torch's, of one result. hooks: those of the layers, which must stay empty.
    """

    tables: NetworkTables | None
    output_shape: tuple[int, ...]
    hooks: tuple[dict[int, Any], ...]
    places: tuple[dict[str, Any], ...]
    held: tuple[Any, ...]
    tensors: tuple[Tensor, ...]
    versions: list[int]

    def holds(self) -> bool:
        """Is everything the same object, and no tensor written to since?"""
        if sum(map(len, self.places)) != len(self.held) or not all(map(is_, _held(self.places), self.held)):
            return False
        return [tensor._version for tensor in self.tensors] == self.versions


_KNOWN: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()


def in_one_call(network: nn.Module, x: Any) -> Float[Tensor, "n ..."] | None:
    """What an `IntegerNetwork` or integer `GraphNetwork` gives for x, bit by bit; None where its layers have to be called.

    That is: for x that is not a plain float32 tensor of the CPU of the network's size, or holds NaN; for a network that is not all
    integers, that has operations without a kernel or more than MOST_MACS; for a layer with hooks or a method of its own; for a part of
    torch that watches.
    """
    shape: tuple[int, ...] = network.input_shape  # type: ignore[assignment]
    if not isinstance(x, Tensor) or tuple(x.shape[1:]) != shape or len(x) == 0 or watched() or _has_any_global_hook():
        return None
    if array_of(x, np.float32, len(shape) + 1) is None:
        return None
    known = _KNOWN.get(network)
    if known is None or not known.holds():
        known = _look_at(network)
        if known is None:
            return None
        _KNOWN[network] = known
    result = known.tables(x) if known.tables is not None and not any(known.hooks) else None
    if result is None:
        return None
    return result.permute(0, 3, 1, 2) if len(known.output_shape) == 3 else result.reshape(len(x), *known.output_shape)


def _held(places: tuple[dict[str, Any], ...]) -> Iterator[Any]:
    return chain.from_iterable(map(dict.values, places))


def _look_at(network: nn.Module) -> _Known | None:
    """The tables of a network, and everything that they depend on; None while a layer has a hook, which would see what is tried here."""
    parts = list(network.modules())
    hooks = tuple(getattr(part, name) for part in parts[1:] for name in HOOKS)
    if any(hooks):
        return None
    places = tuple(place for part in parts for place in (part.__dict__, part._modules, part._buffers) if place)
    held = tuple(_held(places))
    tensors = tuple(one for one in held if isinstance(one, Tensor))
    own = any(callable(getattr(type(part), name, None)) for part in parts for name in part.__dict__)  # a method put on one layer
    tables, shape = (None, ()) if own else _tables(network)
    return _Known(tables, shape, hooks, places, held, tensors, [tensor._version for tensor in tensors])


def _tables(network: nn.Module) -> tuple[NetworkTables | None, tuple[int, ...]]:
    """The tables and torch's shape of one result; None and () where the network has no tables."""
    try:
        program = operations(network)
        if program.macs > MOST_MACS:
            return None, ()
        return network_tables(program), _output_shape(network)
    except Exception:  # what the list cannot say, in whatever words it says so, is left to the layers
        return None, ()


@torch.no_grad()
def _output_shape(network: nn.Module) -> tuple[int, ...]:
    if isinstance(network, IntegerNetwork):
        codes = torch.zeros(1, *network.input_shape, dtype=torch.int8)
        for layer in network.layers:
            codes = zeros_after(layer, codes)
        return tuple(codes.shape[1:])
    assert isinstance(network, GraphNetwork)
    _, result = graph_shapes(network)
    if not isinstance(result, Tensor):
        raise ValueError("this network returns more than a tensor; its layers are called.")
    return tuple(result.shape[1:])
