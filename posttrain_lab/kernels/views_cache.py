"""numpy views of a packed weight's tensors, cached beside the weight at its first call.

A small kernel takes a few microseconds; making the views again for each call would take as long. Nothing is copied, and the cache is
neither saved nor copied with the weight.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

VIEWS, PLAIN = "_views", "_plain"


def plain(tensor: Tensor) -> bool:
    """An ordinary tensor of the CPU: no subclass, no gradient, no sparse layout, no lazy negation."""
    known = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.is_cpu and tensor.layout is torch.strided
    return known and not tensor.requires_grad and not tensor.is_neg()


def array_of(tensor: Any, dtype: Any, ndim: int) -> np.ndarray | None:
    """numpy's view of a contiguous plain tensor of this dtype and number of axes, after few checks; None for all else.

    >>> array_of(torch.ones(2, 2), np.float32, 1) is None
    True
    """
    if type(tensor) is not Tensor and type(tensor) is not torch.nn.Parameter:
        return None
    try:
        array = tensor.numpy()
    except (
        RuntimeError,
        TypeError,
    ):  # another device, a gradient, a sparse layout, a lazy negation, a functorch transform
        return None
    return array if array.dtype == dtype and array.ndim == ndim and array.flags.c_contiguous else None


def check_floats(name: str, parts: list[Tensor]) -> None:
    """All floats are float32: a kernel would read others as such. Raises TypeError."""
    for part in parts:
        if part.is_floating_point() and part.dtype != torch.float32:
            raise TypeError(f"{name} wants its floats in float32, got {part.dtype}; use .float() on the layer that holds it.")


class ViewsCache:
    """For frozen dataclasses, whose fields never change: what was computed from them once stays true."""

    def tensors(self) -> list[Tensor]:
        """The tensors held."""
        raise NotImplementedError

    @property
    def plain(self) -> bool:
        """Are all tensors plain ones of the cpu?"""
        known = self.__dict__.get(PLAIN)
        if known is None:
            known = self.__dict__[PLAIN] = all(plain(part) for part in self.tensors())
        return known

    @property
    def views(self) -> tuple[np.ndarray, ...]:
        """Each tensor's numbers in a row, in the order of the fields: the same memory, seen by numpy.

        They are made again when a tensor has moved to other memory, as `share_memory_` moves it. Raises TypeError for floats that are
        not float32.

        >>> from posttrain_lab.kernels import NMWeight
        >>> NMWeight.from_float(torch.tensor([[0.0, 5.0, 0.0, 7.0]])).views
        (array([5., 7.], dtype=float32), array([13], dtype=uint8))
        """
        known = self.__dict__.get(VIEWS)
        if known is None:
            return self._seen()
        for part, place in known[0]:
            if part.data_ptr() != place:
                return self._seen()
        return known[1]

    def _seen(self) -> tuple[np.ndarray, ...]:
        """New views; cached, unless one had to be a copy, which would not see what is later written into the tensor."""
        parts = self.tensors()
        check_floats(type(self).__name__, parts)
        views = tuple(part.detach().contiguous().numpy().reshape(-1) for part in parts)
        if all(part.is_contiguous() for part in parts):
            self.__dict__[VIEWS] = [(part, part.data_ptr()) for part in parts], views
        return views

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone."""
        return {name: value for name, value in self.__dict__.items() if name not in (VIEWS, PLAIN)}
