"""The operations of an `IntegerNetwork`, a chain of integer layers."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posttrain_lab.quantization.integer_network import (
    IntegerAvgPool2d,
    IntegerConv2d,
    IntegerLayer,
    IntegerMaxPool2d,
    IntegerNetwork,
    IntegerReLU,
)

from .layouts import after_flatten, channels_last
from .program import Affine, IntegerProgram, Operation, Value, Window


@dataclass
class Listing:
    """The values and operations so far; `flat` are the images that torch has flattened, which costs nothing here.

    A Linear behind a Flatten is a convolution whose window is the whole image.
    """

    values: list[Value]
    operations: list[Operation] = field(default_factory=list)
    flat: set[int] = field(default_factory=set)

    def add(self, kind: str, value: Value, inputs: tuple[int, ...], **more: Any) -> int:
        """Append an operation and its output; returns the output's number."""
        if kind in ("rescale", "sum"):
            value = replace(value, shape=self.values[inputs[0]].shape)
        self.values.append(value)
        number = len(self.values) - 1
        self.operations.append(Operation(kind, value.name, inputs, number, **more))
        if kind in ("rescale", "sum") and inputs[0] in self.flat:
            self.flat.add(number)
        return number

    def pool_onto(self, size: tuple[int, int], shape: tuple[int, int, int]) -> int:
        """Max pooling by the convolution before it, on its sums; returns the number of its output, now smaller."""
        last = self.operations[-1]
        self.operations[-1] = replace(last, pool=size)
        self.values[last.output] = replace(self.values[last.output], shape=shape)
        return last.output

    def can_pool(self, now: int, window: Window) -> bool:
        """Is the value what a convolution just gave, and the window a plain one?"""
        last = self.operations[-1] if self.operations else None
        if last is None or last.output != now or last.kind != "conv" or last.gives_sums or last.pool != (1, 1):
            return False
        return window == Window(window.kernel, window.kernel)

    def is_flat(self, now: int) -> bool:
        """Does torch see a row of features here?"""
        return now in self.flat or self.values[now].shape[:2] == (1, 1)


def image_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """torch's (channels, height, width) or (features,) as (height, width, channels)."""
    if len(shape) == 3:
        return shape[1], shape[2], shape[0]
    if len(shape) == 1:
        return 1, 1, shape[0]
    got = ", ".join(str(size) for size in ("n", *shape))
    raise ValueError(f"operations wants images [n, channels, height, width] or rows [n, features], got [{got}] at '{name}'.")


def zeros_after(layer: nn.Module, codes: Tensor) -> Tensor:
    """Zeros of the shape that a layer gives: Conv2d and Linear are asked for it only, since their kernels would be compiled for that."""
    if not isinstance(layer, IntegerLayer):
        return layer(codes)
    dtype = torch.float32 if layer.y is None else torch.int8  # the last one's may meet a part of the network that is in float
    if not isinstance(layer, IntegerConv2d):
        return codes.new_zeros(*codes.shape[:-1], layer.shape[0], dtype=dtype)
    (left, right, top, bottom), stride, spread = layer.conv.pads, layer.conv.stride, layer.conv.dilation
    sizes = codes.shape[2] + top + bottom, codes.shape[3] + left + right
    reach = [d * (k - 1) + 1 for d, k in zip(spread, layer.shape[2:], strict=True)]
    after = [(size - far) // step + 1 for size, far, step in zip(sizes, reach, stride, strict=True)]
    return codes.new_zeros(len(codes), layer.shape[0], *after, dtype=dtype)


def product(listing: Listing, now: int, value: Value, layer: IntegerLayer) -> int:
    """A Conv2d or Linear: its codes in channels-last order, its fixed-point numbers, its ends."""
    codes = layer.weight_codes()
    more: dict[str, Any] = {"low": 0 if layer.relu else -(2**31), "high": 2**31 - 1}
    if isinstance(layer, IntegerConv2d):
        conv = layer.conv
        window = Window((codes.shape[2], codes.shape[3]), conv.stride, conv.pads, conv.dilation)
        more |= {"window": window, "groups": conv.groups}
        flat = channels_last(codes)
    else:
        height, width, channels = listing.values[now].shape
        if not listing.is_flat(now):
            raise ValueError(
                f"operations wants a Flatten before the Linear '{value.name}', got an image; put nn.Flatten() there."
            )
        flat = after_flatten(codes, channels, height, width)
        more["window"] = Window((height, width))
    if layer.y is not None:
        low, high = layer.limits()
        more |= {"low": low, "high": high, "zero_point": layer.y.zero_point}
        more |= {"multiplier": layer.multiplier.numpy().astype("int64"), "shift": layer.shift.numpy().astype("int64")}
    bias = layer.bias.numpy().astype("int64")
    return listing.add("conv", value, (now,), weight=flat.numpy(), bias=bias, x_zero=layer.x.zero_point, **more)


def unchanged() -> dict[str, np.ndarray]:
    """The multiplier and shift of a rescaling by 1."""
    return {"multiplier": np.array([2**30]), "shift": np.array([30])}


def chain_program(network: IntegerNetwork, pool: bool) -> IntegerProgram:
    """The operations of a chain."""
    listing = Listing([Value("input", image_shape(network.input_shape, "input"))])
    codes, now = torch.zeros(1, *network.input_shape, dtype=torch.int8), 0
    for name, layer in network.layers.named_children():
        codes = zeros_after(layer, codes)
        now = _step(listing, now, name, layer, tuple(codes.shape[1:]), pool)
    y, x = network.output, network.input
    scale = tuple(network.sum_scale.tolist()) if y is None else (y.scale,) * listing.values[now].shape[2]
    check_end(listing, now)
    return IntegerProgram(
        tuple(listing.values),
        tuple(listing.operations),
        network.input_shape,
        Affine(x.scale, x.zero_point, x.bits),
        scale,
        0 if y is None else y.zero_point,
    )


def check_end(listing: Listing, now: int) -> None:
    """Raises ValueError for a flattened image at the end: torch would give its codes in another order."""
    if now in listing.flat and listing.values[now].shape[:2] != (1, 1):
        raise ValueError("operations wants a network that ends with a Linear, a Conv2d or a pooling, got a Flatten; drop it.")


def _step(listing: Listing, now: int, name: str, layer: nn.Module, after: tuple[int, ...], pool: bool) -> int:
    if isinstance(layer, nn.Flatten):
        if (layer.start_dim, layer.end_dim) != (1, -1):
            raise ValueError(f"operations wants Flatten() from axis 1 to the last, got {layer} at '{name}'; use nn.Flatten().")
        listing.flat.add(now)
        return now
    bits = 32 if isinstance(layer, IntegerLayer) and layer.y is None else 8
    value = Value(name, image_shape(after, name), bits)
    if isinstance(layer, IntegerLayer):
        return product(listing, now, value, layer)
    if isinstance(layer, IntegerMaxPool2d):
        vertical, horizontal = layer.pad
        window = Window(layer.size, layer.step, (horizontal, horizontal, vertical, vertical), layer.spread)
        if pool and listing.can_pool(now, window):
            return listing.pool_onto(window.kernel, value.shape)
        return listing.add("max", value, (now,), window=window)
    if isinstance(layer, IntegerAvgPool2d):
        return listing.add("mean", value, (now,), window=Window(layer.size, layer.step))
    if isinstance(layer, IntegerReLU):
        return listing.add("rescale", value, (now,), low=layer.zero_point, **unchanged())
    raise ValueError(f"operations has no integer form for {type(layer).__name__} at '{name}'; take it out of the network.")
