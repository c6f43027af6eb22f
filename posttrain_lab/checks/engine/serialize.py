"""Calls and outcomes as bytes: a JSON tree, and the tensors as safetensors. Nothing is ever unpickled.

The grader sends arguments to the student's kernel and reads outcomes back through this. Tensors keep dtype, strides and sharing;
`torch.nn` layers are sent as their name, constructor arguments and tensors; only the types listed here can be sent.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.outcome import Outcome

LAYERS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "Linear": (nn.Linear, ("in_features", "out_features")),
    "Conv2d": (
        nn.Conv2d,
        ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
    ),
    "BatchNorm2d": (nn.BatchNorm2d, ("num_features", "eps", "momentum", "affine", "track_running_stats")),
    "LayerNorm": (nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine")),
    "ReLU": (nn.ReLU, ()),
    "GELU": (nn.GELU, ()),
    "Identity": (nn.Identity, ()),
    "Flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "Dropout": (nn.Dropout, ("p",)),
    "MaxPool2d": (nn.MaxPool2d, ("kernel_size", "stride", "padding")),
    "AvgPool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding")),
    "Sequential": (nn.Sequential, ()),
}
DTYPES = {str(d): d for d in vars(torch).values() if isinstance(d, torch.dtype)}
LIMIT = 64 * 2**20  # bytes, also of all tensors once they are rebuilt
PARTS = 1_000_000


class WireError(ValueError):
    """Bytes that are not a value, or a value that cannot be sent."""


def encode(value: Any) -> bytes:
    """Any value that a check may send or receive, as bytes. Raises WireError for another kind.

    >>> decode(encode({"x": (1, 2.5, torch.tensor([3]))}))
    {'x': (1, 2.5, tensor([3]))}
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[int, str] = {}
    tree = _pack(value, tensors, numbers)
    return save(tensors, {"tree": json.dumps(tree)})


def decode(raw: bytes, vet: Callable[[Any], None] = lambda tree: None) -> Any:
    """The value again. Raises WireError when the bytes are damaged, too many, or name a kind that does not exist.

    `vet` sees the tree of a value with layers before they are built, and may raise WireError.
    """
    if len(raw) > LIMIT:
        raise WireError(f"the answer has {len(raw)} bytes; {LIMIT} are allowed")
    try:
        size = int.from_bytes(raw[:8], "little")
        head = raw[8 : 8 + size]
        if head.count(b",") + head.count(b"[") > PARTS:
            raise WireError(f"the answer has more than {PARTS:,} parts")
        text = json.loads(head)["__metadata__"]["tree"]
        tree = json.loads(text)
        if '"layer"' in text or "\\" in text:  # which may spell a letter in another way
            vet(tree)
        return _unpack(tree, load(raw), {})
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"the answer could not be read ({type(error).__name__})") from None


def rebuilt(layer: nn.Module) -> nn.Module:
    """A copy of the layer as the receiver would build it, from its name, options and tensors, but without encoding it."""
    tensors: dict[str, Tensor] = {}
    tree = json.loads(json.dumps(_pack(layer, tensors, {})))
    if any(type(tensor) is not Tensor for tensor in tensors.values()):
        raise WireError("a layer whose tensors are of a subclass of Tensor cannot be sent")
    return _unpack(tree, tensors, {})


def _pack(value: Any, tensors: dict[str, Tensor], numbers: dict[int, str]) -> Any:
    if isinstance(value, Tensor):
        return _pack_tensor(value, tensors, numbers)
    if isinstance(value, float) and not math.isfinite(value):
        return {"kind": "float", "value": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return {"kind": type(value).__name__, "items": [_pack(item, tensors, numbers) for item in value]}
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[str(k), _pack(v, tensors, numbers)] for k, v in value.items()]}
    if isinstance(value, torch.dtype):
        return {"kind": "dtype", "value": str(value)}
    if isinstance(value, TimedCall):
        return {"kind": "TimedCall", "durations": list(value.durations)}
    if isinstance(value, Outcome):
        return {"kind": "Outcome", "fields": _pack(vars(value), tensors, numbers)}
    if isinstance(value, nn.Module):
        return _pack_layer(value, tensors, numbers)
    raise WireError(f"a {type(value).__name__} cannot be sent between the grader and the student's code")


def _pack_tensor(value: Tensor, tensors: dict[str, Tensor], numbers: dict[int, str]) -> Any:
    name = numbers.get(id(value))
    if name is None:
        name = numbers[id(value)] = str(len(tensors))
        tensors[name] = value.detach().contiguous().clone()
    parameter = value.requires_grad if isinstance(value, nn.Parameter) else None
    return {"kind": "tensor", "name": name, "strides": list(value.stride()), "parameter": parameter}


