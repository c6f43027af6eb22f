"""A watch over the memory that interpreted kernels touch: reads and writes inside the arguments only, no place written twice.

Values cannot show all of this: a number read too far and then multiplied by 0, or a place that two programs write and the
interpreter, which runs one after the other, gets right.
"""

from typing import Any

import numpy as np
import pytest
from torch import Tensor


def addresses(tensor: Tensor) -> np.ndarray:
    """Where each of its values lies."""
    place = np.array([tensor.data_ptr()])
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        place = np.add.outer(place, np.arange(size) * stride * tensor.element_size())
    return place.reshape(-1)


def tensors(value: Any) -> list[Tensor]:
    """The tensors inside nested tuples."""
    if isinstance(value, tuple):
        return [tensor for part in value for tensor in tensors(part)]
    return [value] if isinstance(value, Tensor) else []


class Watch:
    """Known: the addresses of the launch that runs now, sorted. Written: those that it has written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from triton.runtime.interpreter import InterpreterBuilder

        from posttrain_lab.kernels.gpu.launch import Launch

        self.launches, self.known, self.written = 0, np.empty(0, np.int64), set()
        started, load, store = Launch.started, InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

        def watched_start(launch, *gpu):
            self.begin([tensor for part in launch.arguments.values() for tensor in tensors(part)])
            return started(launch, *gpu)

        def watched_load(builder, pointers, mask, *rest):
            self.touch("reads", pointers.data, mask.data)
            return load(builder, pointers, mask, *rest)

        def watched_store(builder, pointers, value, mask, *rest):
            self.write(self.touch("writes", pointers.data, mask.data))
            return store(builder, pointers, value, mask, *rest)

        monkeypatch.setattr(Launch, "started", watched_start)
        monkeypatch.setattr(InterpreterBuilder, "create_masked_load", watched_load)
        monkeypatch.setattr(InterpreterBuilder, "create_masked_store", watched_store)

    def begin(self, arguments: list[Tensor]) -> None:
        self.known = np.unique(np.concatenate([addresses(tensor) for tensor in arguments]))
        self.written = set()
        self.launches += 1

    def touch(self, verb: str, pointers: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The addresses that are touched, all of them known."""
        asked = np.broadcast_to(pointers, np.broadcast(pointers, mask).shape)[np.broadcast_to(mask, np.shape(pointers))]
        asked = asked.astype(np.int64)
        at = np.minimum(np.searchsorted(self.known, asked), len(self.known) - 1)
        assert (self.known[at] == asked).all(), (
            f"the kernel {verb} {(self.known[at] != asked).sum()} values outside its arguments"
        )
        return asked

    def write(self, places: np.ndarray) -> None:
        fresh = set(places.tolist())
        assert len(fresh) == len(places), "one program writes a place twice"
        assert not fresh & self.written, "two programs write the same place"
        self.written |= fresh
