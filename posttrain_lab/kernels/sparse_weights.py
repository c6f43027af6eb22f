"""Pruned weights as the kernels read them: only what is not 0, and where it stood."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .packed import BLOCKS, Packed, check_weight


def _pointers(counts: Tensor) -> Tensor:
    """Where each row starts, and the end: int32 [rows + 1]."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)


def _check_places(pointers: Tensor, columns: Tensor, limit: int, caller: str) -> None:
    """Pointers rise from 0 to the number of columns; columns rise strictly inside each row and stay below `limit`."""
    if pointers.dtype != torch.int32 or columns.dtype != torch.int32:
        raise TypeError(f"{caller} wants int32 row_pointers and columns, got {pointers.dtype} and {columns.dtype}.")
    if len(pointers) < 2 or int(pointers[0]) != 0 or int(pointers[-1]) != len(columns) or bool((pointers.diff() < 0).any()):
        raise ValueError(f"{caller} wants row_pointers that rise from 0 to {len(columns)}, got {pointers.tolist()[:8]}...")
    if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= limit):
        raise ValueError(f"{caller} wants columns in 0..{limit - 1}, got {int(columns.min())}..{int(columns.max())}.")
    rows = torch.repeat_interleave(torch.arange(len(pointers) - 1, device=columns.device), pointers.diff().long())
    if bool(((columns.diff() <= 0) & (rows.diff() == 0)).any()):
        raise ValueError(f"{caller} wants the columns of each row sorted and different, got some that are not; sort them.")


@dataclass(frozen=True, eq=False)
class SparseWeight(Packed):
    """Compressed sparse rows (CSR) of a weight [out, in].

    | field          | dtype, shape      | meaning                                                     |
    |----------------|-------------------|-------------------------------------------------------------|
    | `values`       | float32 [kept]    | the weights that are not 0, row by row                      |
    | `columns`      | int32 [kept]      | the input of each                                           |
    | `row_pointers` | int32 [out + 1]   | row o is values[row_pointers[o] : row_pointers[o + 1]]      |
    | `in_features`  | int               |                                                             |

    >>> SparseWeight.from_float(torch.tensor([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]])).row_pointers
    tensor([0, 1, 1, 3], dtype=torch.int32)
    """

    values: Tensor
    columns: Tensor
    row_pointers: Tensor
    in_features: int

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out in"]) -> "SparseWeight":
        """What is exactly 0 is left out. Raises TypeError or ValueError for what is no finite weight."""
        weight = check_weight(weight, "SparseWeight.from_float")
        kept = weight != 0
        return cls(weight[kept], kept.nonzero()[:, 1].to(torch.int32), _pointers(kept.sum(1)), weight.shape[1])

    @classmethod
    def from_csr(cls, values: Tensor, columns: Tensor, row_pointers: Tensor, in_features: int) -> "SparseWeight":
        """From the three arrays of `pruning.to_csr` or scipy. Raises TypeError or ValueError for broken ones."""
        _check_places(row_pointers, columns, in_features, "SparseWeight.from_csr")
        if values.shape != columns.shape:
            raise ValueError(f"SparseWeight.from_csr wants one value for each column, got {len(values)} and {len(columns)}.")
        checked = check_weight(values, "SparseWeight.from_csr", 1) if len(values) else values.float()
        return cls(checked.contiguous(), columns.contiguous(), row_pointers.contiguous(), in_features)

    @property
    def out_features(self) -> int:
        """Outputs of the layer."""
        return self.row_pointers.shape[0] - 1

    def dense(self) -> Float[Tensor, "out in"]:
        """The weight [out, in] with its zeros."""
        out = self.out_features
        rows = torch.repeat_interleave(torch.arange(out, device=self.device), self.row_pointers.diff().long())
        return self.values.new_zeros(out, self.in_features).index_put_((rows, self.columns.long()), self.values)


