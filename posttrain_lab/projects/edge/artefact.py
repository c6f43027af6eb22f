"""An artefact of the edge project is data, never code: `graph.json` and `weights.safetensors`, read and checked here.

    {"format": "posttrain-lab edge 1", "scale": 0.0039, "zero_point": -128, "layers": [
        {"operator": "conv", "bits": 8, "in": 1, "out": 8, "kernel": 3, "stride": 2, "groups": 1, "scale": 0.02, "zero_point": -128},
        {"operator": "relu"}, {"operator": "pool", "size": 2}, {"operator": "flatten"},
        {"operator": "dense", "bits": 4, "in": 392, "out": 10}]}

`scale` and `zero_point` of the whole: how the codes of the 28 x 28 photograph stand for numbers, (code - zero_point) * scale; of a layer:
how those of its output do. The last layer is a dense one and has neither: its sums, times its weights' scales, are the logits. A conv is
padded with (kernel - 1) / 2 zeros on each side. For layer k the weights are "k.codes" int8, of torch's shape, in -(2^(bits-1) - 1) to
2^(bits-1) - 1; "k.scale" float32 [out]; "k.bias" int32 [out], in units of the input's scale times the weight's.

A file is hostile until proven otherwise: sizes are bounded before anything is read, and every field, tensor and number is checked.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

FORMAT = "posttrain-lab edge 1"
GRAPH, WEIGHTS = "graph.json", "weights.safetensors"
LARGEST_FILE = {GRAPH: 100_000, WEIGHTS: 1_000_000}  # bytes
MOST_LAYERS = 64
ARRAYS = ("codes", "scale", "bias")
SMALL, LARGE = 1e-30, 1e30  # scales: no product of three of them overflows a double

# For each operator its fields, each with the values that it may have: a range of integers, a set, or "scale".
OUTPUT: dict[str, Any] = {"scale": "scale", "zero_point": range(-128, 128)}
SIZE = range(1, 4097)
FIELDS: dict[str, dict[str, Any]] = {
    "conv": {"bits": (4, 8), "in": SIZE, "out": SIZE, "kernel": (1, 3, 5, 7), "stride": range(1, 5), "groups": SIZE} | OUTPUT,
    "relu": {},
    "pool": {"size": range(2, 15)},
    "flatten": {},
    "dense": {"bits": (4, 8), "in": SIZE, "out": SIZE} | OUTPUT,
}


class Refused(ValueError):
    """An artefact that is not scored; the message says what is wrong with it, and what is allowed."""


@dataclass(frozen=True, eq=False)
class Artefact:
    """A checked artefact: the graph as in the file, and its tensors by name."""

    graph: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers in order."""
        return self.graph["layers"]


def read_artefact(folder: str | Path) -> Artefact:
    """Read and check the two files of a folder. Raises Refused for anything that is not as the format says."""
    folder = Path(folder)
    texts = {name: _bytes(folder, name) for name in LARGEST_FILE}
    if extra := sorted(path.name for path in folder.iterdir() if path.name not in LARGEST_FILE):
        raise Refused(f"the folder holds {', '.join(extra[:3])}; an artefact is {GRAPH} and {WEIGHTS}, nothing else.")
    return parsed_artefact(texts[GRAPH], texts[WEIGHTS])


def parsed_artefact(graph: bytes, weights: bytes) -> Artefact:
    """The artefact whose two files have this content. Raises Refused."""
    return checked(_parsed(graph), _tensors(weights))


def _bytes(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise Refused(f"there is no file {name} in {folder.name or folder}; an artefact is {GRAPH} and {WEIGHTS}.")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE[name] + 1)
    if len(content) > LARGEST_FILE[name]:
        raise Refused(f"{name} has more than {LARGEST_FILE[name]:,} bytes; write it with save_artefact.")
    return content


