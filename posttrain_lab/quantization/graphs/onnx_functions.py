"""torch's operators in a graph as ONNX operators: views on codes and floats, and the arithmetic of the float islands.

A view is written as a Reshape to the shape that it had in a run, where -1 stands for the axis that grows with the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from ..onnx_builder import Graph
from .onnx_layers import pool_attributes

LAST = 2**62  # an end beyond every axis


@dataclass
class OnnxCall:
    """One call: its arguments by name, the names of its tensors in ONNX, the shapes in two runs with batches of 2 and 3."""

    graph: Graph
    named: dict[str, Any]
    name_of: Callable[[Any], str]
    shape: tuple[int, ...]
    grown: tuple[int, ...]
    shape_of: Callable[[Any], tuple[int, ...]]

    def start(self, key: str = "self") -> str:
        """Make a tensor argument the one that the next operator reads."""
        self.graph.now = self.name_of(self.named[key])
        return self.graph.now

    def ndim(self, key: str = "self") -> int:
        return len(self.shape_of(self.named[key]))


def reshaped(call: OnnxCall) -> str:
    """view, flatten, squeeze and so on."""
    call.start(next(key for key, value in call.named.items() if isinstance(value, fx.Node)))
    wanted = [-1 if a != b else a for a, b in zip(call.shape, call.grown, strict=True)]
    if wanted.count(-1) > 1:
        raise ValueError("to_onnx wants one axis that grows with the batch, got several; flatten them.")
    return call.graph.add("Reshape", np.array(wanted, np.int64))


def _permute(call: OnnxCall) -> str:
    call.start()
    n = call.ndim()
    return call.graph.add("Transpose", perm=[axis % n for axis in call.named["dims"]])


def _transpose(call: OnnxCall) -> str:
    call.start()
    order = list(range(call.ndim()))
    a, b = call.named.get("dim0", 0), call.named.get("dim1", 1)
    order[a], order[b] = order[b], order[a]
    return call.graph.add("Transpose", perm=order)


def _movedim(call: OnnxCall) -> str:
    call.start()
    numbered = torch.empty(*range(call.ndim()), device="meta")  # axis k has size k, so sizes tell where axes went
    return call.graph.add("Transpose", perm=list(numbered.movedim(call.named["source"], call.named["destination"]).shape))


def sliced(graph: Graph, axis: int, start: int, end: int, step: int = 1) -> str:
    """A part along one axis of the tensor `now`."""
    return graph.add("Slice", *(np.array([value], np.int64) for value in (start, end, axis, step)))


def _slice(call: OnnxCall) -> str:
    call.start()
    start, end = call.named.get("start") or 0, call.named.get("end")
    end = LAST if end is None or not isinstance(end, int) else min(end, LAST)
    return sliced(call.graph, call.named["dim"], start, end, call.named.get("step", 1))


def _select(call: OnnxCall) -> str:
    call.start()
    return call.graph.add("Gather", np.array(call.named["index"], np.int64), axis=call.named["dim"])


def _expand(call: OnnxCall) -> str:
    source = call.start()
    was = (1,) * (len(call.shape) - call.ndim()) + call.shape_of(call.named["self"])
    if not any(a != b and size == 1 for a, b, size in zip(call.shape, call.grown, was, strict=True)):
        wanted = [1 if a != b else a for a, b in zip(call.shape, call.grown, strict=True)]
        return call.graph.add("Expand", np.array(wanted, np.int64))
    call.graph.now = "x"
    call.graph.add("Shape")
    batch = call.graph.add("Gather", np.array([0], np.int64), axis=0)
    parts = [batch if a != b else np.array([a], np.int64) for a, b in zip(call.shape, call.grown, strict=True)]
    names = [part if isinstance(part, str) else call.graph.constant(part) for part in parts]
    call.graph.now = names[0]
    wanted_shape = call.graph.add("Concat", *names[1:], axis=0)
    call.graph.now = source
    return call.graph.add("Expand", wanted_shape)


def _cat(call: OnnxCall) -> str:
    names = [call.name_of(one) for one in call.named["tensors"]]
    call.graph.now = names[0]
    return call.graph.add("Concat", *names[1:], axis=call.named["dim"])


def _binary(operator: str) -> Callable[[OnnxCall], str]:
    def write(call: OnnxCall) -> str:
        if call.named.get("alpha", 1) != 1:
            raise ValueError("to_onnx has no form for an addition with alpha; multiply before.")
        call.start()
        other = call.named["other"]
        return call.graph.add(operator, call.name_of(other) if isinstance(other, fx.Node) else np.float32(other))

    return write


def _unary(operator: str, **attributes: Any) -> Callable[[OnnxCall], str]:
    def write(call: OnnxCall) -> str:
        call.start()
        return call.graph.add(operator, **attributes)

    return write


def _gelu(call: OnnxCall) -> str:
    x = call.start()
    if call.named.get("approximate", "none") != "none":
        raise ValueError("to_onnx has no form for gelu with approximate='tanh'; use the exact one.")
    call.graph.add("Mul", np.float32(1 / sqrt(2)))
    call.graph.add("Erf")
    call.graph.add("Add", np.float32(1))
    call.graph.add("Mul", x)
    return call.graph.add("Mul", np.float32(0.5))


def _silu(call: OnnxCall) -> str:
    x = call.start()
    call.graph.add("Sigmoid")
    return call.graph.add("Mul", x)


def _layer_norm(call: OnnxCall) -> str:
    shape = call.named["normalized_shape"]
    given = [call.named.get(key) for key in ("weight", "bias")]
    weight = np.ones(shape, np.float32) if given[0] is None else call.name_of(given[0])
    bias = np.zeros(shape, np.float32) if given[1] is None else call.name_of(given[1])
    call.start("input")
    return call.graph.add("LayerNormalization", weight, bias, axis=-len(shape), epsilon=float(call.named["eps"]))


def _matmul(call: OnnxCall) -> str:
    call.start()
    return call.graph.add("MatMul", call.name_of(call.named[next(k for k in ("other", "mat2") if k in call.named)]))


def _attention(call: OnnxCall) -> str:
    named, graph = call.named, call.graph
    if named.get("is_causal") or named.get("enable_gqa"):
        raise ValueError("to_onnx has no form for scaled_dot_product_attention with is_causal; give a mask.")
    order = [*range(call.ndim("key") - 2), call.ndim("key") - 1, call.ndim("key") - 2]
    call.start("key")
    turned = graph.add("Transpose", perm=order)
    call.start("query")
    graph.add("MatMul", turned)
    graph.add("Mul", np.float32(named.get("scale") or 1 / sqrt(call.shape_of(named["query"])[-1])))
    if named.get("attn_mask") is not None:
        graph.add("Add", call.name_of(named["attn_mask"]))
    graph.add("Softmax", axis=-1)
    return graph.add("MatMul", call.name_of(named["value"]))


def _softmax(call: OnnxCall) -> str:
    call.start()
    return call.graph.add("Softmax", axis=call.named["dim"])


def _pad(call: OnnxCall, zero: Any = None) -> str:
    call.start()
    if call.named.get("mode", "constant") != "constant":
        raise ValueError("to_onnx has no form for padding that is not with a number; pad with zeros.")
    sizes, n = list(call.named["pad"]), call.ndim()
    before, after = [0] * n, [0] * n
    for place in range(len(sizes) // 2):
        before[n - 1 - place], after[n - 1 - place] = sizes[2 * place], sizes[2 * place + 1]
    return call.graph.add("Pad", np.array(before + after, np.int64), zero)


def _roll(call: OnnxCall) -> str:
    call.start()
    for shift, axis in zip(call.named["shifts"], call.named["dims"], strict=True):
        source, place = call.graph.now, -shift % call.shape[axis]
        first = sliced(call.graph, axis, 0, place)
        call.graph.now = source
        sliced(call.graph, axis, place, LAST)
        call.graph.add("Concat", first, axis=axis)
    return call.graph.now


def _max_pool(call: OnnxCall) -> str:
    call.start()
    keys = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return call.graph.add("MaxPool", **pool_attributes(*(call.named[key] for key in keys)))


def _adaptive_average(call: OnnxCall) -> str:
    """A mean over unequal windows is a product with a matrix of shares from each side."""
    (rows, columns), (high, wide) = call.shape_of(call.named["self"])[-2:], call.shape[-2:]
    shares = [F.adaptive_avg_pool1d(torch.eye(n)[None], out)[0].numpy() for n, out in ((rows, high), (columns, wide))]
    call.start()
    across = call.graph.add("MatMul", shares[1])
    call.graph.now = call.graph.constant(np.ascontiguousarray(shares[0].T))
    return call.graph.add("MatMul", across)


def _mean(call: OnnxCall) -> str:
    call.start()
    return call.graph.add("ReduceMean", axes=list(call.named["dim"]), keepdims=int(call.named["keepdim"]))


def _embedding(call: OnnxCall) -> str:
    call.start("weight")
    return call.graph.add("Gather", call.name_of(call.named["indices"]), axis=0)


FUNCTIONS: dict[str, Callable[..., str]] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), reshaped),
    **{
        "permute": _permute,
        "transpose": _transpose,
        "t": _transpose,
        "movedim": _movedim,
        "slice": _slice,
        "select": _select,
        "expand": _expand,
    },
    **{"cat": _cat, "add": _binary("Add"), "sub": _binary("Sub"), "mul": _binary("Mul"), "div": _binary("Div")},
    **{"relu": _unary("Relu"), "sigmoid": _unary("Sigmoid"), "tanh": _unary("Tanh"), "hardswish": _unary("HardSwish")},
    **{"contiguous": _unary("Identity"), "clone": _unary("Identity"), "exp": _unary("Exp"), "gelu": _gelu, "silu": _silu},
    **{"layer_norm": _layer_norm, "matmul": _matmul, "bmm": _matmul, "softmax": _softmax, "embedding": _embedding},
    **{"scaled_dot_product_attention": _attention, "pad": _pad, "constant_pad_nd": _pad, "roll": _roll},
    **{"max_pool2d": _max_pool, "adaptive_avg_pool2d": _adaptive_average, "mean": _mean},
}
PARTS = frozenset(("chunk", "split", "split_with_sizes", "unbind"))


def as_array(value: Tensor) -> np.ndarray:
    """A constant of a graph as an array."""
    return value.detach().contiguous().numpy()
