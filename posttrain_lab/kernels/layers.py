"""Layers on the kernels: they stand in for nn.Linear and nn.Conv2d in a finished model, float in and float out.

| class               | stands in for | weight              | op                    |
|---------------------|---------------|---------------------|-----------------------|
| `PackedInt8Linear`  | nn.Linear     | `Int8Weight`        | `int8_linear`         |
| `PackedInt8Conv2d`  | nn.Conv2d     | `Int8ConvWeight`    | `int8_conv2d`         |
| `PackedInt4Linear`  | nn.Linear     | `Int4Weight`        | `int4_linear`         |
| `SparseLinear`      | nn.Linear     | `SparseWeight`      | `sparse_linear`       |
| `BlockSparseLinear` | nn.Linear     | `BlockSparseWeight` | `block_sparse_linear` |
| `NMLinear`          | nn.Linear     | `NMWeight`          | `nm_linear`           |

`quantization.Int8Linear` is another: it has a fixed range for its input, and a product that a student can replace. A saved
state holds codes in rows, so it can be loaded on any machine; in memory they lie as this machine's kernels read them.
"""

from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from posttrain_lab import kernels
from posttrain_lab.module_walks import computes_as, described

from .packed import GROUP, Int4Weight, Int8ConvWeight, Int8Weight, Packed
from .reference import quantize_rows
from .sparse_weights import BlockSparseWeight, NMWeight, SparseWeight


