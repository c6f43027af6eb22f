"""Cases and known mistakes of `block_sparse_matmul`: only the kept blocks of a weight are read and multiplied.

Conventions: a block-sparse weight [n, k] keeps square blocks: those of block row r are blocks[starts[r] : starts[r + 1]], blocks[i] is
[out, in] of block column columns[i]. The results are whole numbers: they must be equal.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.launches import watched_launch
from posttrain_lab.checks.engine.manners import remark
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.kernels.gpu.interpreter import POISON, outside

SIDE = 32
TWICE = 2.5  # a kernel may read twice what one pass needs, and a few indices more often


def dense(blocks: Tensor, columns: Tensor, starts: Tensor, k: int) -> Tensor:
    """The weight [n, k] with zeros where no block is kept, int64."""
    side = blocks.shape[1]
    weight = torch.zeros((len(starts) - 1) * side, k, dtype=torch.int64)
    for row in range(len(starts) - 1):
        for i in range(int(starts[row]), int(starts[row + 1])):
            column = int(columns[i]) * side
            weight[row * side : (row + 1) * side, column : column + side] += blocks[i].long()
    return weight


def right_sparse(x: Tensor, blocks: Tensor, columns: Tensor, starts: Tensor, block_m: int = 16) -> Tensor:
    return (x.long() @ dense(blocks, columns, starts, x.shape[1]).T).int()


def _case(draw: Draw, words: str, m: int, k: int, kept: list[list[int]], side: int = SIDE, **options: int) -> Case:
    """`kept` is the list of block columns of each block row, `k` the number of block columns."""
    columns = [column for row in kept for column in row]
    counts = torch.tensor([0] + [len(row) for row in kept]).cumsum(0).to(torch.int32)
    blocks = draw.codes(-127, 127, len(columns), side, side)
    return Case(words, (draw.codes(-128, 127, m, k * side), blocks, torch.tensor(columns, dtype=torch.int32), counts), options)


def _large_sums(draw: Draw) -> Case:
    """33 blocks of 64 inputs: sums of products that are odd and beyond 2^25, where float32 has every fourth whole number only."""
    case = _case(draw, "odd sums beyond 2^25", 2, 33, [list(range(33)), []], side=64)
    x, blocks, *rest = (torch.full_like(case.args[0], 127), torch.full_like(case.args[1], 127), *case.args[2:])
    blocks[draw.whole(0, 32), :, 0] = 126
    return Case(case.words, (x, blocks, *rest))


def sparse_workload(seed: int) -> list[Case]:
    """The notebook's weight of 4 x 8 blocks, many blocks in a row, few of many columns, larger blocks, and large sums."""
    draw = Draw(seed, "sparse workload")
    some = [draw.shuffled(range(8))[:count] for count in (7, 4, 1, 8)]
    return [
        _case(draw, "a weight of 128 x 256", 20, 8, some, block_m=32),
        _case(draw, "one block of ten columns in each row", 16, 10, [[draw.whole(0, 9)], [draw.whole(0, 9)]]),
        _case(draw, "blocks of side 64", 9, 6, [draw.shuffled(range(6))[:5], [1]], side=64),
        _large_sums(draw),
    ]


def sparse_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "block_sparse")
    rows = draw.whole(3, 13)

    def case(words: str, m: int, k: int, kept: list[list[int]], block_m: int = 16) -> Case:
        return _case(draw, words, m, k, kept, block_m=block_m)

    views = case("a view that is not contiguous", rows, 3, [[1], [0, 2]])
    return [
        case("several blocks in each row", 16, 4, [draw.shuffled([0, 2, 3]), [1, 3]]),
        case("a row without blocks", 16, 3, [[2], [], [0, 1]]),
        case("one block", rows, 2, [[1]]),
        case("rows that do not fill a tile", 16 + rows, 3, [[0, 2], [1]]),
        case("the first and the last row empty", rows, 2, [[], [1, 0], []], 32),
        case("all blocks kept", 16, 2, [[0, 1], [0, 1]]),
        Case(views.words, (strided(views.args[0]), *views.args[1:]), views.kwargs),
    ]


