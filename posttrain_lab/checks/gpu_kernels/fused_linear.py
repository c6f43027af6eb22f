"""Cases and known mistakes of `fused_linear`: a matrix product and its epilogue, in one kernel.

Conventions: acc = x @ w.T in int32; y = acc * (x_scale[m] * w_scale[n]) + bias[n], then relu if asked. Tolerance of y: acc below 2^24 is
exact in float32, then three roundings; where the bias cancels the product the error is relative to the larger of the two: rtol 1e-5 and
2e-6 of the largest output.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import near
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.gpu_kernels.int8_matmul import drawn_codes, right_matmul
from posttrain_lab.kernels.gpu.interpreter import outside


def right_fused(
    xq: Tensor, wq: Tensor, x_scale: Tensor, w_scale: Tensor, bias: Tensor, relu: bool = False, **tiles: int
) -> Tensor:
    y = right_matmul(xq, wq).float() * (x_scale[:, None] * w_scale) + bias
    return y.relu() if relu else y


def _case(draw: Draw, words: str, sizes: tuple[int, int, int], **options: Any) -> Case:
    m, n, k = sizes
    x_scale, w_scale = (
        draw.uniform(0.5, 1.5, m) * torch.logspace(-2, 0, m),
        draw.uniform(0.5, 1.5, n) * torch.logspace(0, -2, n),
    )
    bias = draw.normal(n) * 3000 * w_scale * x_scale.mean() + 0.1
    return Case(words, (*drawn_codes(draw, m, n, k), x_scale, w_scale, bias), options)


def fused_workload(seed: int) -> list[Case]:
    """The two layers that the notebook runs, with its tiles; and relu left out, which is then False."""
    draw = Draw(seed, "fused workload")
    large = {"block_m": 16, "block_n": 64, "block_k": 128}
    return [
        _case(draw, "a layer of the course's network", (20, 64, 864), relu=True, **large),
        _case(draw, "its last layer", (20, 10, 64), relu=False, **large),
        _case(draw, "without relu and tiles, which have defaults", (5, 9, 33)),
    ]


def fused_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "fused_linear")
    side, odd = draw.whole(5, 9), 2 * draw.whole(8, 11) + 1

    def case(words: str, m: int, n: int, k: int, **options: Any) -> Case:
        return _case(draw, words, (m, n, k), **options)

    views = case("views that are not contiguous", side, odd, 20, relu=True)
    xq, wq, *rest = views.args
    return [
        case("as many rows as columns", 16, 16, 32, relu=False),
        case("as many rows as columns, relu", 16, 16, 40, relu=True),
        case("odd sizes", odd, side, 35, relu=False),
        case("odd sizes, relu", side, odd, 33, relu=True),
        case("a single row", 1, odd, 16, relu=True),
        case("a single column", side, 1, 8, relu=False),
        case("other tiles", odd, odd + 2, 70, relu=True, block_m=32, block_n=32, block_k=64),
        Case(views.words, (strided(xq), strided(wq), *rest), views.kwargs),
    ]


def _wrong(mistake: str) -> Callable[..., Tensor]:
    """The right answer with one step changed."""

    def fused_linear(
        xq: Tensor, wq: Tensor, x_scale: Tensor, w_scale: Tensor, bias: Tensor, relu: bool = False, **tiles: int
    ) -> Tensor:
        if mistake == "unmasked" and (len(xq) % tiles.get("block_m", 16) or len(wq) % tiles.get("block_n", 16)):
            raise outside("read", len(wq))
        rows, columns = x_scale[:, None], w_scale[None, :]
        square = len(xq) == len(wq)
        scales = {
            "x scale forgotten": columns,
            "w scale forgotten": rows,
            "scales swapped": w_scale[:, None] * x_scale if square else rows * columns,
            "scales added": rows + columns,
        }
        scale, acc = scales.get(mistake, rows * columns), right_matmul(xq, wq).float()
        offsets = {"bias forgotten": torch.zeros(()), "bias along rows": bias[:, None] if square else bias}
        offset = offsets.get(mistake, bias)
        if mistake == "relu before bias" and relu:
            return (acc * scale).relu() + offset
        y = (acc + offset) * scale if mistake == "bias scaled" else acc * scale + offset
        return y.relu() if (relu and mistake != "relu forgotten") or mistake == "relu always" else y

    return fused_linear


FUSED_MISTAKES = (
    Mistake(
        "scales swapped",
        "You swapped the scales: x_scale has one element for each row (m), w_scale one for each column (n).",
        _wrong("scales swapped"),
    ),
    Mistake("scales added", "You added the scales; one unit of the sum is worth x_scale * w_scale.", _wrong("scales added")),
    Mistake("x scale forgotten", "x_scale is missing; multiply each row m by x_scale[m].", _wrong("x scale forgotten")),
    Mistake("w scale forgotten", "w_scale is missing; multiply each column n by w_scale[n].", _wrong("w scale forgotten")),
    Mistake(
        "bias scaled",
        "You added the bias before scaling; it is a real number, so add it after the scaling.",
        _wrong("bias scaled"),
    ),
    Mistake("bias forgotten", "The bias is missing; add bias[n] to each column.", _wrong("bias forgotten")),
    Mistake("bias along rows", "The bias belongs to the columns: load it at n, not at m.", _wrong("bias along rows")),
    Mistake("relu before bias", "You applied relu before the bias; apply relu last.", _wrong("relu before bias")),
    Mistake("relu forgotten", "With RELU no result may be below 0; use tl.maximum(y, 0.0) at the end.", _wrong("relu forgotten")),
    Mistake("relu always", "You apply relu always; apply it only if RELU is true.", _wrong("relu always")),
    Mistake(
        "load without mask",
        "A tile at the edge reads scales or bias beyond the end; mask with m < M or n < N.",
        _wrong("unmasked"),
    ),
)


fused_linear = Exercise(
    name="fused_linear",
    unit="06_gpu_kernels",
    points=3,
    difficulty=3,
    minutes=18,
    oracle=right_fused,
    cases=fused_cases,
    workload=fused_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=FUSED_MISTAKES,
    judge=near(2e-06, rtol=1e-05, strict_dtype=True),
    through="engine.launches:launched",
)
