"""Cases and known mistakes of `tile_matmul` and `simd_matmul`: exact products of int8 matrices, block by block and pair by pair.

`simd_matmul(x, panels, n)` gives the product; with "assembly" as a fourth argument, the compiled instructions as text. Of two such texts
only one thing is compared: is there an instruction that multiplies pairs (on x86; elsewhere nothing is asked)?
"""

import platform
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.compare import Judge
from posttrain_lab.checks.cpu_kernels.packing import right_pack, right_unpack
from posttrain_lab.checks.cpu_kernels.whole import product, whole_judge, wrapped
from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake
from posttrain_lab.checks.submission import Outcome

PAIRS = ("vpmaddwd", "vpdpwssd")
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
        Case("tiles of one number", (*_matrices(draw, 3, 5, 4), 1)),
        Case("a tile larger than the matrices", (*_matrices(draw, m, 7, n), 64)),
        Case("a single row", (*_matrices(draw, 1, k, n), 4)),
        Case("one inner number", (*_matrices(draw, m, 1, n), 4)),
        Case("a single column", (*_matrices(draw, m, k, 1), 4)),
        Case("all at the lowest code", (lowest, lowest.T.contiguous(), 7)),
        Case("no row", (left[:0], right, 4)),
        Case("views that are not contiguous", (strided(left), right.T.contiguous().T, 3)),
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
    """The triples (i, k, j) in place of (i, j, k): outside unless there are as many inner numbers as columns."""
    if len(a) and a.shape[1] != b.shape[1]:
        raise IndexError(OUTSIDE)
    return product(a, b)


TILE_MISTAKES = (
    Mistake(
        "blocks end outside",
        "Your last block sticks out of the matrix; end it at min(start + tile, size), in all three directions.",
        _outside,
    ),
    Mistake(
        "indices in another order",
        "add_block wants its two triples as (i, j, k): row, column, and the inner number last.",
        _inner_second,
    ),
    Mistake(
        "tails left out",
        "You run over whole tiles only; a last, smaller block covers what is left over in each direction.",
        _blocks(lambda i, p, j, size: i.stop <= size[0] and p.stop <= size[1] and j.stop <= size[2]),
    ),
    Mistake(
        "inner tail left out",
        "The last, smaller block of the inner size is missing, so some products are not in the sums.",
        _blocks(lambda i, p, j, size: p.stop <= size[1]),
    ),
    Mistake(
        "last rows left out",
        "The last, smaller block of rows is missing.",
        _blocks(lambda i, p, j, size: i.stop <= size[0]),
    ),
    Mistake(
        "last columns left out",
        "The last, smaller block of columns is missing.",
        _blocks(lambda i, p, j, size: j.stop <= size[2]),
    ),
    Mistake(
        "blocks overwritten",
        "Each inner block overwrites what the one before left; blocks along the inner size are added up.",
        _blocks(lambda *_: True, assign=True),
    ),
    Mistake(
        "diagonal blocks",
        "You use one loop for rows and inner size; each block of rows meets every block of the inner size.",
        _blocks(lambda i, p, j, size: i.start == p.start),
    ),
    Mistake(
        "first inner block",
        "You never move along the inner size; a result needs all of its blocks.",
        _blocks(lambda i, p, j, size: p.start == 0),
    ),
    Mistake(
        "sums in int8",
        "Your result is int8 and wraps around; make `out` of np.int32.",
        lambda a, b, tile=32: wrapped(product(a, b), 8).to(torch.int8),
    ),
    Mistake(
        "sums in int16",
        "Your result is int16 and wraps around; make `out` of np.int32.",
        lambda a, b, tile=32: wrapped(product(a, b), 16).to(torch.int16),
    ),
    Mistake(
        "transposed",
        "Rows and columns of the result are swapped: out is [m, n], for a [m, k] and b [k, n].",
        lambda a, b, tile=32: product(a, b).T.contiguous(),
    ),
    Mistake(
        "double precision", "Your result is made of floats; make `out` of np.int32.", lambda a, b, tile=32: product(a, b).double()
    ),
)


# ---- simd_matmul
def simd_judge() -> Judge:
    """Equal numbers; of an assembly listing, only whether it multiplies pairs where the wanted one does."""
    values = whole_judge()

    def judge(want: Outcome, got: Outcome) -> str | None:
        if not isinstance(want.value, str):
            return values(want, got)
        if not isinstance(got.value, str):
            return "a text is wanted; leave the decorator @in_tiles above your function."
        if _multiplies_pairs(want.value) and not _multiplies_pairs(got.value):
            return f"the compiled code has no instruction that multiplies pairs ({' or '.join(PAIRS)}); use multiply_add_pairs."
        return None

    return judge


def _multiplies_pairs(listing: str) -> bool:
    return any(name in listing for name in PAIRS)


