"""What the page's engine needs of an integer program: the operations as JSON, and all constants of the convolutions in one block of bytes."""

import json
import zlib
from typing import Any

import numpy as np
import torch

from .program import IntegerProgram, Operation
from .rescaling import EXACT, double_is_exact

BLOB = {"weight": np.int8, "bias": np.int32, "multiplier": np.int32, "shift": np.int8}


def spec_and_blob(program: IntegerProgram) -> tuple[dict[str, Any], bytes]:
    """(what goes into the page as JSON, the bytes that the offsets in it mean); the block's CRC-32 is in the JSON."""
    blob = bytearray()
    listed = [_listed(program, operation, blob) for operation in program.operations]
    values = [{"shape": value.shape, "bits": value.bits} for value in program.values]
    spec = {"values": values, "operations": listed, "scale": program.output_scale, "zero": program.output_zero}
    return spec | {"crc": zlib.crc32(bytes(blob))}, bytes(blob)


def _listed(program: IntegerProgram, operation: Operation, blob: bytearray) -> dict[str, Any]:
    names = ("kind", "inputs", "output", "groups", "x_zero", "zero_point", "low", "high", "pool")
    one = {name: getattr(operation, name) for name in names} | vars(operation.window)
    if operation.kind == "conv":
        return one | {"k": operation.array("weight").shape[1], "fast": _fast(program, operation)} | _kept(operation, blob)
    if operation.multiplier is not None:
        one |= {"m": operation.multiplier.tolist(), "shift": operation.array("shift").tolist(), "fast": _fast(program, operation)}
    return one | ({"bias": int(operation.bias[0])} if operation.bias is not None else {})


def _kept(operation: Operation, blob: bytearray) -> dict[str, int]:
    """Append the arrays, four-byte numbers on multiples of four; returns where each begins."""
    offsets = {}
    for name, kind in BLOB.items():
        values = getattr(operation, name)
        if values is not None:
            blob.extend(b"\0" * (-len(blob) % np.dtype(kind).itemsize))
            offsets[name] = len(blob)
            blob.extend(np.ascontiguousarray(values, kind).astype(np.dtype(kind).newbyteorder("<")).tobytes())
    return offsets


def _fast(program: IntegerProgram, operation: Operation) -> bool:
    """Are doubles exact for every sum that can occur?"""
    if operation.multiplier is None or operation.kind == "sum":
        return True
    bits = program.values[operation.output].bits
    if operation.kind == "conv":
        arrays = [torch.from_numpy(operation.array(name)) for name in ("weight", "bias", "multiplier", "shift")]
        return bool(double_is_exact(*arrays, bits=bits).all())
    reach = 2 ** program.values[operation.inputs[0]].bits * operation.window.count
    shift = int(operation.array("shift")[0])
    return reach * int(operation.multiplier[0]) + (1 << (shift - 1)) <= EXACT


def compact(spec: dict[str, Any]) -> str:
    """JSON without spaces, safe inside a script of a page."""
    return json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
