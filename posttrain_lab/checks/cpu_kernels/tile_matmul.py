"""Cases and known mistakes of `tile_matmul`: an exact product of int8 matrices, block by block."""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.integer_judges import product, whole_judge, wrapped
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided

OUTSIDE = "a block ends outside of the matrices"


def right_tile(a: Tensor, b: Tensor, tile: int = 32) -> Tensor:
    return product(a, b)


def _matrices(draw: Draw, m: int, k: int, n: int) -> tuple[Tensor, Tensor]:
    """Mostly large numbers, so that narrow sums wrap around."""
    return draw.codes(-128, 127, m, k), draw.codes(20, 127, k, n)


def tile_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "tile_matmul")
    m, k, n = draw.whole(9, 15), draw.whole(17, 23), draw.whole(25, 31)
    lowest = torch.full((5, 40), -128, dtype=torch.int8)
    left, right = _matrices(draw, 6, 10, 7)
    return [
        Case("whole tiles", (*_matrices(draw, 8, 16, 24), 8)),
        Case("tails in every direction", (*_matrices(draw, m, k, n), 8)),
        Case("square, and one more than a tile", (*_matrices(draw, 9, 9, 9), 8)),
        Case("tiles of size 1", (*_matrices(draw, 3, 5, 4), 1)),
        Case("a tile larger than the matrices", (*_matrices(draw, m, 7, n), 64)),
        Case("a single row", (*_matrices(draw, 1, k, n), 4)),
        Case("inner size 1", (*_matrices(draw, m, 1, n), 4)),
        Case("a single column", (*_matrices(draw, m, k, 1), 4)),
        Case("only the lowest code", (lowest, lowest.T.contiguous(), 7)),
        Case("no row", (left[:0], right, 4)),
        Case("views that are not contiguous", (strided(left), right.T.contiguous().T, 3)),
    ]


def tile_workload(seed: int) -> list[Case]:
    """Tiles of the notebook, sizes that they do not divide, and odd sums that float32 cannot represent."""
    draw = Draw(seed, "tile workload")
    long = 1301 + 2 * draw.whole(0, 20)
    ends = torch.full((3, long), 127, dtype=torch.int8)
    return [
        Case("tiles of 64", (*_matrices(draw, 130, 200, 150), 64)),
        Case("odd sums beyond 2^24", (ends, (ends[:2] - 14).T.contiguous(), 128)),
        Case("one block of everything", (*_matrices(draw, 40, 1024, 50), 1024)),
    ]


def _tiles(m: int, k: int, n: int, tile: int) -> list[tuple[slice, slice, slice]]:
    steps = [[slice(i, i + tile) for i in range(0, size, tile)] for size in (m, k, n)]
    return [(i, p, j) for i in steps[0] for p in steps[1] for j in steps[2]]


def _blocks(keep: Callable[[slice, slice, slice, tuple[int, int, int]], bool], assign: bool = False) -> Callable[..., Tensor]:
    """The right loops with some blocks left out, or with `=` in place of `+=`."""

    def tile_matmul(a: Tensor, b: Tensor, tile: int = 32) -> Tensor:
        (m, k), n = a.shape, b.shape[1]
        out = torch.zeros(m, n, dtype=torch.int64)
        for i, p, j in _tiles(m, k, n, tile):
            if keep(i, p, j, (m, k, n)):
                part = a[i, p].long() @ b[p, j].long()
                out[i, j] = part if assign else out[i, j] + part
        return out.to(torch.int32)

    return tile_matmul


def _outside(a: Tensor, b: Tensor, tile: int = 32) -> Tensor:
    if any(size % tile for size in (*a.shape, b.shape[1])) and len(a):
        raise IndexError(OUTSIDE)
    return product(a, b)


def _inner_second(a: Tensor, b: Tensor, tile: int = 32) -> Tensor:
    """The triples (i, k, j) in place of (i, j, k): outside unless the inner size equals the number of columns."""
    if len(a) and a.shape[1] != b.shape[1]:
        raise IndexError(OUTSIDE)
    return product(a, b)


TILE_MISTAKES = (
    Mistake(
        "blocks end outside",
        "Your last block ends outside of the matrix; end it at min(start + tile, size), in all three directions.",
        _outside,
    ),
    Mistake(
        "indices in another order",
        "add_block takes its two triples as (i, j, k): row, column, and the inner index last.",
        _inner_second,
    ),
    Mistake(
        "tails left out",
        "You use whole tiles only; add a last, smaller block for the rest in each direction.",
        _blocks(lambda i, p, j, size: i.stop <= size[0] and p.stop <= size[1] and j.stop <= size[2]),
    ),
    Mistake(
        "inner tail left out",
        "The last, smaller block of the inner size is missing, so some products are not in the sums; end it at k.",
        _blocks(lambda i, p, j, size: p.stop <= size[1]),
    ),
    Mistake(
        "last rows left out",
        "The last, smaller block of rows is missing; end it at m.",
        _blocks(lambda i, p, j, size: i.stop <= size[0]),
    ),
    Mistake(
        "last columns left out",
        "The last, smaller block of columns is missing; end it at n.",
        _blocks(lambda i, p, j, size: j.stop <= size[2]),
    ),
    Mistake(
        "blocks overwritten",
        "Each inner block overwrites the result of the one before; add up the blocks along the inner size.",
        _blocks(lambda *_: True, assign=True),
    ),
    Mistake(
        "diagonal blocks",
        "You use one loop for rows and inner size; use two, so that each block of rows is combined with every inner block.",
        _blocks(lambda i, p, j, size: i.start == p.start),
    ),
    Mistake(
        "first inner block",
        "You use only the first block of the inner size; add a loop over all of its blocks.",
        _blocks(lambda i, p, j, size: p.start == 0),
    ),
    Mistake(
        "sums in int8",
        "Your result is int8 and wraps around; create `out` with dtype np.int32.",
        lambda a, b, tile=32: wrapped(product(a, b), 8).to(torch.int8),
    ),
    Mistake(
        "sums in int16",
        "Your result is int16 and wraps around; create `out` with dtype np.int32.",
        lambda a, b, tile=32: wrapped(product(a, b), 16).to(torch.int16),
    ),
    Mistake(
        "transposed",
        "Rows and columns of the result are swapped: out is [m, n], for a [m, k] and b [k, n].",
        lambda a, b, tile=32: product(a, b).T.contiguous(),
    ),
    Mistake(
        "double precision",
        "Your result has floats; create `out` with dtype np.int32.",
        lambda a, b, tile=32: product(a, b).double(),
    ),
)


tile_matmul = Exercise(
    name="tile_matmul",
    unit="05_cpu_kernels",
    points=3,
    difficulty=3,
    minutes=14,
    oracle=right_tile,
    cases=tile_cases,
    workload=tile_workload,
    legal={"not contiguous": "No product of this unit need be contiguous."},
    mistakes=TILE_MISTAKES,
    judge=whole_judge(),
    products=True,
    through="engine.authorship:by_blocks",
)