class KernelLayer(nn.Module):
    """A packed weight, held as buffers, and a bias."""

    kind: ClassVar[type[Packed]]
    replaces: ClassVar[type[nn.Module]] = nn.Linear
    bias: Tensor | None

    def __init__(self, packed: Packed, bias: Tensor | None) -> None:
        super().__init__()
        self.numbers = {field.name: getattr(packed, field.name) for field in fields(packed)}  # type: ignore[arg-type]
        for name, value in self.numbers.items():
            if isinstance(value, Tensor) or name == "corrections":
                self.register_buffer(name, value, persistent=name != "corrections")
        self.numbers = {name: value for name, value in self.numbers.items() if name not in self._buffers}
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone())

    @classmethod
    def _checked(cls, layer: nn.Module) -> Any:
        if not computes_as(layer, cls.replaces):
            raise TypeError(f"{cls.__name__} wants an nn.{cls.replaces.__name__}, got {described(layer, cls.replaces)}.")
        return layer

    @property
    def packed(self) -> Any:
        """The weight as the kernel takes it: the same object as long as the buffers are the same tensors."""
        known = self.__dict__.get("known")
        tensors = {name: buffer for name, buffer in self._buffers.items() if name != "bias"}
        if known is None or torch.compiler.is_compiling() or any(getattr(known, name) is not tensors[name] for name in tensors):
            known = self.kind(**tensors, **self.numbers)
            if not torch.compiler.is_compiling():  # a traced module must stay as it is
                self.__dict__["known"] = known
        return known

    def __getstate__(self) -> dict[str, Any]:
        """Without the weight that `packed` keeps: its tensors are the buffers."""
        return {name: value for name, value in self.__dict__.items() if name != "known"}

    @property
    def weight(self) -> Tensor:
        """The float32 weight that the layer stands for."""
        return self.packed.dense()

    @property
    def macs_per_output(self) -> int:
        """Multiply-accumulates for one output: those of the dense layer."""
        return self.packed.in_features

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Another device may want another layout."""
        packed = self.packed
        device = fn(torch.empty(0, device=packed.device)).device
        if device.type == packed.device.type or not hasattr(packed, "to"):
            return super()._apply(fn, recurse)
        moved = packed.to(device)
        for name in self._buffers.keys() - {"bias"}:
            setattr(self, name, getattr(moved, name))
        self.bias = None if self.bias is None else self.bias.to(device)
        return self

    def extra_repr(self) -> str:
        return f"{list(self.weight.shape)}, {self.packed.bytes} bytes"


class _CodeLayer(KernelLayer):
    """A layer whose codes are saved in rows."""

    def _rows(self) -> Tensor:
        return self.packed.rows()

    def _rows_shape(self) -> tuple[int, ...]:
        """The shape of `_rows`, known before the buffers hold anything (see `nn.Module.to_empty`)."""
        return len(self.packed.scale), self.numbers["in_features"]

    def _from_rows(self, rows: Tensor, scale: Tensor) -> Any:
        return self.kind.from_codes(rows, scale)  # type: ignore[attr-defined]

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "codes"] = self._rows()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        name, scale = prefix + "codes", state_dict.get(prefix + "scale")
        if name in state_dict and scale is not None:
            rows = state_dict[name]
            if rows.shape != self._rows_shape():
                args[-1].append(f"size mismatch for {name}: {tuple(rows.shape)} saved, {self._rows_shape()} wanted")
                return
            packed = self._from_rows(rows, self._row_scale(scale))
            state_dict = {**state_dict, name: packed.codes}
            if "corrections" in self._buffers:
                self.corrections = packed.corrections
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _row_scale(self, scale: Tensor) -> Tensor:
        """Scales as `from_codes` takes them."""
        return scale


class PackedInt8Linear(_CodeLayer):
    """x [..., in] -> [..., out]; inputs are rounded to int8 row by row, sums are exact.

    >>> layer = PackedInt8Linear.from_linear(nn.Linear(4, 2))
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    kind = Int8Weight

    def __init__(self, packed: Int8Weight, bias: Tensor | None = None, activation: str = "none") -> None:
        super().__init__(packed, bias)
        self.activation = activation

    @classmethod
    def from_linear(cls, layer: nn.Linear, activation: str = "none") -> "PackedInt8Linear":
        """One scale for each output. Raises TypeError for another layer, ValueError for NaN."""
        layer = cls._checked(layer)
        return cls(Int8Weight.from_float(layer.weight), layer.bias, activation)

    def forward(self, x: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch n"]:
        return kernels.int8_linear(x, self.packed, self.bias, self.activation)


class PackedInt4Linear(_CodeLayer):
    """x [..., in] -> [..., out]; two weights a byte, a scale for each group of inputs; inputs in int8 or float32.

    >>> PackedInt4Linear.from_linear(nn.Linear(64, 2), group=32)(torch.ones(3, 64)).shape
    torch.Size([3, 2])
    """

    kind = Int4Weight

    def __init__(self, packed: Int4Weight, bias: Tensor | None = None, activations: str = "int8") -> None:
        super().__init__(packed, bias)
        self.activations = activations

    @classmethod
    def from_linear(cls, layer: nn.Linear, group: int = GROUP, activations: str = "int8") -> "PackedInt4Linear":
        """Raises TypeError for another layer, ValueError for a group that does not divide the inputs."""
        layer = cls._checked(layer)
        return cls(Int4Weight.from_float(layer.weight, group), layer.bias, activations)

    def _rows_shape(self) -> tuple[int, ...]:
        return self.numbers["out_features"], self.numbers["in_features"]

    def _row_scale(self, scale: Tensor) -> Tensor:
        return scale[:, : self.packed.out_features].T

    def forward(self, x: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch n"]:
        return kernels.int4_linear(x, self.packed, self.bias, activations=self.activations)


class PackedInt8Conv2d(_CodeLayer):
    """x [n, c, h, w] -> [n, out, oh, ow], channels last in memory; each image is rounded to int8 with its own scale.

    >>> PackedInt8Conv2d.from_conv2d(nn.Conv2d(3, 8, 3, padding=1))(torch.ones(2, 3, 6, 6)).shape
    torch.Size([2, 8, 6, 6])
    """

    kind, replaces = Int8ConvWeight, nn.Conv2d

    def __init__(self, packed: Int8ConvWeight, bias: Tensor | None, stride: int, padding: int) -> None:
        super().__init__(packed, bias)
        self.stride, self.padding = stride, padding

    @classmethod
    def from_conv2d(cls, layer: nn.Conv2d) -> "PackedInt8Conv2d":
        """Raises TypeError for another layer; ValueError for what the kernel does not do: dilation, unequal strides or paddings."""
        layer = cls._checked(layer)
        paddings = (0, 0) if layer.padding == "valid" else layer.padding
        plain = len(set(layer.stride)) == 1 and len(set(paddings)) == 1 and set(layer.dilation) == {1} and layer.padding != "same"
        if not plain or layer.padding_mode != "zeros":
            raise ValueError(
                "PackedInt8Conv2d wants one stride, one padding with zeros and no dilation, got "
                f"stride {layer.stride}, padding {layer.padding} ({layer.padding_mode}), dilation {layer.dilation}."
            )
        packed = Int8ConvWeight.from_float(layer.weight, layer.groups)
        return cls(packed, layer.bias, layer.stride[0], int(paddings[0]))

    def _rows(self) -> Tensor:
        return self.packed.filters()

    def _rows_shape(self) -> tuple[int, ...]:
        return self.numbers["out_features"], self.numbers["channels"], *self.numbers["kernel"]

    def _from_rows(self, rows: Tensor, scale: Tensor) -> Any:
        return Int8ConvWeight.from_codes(rows, scale, self.numbers["groups"])

    @property
    def macs_per_output(self) -> int:
        """Multiply-accumulates for one output."""
        (kh, kw), channels = self.numbers["kernel"], self.numbers["channels"]
        return kh * kw * channels

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        if x.ndim != 4:
            raise ValueError(
                f"PackedInt8Conv2d wants x [n, c, h, w], got {tuple(x.shape)}; a single image becomes a batch with x[None]."
            )
        last = x.detach().permute(0, 2, 3, 1)
        codes, scale = _image_codes(last.flatten(1))
        y = kernels.int8_conv2d(codes.reshape(last.shape), self.packed, self.stride, self.padding, 0, scale, self.bias)
        return y.permute(0, 3, 1, 2)


def _image_codes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and scale of each row; on the cpu by the kernel, under the compiler and elsewhere in plain torch."""
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return quantize_rows(rows)
    from .cpu.linear import quantized

    codes, scale = quantized("int8_conv2d", rows, rows.shape[1], np.int8)
    return torch.from_numpy(codes), torch.from_numpy(scale)


class _SparseLayer(KernelLayer):
    """What the three sparse layers share."""

    op: ClassVar[str]

    @classmethod
    def from_linear(cls, layer: nn.Linear, **options: int) -> Self:
        """Raises TypeError for another layer, ValueError for a weight that is not pruned as the class wants it."""
        layer = cls._checked(layer)
        return cls(cls.kind.from_float(layer.weight, **options), layer.bias)  # type: ignore[attr-defined]

    def forward(self, x: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch n"]:
        return getattr(kernels, self.op)(x, self.packed, self.bias)


class SparseLinear(_SparseLayer):
    """x [..., in] -> [..., out] from the weights that are not 0."""

    kind, op = SparseWeight, "sparse_linear"


class BlockSparseLinear(_SparseLayer):
    """x [..., in] -> [..., out] from the blocks that are not 0; `from_linear(layer, block=16)`."""

    kind, op = BlockSparseWeight, "block_sparse_linear"


class NMLinear(_SparseLayer):
    """x [..., in] -> [..., out] from two of each four weights."""

    kind, op = NMWeight, "nm_linear"
