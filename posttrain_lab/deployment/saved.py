"""An integer program in a file: the arrays in safetensors, the operations as JSON in its metadata, a checksum over both."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor

from posttrain_lab.content_checksum import content_checksum
from posttrain_lab.whole_files import save_whole

from .contract import Contract
from .program import ARRAYS, DTYPES, Affine, IntegerProgram, Operation, Value, Window

FORMAT = "posttrain-lab integer program 1"
STORED = {"weight": torch.int8, "bias": torch.int64, "multiplier": torch.int64, "shift": torch.int64}


def save_program(program: IntegerProgram, path: str | Path) -> None:
    """Write the program; the file is written whole or not at all. Raises OSError when it cannot be written."""
    tensors = arrays_of(program)
    about = {"format": FORMAT, "graph": json.dumps(as_json(program), sort_keys=True)}
    about["checksum"] = content_checksum(tensors.items(), about)
    save_whole("save_program", Path(path), as_bytes(tensors, about))


def arrays_of(program: IntegerProgram) -> dict[str, Tensor]:
    """All constants, named "number of the operation.array"."""
    arrays = {}
    for number, operation in enumerate(program.operations):
        for name in ARRAYS:
            if getattr(operation, name) is not None:
                arrays[f"{number}.{name}"] = torch.from_numpy(np.ascontiguousarray(getattr(operation, name))).to(STORED[name])
    return arrays


def as_json(program: IntegerProgram) -> dict[str, Any]:
    """Everything but the arrays."""
    listed = [
        {name: value for name, value in vars(operation).items() if name not in (*ARRAYS, "window")}
        | {"window": asdict(operation.window)}
        for operation in program.operations
    ]
    rest = {name: value for name, value in vars(program).items() if name not in ("operations", "values", "input", "contract")}
    rest |= {"contract": asdict(program.contract) if program.contract else None}
    return rest | {"input": asdict(program.input), "values": [asdict(value) for value in program.values], "operations": listed}


def load_program(path: str | Path) -> IntegerProgram:
    """Read a program that `save_program` wrote.

    Raises FileNotFoundError for no such file, ValueError for one of another kind, or damaged: its checksum says so; and for a contract
    with the camera that is not that of the network's input.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_program finds no file {path}; save one with save_program.")
    try:
        with safe_open(str(path), "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(
            f"load_program wants a safetensors file, {path} is none, or cut short ({error}); save it again."
        ) from error
    if about.get("format") != FORMAT:
        raise ValueError(f"load_program wants a file of save_program ('{FORMAT}'), {path} says {about.get('format')!r}.")
    known = about.pop("checksum", "")
    if content_checksum(tensors.items(), about) != known:
        raise ValueError(f"{path} is damaged: its checksum is not that of its content; save or copy it again.")
    return _program(json.loads(about["graph"]), tensors)


def _program(graph: dict[str, Any], tensors: dict[str, Tensor]) -> IntegerProgram:
    def tuples(value: Any) -> Any:
        return tuple(tuples(one) for one in value) if isinstance(value, list) else value

    values = tuple(Value(**{name: tuples(one) for name, one in value.items()}) for value in graph["values"])
    operations = []
    for number, listed in enumerate(graph["operations"]):
        arrays = {name: tensors[f"{number}.{name}"].numpy() for name in ARRAYS if f"{number}.{name}" in tensors}
        window = Window(**{name: tuples(one) for name, one in listed.pop("window").items()})
        fields: dict[str, Any] = {name: tuples(one) for name, one in listed.items()} | arrays
        operations.append(Operation(**fields, window=window))
    assert all(value.bits in DTYPES for value in values)
    rest = {name: tuples(graph[name]) for name in ("input_shape", "output_scale", "output_zero")}
    fields = {name: tuples(value) for name, value in (graph.get("contract") or {}).items()}
    contract = Contract(**fields) if fields else None
    return IntegerProgram(values, tuple(operations), input=Affine(**graph["input"]), contract=contract, **rest)
