"""The layers of an integer graph as ONNX operators: int8 for what products read, int32 for wide codes, int64 for rescaling.

Every step between the borders is exact: sums are int32 or int64, and the shift to the right is a division of a positive number.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..integer_network import IntegerConv2d
from ..onnx_builder import Graph, clip_to, onnx_package
from .grids import WIDE_TOP, WideCodes
from .integer_layers import (
    FromCodes,
    IntegerAffine,
    IntegerAverage,
    IntegerCat,
    IntegerMaxPool,
    IntegerProduct,
    IntegerRescale,
    IntegerSum,
    IntegerTable,
    ToCodes,
)
from .integer_products import GraphConv2d, GraphLinear
from .layers import ChannelAffine
from .windows import AxisSums

ABOVE = 62  # 2^62 added before a division makes every sum positive; sums stay below it


def cast(graph: Graph, source: str, kind: str) -> str:
    """The tensor in another type: "INT64", "FLOAT"."""
    graph.now = source
    return graph.add("Cast", to=getattr(onnx_package().TensorProto, kind))


def _code_kind(codes: Any) -> str:
    return "INT32" if isinstance(codes, WideCodes) else "INT8"


def finish(graph: Graph, shift: Any, y: Any, ends: tuple[int, int]) -> str:
    """int64 sums in units of 2^-shift codes to codes: rounded with ties up, zero point, clamp. shift: a number or an array."""
    shift = np.asarray(shift, np.int64)
    one = np.ones_like(shift)
    graph.add("Add", (one << ABOVE) + (one << (shift - 1)))
    graph.add("Div", one << shift)
    graph.add("Sub", (one << (ABOVE - shift)) - np.int64(y.zero_point))
    graph.add("Clip", np.int64(ends[0]), np.int64(ends[1]))
    return cast(graph, graph.now, _code_kind(y))


def _to_codes(graph: Graph, layer: ToCodes, x: str) -> str:
    graph.now = x
    if not isinstance(layer.codes, WideCodes):
        graph.add("QuantizeLinear", np.float32(layer.codes.scale), np.int8(layer.codes.zero_point))
        clip_to(graph, layer.codes.bits)
        return graph.now
    graph.add("Div", np.float32(layer.codes.scale))
    graph.add("Round")
    graph.add("Clip", np.float32(-WIDE_TOP), np.float32(WIDE_TOP))
    return cast(graph, graph.now, "INT32")


def _from_codes(graph: Graph, layer: FromCodes, x: str) -> str:
    graph.now = x
    if not isinstance(layer.codes, WideCodes):
        return graph.add("DequantizeLinear", np.float32(layer.codes.scale), np.int8(layer.codes.zero_point))
    cast(graph, x, "FLOAT")
    return graph.add("Mul", np.float32(layer.codes.scale))


def _rescale(graph: Graph, layer: IntegerRescale, x: str) -> str:
    cast(graph, x, "INT64")
    graph.add("Sub", np.int64(layer.zero))
    graph.add("Mul", np.int64(layer.factor))
    return finish(graph, layer.shift, layer.y, layer.ends)


def _sum(graph: Graph, layer: IntegerSum, *xs: str) -> str:
    parts = []
    for x, factor in zip(xs, layer.factors, strict=True):
        cast(graph, x, "INT64")
        parts.append(graph.add("Mul", np.int64(factor)))
    for part in parts[:-1]:
        graph.add("Add", part)
    if layer.bias is not None:
        graph.add("Add", layer.bias.numpy())
    return finish(graph, layer.shift, layer.y, layer.ends)


def _product(graph: Graph, layer: IntegerProduct, a: str, b: str) -> str:
    other = cast(graph, b, "INT64")
    cast(graph, a, "INT64")
    graph.add("Mul", other)
    graph.add("Mul", np.int64(layer.factor))
    return finish(graph, layer.shift, layer.y, layer.ends)


def along(values: Tensor, axis: int, ndim: int) -> np.ndarray:
    """Values [channels] with axes of size 1, to broadcast along one axis of ndim."""
    return values.detach().numpy().reshape([-1 if one == axis % ndim else 1 for one in range(ndim)])


def _affine(graph: Graph, layer: IntegerAffine, x: str, *, ndim: int) -> str:
    factor, shift, bias = (along(values, layer.shaped, ndim) for values in (layer.factor, layer.shift, layer.bias))
    cast(graph, x, "INT64")
    graph.add("Mul", factor)
    graph.add("Add", bias)
    return finish(graph, shift, layer.y, layer.ends)


def _cat(graph: Graph, layer: IntegerCat, *xs: str) -> str:
    parts: list[str] = [_rescale(graph, part, x) for part, x in zip(layer.parts, xs, strict=True)]  # type: ignore[arg-type]
    graph.now = parts[0]
    return graph.add("Concat", *parts[1:], axis=layer.axis)


def _average(graph: Graph, layer: IntegerAverage, x: str) -> str:
    sums: Any = layer.sums
    cast(graph, x, "INT64")
    if isinstance(sums, AxisSums):
        graph.add("ReduceSum", np.array(sums.axes, np.int64), keepdims=int(sums.keepdim))
    else:
        _window_sums(graph, sums)
    graph.add("Mul", np.int64(layer.factor))
    return finish(graph, layer.shift, layer.y, layer.ends)


def _window_sums(graph: Graph, sums: Any) -> None:
    """For each place in a window, the values at it of all windows: a slice with steps; then their sum."""
    (top, left), (height, width), (down, right) = sums.padding, sums.size, sums.step
    if top or left:
        graph.add("Pad", np.array([0, 0, top, left, 0, 0, top, left], np.int64), np.int64(0))
    padded, total = graph.now, ""
    for i in range(height):
        for j in range(width):
            graph.now = padded
            ends = np.array([i - height + 1 or 2**62, j - width + 1 or 2**62], np.int64)
            part = graph.add(
                "Slice", np.array([i, j], np.int64), ends, np.array([2, 3], np.int64), np.array([down, right], np.int64)
            )
            total = graph.add("Add", total) if total else part


def _table(graph: Graph, layer: IntegerTable, x: str) -> str:
    graph.now = x
    index = graph.add("Add", np.int32(2**15))
    kept = layer.table.numpy()
    graph.now = graph.constant(kept if kept.dtype == np.int8 else kept.astype(np.int32))
    return graph.add("Gather", index, axis=0)


def pair(value: Any) -> tuple[int, int]:
    """Two sizes from one or two."""
    sizes = [value] * 2 if isinstance(value, int) else list(value)
    return int(sizes[0]), int(sizes[-1])


def pool_attributes(size: Any, step: Any, padding: Any, spread: Any, ceil: Any) -> dict[str, Any]:
    """torch's arguments of max pooling in ONNX's names."""
    both = {"kernel_shape": pair(size), "strides": pair(step or size), "dilations": pair(spread)}
    return {**both, "pads": [*pair(padding), *pair(padding)], "ceil_mode": int(bool(ceil))}


def _max_pool(graph: Graph, layer: IntegerMaxPool, x: str, *, kind: str) -> str:
    cast(graph, x, "FLOAT")  # codes below 2^24 are exact there, and pooling only compares them
    graph.add("MaxPool", **pool_attributes(*layer.arguments))
    return cast(graph, graph.now, kind)


def _multiplied(graph: Graph, layer: Any, x: str) -> str:
    """ConvInteger or MatMulInteger, bias, then one of the three results of `integer_products`."""
    graph.now, zero = x, np.int8(layer.x.zero_point)
    image = isinstance(layer, IntegerConv2d)
    codes = layer.weight_codes()
    if image:
        left, right, top, bottom = layer.conv.pads
        shape = {"strides": layer.conv.stride, "dilations": layer.conv.dilation, "group": layer.conv.groups}
        graph.add("ConvInteger", codes.numpy(), zero, pads=[top, left, bottom, right], **shape)
    else:
        graph.add("MatMulInteger", np.ascontiguousarray(codes.T.numpy()), zero)
    column = (-1, 1, 1) if image else (-1,)
    plain = layer.bias + layer.x.zero_point * codes.flatten(1).sum(1, dtype=layer.bias.dtype)
    graph.add("Add", plain.numpy().reshape(column))  # the operators subtract the zero point themselves
    if layer.y is None:
        cast(graph, graph.now, "FLOAT")
        return graph.add("Mul", np.array(layer.sum_scale, np.float32).reshape(column))
    cast(graph, graph.now, "INT64")
    graph.add("Mul", layer.multiplier.long().numpy().reshape(column))
    return finish(graph, layer.shift.long().numpy().reshape(column), layer.y, layer.limits())


def _channel_affine(graph: Graph, layer: ChannelAffine, x: str, *, ndim: int) -> str:
    graph.now = x
    graph.add("Mul", along(layer.gain, layer.axis, ndim))
    return graph.add("Add", along(layer.bias, layer.axis, ndim))


WRITERS: dict[type, Callable[..., str]] = {
    **{ToCodes: _to_codes, FromCodes: _from_codes, IntegerRescale: _rescale, IntegerSum: _sum, IntegerProduct: _product},
    **{IntegerAffine: _affine, IntegerCat: _cat, IntegerAverage: _average, IntegerTable: _table, IntegerMaxPool: _max_pool},
    **{GraphConv2d: _multiplied, GraphLinear: _multiplied, ChannelAffine: _channel_affine},
}


def write_layer(graph: Graph, name: str, layer: nn.Module, sources: list[str], ndim: int, kind: str) -> str:
    """Append the operators of one layer. ndim: of its input; kind: the type of its input's codes. Raises ValueError naming it."""
    writer = WRITERS.get(type(layer))
    if writer is None:
        raise ValueError(
            f"to_onnx has no form for the layer '{name}' ({type(layer).__name__}); quantize_model with mode 'integer' makes networks "
            "that have one."
        )
    options: dict[str, Any] = {}
    if type(layer) in (IntegerAffine, ChannelAffine):
        options["ndim"] = ndim
    if type(layer) is IntegerMaxPool:
        options["kind"] = kind
    return writer(graph, layer, *sources, **options)