@dataclass(frozen=True, eq=False)
class BlockSparseWeight(Packed):
    """Square blocks of a weight [out, in] that are not all 0, in compressed rows (BSR).

    | field          | dtype, shape                            | meaning                                          |
    |----------------|-----------------------------------------|--------------------------------------------------|
    | `values`       | float32 [kept][block in][block out]     | each block transposed: one input's outputs lie together |
    | `columns`      | int32 [kept]                            | block column: input // block                     |
    | `row_pointers` | int32 [ceil(out / block) + 1]           | as in CSR, in blocks                             |
    | `out_features`, `in_features` | int                      | blocks at the edges are filled with 0            |

    >>> weight = torch.zeros(8, 8); weight[0, 5] = 3.0
    >>> packed = BlockSparseWeight.from_float(weight, block=4)
    >>> packed.values.shape, packed.columns
    (torch.Size([1, 4, 4]), tensor([1], dtype=torch.int32))
    """

    values: Tensor
    columns: Tensor
    row_pointers: Tensor
    out_features: int
    in_features: int

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out in"], block: int = 16) -> "BlockSparseWeight":
        """Blocks of zeros are left out. Raises ValueError for a block that is not 4, 8, 16 or 32."""
        weight = check_weight(weight, "BlockSparseWeight.from_float")
        if block not in BLOCKS:
            raise ValueError(f"BlockSparseWeight.from_float wants a block of {BLOCKS}, got {block}.")
        out, k = weight.shape
        padded = torch.nn.functional.pad(weight, (0, -k % block, 0, -out % block))
        blocks = padded.reshape(-1, block, padded.shape[1] // block, block).permute(0, 2, 3, 1)
        kept = (blocks != 0).flatten(2).any(2)
        return cls(blocks[kept].contiguous(), kept.nonzero()[:, 1].to(torch.int32), _pointers(kept.sum(1)), out, k)

    @property
    def block(self) -> int:
        """The side of a block."""
        return self.values.shape[1]

    def dense(self) -> Float[Tensor, "out in"]:
        """The weight [out, in] with its zeros."""
        size, rows = self.block, len(self.row_pointers) - 1
        places = torch.repeat_interleave(torch.arange(rows, device=self.device), self.row_pointers.diff().long())
        blocks = self.values.new_zeros(rows, -(-self.in_features // size), size, size)
        blocks[places, self.columns.long()] = self.values
        return blocks.permute(0, 3, 1, 2).reshape(rows * size, -1)[: self.out_features, : self.in_features].contiguous()


@dataclass(frozen=True, eq=False)
class NMWeight(Packed):
    """2:4 sparsity: of each four weights along `in`, at most two are not 0.

    | field       | dtype, shape                | meaning                                                          |
    |-------------|-----------------------------|------------------------------------------------------------------|
    | `values`    | float32 [out, in / 4, 2]    | the two kept weights of each four                                |
    | `positions` | uint8 [out, in / 4]         | bits 0-1: place of the first among the four, bits 2-3: the second |

    >>> NMWeight.from_float(torch.tensor([[0.0, 5.0, 0.0, 7.0]])).positions  # places 1 and 3: 1 + 4 * 3
    tensor([[13]], dtype=torch.uint8)
    """

    values: Tensor
    positions: Tensor

    @classmethod
    def from_float(cls, weight: Float[Tensor, "out in"]) -> "NMWeight":
        """Raises ValueError when `in` is no multiple of 4, or a group of four holds more than two weights."""
        weight = check_weight(weight, "NMWeight.from_float")
        if weight.shape[1] % 4:
            raise ValueError(f"NMWeight.from_float wants inputs in groups of 4, got {weight.shape[1]}; pad with zeros.")
        groups = weight.reshape(len(weight), -1, 4)
        crowded = int(((groups != 0).sum(2) > 2).sum())
        if crowded:
            raise ValueError(
                f"NMWeight.from_float wants at most 2 weights in each 4, got {crowded} groups with more; prune first."
            )
        places = (groups != 0).to(torch.uint8).sort(dim=2, descending=True, stable=True).indices[:, :, :2].sort(dim=2).values
        positions = (places[:, :, 0] + 4 * places[:, :, 1]).to(torch.uint8)
        return cls(groups.gather(2, places).contiguous(), positions.contiguous())

    @property
    def in_features(self) -> int:
        """Inputs of the layer."""
        return 4 * self.positions.shape[1]

    @property
    def out_features(self) -> int:
        """Outputs of the layer."""
        return self.positions.shape[0]

    def dense(self) -> Float[Tensor, "out in"]:
        """The weight [out, in] with its zeros."""
        places = torch.stack((self.positions & 3, self.positions >> 2), 2).long()
        groups = self.values.new_zeros(*self.positions.shape, 4).scatter_(2, places, self.values)
        return groups.flatten(1)