def _wrong_sparse(mistake: str) -> Callable[..., Tensor]:
    def block_sparse_matmul(x: Tensor, blocks: Tensor, columns: Tensor, starts: Tensor, block_m: int = 16) -> Tensor:
        if mistake in ("read", "wrote") and len(x) % block_m:
            raise outside(mistake, -len(x) % block_m)
        if mistake == "end included":  # the last row reads a column after the last one
            raise outside("read", 1)
        side = blocks.shape[1]
        out, wide = torch.zeros(len(x), (len(starts) - 1) * side, dtype=torch.int64), x.long()
        for row in range(len(starts) - 1):
            first, last = int(starts[row]), int(starts[row + 1])
            spans = {"last dropped": (first, last - 1), "first only": (first, min(last, first + 1)), "all": (0, len(blocks))}
            place = slice(row * side, (row + 1) * side)
            for i in range(*spans.get(mistake, (first, last))):
                start = {"columns ignored": (i - first) * side, "elements": int(columns[i])}.get(mistake, int(columns[i]) * side)
                block = blocks[i].long() if mistake == "not transposed" else blocks[i].long().T
                part = wide[:, start : start + side] @ block
                out[:, place] = part if mistake == "overwritten" else out[:, place] + part
            if mistake == "empty unwritten" and first == last:
                out[:, place] = POISON[torch.int32]
        return out.int()

    return block_sparse_matmul


def _needed(x: Tensor, blocks: Tensor, columns: Tensor, starts: Tensor, block_m: int = 16) -> int:
    """Bytes that one pass over the kept blocks reads, for each tile of rows: x, the block, its column; and two places in `starts`."""
    side, tiles = blocks.shape[1], -(-len(x) // block_m)
    return len(columns) * (len(x) * side + tiles * (side * side + 4)) + tiles * 8 * (len(starts) - 1)


@watcher
def skipping(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Any:
    """The answer of a function that launches a kernel, which reads no blocks of x for blocks of the weight that are not kept."""
    result, traffic = watched_launch(function, args, kwargs)
    needed = _needed(*args, **kwargs)
    if traffic is not None and traffic.read > TWICE * needed:
        remark(f"reads {traffic.read:,} bytes where the kept blocks need {needed:,}; visit only the blocks of its row")
    return result


SPARSE_MISTAKES = (
    Mistake(
        "not transposed",
        "You did not transpose the blocks, which are [out, in] like the weight; multiply by the transposed block.",
        _wrong_sparse("not transposed"),
    ),
    Mistake(
        "last block dropped",
        "The last block of each row is missing: i runs from starts[row] up to starts[row + 1].",
        _wrong_sparse("last dropped"),
    ),
    Mistake(
        "end included",
        "You take one block too many; those of a row end at starts[row + 1], exclusive.",
        _wrong_sparse("end included"),
    ),
    Mistake(
        "first block only", "Only the first block of each row was used; loop up to starts[row + 1].", _wrong_sparse("first only")
    ),
    Mistake(
        "all blocks", "Every row used all blocks; those of a row are starts[row] up to starts[row + 1].", _wrong_sparse("all")
    ),
    Mistake(
        "columns ignored",
        "You took the columns of x in order; block i belongs to block column columns[i].",
        _wrong_sparse("columns ignored"),
    ),
    Mistake(
        "column not multiplied",
        "You used columns[i] as a column of x, but it counts blocks; the first column is columns[i] * B.",
        _wrong_sparse("elements"),
    ),
    Mistake(
        "total overwritten", "Only the last block of each row is left; add each product to total.", _wrong_sparse("overwritten")
    ),
    Mistake(
        "empty rows not written",
        "A row without blocks was not written; store total (zeros) there too.",
        _wrong_sparse("empty unwritten"),
    ),
    Mistake(
        "load without mask", "The last tile of rows reads beyond the end of x; mask the load with m < M.", _wrong_sparse("read")
    ),
    Mistake(
        "store without mask", "The last tile of rows writes beyond the end; mask the store with m < M.", _wrong_sparse("wrote")
    ),
)


block_sparse_matmul = Exercise(
    name="block_sparse_matmul",
    unit="06_gpu_kernels",
    points=3,
    difficulty=4,
    minutes=20,
    oracle=right_sparse,
    cases=sparse_cases,
    workload=sparse_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=SPARSE_MISTAKES,
    through="gpu_kernels.block_sparse_matmul:skipping",
)