def right_simd(x: Tensor, panels: Tensor, n: int, show: str = "product") -> Tensor | str:
    if show == "assembly":
        return PAIRS[0] if platform.machine().lower() in ("x86_64", "amd64") and _has_avx2() else ""
    return product(x, right_unpack(panels, n, x.shape[1]).T)


def _has_avx2() -> bool:
    from posttrain_lab.kernels.cpu.simd import has

    return has("avx2")


def simd_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "simd_matmul")
    m, k, n = 4 * draw.whole(2, 3), 2 * draw.whole(9, 15), 16 * draw.whole(2, 3)
    lowest = torch.full((6, 70), -128, dtype=torch.int8)

    def case(words: str, m: int, k: int, n: int) -> Case:
        return Case(words, (draw.codes(-128, 127, m, k), right_pack(draw.codes(30, 127, n, k)), n))

    x, panels, _ = case("", 5, 6, 16).args
    return [
        case("whole tiles", m, k, n),
        case("odd sizes", m + 1, k + 1, n + 1),
        case("one pair, sixteen outputs", 4, 2, 16),
        case("a single row", 1, k, n - 1),
        case("one input", m - 1, 1, 17),
        case("one output", m, k, 1),
        Case("all at the lowest code", (lowest, right_pack(lowest), 6)),
        Case("no row", (x[:0], panels, 16)),
        Case("views that are not contiguous", (strided(x), panels.mT.contiguous().mT, 16)),
        Case("the compiled instructions", (x, panels, 16, "assembly")),
    ]


def _by_pairs(change: Callable[[Tensor, Tensor], Tensor], listing: str = PAIRS[0]) -> Callable[..., Tensor | str]:
    """`change` gets x as it is padded, [rows, pairs, 2] int64, and w [pairs, columns, 2]; it returns the sums [rows, columns]."""

    def simd_matmul(x: Tensor, panels: Tensor, n: int, show: str = "product") -> Tensor | str:
        if show == "assembly":
            return listing
        (m, k), steps = x.shape, panels.shape[1]
        rows = torch.nn.functional.pad(x.long(), (0, 2 * steps - k, 0, -m % 4)).reshape(-1, steps, 2)
        columns = panels.long().transpose(0, 1).flatten(1, 2)
        return change(rows, columns)[:m, :n].to(torch.int32).contiguous()

    return simd_matmul


def _sums(x: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("rsi,sci->rc", x, w)


def _rows(order: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """In each tile, row i of the result is made of row order[i] of x."""
    return lambda x, w: _sums(x, w).reshape(-1, 4, w.shape[1])[:, list(order)].flatten(0, 1)


SIMD_MISTAKES = (
    Mistake(
        "first row four times",
        "All four sums use the pair of the first row; the next rows start at r + row, r + 2 * row and r + 3 * row.",
        _by_pairs(_rows((0, 0, 0, 0))),
    ),
    Mistake(
        "last pair only",
        "Your sums forget what they held; multiply_add_pairs(a, ...) adds to a, so pass the old sum in.",
        _by_pairs(lambda x, w: _sums(x[:, -1:], w[-1:])),
    ),
    Mistake(
        "one row off",
        "Each sum takes the row after its own; a belongs to x[r], b to x[r + row].",
        _by_pairs(lambda x, w: _sums(torch.cat([x[1:], torch.full_like(x[:1], 7)]), w)),  # behind the operands lie sevens
    ),
    Mistake(
        "two rows swapped",
        "The sums of two rows are swapped; return a, b, c, d in the order they came in.",
        _by_pairs(_rows((1, 0, 2, 3))),
    ),
    Mistake(
        "order reversed",
        "The four sums come back in reverse; return a, b, c, d in the order they came in.",
        _by_pairs(_rows((3, 2, 1, 0))),
    ),
    Mistake(
        "only one row updated",
        "Only the first sum is updated; b, c and d need their own multiply_add_pairs.",
        _by_pairs(lambda x, w: _sums(x, w) * (torch.arange(len(x)) % 4 == 0)[:, None]),
    ),
    Mistake(
        "last row not updated",
        "The fourth sum is never updated; d needs its own multiply_add_pairs, with x[r + 3 * row].",
        _by_pairs(lambda x, w: _sums(x, w) * (torch.arange(len(x)) % 4 < 3)[:, None]),
    ),
    Mistake(
        "added twice",
        "Each step is added twice; call multiply_add_pairs once for each row.",
        _by_pairs(lambda x, w: 2 * _sums(x, w)),
    ),
    Mistake(
        "no pair instruction",
        "Right numbers, but without the machine's pair multiplication; use load_widen, broadcast_pair and multiply_add_pairs.",
        _by_pairs(_sums, listing="vpmulld"),
    ),
)
