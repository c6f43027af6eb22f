"""Cases and known mistakes of `simd_matmul`: an exact product of int8 matrices, pair by pair, in SIMD instructions.

`simd_matmul(x, panels, n)` gives the product; with "assembly" as a fourth argument, the compiled instructions as text. Of two such texts
only one property is compared: is there an instruction that multiplies pairs (on x86; on other processors nothing is compared)?
"""

import platform
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.integer_judges import product, whole_judge
from posttrain_lab.checks.cpu_kernels.pack_weights import right_pack, right_unpack
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import Judge
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided

PAIRS = ("vpmaddwd", "vpdpwssd")


def simd_judge() -> Judge:
    """Equal numbers; an assembly listing must multiply pairs where the expected one does."""
    values = whole_judge()

    def judge(want: Outcome, got: Outcome) -> str | None:
        if not isinstance(want.value, str):
            return values(want, got)
        if not isinstance(got.value, str):
            return "expected a text; leave the decorator @in_tiles above your function."
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
        Case("only the lowest code", (lowest, right_pack(lowest), 6)),
        Case("no row", (x[:0], panels, 16)),
        Case("views that are not contiguous", (strided(x), panels.mT.contiguous().mT, 16)),
        Case("other numbers of the same size", (draw.codes(-128, 127, *x.shape), panels, 16)),
        Case("the compiled instructions", (x, panels, 16, "assembly")),
    ]


def simd_workload(seed: int) -> list[Case]:
    """Rows of the notebook's layer, for one row and for several; and odd sums that float32 cannot represent."""
    draw = Draw(seed, "simd workload")
    x, w = draw.codes(-128, 127, 19, 1024), draw.codes(-127, 127, 100, 1024)
    ends = torch.full((5, 1303), 127, dtype=torch.int8)
    return [
        Case("a layer of the notebook's width", (x, right_pack(w), 100)),
        Case("one row of it", (x[:1], right_pack(w), 100)),
        Case("odd sums beyond 2^24", (ends, right_pack(ends[:3] - 14), 3)),
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
        "Your sums lose their old values; multiply_add_pairs(a, ...) adds to a, so pass the old sum.",
        _by_pairs(lambda x, w: _sums(x[:, -1:], w[-1:])),
    ),
    Mistake(
        "one row off",
        "Each sum uses the row after its own; a belongs to x[r], b to x[r + row].",
        _by_pairs(lambda x, w: _sums(torch.cat([x[1:], torch.full_like(x[:1], 7)]), w)),  # after the operands are sevens
    ),
    Mistake(
        "two rows swapped",
        "The sums of two rows are swapped; return a, b, c, d in the order of the arguments.",
        _by_pairs(_rows((1, 0, 2, 3))),
    ),
    Mistake(
        "order reversed",
        "You return the four sums in reverse; return a, b, c, d in the order of the arguments.",
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
        "The numbers are right, but the code has no instruction that multiplies pairs; use load_widen, broadcast_pair and multiply_add_pairs.",
        _by_pairs(_sums, listing="vpmulld"),
    ),
)


simd_matmul = Exercise(
    name="simd_matmul",
    unit="05_cpu_kernels",
    points=4,
    difficulty=4,
    minutes=18,
    oracle=right_simd,
    cases=simd_cases,
    workload=simd_workload,
    legal={"not contiguous": "No product of this unit need be contiguous."},
    mistakes=SIMD_MISTAKES,
    judge=simd_judge(),
    products=True,
    through="engine.authorship:in_vectors",
)
