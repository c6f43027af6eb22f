"""An integer program as the tables of `kernels/cpu/network.py`, which runs a whole network in one call."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.cpu.int8_microkernel import BLOCK, COLUMNS
from posttrain_lab.kernels.cpu.network import run_network
from posttrain_lab.kernels.cpu.network_lines import ADD, CONV, MAX, MEAN, STEP, TERM
from posttrain_lab.kernels.cpu.threads import cut, run
from posttrain_lab.kernels.panel_layout import split, to_panels
from posttrain_lab.kernels.processor import STEP as QUAD
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.quantization.affine import code_range

from .memory import plan_memory
from .program import IntegerProgram, Operation, Value, Window

KINDS = {"conv": CONV, "max": MAX, "mean": MEAN, "sum": ADD, "rescale": ADD, "average": ADD}
SLACK = 64  # codes behind a padded image: the last run may read beyond it, where the weights are 0


@dataclass
class _Lists:
    """The tables so far. Each `constants` is (bias, multiplier, shift) [outputs], int64."""

    steps: list[dict[str, int]] = field(default_factory=list)
    terms: list[tuple[int, int, int]] = field(default_factory=list)
    panels: list[np.ndarray] = field(default_factory=list)
    corrections: list[np.ndarray] = field(default_factory=list)
    constants: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class NetworkTables:
    """A network that one compiled function runs: its tables, as `run_network` takes them, and what an image and a result are like."""

    operands: tuple[Any, ...]
    input_shape: tuple[int, ...]
    outputs: tuple[int, int, int]
    macs: int

    def __call__(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n h w c"] | None:
        """What the network computes, with channels last; None for an image with NaN, which has no codes."""
        n, channels = len(x), self.input_shape[0]
        out = np.empty((n, *self.outputs), np.float32)
        images = x.numpy().reshape(-1), out.reshape(-1), (channels, prod(self.input_shape) // channels)
        ranges = cut(n, 1, n * self.macs)
        done = run(run_network, (images, *self.operands), ranges)
        return torch.from_numpy(out) if sum(done) == sum(end for _, end in ranges) else None


def network_tables(program: IntegerProgram) -> NetworkTables:
    """The tables of a program. Raises ValueError naming an operation that the kernel does not do."""
    places, lists = plan_memory(program), _Lists()
    values, first = program.values, program.operations[0]
    at = [8 * place // value.bits for place, value in zip(places.values, values, strict=True)]  # counted in codes of the value
    for operation in program.operations:
        _add(lists, program, operation, at)
    steps = np.zeros(len(lists.steps), STEP)
    for row, one in zip(steps, lists.steps, strict=True):
        for name, number in one.items():
            row[name] = number
    constants = np.concatenate(lists.constants, 1)
    weights = _joined(lists.panels, np.int8), _joined(lists.corrections, np.int32)
    tables = steps, np.array(lists.terms, TERM), weights, tuple(constants)
    x, y = program.input, program.result
    low, high = code_range(x.bits)
    ends = (
        np.array([x.scale], np.float32),
        (x.zero_point, low, high, at[first.inputs[0]]),
        (program.output_zero, y.bits, at[program.operations[-1].output], prod(y.shape[:2])),
        np.array(program.output_scale, np.float32),
    )
    return NetworkTables((tables, ends, _sizes(lists, program, places.arena)), program.input_shape, y.shape, program.macs)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([*parts, np.zeros(0, dtype)]).astype(dtype)


def _sizes(lists: _Lists, program: IntegerProgram, arena: int) -> tuple[int, ...]:
    """What the function takes as scratch, see `run_network`."""
    held = [one["padded_height"] * one["line_stride"] + SLACK for one in lists.steps if one["kind"] == CONV]
    runs = [one["kernel_height"] * one["runs"] for one in lists.steps if one["kind"] == CONV]
    window = [one["kernel_height"] * one["runs"] * one["run_length"] for one in lists.steps if one["kind"] == CONV]
    channels = max(COLUMNS, *(value.shape[2] for value in program.values))
    return arena, *(max(sizes, default=1) for sizes in (held, runs, window)), channels


def _add(lists: _Lists, program: IntegerProgram, operation: Operation, at: list[int]) -> None:
    """One operation, as a row of each table that it needs."""
    x, y, first = program.values[operation.inputs[0]], program.values[operation.output], len(lists.terms)
    factors = operation.array("multiplier") if operation.kind in ("sum", "rescale") else [1] * len(operation.inputs)
    lists.terms += [(at[one], program.values[one].bits, int(f)) for one, f in zip(operation.inputs, factors, strict=True)]
    bias, multiplier, shift, zero_point, low, high = _rescaling(operation, y)
    row = {"kind": KINDS[operation.kind], "bits": y.bits, "y": at[operation.output]}
    row |= {"first_term": first, "end_term": len(lists.terms), "zero_point": zero_point, "low": low, "high": high}
    row |= {"constants": sum(one.shape[1] for one in lists.constants), **_geometry(operation.window, x, y)}
    if operation.kind == "conv":
        row |= _held(operation, x) | {"x": at[operation.inputs[0]], "x_zero": operation.x_zero}
        bias = bias + _add_weights(lists, operation, row)
    lists.constants.append(np.stack([np.broadcast_to(one, y.shape[2]) for one in (bias, multiplier, shift)]).astype(np.int64))
    lists.steps.append(row)


def _rescaling(operation: Operation, y: Value) -> tuple[Any, ...]:
    """(bias, multiplier, shift, zero point, lowest, highest code) of the line that a window gives; factors are those of the terms."""
    ends = operation.zero_point, operation.low, operation.high
    if operation.kind in ("max", "mean"):
        return 0, 1, 0, 0, -(1 << (y.bits - 1)), (1 << (y.bits - 1)) - 1
    if operation.kind == "rescale":
        return -operation.x_zero * operation.array("multiplier"), 1, operation.array("shift"), *ends
    if operation.kind == "sum":
        return operation.array("bias"), 1, operation.array("shift"), *ends
    bias = operation.array("bias") if operation.kind == "conv" else 0
    if operation.gives_sums:
        return bias, 1, 0, 0, operation.low, operation.high
    return bias, operation.array("multiplier"), operation.array("shift"), *ends


def _geometry(window: Window, x: Value, y: Value) -> dict[str, int]:
    names = "kernel", "stride", "dilation"
    pairs = {f"{name}_{side}": getattr(window, name)[i] for name in names for i, side in enumerate(("height", "width"))}
    shapes = zip(("height", "width", "channels", "out_height", "out_width", "outputs"), (*x.shape, *y.shape), strict=True)
    return {**dict(shapes), **pairs, "left": window.pads[0], "top": window.pads[2]}


def _held(operation: Operation, x: Value) -> dict[str, int]:
    """How a convolution holds its padded image, see FIELDS; raises ValueError for one that the kernel does not do."""
    (height, width, channels), window, groups = x.shape, operation.window, operation.groups
    if x.bits != 8 or prod(operation.pool) > BLOCK or operation.array("weight").shape[1] > LARGEST_K:
        raise ValueError(
            f"network_tables has no kernel for '{operation.name}': its input, its pooling or its filter is too large."
        )
    left, right, top, bottom = window.pads
    # In one group and without dilation, all of a window's line lies side by side: one run, filled up at its end.
    joined = groups == 1 and window.dilation[1] == 1
    depth = channels if groups == 1 else -(-channels // groups // QUAD) * QUAD
    length = window.kernel[1] * channels if joined else channels // groups
    return {
        "groups": groups,
        "pool_height": operation.pool[0],
        "pool_width": operation.pool[1],
        "padded": int(any(window.pads)),
        "padded_height": top + height + bottom,
        "depth": depth,
        "pixel_stride": groups * depth,
        "line_stride": (left + width + right) * groups * depth,
        "runs": 1 if joined else window.kernel[1],
        "run_length": -(-length // QUAD) * QUAD,
    }


def _add_weights(lists: _Lists, operation: Operation, row: dict[str, int]) -> np.ndarray:
    """Pack the weights run by run, in panels for each group; returns what the shifted inputs add to each sum, with its sign."""
    weight = torch.from_numpy(operation.array("weight"))
    runs = weight.reshape(len(weight), row["kernel_height"] * row["runs"], -1)
    filled = F.pad(runs, (0, row["run_length"] - runs.shape[2])).flatten(1)
    safe, corrections = split(filled)
    row["weights"], row["corrections"] = sum(map(len, lists.panels)), sum(map(len, lists.corrections))
    lists.panels += [to_panels(part).numpy().reshape(-1) for part in safe.chunk(row["groups"])]
    lists.corrections.append(corrections.numpy())
    row["corrections_end"] = row["corrections"] + len(corrections)
    return -corrections[len(weight) + 1 : 2 * len(weight) + 1].numpy().astype(np.int64)
