"""Cases and known mistakes of `int8_matmul`: a matrix product in tiles, with int32 sums.

Conventions: x is [m, k], w is [n, k], both int8; out = x @ w.T in int32, exact.
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
from posttrain_lab.kernels.gpu.interpreter import outside


def right_matmul(x: Tensor, w: Tensor, block_m: int = 16, block_n: int = 16, block_k: int = 32) -> Tensor:
    return (x.long() @ w.long().T).int()


def drawn_codes(draw: Draw, m: int, n: int, k: int) -> tuple[Tensor, Tensor]:
    return draw.codes(-128, 127, m, k), draw.codes(-128, 127, n, k)


def matmul_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "int8_matmul")
    odd, more = 2 * draw.whole(8, 10) + 1, draw.whole(1, 9)
    long = 2051 + 2 * more  # odd: a sum of that many odd products is odd, and above 2^24 float32 cannot represent it
    ends = torch.full((3, long), 127, dtype=torch.int8)
    lows = torch.full((2, long), -128, dtype=torch.int8)
    x, w = drawn_codes(draw, odd, more + 2, 40)
    return [
        Case("whole tiles, k in three steps", drawn_codes(draw, 16, 32, 96)),
        Case("square", drawn_codes(draw, 32, 32, 32)),
        Case("odd sizes", drawn_codes(draw, odd, more + 5, 33 + more)),
        Case("k smaller than its block", drawn_codes(draw, 3, 5, more)),
        Case("a single row and column", drawn_codes(draw, 1, 1, 64 + more)),
        Case("other tiles", drawn_codes(draw, odd, odd + 3, 65), {"block_m": 32, "block_n": 16, "block_k": 64}),
        Case(
            "more than two thousand products, sums beyond 2^24",
            (torch.cat([ends, lows]), torch.cat([ends[:2] - 14, lows[:1]])),
            {"block_k": 128},
        ),
        Case("views that are not contiguous", (strided(x), w.T.contiguous().T)),
    ]


def matmul_workload(seed: int) -> list[Case]:
    """The sizes of the notebook: 128 x 128 in large tiles, and a layer of the course's network."""
    draw = Draw(seed, "matmul workload")
    return [
        Case("large tiles", drawn_codes(draw, 128, 128, 128), {"block_m": 64, "block_n": 128, "block_k": 32}),
        Case("as long as a layer has inputs", drawn_codes(draw, 13, 64, 432), {"block_m": 16, "block_n": 64, "block_k": 128}),
    ]


def _wrapped(bits: int) -> Callable[..., Tensor]:
    def int8_matmul(x: Tensor, w: Tensor, **tiles: int) -> Tensor:
        return ((x.long() @ w.long().T + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)).int()

    return int8_matmul


def _steps_of_k(change: str) -> Callable[..., Tensor]:
    def int8_matmul(x: Tensor, w: Tensor, block_m: int = 16, block_n: int = 16, block_k: int = 32) -> Tensor:
        k = x.shape[1]
        last = (k - 1) // block_k * block_k
        parts = {
            "first": slice(0, block_k),
            "last": slice(last, k),
            "whole": slice(0, k // block_k * block_k),
            "each second": [i for i in range(k) if i // block_k % 2 == 0],
        }
        return right_matmul(x[:, parts[change]], w[:, parts[change]])

    return int8_matmul


def _without_start(x: Tensor, w: Tensor, block_m: int = 16, block_n: int = 16, block_k: int = 32) -> Tensor:
    """The first step of k again in each step."""
    return right_matmul(x[:, :block_k], w[:, :block_k]) * -(-x.shape[1] // block_k)


def _unmasked(what: str) -> Callable[..., Tensor]:
    def int8_matmul(x: Tensor, w: Tensor, block_m: int = 16, block_n: int = 16, block_k: int = 32) -> Tensor:
        k = x.shape[1] % block_k if what == "read" else 0
        if len(x) % block_m or len(w) % block_n or k:
            raise outside(what, len(x))
        return right_matmul(x, w)

    return int8_matmul


def _untransposed(x: Tensor, w: Tensor, **tiles: int) -> Tensor:
    """Reads w as if it were [k, n]: the element at k * n_size + n."""
    return right_matmul(x, w.reshape(w.shape[1], w.shape[0]).T)


def _stored_transposed(x: Tensor, w: Tensor, **tiles: int) -> Tensor:
    return right_matmul(w, x).reshape(len(x), len(w))


def _lanes(x: Tensor, w: Tensor, block_m: int = 16, block_n: int = 16, block_k: int = 32) -> int:
    """Lanes of the loads of all programs, when each step of k takes BM x BK numbers of x and BK x BN of w."""
    tiles = -(-len(x) // block_m) * -(-len(w) // block_n)
    return tiles * -(-x.shape[1] // block_k) * block_k * (block_m + block_n)


@watcher
def stepping(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Any:
    """The answer of a function that launches a kernel, whose steps along k have BK numbers (loaded once or several times)."""
    result, traffic = watched_launch(function, args, kwargs)
    if traffic is not None and traffic.lanes % _lanes(*args, **kwargs):
        remark("loads tiles of other sizes than BM x BK and BK x BN; loop over k in steps of BK")
    return result


MATMUL_MISTAKES = (
    Mistake("sums in int8", "Your sums wrapped around at 127; give tl.dot out_dtype=tl.int32 and an int32 total.", _wrapped(8)),
    Mistake("sums in int16", "Your sums wrapped around at 32,767; accumulate in tl.int32.", _wrapped(16)),
    Mistake(
        "first step of k only",
        "Only the first BK products were summed; loop over k in steps of BK and add to total.",
        _steps_of_k("first"),
    ),
    Mistake(
        "k without start",
        "Each step multiplies the first BK inputs again; the k of a step begin at `start`: start + tl.arange(0, BK).",
        _without_start,
    ),
    Mistake(
        "total overwritten",
        "You overwrite total, so only the last step of k is left; pass total to tl.dot, or add to it.",
        _steps_of_k("last"),
    ),
    Mistake(
        "tail of k left out",
        "You leave out the last step of k, which is not full; loop to K and mask what is beyond it.",
        _steps_of_k("whole"),
    ),
    Mistake(
        "every second step",
        "You skip every second step of k; advance by BK once in each step.",
        _steps_of_k("each second"),
    ),
    Mistake(
        "load without mask",
        "A tile at the edge reads beyond the end; mask rows (m < M, n < N) and k < K in both loads, other=0.",
        _unmasked("read"),
    ),
    Mistake(
        "store without mask",
        "A tile at the edge writes beyond the end; mask the store with (m < M) & (n < N).",
        _unmasked("wrote"),
    ),
    Mistake("w read as [k, n]", "You read w as [k, n]; it is [n, k], with the element for n and k at n * K + k.", _untransposed),
    Mistake(
        "stored transposed",
        "You store the result transposed; the element of row m, column n is at m * N + n.",
        _stored_transposed,
    ),
)


int8_matmul = Exercise(
    name="int8_matmul",
    unit="06_gpu_kernels",
    points=4,
    difficulty=4,
    minutes=25,
    oracle=right_matmul,
    cases=matmul_cases,
    workload=matmul_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=MATMUL_MISTAKES,
    through="gpu_kernels.int8_matmul:stepping",
    library="kernels:int8_matmul",
)
