"""An integer network as a list of integer operations on numbered values: what C, a browser and a saved file need to know of it.

| kind    | result, code by code: clamp(((sum * multiplier + 2^(shift-1)) >> shift) + zero_point, low, high), with sum =               |
|---------|------------------------------------------------------------------------------------------------------------------------|
| conv    | the products of a window and a filter, plus a bias; the largest sum of `pool` windows; without multiplier: the sums       |
| rescale | code - x_zero                                                                                                          |
| sum     | multiplier[0] * a + multiplier[1] * b + ... + bias, with one shift                                                     |
| average | the sum of a window                                                                                                    |
| mean    | of a chain's AvgPool2d, not rescaled: floor((2 sum + count) / (2 count))                                               |
| max     | not rescaled: the largest code of a window                                                                             |

A value is an image [height, width, channels], the channels of a pixel side by side: a window is then a few long runs of memory. A
Linear is a convolution of a 1 x 1 image. Codes have 8 or 16 bits, the sums of the last layer 32.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np
from jaxtyping import Int8
from torch import Tensor

from .contract import Contract
from .layouts import pixel_table

KINDS = ("conv", "rescale", "sum", "average", "mean", "max")
LARGEST_SHIFT = 62  # 2^shift is an int64
DTYPES = {8: np.int8, 16: np.int16, 32: np.int32}
ARRAYS = ("weight", "bias", "multiplier", "shift")


@dataclass(frozen=True)
class Value:
    """One image of codes: shape (height, width, channels), and the bits of a code."""

    name: str
    shape: tuple[int, int, int]
    bits: int = 8

    @property
    def count(self) -> int:
        """How many codes."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return self.count * self.bits // 8


@dataclass(frozen=True)
class Window:
    """How a window moves over an image; pads are (left, right, top, bottom), all pairs (vertical, horizontal)."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def count(self) -> int:
        """How many positions a window has."""
        return prod(self.kernel)


@dataclass(frozen=True, eq=False)
class Operation:
    """One step; inputs and output are numbers of values. Arrays: weight int8 [out, k], bias and multiplier int64, shift int64."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    output: int
    window: Window = field(default_factory=Window)
    pool: tuple[int, int] = (1, 1)
    groups: int = 1
    x_zero: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    multiplier: np.ndarray | None = None
    shift: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Operation wants a kind of {', '.join(KINDS)}, got {self.kind!r} for '{self.name}'.")
        shift, bias = self.shift, self.bias
        if shift is not None and shift.size and not (shift.min() >= 1 and shift.max() <= LARGEST_SHIFT):
            raise ValueError(
                f"Operation wants shifts in 1..{LARGEST_SHIFT}, got {shift.min()}..{shift.max()} at '{self.name}'; see fixed_point."
            )
        if self.kind == "conv" and bias is not None and bias.size and np.abs(bias).max() >= 2**31:
            raise ValueError(f"Operation wants biases of 32 bits, got {bias[np.abs(bias).argmax()]} at '{self.name}'.")

    def array(self, name: str) -> np.ndarray:
        """One of its arrays. Raises ValueError, naming the operation, when it has none of that name."""
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"the operation '{self.name}' of kind {self.kind} has no {name}.")
        return found

    @property
    def gives_sums(self) -> bool:
        """Is its result int32 sums, not codes?"""
        return self.kind == "conv" and self.multiplier is None


@dataclass(frozen=True)
class Affine:
    """How the input's codes stand for numbers: scale, zero point, bits."""

    scale: float
    zero_point: int
    bits: int = 8


@dataclass(frozen=True, eq=False)
class IntegerProgram:
    """Operations in the order of execution. Value 0 is the input, the output of the last operation the result.

    The input's codes stand for (code - zero_point) * scale of `input`, the result's integers for (integer - output_zero) *
    output_scale[channel]. input_shape is torch's: (channels, height, width), or (features,). contract: what a photo must be made
    into before, where the input is a picture and this is known. Raises ValueError for a contract of another size.
    """

    values: tuple[Value, ...]
    operations: tuple[Operation, ...]
    input_shape: tuple[int, ...]
    input: Affine
    output_scale: tuple[float, ...]
    output_zero: int = 0
    contract: Contract | None = None

    def __post_init__(self) -> None:
        if self.contract is not None:
            self.contract.check_fits(self.input_shape)

    @property
    def pixel_codes(self) -> Int8[Tensor, "256"]:
        """The code of each pixel 0..255, by the contract; without one, of pixel / 255."""
        low, high = (self.contract.low, self.contract.high) if self.contract else (0.0, 1.0)
        return pixel_table(self.input.scale, self.input.zero_point, self.input.bits, low, high)

    @property
    def result(self) -> Value:
        """The last operation's output."""
        return self.values[self.operations[-1].output]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image; a pooled convolution computes only the windows that the pool looks at."""
        return sum(self.macs_of(operation) for operation in self.operations)

    def macs_of(self, operation: Operation) -> int:
        """Multiply-accumulates of one operation."""
        if operation.weight is None:
            return 0
        height, width, channels = self.values[operation.output].shape
        return height * width * prod(operation.pool) * channels * operation.weight.shape[1]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants: weights one each, biases and multipliers four, shifts one; those of sums are in the code."""
        convolutions = [operation for operation in self.operations if operation.kind == "conv"]
        sizes = {"weight": 1, "bias": 4, "multiplier": 4, "shift": 1}
        arrays = [(getattr(one, name), size) for one in convolutions for name, size in sizes.items()]
        return sum(array.size * size for array, size in arrays if array is not None)
