"""Kernels written in a notebook: Numba compiles a student's function, and tensors meet it.

`@on_tensors`: loops over arrays become a function of tensors; `add_block` is a helper for such loops. `@in_tiles`: one step with SIMD
words becomes a whole product of matrices.
Nothing is kept on disk: a cell that is run again is compiled again, which takes about a second.
"""

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Int8, Int32
from numba import njit
from numba.core.errors import NumbaError
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.panel_layout import PANEL

from .numba_words import in_words
from .simd import LANES, store, zero

ROWS = 4  # rows of a tile of `in_tiles`
SLACK, SMALL = 4096, 65536  # numbers behind a small operand: a step that reads too far stays in its own memory
OPTIONS = {"nogil": True, "error_model": "numpy"}
_COMPILED: "WeakKeyDictionary[Callable[..., Any], Any]" = WeakKeyDictionary()  # what the decorators returned: its Numba functions


def on_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numpy arrays, compiled by Numba when first called, becomes one of tensors: arrays in, its array out as a tensor.

    An index outside of an array is an IndexError, as in Python (Numba alone would read or write some other memory).
    Raises TypeError with Numba's words when it cannot compile the function.

    >>> @on_tensors
    ... def doubled(x):
    ...     return x * 2
    >>> doubled(torch.tensor([1, 2]))
    tensor([2, 4])
    """
    kernel = njit(boundscheck=True, **OPTIONS)(function)

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        _not_empty(function, len(args))
        result = _compiled(function, kernel, *(_array(arg) if isinstance(arg, Tensor) else arg for arg in args))
        return torch.from_numpy(result) if isinstance(result, np.ndarray) else result

    _COMPILED[called] = kernel
    return called


def in_tiles(step: Callable[..., Any]) -> Callable[..., Any]:
    """One step for four rows and LANES columns becomes `product(x, panels, n)`: x (M, K) int8 times packed weights, int32 (M, n).

    step(a, b, c, d, x, r, row, w, p) returns the four sums a, b, c, d, each two k further. x: int16, flat, the pair of the first row at
    x[r], of the next rows at x[r + row], x[r + 2 * row], x[r + 3 * row]. w: int8, flat, the pairs of LANES columns at w[p].
    panels: int8 [ceil(n / 16)][ceil(K / 2)][16][2]. `product(x, panels, n, "assembly")` gives the instructions that were compiled.
    """
    inner = njit(**OPTIONS)(step)

    @njit(**OPTIONS)
    def kernel(x, w, out, rows, k, panels):
        for panel in range(panels):
            for column in range(0, PANEL, LANES):
                for row in range(0, rows, ROWS):
                    p, q = panel * k * PANEL + 2 * column, row * panels * PANEL + panel * PANEL + column
                    a, b, c, d = zero(), zero(), zero(), zero()
                    for i in range(0, k, 2):
                        a, b, c, d = inner(a, b, c, d, x, row * k + i, k, w, p)
                        p += 2 * PANEL
                    store(out, q, a)
                    store(out, q + panels * PANEL, b)
                    store(out, q + 2 * panels * PANEL, c)
                    store(out, q + 3 * panels * PANEL, d)

    @functools.wraps(step)
    def product(
        x: Int8[Tensor, "m k"], panels: Int8[Tensor, "panels steps 16 2"], n: int, show: str = "product"
    ) -> Int32[Tensor, "m n"] | str:
        _not_empty(step, 9)
        (m, k), steps = x.shape, panels.shape[1]
        padded = F.pad(x.to(torch.int16), (0, 2 * steps - k, 0, -m % ROWS))
        out = torch.empty(len(padded), PANEL * len(panels), dtype=torch.int32)
        operands = [_array(_with_slack(part.flatten())) for part in (padded, panels)]
        _compiled(step, kernel, *operands, _array(out.flatten()), len(padded), 2 * steps, len(panels))
        return next(iter(kernel.inspect_asm().values())) if show == "assembly" else out[:m, :n].contiguous()

    _COMPILED[product] = inner
    return product


def is_compiled(function: Any) -> bool:
    """Did `on_tensors` or `in_tiles` make this function?"""
    return compiled_kernel(function) is not None


def compiled_kernel(function: Any) -> Any:
    """Numba's function inside of what `on_tensors` (the loops) or `in_tiles` (the step) returned; None for any other."""
    return next((kernel for one, kernel in _COMPILED.items() if one is function), None)


@njit(**OPTIONS)
def add_block(out, a, b, first, end):
    """out[i, j] += a[i, k] * b[k, j] for all (i, j, k) from `first` to `end` (left out): one block of a product, int8 to int32.

    Raises IndexError when `end` is outside of the matrices.
    """
    if end[0] > a.shape[0] or end[1] > b.shape[1] or end[2] > b.shape[0]:
        raise IndexError("a block ends outside of the matrices")
    for i in range(first[0], end[0]):
        line = out[i][first[1] : end[1]]
        for k in range(first[2], end[2]):
            factor, other = np.int32(a[i, k]), b[k][first[1] : end[1]]
            for j in range(len(line)):
                line[j] += factor * other[j]


def _with_slack(operand: Tensor) -> Tensor:
    """Checks try small operands; large ones are timed, after a check, and are not copied for the sake of wrong steps."""
    return F.pad(operand, (0, SLACK), value=7) if operand.numel() < SMALL else operand


def _array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor as a plain contiguous array: one layout, one compilation."""
    return tensor.detach().contiguous().numpy().view(np.ndarray)


def _not_empty(function: Callable[..., Any], arguments: int) -> None:
    """An exercise that is still empty says so in Python, before Numba tries to make sense of it."""
    if function.__code__.co_names == ("NotImplementedError",):
        function(*[None] * arguments)


def _compiled(function: Callable[..., Any], kernel: Callable[..., Any], *args: Any) -> Any:
    """Call it; what Numba says against the code becomes a TypeError of one sentence."""
    try:
        return kernel(*args)
    except NumbaError as error:
        raise TypeError(in_words(function, error)) from None
