"""Weights as the kernels read them: frozen, made once from a float weight, from codes, or from a pruned weight.

| class               | holds                                        | bytes for one weight    | op                    |
|---------------------|----------------------------------------------|-------------------------|-----------------------|
| `Int8Weight`        | int8 codes, a scale for each output          | 1                       | `int8_linear`         |
| `Int8ConvWeight`    | the same for a convolution, group by group   | 1                       | `int8_conv2d`         |
| `Int4Weight`        | two codes a byte, a scale for each group     | 0.5 + 4 / group         | `int4_linear`         |
| `SparseWeight`      | values and columns of what is not 0 (CSR)    | 8 for each value kept   | `sparse_linear`       |
| `BlockSparseWeight` | square blocks that are not all 0             | 4 for each value kept   | `block_sparse_linear` |
| `NMWeight`          | 2 of each 4 values along `in`, two positions | 2.25                    | `nm_linear`           |

Every class has `from_float(weight)`, `dense()` (the float32 weight [out, in] that it stands for), `bytes` and `device`.
On the cpu, codes lie in panels of 16 outputs, so that a kernel reads them strictly forward; elsewhere they stay in rows.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional as F

from .panel_layout import PANEL, from_panels, join, split, steps, to_panels
from .views_cache import ViewsCache

BLOCKS = (4, 8, 16, 32)  # allowed sides of a block
GROUP = 64  # inputs that share a scale in `Int4Weight`, unless another number is asked for
GROUP_STEP = 8  # a group of `Int4Weight` holds a multiple of this many inputs


class Packed(ViewsCache):
    """What every packed weight can say about itself."""

    @property
    def bytes(self) -> int:
        """Bytes of all tensors held."""
        return sum(part.numel() * part.element_size() for part in self.tensors())

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.tensors()[0].device

    def tensors(self) -> list[Tensor]:
        """The tensors held, in the order of the fields."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return [value for value in values if isinstance(value, Tensor)]


def check_weight(weight: Tensor, caller: str, ndim: int = 2) -> Tensor:
    """A float32 weight without NaN or infinity, detached; TypeError or ValueError says what was given."""
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        got = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"{caller} wants a float weight, got {got}; use from_codes for codes.")
    if weight.ndim != ndim or weight.numel() == 0:
        raise ValueError(f"{caller} wants a weight with {ndim} axes and at least one value, got {tuple(weight.shape)}.")
    if not torch.isfinite(weight).all():
        raise ValueError(f"{caller} wants finite weights, got NaN or infinity; find the layer that diverged.")
    return weight.detach().float()


def check_scale(scale: Tensor, shape: tuple[int, ...], caller: str) -> Tensor:
    """Positive finite float scales of this shape; ValueError says what was given."""
    if tuple(scale.shape) != shape:
        raise ValueError(f"{caller} wants scales of shape {shape}, got {tuple(scale.shape)}.")
    if not bool((torch.isfinite(scale) & (scale > 0)).all()):
        raise ValueError(
            f"{caller} wants positive finite scales, got {scale.min().item()} to {scale.max().item()}; use 1.0 for zeros."
        )
    return scale.detach().float().contiguous()


