"""Which integer operations does a quantized network consist of? And what do they give, computed one by one in NumPy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, Shaped
from torch import Tensor, nn

from posttrain_lab.quantization import GraphNetwork, IntegerNetwork, quantize
from posttrain_lab.quantization.graphs.integer_layers import FromCodes
from posttrain_lab.quantization.integer_ops import linear_sums

from .from_chain import chain_program
from .from_graph import graph_program
from .program import DTYPES, IntegerProgram, Operation, Value, Window

PART = 50  # images at a time


def operations(network: nn.Module, pool: bool = True) -> IntegerProgram:
    """The network's integer operations, in the order of execution, with its constants in channels-last order.

    network: an `IntegerNetwork` or an integer `GraphNetwork` (`quantize_model`, mode "integer"). pool: a max pooling behind a
    convolution is done on the sums, before they are rescaled (`pool_first`): the larger image of codes never exists.
    Raises TypeError for another network; ValueError naming the layer that is in float or has no form here.

    >>> from posttrain_lab.quantization import QuantizationConfig, quantize_model
    >>> network = quantize_model(nn.Sequential(nn.Linear(2, 1)), torch.rand(8, 2), QuantizationConfig(mode="integer"))
    >>> [operation.kind for operation in operations(network).operations]
    ['conv']
    """
    if isinstance(network, IntegerNetwork):
        return chain_program(network, pool)
    if isinstance(network, GraphNetwork):
        return graph_program(network, pool)
    raise TypeError(
        f"operations wants an IntegerNetwork or an integer GraphNetwork, got {type(network).__name__}; use quantize_model, mode 'integer'."
    )


def input_codes(program: IntegerProgram, images: Float[Tensor, "n ..."]) -> Int8[Tensor, "n h w c"]:
    """The codes of torch's images [n, c, h, w] or rows [n, features], channels last.

    Raises ValueError for images of another size.
    """
    if tuple(images.shape[1:]) != program.input_shape:
        raise ValueError(
            f"this network wants images {list(program.input_shape)}, got {list(images.shape[1:])}; resize them first."
        )
    codes = quantize(images, program.input.scale, program.input.zero_point, program.input.bits)
    codes = codes.permute(0, 2, 3, 1) if codes.ndim == 4 else codes
    return codes.reshape(-1, *program.values[0].shape).contiguous()


def expected(network: nn.Module, images: Float[Tensor, "n ..."]) -> Int[Tensor, "n out"]:
    """The integers that the network itself gives, as torch computes them: each result [n, out] or [n, out, h, w], channels last, in a row."""
    parts = [_expected(network, part) for part in images.split(PART)]
    rows = torch.cat(parts)
    return (rows.permute(0, 2, 3, 1) if rows.ndim == 4 else rows).flatten(1)


@torch.no_grad()
def _expected(network: Any, images: Tensor) -> Tensor:
    if isinstance(network, IntegerNetwork):
        return network.integer(network.quantize_input(images))
    caught: list[Tensor] = []
    returned = next(node for node in network.graph.graph.nodes if node.op == "output").args[0]
    last = network.graph.get_submodule(str((returned[0] if isinstance(returned, tuple | list) else returned).target))
    hook = last.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    try:
        network(images)
    finally:
        hook.remove()
    if isinstance(last, FromCodes):
        return caught[0]
    if hasattr(last, "conv"):
        return (last._sums(caught[0]) + last.bias).permute(0, 3, 1, 2)
    return linear_sums(caught[0], last.weight_codes()) + last.bias


def run(program: IntegerProgram, codes: Shaped[np.ndarray, "n h w c"]) -> list[np.ndarray]:
    """All values, [n, h, w, c] each, computed in 64-bit integers; value 0 is `codes`. The last one is the result."""
    values: list[Any] = [codes] + [None] * (len(program.values) - 1)
    for operation in program.operations:
        values[operation.output] = apply(program, operation, [values[one] for one in operation.inputs])
    return values


def apply(program: IntegerProgram, operation: Operation, inputs: list[np.ndarray]) -> np.ndarray:
    """The output of one operation."""
    value = program.values[operation.output]
    parts = zip(*[_parts(one) for one in inputs], strict=True)
    return np.concatenate([_apply(operation, value, part) for part in parts])


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, max(1, len(images)), PART):
        yield images[first : first + PART]


def _apply(operation: Operation, value: Value, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    kind, x = operation.kind, inputs[0]
    if kind == "max":
        low = np.iinfo(x.dtype).min
        return _windows(x, operation.window, value.shape[:2], low).max(3)
    if kind == "mean":
        count = operation.window.count
        total = _windows(x, operation.window, value.shape[:2], 0).sum(3, dtype=np.int64)
        return ((2 * total + count) // (2 * count)).astype(x.dtype)
    if kind == "conv":
        sums = _conv_sums(operation, value, x)
    elif kind == "average":
        sums = _windows(x, operation.window, value.shape[:2], 0).sum(3, dtype=np.int64)
    elif kind == "rescale":
        sums = x.astype(np.int64) - operation.x_zero
    else:
        factors, bias = operation.array("multiplier"), operation.array("bias")
        total = sum(int(factor) * one.astype(np.int64) for factor, one in zip(factors, inputs, strict=True)) + bias
        return _clamped(operation, value, (total + (1 << (operation.array("shift") - 1))) >> operation.array("shift"))
    if operation.gives_sums:
        return sums.clip(operation.low, operation.high).astype(np.int32)
    shift = operation.array("shift")
    return _clamped(operation, value, (sums * operation.array("multiplier") + (1 << (shift - 1))) >> shift)


def _clamped(operation: Operation, value: Value, codes: np.ndarray) -> np.ndarray:
    return (codes + operation.zero_point).clip(operation.low, operation.high).astype(DTYPES[value.bits])


def _windows(x: np.ndarray, window: Window, shape: tuple[int, int], fill: int) -> np.ndarray:
    """[n, h, w, positions of the window, c]; beyond the image `fill`."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    left, _, top, _ = window.pads
    rows, columns = (shape[0] - 1) * sh + (kh - 1) * dh + 1, (shape[1] - 1) * sw + (kw - 1) * dw + 1
    padded = np.full((len(x), max(rows, top + x.shape[1]), max(columns, left + x.shape[2]), x.shape[3]), fill, x.dtype)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    positions = [
        padded[:, i * dh : i * dh + (shape[0] - 1) * sh + 1 : sh, j * dw : j * dw + (shape[1] - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return np.stack(positions, 3)


def _conv_sums(operation: Operation, value: Value, x: np.ndarray) -> np.ndarray:
    """Sums of products, in doubles that stay below 2^53; of `pool` sums the largest; plus the bias."""
    (height, width, channels), (ph, pw) = value.shape, operation.pool
    windows = _windows(x, operation.window, (height * ph, width * pw), operation.x_zero)
    weight = operation.array("weight").astype(np.float64)
    inputs, outputs = x.shape[3] // operation.groups, channels // operation.groups
    sums = []
    for group in range(operation.groups):
        part = windows[..., group * inputs : (group + 1) * inputs].reshape(*windows.shape[:3], -1)
        sums.append(part.astype(np.float64) @ weight[group * outputs : (group + 1) * outputs].T)
    grid = np.concatenate(sums, -1).reshape(len(x), height, ph, width, pw, channels)
    return grid.max((2, 4)).astype(np.int64) + operation.array("bias")