def _pack_layer(layer: nn.Module, tensors: dict[str, Tensor], numbers: dict[int, str]) -> Any:
    name = type(layer).__name__
    if name not in LAYERS or type(layer) is not LAYERS[name][0]:
        raise WireError(f"a layer {name} cannot be sent; these can: {', '.join(LAYERS)}")
    own = {**dict(layer.named_parameters(recurse=False, remove_duplicate=False)), **dict(layer.named_buffers(recurse=False))}
    return {
        "kind": "layer",
        "name": name,
        "training": layer.training,
        "options": {key: _pack(getattr(layer, key), tensors, numbers) for key in LAYERS[name][1]},
        "tensors": {key: _pack(tensor, tensors, numbers) for key, tensor in own.items()},
        "unsaved": sorted(layer._non_persistent_buffers_set),
        "children": [[key, _pack(child, tensors, numbers)] for key, child in layer._modules.items()],
    }


def _unpack(tree: Any, tensors: dict[str, Tensor], seen: dict[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind = tree["kind"]
    if kind == "tensor":
        return _unpack_tensor(tree, tensors, seen)
    if kind == "float":
        return float(tree["value"])
    if kind in ("list", "tuple"):
        items = [_unpack(item, tensors, seen) for item in tree["items"]]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {key: _unpack(item, tensors, seen) for key, item in tree["items"]}
    if kind == "dtype":
        return DTYPES[tree["value"]]
    if kind == "TimedCall":
        return TimedCall(tuple(tree["durations"]))
    if kind == "Outcome":
        return _outcome(_unpack(tree["fields"], tensors, seen))
    if kind == "layer":
        return _unpack_layer(tree, tensors, seen)
    raise WireError(f"there is no kind {kind!r}")


def _unpack_tensor(tree: dict[str, Any], tensors: dict[str, Tensor], seen: dict[str, Tensor]) -> Tensor:
    if tree["name"] in seen:
        return seen[tree["name"]]
    stored = tensors[tree["name"]]
    result = stored
    if list(stored.stride()) != tree["strides"] and stored.numel() and all(s > 0 for s in tree["strides"]):
        reach = 1 + sum((n - 1) * s for n, s in zip(stored.shape, tree["strides"], strict=True))
        if reach * stored.element_size() + sum(one.untyped_storage().nbytes() for one in seen.values()) > LIMIT:
            raise WireError("the strides of its tensors need too much memory")
        result = torch.empty_strided(stored.shape, tree["strides"], dtype=stored.dtype)
        result.copy_(stored)
    if tree["parameter"] is not None:
        result = nn.Parameter(result, requires_grad=bool(tree["parameter"]))
    seen[tree["name"]] = result
    return result


def _unpack_layer(tree: dict[str, Any], tensors: dict[str, Tensor], seen: dict[str, Tensor]) -> nn.Module:
    """Build the layer without storage, then set its tensors: wrong sizes in the options cannot allocate memory."""
    kind, names = LAYERS[tree["name"]]
    options = {key: _unpack(tree["options"][key], tensors, seen) for key in names}
    own = {key: _unpack(item, tensors, seen) for key, item in tree["tensors"].items()}
    if kind in (nn.Linear, nn.Conv2d):
        options["bias"] = "bias" in own
    layer = kind(**options, device="meta") if kind in (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm) else kind(**options)
    slots = [*layer.named_parameters(), *layer.named_buffers()]
    if {key for key, _ in slots} != set(own) or any(own[key].shape != slot.shape for key, slot in slots):
        raise WireError(f"the tensors of a layer {tree['name']} do not fit its options")
    for key, tensor in own.items():
        setattr(layer, key, tensor)
    layer._non_persistent_buffers_set = {str(key) for key in tree.get("unsaved", [])} & set(own)
    for key, child in tree["children"]:
        layer.add_module(key, _unpack(child, tensors, seen))
    layer.training = bool(tree["training"])  # train() would set the children's modes too
    return layer


def _outcome(fields: dict[str, Any]) -> Outcome:
    """The outcome, when every field but the value has the type that the grader relies on."""
    outcome = Outcome(**fields)
    right = (
        all(g is None or isinstance(g, Tensor) for g in _tuple(outcome.gradients))
        and all(isinstance(name, str) for name in _tuple(outcome.float_products))
        and all(type(index) is int and index >= 0 for index in _tuple(outcome.changed))
        and type(outcome.error) is str
        and type(outcome.unsolved) is bool
        and all(isinstance(note, str) for note in _tuple(outcome.notes))
    )
    if not right:
        raise WireError("the answer is not an outcome of a call")
    return outcome


def _tuple(value: Any) -> tuple[Any, ...]:
    if type(value) is not tuple:
        raise WireError("the answer is not an outcome of a call")
    return value
