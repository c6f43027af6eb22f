"""The numbers of a race, made when first asked for, and the results that are right, computed in float64."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels import BlockSparseWeight, Int4Weight, Int8ConvWeight, Int8Weight, NMWeight, SparseWeight
from posttrain_lab.kernels.packed import GROUP

BLOCK = 16
SPARSE = ("sparse_linear", "block_sparse_linear", "nm_linear")
IMAGE_SCALE = 0.03  # of the int8 codes of images


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """codes = round(x * (127 / max |row|)) and scale = max |row| / 127, in float32 step by step.

    Divided tensor by tensor: torch computes `127 / x` as x.reciprocal() * 127, which may round otherwise.
    """
    largest = x.abs().amax(1)
    inverse = torch.full_like(largest, 127.0) / largest
    return torch.round(x * inverse[:, None]), largest / 127


@dataclass(frozen=True)
class Conv:
    """A convolution with a square filter of odd side that keeps the size of its images."""

    images: int
    cin: int
    cout: int
    size: int
    kernel: int = 3

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def mkn(self) -> tuple[int, int, int]:
        """As a matrix product: output pixels of all images, numbers under the filter, output channels.

        >>> Conv(64, 24, 48, 14).mkn
        (12544, 216, 48)
        """
        return self.images * self.size**2, self.kernel**2 * self.cin, self.cout

    @property
    def words(self) -> str:
        """The shape in words, for the note."""
        side = self.kernel
        return f"{self.images} x {self.size} x {self.size} x {self.cin}, filter {side} x {side}, {self.cout} outputs"


class Problem:
    """Inputs, weights and right results of an op at one shape; seeded, so that every run meets the same numbers.

    With `extreme` all activations are 1.0 and all weights 1.0: 8-bit codes of 127 (or 255), the largest sums there are.
    """

    def __init__(
        self, op: str, m: int, k: int, n: int, density: float = 1.0, conv: Conv | None = None, extreme: bool = False
    ) -> None:
        self.op, self.m, self.k, self.n, self.density, self.conv, self.extreme = op, m, k, n, density, conv, extreme

    def _random(self, salt: int, *shape: int) -> Tensor:
        if self.extreme:
            return torch.ones(*shape)
        return torch.randn(*shape, generator=torch.Generator().manual_seed(salt))

    @cached_property
    def x(self) -> Tensor:
        """Activations float32 [m, k]."""
        return self._random(1, self.m, self.k)

    @cached_property
    def w(self) -> Tensor:
        """Weights float32 [n, k]; pruned to `density` for the sparse ops, in the pattern of the op."""
        weight, noise = self._random(2, self.n, self.k), torch.Generator().manual_seed(3)
        if self.op == "sparse_linear":
            return weight * (torch.rand(self.n, self.k, generator=noise) < self.density)
        if self.op == "block_sparse_linear":
            kept = torch.rand(-(-self.n // BLOCK), -(-self.k // BLOCK), generator=noise) < self.density
            return weight * kept.repeat_interleave(BLOCK, 0)[: self.n].repeat_interleave(BLOCK, 1)[:, : self.k]
        if self.op == "nm_linear":
            places = torch.rand(self.n, self.k // 4, 4, generator=noise).topk(2).indices
            return weight * torch.zeros(self.n, self.k // 4, 4).scatter_(2, places, 1.0).reshape(self.n, self.k)
        return weight

    @cached_property
    def bias(self) -> Tensor:
        """float32 [n]; the sparse ops do without."""
        return self._random(4, self.n)

    @cached_property
    def codes(self) -> tuple[Tensor, Tensor]:
        """int8 [m, k] and [n, k], of the whole range."""
        seeded = torch.Generator().manual_seed(5)
        a, b = (torch.randint(-128, 128, (rows, self.k), dtype=torch.int8, generator=seeded) for rows in (self.m, self.n))
        return a, b

    @cached_property
    def int8(self) -> Int8Weight:
        return Int8Weight.from_float(self.w)

    @cached_property
    def int4(self) -> Int4Weight:
        return Int4Weight.from_float(self.w, GROUP)

    @cached_property
    def csr(self) -> SparseWeight:
        return SparseWeight.from_float(self.w)

    @cached_property
    def blocks(self) -> BlockSparseWeight:
        return BlockSparseWeight.from_float(self.w, BLOCK)

    @cached_property
    def nm(self) -> NMWeight:
        return NMWeight.from_float(self.w)

    @property
    def shape(self) -> Conv:
        """The convolution; ValueError for another op."""
        if self.conv is None:
            raise ValueError(f"{self.op} is no convolution.")
        return self.conv

    @cached_property
    def images(self) -> Tensor:
        """int8 codes [images, size, size, cin], channels last; a code stands for code * IMAGE_SCALE."""
        conv, seeded = self.shape, torch.Generator().manual_seed(6)
        shape = (conv.images, conv.size, conv.size, conv.cin)
        return torch.randint(-127, 128, shape, dtype=torch.int8, generator=seeded)

    @cached_property
    def filters(self) -> Tensor:
        """float32 [cout, cin, kernel, kernel]."""
        conv = self.shape
        return self._random(7, conv.cout, conv.cin, conv.kernel, conv.kernel)

    @cached_property
    def conv_weight(self) -> Int8ConvWeight:
        return Int8ConvWeight.from_float(self.filters)

    @property
    def filter_scale(self) -> Tensor:
        """float32 [cout]: the step of each filter's codes."""
        scale = self.conv_weight.scale
        if scale is None:
            raise ValueError("a filter without scales stands for no floats")
        return scale

    @cached_property
    def float_images(self) -> Tensor:
        """What the codes stand for, [images, cin, size, size], contiguous in that order."""
        return (self.images.float() * IMAGE_SCALE).permute(0, 3, 1, 2).contiguous()

    def expected(self, kind: str) -> Tensor:
        """The right result. sums: int32; int8, int4: after rounding; float: without; conv: of the rounded filter."""
        if kind not in self._known:
            self._known[kind] = getattr(self, f"_{kind}")()
        return self._known[kind]

    @cached_property
    def _known(self) -> dict[str, Tensor]:
        return {}

    def _sums(self) -> Tensor:
        """Exact: float64 holds whole numbers up to 2^53."""
        if self.conv:
            image, filters = self.images.permute(0, 3, 1, 2).double(), self.conv_weight.filters().double()
            return F.conv2d(image, filters, padding=self.conv.padding).permute(0, 2, 3, 1).to(torch.int32)
        a, b = self.codes
        return (a.double() @ b.double().T).to(torch.int32)

    def _int8(self) -> Tensor:
        codes, scale = quantize_rows(self.x)
        sums = (codes.double() @ self.int8.rows().double().T).float()
        return sums * (scale[:, None] * self.int8.scale) + self.bias

    def _int4(self) -> Tensor:
        """Sums group by group: each is a whole number, only their scales are rounded."""
        codes, scale = quantize_rows(self.x)
        rows, y = self.int4.rows().double(), torch.zeros(self.m, self.n, dtype=torch.float64)
        for group, step in enumerate(self.int4.scale[:, : self.n].double()):
            part = slice(group * GROUP, (group + 1) * GROUP)
            y += codes[:, part].double() @ rows[:, part].T * step
        return y.float() * scale[:, None] + self.bias

    def _float(self) -> Tensor:
        """Of the weights as they are, with bias for the dense ops."""
        y = (self.x.double() @ self.w.double().T).float()
        return y if self.op in SPARSE else y + self.bias

    def _conv(self) -> Tensor:
        return self.expected("sums").float() * (IMAGE_SCALE * self.filter_scale) + self.bias