def _parsed(content: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    def never(text: str) -> None:
        raise ValueError(f"{text} is no number of JSON")

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{GRAPH} is no JSON of the format ({str(error)[:80]}); write it with save_artefact.") from None


def _tensors(content: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Refused(f"{WEIGHTS} is damaged or no safetensors file ({str(error)[:80]}); write it again.") from None
    room = 8 + int.from_bytes(content[:8], "little")
    if b"__metadata__" in content[8:room]:
        raise Refused(f"{WEIGHTS} has metadata, which no layer uses; leave it out.")
    return tensors


def checked(graph: Any, tensors: dict[str, Tensor]) -> Artefact:
    """The artefact of a graph and its tensors. Raises Refused, naming the layer, for what does not fit together."""
    _check_fields("the graph", graph, {"format": (FORMAT,), "layers": "layers"} | OUTPUT)
    layers, used = graph["layers"], set()
    if not 1 <= len(layers) <= MOST_LAYERS:
        raise Refused(f"the graph has {len(layers)} layers; 1 to {MOST_LAYERS} are allowed.")
    for number, layer in enumerate(layers):
        operator = layer.get("operator") if isinstance(layer, dict) else None
        if not isinstance(operator, str) or operator not in FIELDS:
            raise Refused(f"layer {number} is {str(layer)[:60]}; the operators are {', '.join(FIELDS)}.")
        fields = FIELDS[operator]
        if operator == "dense" and number == len(layers) - 1:
            fields = {name: allowed for name, allowed in fields.items() if name not in OUTPUT}
        _check_fields(f"layer {number}, {operator}", layer, {"operator": (operator,)} | fields)
        if "bits" in fields:
            _check_tensors(number, layer, tensors)
            used |= {f"{number}.{name}" for name in ARRAYS}
    if unused := sorted(set(tensors) - used):
        raise Refused(f"{WEIGHTS} has tensors that no layer uses: {', '.join(unused[:3])}; take them out.")
    return Artefact(graph, tensors)


def _check_fields(where: str, given: Any, fields: dict[str, Any]) -> None:
    if not isinstance(given, dict) or set(given) != set(fields):
        got = sorted(given) if isinstance(given, dict) else str(given)[:60]
        raise Refused(f"{where} has {got}; its fields are {sorted(fields)}, and all of them.")
    for name, allowed in fields.items():
        value = given[name]
        if allowed == "scale":
            fits, words = type(value) in (int, float) and SMALL <= value <= LARGE, f"a number of {SMALL:g} to {LARGE:g}"
        elif allowed == "layers":
            fits, words = isinstance(value, list), "a list"
        else:
            fits = type(value) is type(allowed[0]) and value in allowed
            words = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
        if not fits:
            raise Refused(f"{where}: {name} is {str(value)[:40]}; allowed is {words}.")


def _check_tensors(number: int, layer: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    out, most = layer["out"], 2 ** (layer["bits"] - 1) - 1
    if layer["operator"] == "conv" and (layer["in"] % layer["groups"] or out % layer["groups"]):
        raise Refused(f"layer {number}: groups is {layer['groups']}, which must divide in and out; take 1 for a plain conv.")
    size = (layer["in"] // layer.get("groups", 1), *[layer["kernel"]] * 2) if layer["operator"] == "conv" else (layer["in"],)
    wanted = {"codes": (torch.int8, (out, *size)), "scale": (torch.float32, (out,)), "bias": (torch.int32, (out,))}
    for name, (dtype, shape) in wanted.items():
        found = tensors.get(f"{number}.{name}")
        if found is None or found.dtype != dtype or tuple(found.shape) != shape:
            got = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise Refused(f"layer {number}: the tensor {number}.{name} is {got}; it must be {dtype} {list(shape)}.")
    codes, scale = tensors[f"{number}.codes"], tensors[f"{number}.scale"]
    if int(codes.min()) < -most or int(codes.max()) > most:
        raise Refused(
            f"layer {number}: codes go from {codes.min()} to {codes.max()}; {layer['bits']} bits hold -{most} to {most}."
        )
    if not all(math.isfinite(one) and SMALL <= one <= LARGE for one in scale.tolist()):
        raise Refused(f"layer {number}: a scale is 0, negative, NaN or infinite; all must be {SMALL:g} to {LARGE:g}.")
