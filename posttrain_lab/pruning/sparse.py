"""A pruned weight stored without its zeros: compressed sparse rows (CSR), and the bytes of each storage format.

CSR stores the nonzero values row by row, the column of each, and where each row starts. It is smaller than the dense matrix when
fewer than about half of the weights are left, because each value needs a column index of the same size.
"""

import contextlib
import copy

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from posttrain_lab.kernels import BlockSparseWeight, NMWeight, SparseWeight
from posttrain_lab.kernels.layers import BlockSparseLinear, NMLinear, SparseLinear
from posttrain_lab.module_walks import check_float32, exchange, name_some, weights_read, without_fast_path

from .arguments import check_weight, prunable_layers

Csr = tuple[Float[Tensor, " kept"], Int32[Tensor, " kept"], Int32[Tensor, " rows"]]
LAYERS = {"csr": SparseLinear, "block": BlockSparseLinear, "nm": NMLinear}


def to_csr(weight: Float[Tensor, "out in"]) -> Csr:
    """The nonzero weights and their positions: (values, columns, row_pointers).

    values [kept]: the weights that are not 0, row by row; columns int32 [kept]: the input of each; row_pointers int32 [out + 1]:
    row o has values[row_pointers[o] : row_pointers[o + 1]]. weight [out, in].
    Raises TypeError unless it is a float tensor; ValueError for other axes, NaN or infinity.

    >>> to_csr(torch.tensor([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]]))
    (tensor([2., 3., 4.]), tensor([1, 0, 1], dtype=torch.int32), tensor([0, 1, 1, 3], dtype=torch.int32))
    """
    weight = check_weight("to_csr", weight, ndim=2)
    kept = weight != 0
    counts = kept.sum(1)
    pointers = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)
    return weight[kept], kept.nonzero()[:, 1].to(torch.int32), pointers


def csr_matmul(csr: Csr, x: Float[Tensor, "in batch"]) -> Float[Tensor, "out batch"]:
    """weight @ x, computed from the nonzero weights only.

    y[o] = sum over i from row_pointers[o] to row_pointers[o + 1] - 1 of values[i] * x[columns[i]]

    csr from `to_csr`; x [in, batch]. Raises ValueError for arrays that do not fit together or a column beyond x.

    >>> csr_matmul(to_csr(torch.tensor([[0.0, 2.0], [0.0, 0.0]])), torch.tensor([[1.0], [10.0]]))
    tensor([[20.],
            [ 0.]])
    """
    values, columns, pointers = csr
    rows = len(pointers) - 1
    if x.ndim != 2 or len(values) != len(columns) or rows < 0 or int(pointers[0]) != 0 or int(pointers[-1]) != len(values):
        raise ValueError(
            f"csr_matmul wants x [in, batch] and arrays that fit together, got x {list(x.shape)}, {len(values)} values, "
            f"{len(columns)} columns, row_pointers {pointers.tolist()[:8]}; use to_csr."
        )
    if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < len(x):
        raise ValueError(f"csr_matmul wants columns in 0..{len(x) - 1}, got up to {int(columns.max())}; is x transposed?")
    row_of = torch.repeat_interleave(torch.arange(rows, device=x.device), pointers.diff().long())
    return x.new_zeros(rows, x.shape[1]).index_add_(0, row_of, values[:, None] * x[columns.long()])


def stored_bytes(weight: Float[Tensor, "out ..."], block: int = 16) -> dict[str, int]:
    """How many bytes does this weight take in each storage format? A format that cannot store it is left out.

    | format  | bytes, for float32 values                                                     |
    |---------|-------------------------------------------------------------------------------|
    | dense   | 4 * out * in                                                                   |
    | bitmask | 4 * kept + ceil(out * in / 8): what `save_pruned` writes                       |
    | csr     | 4 * kept + 4 * kept + 4 * (out + 1)                                            |
    | block   | (4 * block^2 + 4) * blocks kept + 4 * (ceil(out / block) + 1)                  |
    | nm      | 2:4 only: 2.25 * out * in                                                      |

    weight [out, ...] is taken as [out, in]. Raises as `to_csr`, and ValueError for a block that is not 4, 8, 16 or 32.

    >>> stored_bytes(torch.eye(16))
    {'dense': 1024, 'bitmask': 96, 'csr': 196, 'block': 1036, 'nm': 576}
    """
    rows = check_weight("stored_bytes", weight).flatten(1) if weight.ndim > 1 else check_weight("stored_bytes", weight, ndim=2)
    kept = int(rows.count_nonzero())
    found = {"dense": 4 * rows.numel(), "bitmask": 4 * kept + -(-rows.numel() // 8)}
    found |= {"csr": SparseWeight.from_float(rows).bytes, "block": BlockSparseWeight.from_float(rows, block).bytes}
    with contextlib.suppress(ValueError):  # not pruned as 2:4
        found["nm"] = NMWeight.from_float(rows).bytes
    return found


def model_stored_bytes(model: nn.Module) -> int:
    """How many bytes does a pruned network take when each weight is stored in its smallest format?

    Biases, norms and buffers dense; each Linear and Conv2d by the smallest of `stored_bytes`.

    >>> model_stored_bytes(nn.Linear(4, 4, bias=False))
    64
    """
    layers = prunable_layers("model_stored_bytes", model)
    weights = {id(layer.weight) for layer in layers.values()}
    others = [t for t in (*model.parameters(), *model.buffers()) if id(t) not in weights]
    dense = sum(t.numel() * t.element_size() for t in others)
    return dense + sum(min(stored_bytes(layer.weight).values()) for layer in layers.values())  # type: ignore[arg-type]


def use_sparse_layers(model: nn.Module, kind: str = "csr", skip: tuple[str, ...] = (), **options: int) -> nn.Module:
    """A new model whose linear layers run on the sparse kernels and compute with the nonzero weights only.

    kind: "csr" (any zeros), "block" (option block=16), "nm" (2:4). Every nn.Linear but those to skip is replaced, even if it gets slower:
    `compile_for_speed.compile_for_speed` measures and takes the faster. Convolutions stay dense. The given model is not changed.
    Raises ValueError for another kind, or, naming the layer, for a weight that does not have the pattern of this kind.

    >>> use_sparse_layers(nn.Sequential(nn.Linear(4, 2)))[0](torch.zeros(1, 4)).shape
    torch.Size([1, 2])
    """
    if kind not in LAYERS:
        raise ValueError(f"use_sparse_layers wants kind to be one of {', '.join(LAYERS)}, got {kind!r}.")
    check_float32("use_sparse_layers", model)
    names = [name for name, layer in prunable_layers("use_sparse_layers", model, skip).items() if isinstance(layer, nn.Linear)]
    read = [name for name in weights_read(model) if name in names]
    if read:
        raise ValueError(
            f"use_sparse_layers wants layers that are called, got {name_some(read)}, whose weight is read; name them in skip."
        )
    new = copy.deepcopy(model)
    for name in names:
        try:
            layer = LAYERS[kind].from_linear(old := new.get_submodule(name), **options)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"use_sparse_layers cannot make layer '{name}' sparse: {error}") from error
        new = exchange(new, old, layer)
    return without_fast_path(new)