def _symmetric(rows: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """int8 codes and float32 scales of each row: scale = max |row| / top, 1.0 for a row of zeros."""
    scale = rows.abs().amax(-1) / top
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.round(rows / scale.unsqueeze(-1)).clamp(-top, top).to(torch.int8), scale


def _check_codes(codes: Tensor, caller: str, ndim: int, low: int = -128, high: int = 127) -> None:
    if codes.dtype != torch.int8 or codes.ndim != ndim or codes.numel() == 0:
        raise TypeError(f"{caller} wants int8 codes with {ndim} axes, got {codes.dtype} {tuple(codes.shape)}.")
    if int(codes.min()) < low or int(codes.max()) > high:
        raise ValueError(f"{caller} wants codes in {low}..{high}, got {int(codes.min())}..{int(codes.max())}.")


@dataclass(frozen=True, eq=False)
class Int8Weight(Packed):
    """Symmetric int8 codes of a weight [out, in]; weight[o, i] = codes[o, i] * scale[o].

    On the cpu S codes of an output lie together: 4 on x86 with AVX2, else 2.

    | field         | cpu                                               | other devices  |
    |---------------|---------------------------------------------------|----------------|
    | `codes`       | int8 panels [ceil(out / 16)][ceil(in / S)][16][S] | int8 [out, in] |
    | `scale`       | float32 [out]                                     | the same       |
    | `in_features` | int                                               | the same       |
    | `corrections`      | int32: what panels leave out, see `panel_layout.py`     | None           |

    >>> weight = Int8Weight.from_float(torch.tensor([[0.5, -1.0, 0.25]]))
    >>> weight.rows()
    tensor([[  64, -127,   32]], dtype=torch.int8)
    """

    codes: Tensor
    scale: Tensor
    in_features: int
    corrections: Tensor | None = None

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out in"]) -> "Int8Weight":
        """One symmetric scale for each output: max |w| / 127. Raises TypeError or ValueError for what is no finite weight."""
        return cls.from_codes(*_symmetric(check_weight(weight, "Int8Weight.from_float"), 127))

    @classmethod
    def from_codes(cls, codes: Int8[Tensor, "out in"], scale: Float[Tensor, " out"]) -> "Int8Weight":
        """From codes [out, in] and scales [out] of `quantization.quantize_weight`."""
        _check_codes(codes, "Int8Weight.from_codes", 2)
        scale = check_scale(scale, (len(codes),), "Int8Weight.from_codes")
        if codes.device.type != "cpu":
            return cls(codes.contiguous(), scale, codes.shape[1])
        safe, corrections = split(codes)
        return cls(to_panels(safe), scale, codes.shape[1], corrections)

    @property
    def out_features(self) -> int:
        """Outputs of the layer."""
        return self.scale.shape[0]

    def rows(self) -> Int8[Tensor, "out in"]:
        """The codes in the shape of the weight."""
        if self.corrections is None:
            return self.codes
        return join(from_panels(self.codes, len(self.scale), self.in_features), self.corrections)

    def dense(self) -> Float[Tensor, "out in"]:
        """The weight that the codes stand for."""
        return self.rows().float() * self.scale[:, None]

    def to(self, device: str | torch.device) -> "Int8Weight":
        """The same weight on another device, in its layout."""
        return type(self).from_codes(self.rows().to(device), self.scale.to(device))


@dataclass(frozen=True, eq=False)
class Int8ConvWeight(Packed):
    """Symmetric int8 codes of a filter [out, channels / groups, kh, kw], one scale for each output.

    | field     | cpu                                                                     | other devices           |
    |-----------|-------------------------------------------------------------------------|-------------------------|
    | `codes`   | panels [groups * ceil(out / groups / 16)][kh * kw * ceil(cg / S)][16][S]| int8 [out, kh, kw, cg]  |
    | `scale`   | float32 [out], or None: only plain sums are asked for                   | the same                |
    | `kernel`  | (kh, kw)                                                                | the same                |
    | `channels`| channels of a group, cg                                                 | the same                |
    | `groups`, `out_features` | int                                                      | the same                |
    | `corrections`  | as in `Int8Weight`                                                      | None                    |

    A row of k runs over (kernel row, kernel column, channel): the order of an image with channels last.

    >>> Int8ConvWeight.from_float(torch.ones(8, 3, 5, 5)).filters().shape
    torch.Size([8, 3, 5, 5])
    """

    codes: Tensor
    scale: Tensor | None
    kernel: tuple[int, int]
    channels: int
    groups: int
    out_features: int
    corrections: Tensor | None = None

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out cg kh kw"], groups: int = 1) -> "Int8ConvWeight":
        """One symmetric scale for each output. Raises TypeError or ValueError for what is no finite filter."""
        weight = check_weight(weight, "Int8ConvWeight.from_float", 4)
        codes, scale = _symmetric(weight.flatten(1), 127)
        return cls.from_codes(codes.reshape(weight.shape), scale, groups)

    @classmethod
    def from_codes(
        cls, codes: Int8[Tensor, "out cg kh kw"], scale: Float[Tensor, " out"] | None, groups: int = 1
    ) -> "Int8ConvWeight":
        """From codes [out, cg, kh, kw] and scales [out] or None. Raises ValueError unless `groups` divides out."""
        _check_codes(codes, "Int8ConvWeight.from_codes", 4)
        out, cg, kh, kw = codes.shape
        if groups < 1 or out % groups:
            raise ValueError(f"Int8ConvWeight.from_codes wants groups that divide {out} outputs, got {groups}.")
        last, corrections = codes.permute(0, 2, 3, 1).contiguous(), None
        if codes.device.type == "cpu":
            safe, corrections = split(F.pad(last, (0, -cg % steps())).reshape(out, -1))
            last = torch.cat([to_panels(part) for part in safe.chunk(groups)])
        scale = scale if scale is None else check_scale(scale, (out,), "Int8ConvWeight.from_codes")
        return cls(last, scale, (kh, kw), cg, groups, out, corrections)

    def filters(self) -> Int8[Tensor, "out cg kh kw"]:
        """The codes in the shape of the filter."""
        out, (kh, kw) = self.out_features, self.kernel
        if self.corrections is None:
            return self.codes.permute(0, 3, 1, 2).contiguous()
        deep = self.channels + -self.channels % steps()
        parts = [from_panels(part, out // self.groups, kh * kw * deep) for part in self.codes.chunk(self.groups)]
        rows = join(torch.cat(parts), self.corrections).reshape(out, kh, kw, deep)
        return rows[..., : self.channels].permute(0, 3, 1, 2).contiguous()

    def dense(self) -> Float[Tensor, "out cg kh kw"]:
        """The filter that the codes stand for; without a scale, the codes themselves."""
        return self.filters().float() * (1.0 if self.scale is None else self.scale[:, None, None, None])

    def to(self, device: str | torch.device) -> "Int8ConvWeight":
        """The same filter on another device, in its layout."""
        scale = self.scale if self.scale is None else self.scale.to(device)
        return type(self).from_codes(self.filters().to(device), scale, self.groups)


@dataclass(frozen=True, eq=False)
class Int4Weight(Packed):
    """Symmetric codes -8..7 of a weight [out, in], two in a byte; a scale for each output and group of inputs.

    | field         | cpu                                                    | other devices           |
    |---------------|--------------------------------------------------------|-------------------------|
    | `codes`       | uint8 [ceil(out / 16)][in / 8][16][4]: byte j of an    | uint8 [out, in / 2],    |
    |               | output holds k = j (low) and k = j + 4 (high)          | the same bytes in rows  |
    | `scale`       | float32 [in / group][out, filled up to 16 with 1.0]    | the same                |
    | `in_features`, `out_features` | int, `in` a multiple of the group      | the same                |

    A nibble holds code + 8.

    >>> weight = Int4Weight.from_float(torch.linspace(-7, 7, 16).reshape(1, 16), group=16)
    >>> weight.rows()
    tensor([[-7, -6, -5, -4, -3, -2, -1,  0,  0,  1,  2,  3,  4,  5,  6,  7]],
           dtype=torch.int8)
    """

    codes: Tensor
    scale: Tensor
    in_features: int
    out_features: int

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out in"], group: int = GROUP) -> "Int4Weight":
        """One symmetric scale for each output and group: max |w| / 7. `group` divides `in` and is a multiple of 8."""
        weight = check_weight(weight, "Int4Weight.from_float")
        _check_group(weight.shape[1], group)
        codes, scale = _symmetric(weight.reshape(len(weight), -1, group), 7)
        return cls.from_codes(codes.flatten(1), scale)

    @classmethod
    def from_codes(cls, codes: Int8[Tensor, "out in"], scale: Float[Tensor, "out groups"]) -> "Int4Weight":
        """From codes -8..7 and scales of `quantization.quantize_weight(weight, 4, PerGroup(group))`; [out] is one group."""
        _check_codes(codes, "Int4Weight.from_codes", 2, -8, 7)
        scale = scale[:, None] if scale.ndim == 1 else scale
        out, k = codes.shape
        groups = scale.shape[1] if scale.ndim == 2 else 0
        _check_group(k, k // groups if groups and k % groups == 0 else 0)
        scale = check_scale(scale, (out, groups), "Int4Weight.from_codes")
        halves = (codes + 8).view(torch.uint8).reshape(out, -1, 2, 4)
        rows = halves[:, :, 0] | (halves[:, :, 1] << 4)
        if codes.device.type == "cpu":
            rows = F.pad(rows, (0, 0, 0, 0, 0, -out % PANEL), value=0x88).reshape(-1, PANEL, k // 8, 4).transpose(1, 2)
        else:
            rows = rows.flatten(1)
        return cls(rows.contiguous(), F.pad(scale.T, (0, -out % PANEL), value=1.0).contiguous(), k, out)

    @property
    def group(self) -> int:
        """Inputs that share a scale."""
        return self.in_features // len(self.scale)

    def rows(self) -> Int8[Tensor, "out in"]:
        """The codes in the shape of the weight."""
        out, k = self.out_features, self.in_features
        rows = self.codes.transpose(1, 2).reshape(-1, k // 8, 4) if self.codes.ndim == 4 else self.codes.reshape(out, -1, 4)
        halves = torch.stack((rows & 15, rows >> 4), 2)
        return (halves.view(torch.int8) - 8).reshape(-1, k)[:out].contiguous()

    def dense(self) -> Float[Tensor, "out in"]:
        """The weight that the codes stand for."""
        return self.rows().float() * self.scale[:, : self.out_features].T.repeat_interleave(self.group, 1)

    def to(self, device: str | torch.device) -> "Int4Weight":
        """The same weight on another device, in its layout."""
        return type(self).from_codes(self.rows().to(device), self.scale[:, : self.out_features].T.to(device))


def _check_group(k: int, group: int) -> None:
    if group < 1 or k % group or group % GROUP_STEP:
        raise ValueError(
            f"Int4Weight wants groups that divide {k} inputs and are a multiple of {GROUP_STEP}, got {group}; "
            "choose another group, or pad the layer's inputs with zeros."
        )
