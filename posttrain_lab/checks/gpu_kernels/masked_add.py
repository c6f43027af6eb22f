"""Cases and known mistakes of `masked_add`: the first kernel, with a mask for the last block.

Conventions that the notebook states in the same words: a program adds `block` neighbours. A sum of two float32 is exact up to one
rounding (1e-6).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.kernels.gpu.interpreter import outside


def right_add(x: Tensor, y: Tensor, block: int = 16) -> Tensor:
    return x + y


def add_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "masked_add")
    block, tail = draw.pick((8, 16, 32)), draw.whole(2, 6)

    def case(words: str, n: int, block: int) -> Case:
        return Case(words, (draw.normal(n), draw.normal(n)), {"block": block})

    holes = draw.normal(2 * block)
    holes[draw.whole(0, block)] = float("inf")
    return [
        case("three whole blocks", 3 * block, block),
        case("whole blocks and a tail", 3 * block + tail, block),
        case("one block, not full", tail, block),
        case("a single number", 1, block),
        case("many small blocks", 43 + tail, 4),
        case("one more than a block", block + 1, block),
        Case("an infinity", (holes, draw.normal(2 * block)), {"block": block}),
        Case("views that are not contiguous", (strided(draw.normal(21 + tail)), strided(draw.normal(21 + tail))), {"block": 16}),
    ]


def add_workload(seed: int) -> list[Case]:
    """Blocks as a GPU would have them, and the default block."""
    draw = Draw(seed, "masked_add workload")
    long = 1024 * draw.whole(2, 3) + draw.whole(1, 1000)
    return [
        Case("blocks of 1024", (ladder(draw, long), ladder(draw, long, top=0.01)), {"block": 1024}),
        Case("the default block, many numbers", (ladder(draw, 250), ladder(draw, 250, top=100.0))),
    ]


def _first_block(x: Tensor, y: Tensor, block: int = 16) -> Tensor:
    return torch.where(torch.arange(len(x)) < block, x + y, torch.nan)


def _unscaled(x: Tensor, y: Tensor, block: int = 16) -> Tensor:
    programs = -(-len(x) // block)
    return torch.where(torch.arange(len(x)) < programs + block - 1, x + y, torch.nan)


def _unmasked(what: str) -> Callable[..., Tensor]:
    def masked_add(x: Tensor, y: Tensor, block: int = 16) -> Tensor:
        if len(x) % block:
            raise outside(what, -len(x) % block)
        return x + y

    return masked_add


ADD_MISTAKES = (
    Mistake(
        "load without mask",
        "Your last block reads beyond the end; give tl.load a mask that is true where the offset is below n.",
        _unmasked("read"),
    ),
    Mistake(
        "store without mask",
        "The loads are masked, the store is not: give tl.store the mask too, or the last block writes beyond the end of the result.",
        _unmasked("wrote"),
    ),
    Mistake(
        "only the first block",
        "Every program computes the first block; add tl.program_id(0) * BLOCK to the offsets.",
        _first_block,
    ),
    Mistake(
        "program id not multiplied",
        "Your blocks overlap: program p starts at p * BLOCK, not at p.",
        _unscaled,
    ),
    Mistake(
        "tail left out",
        "You leave out the last block, which is not full; the mask must be true up to offset n - 1.",
        lambda x, y, block=16: torch.where(torch.arange(len(x)) < len(x) // block * block, x + y, torch.nan),
    ),
    Mistake(
        "last number left out",
        "The last element is not written; the mask is offset < n, not offset < n - 1.",
        lambda x, y, block=16: torch.where(torch.arange(len(x)) < len(x) - 1, x + y, torch.nan),
    ),
    Mistake(
        "nothing stored",
        "Your kernel stored nothing; what a kernel returns is lost: write the sums with tl.store(out_ptr + ..., ...).",
        lambda x, y, block=16: torch.full_like(x, torch.nan),
    ),
    Mistake("x twice", "You added x to itself; load the second operand from y_ptr.", lambda x, y, block=16: x + x),
    Mistake("subtracted", "You subtracted; the result is x + y.", lambda x, y, block=16: x - y),
)


masked_add = Exercise(
    name="masked_add",
    unit="06_gpu_kernels",
    points=2,
    difficulty=1,
    minutes=12,
    oracle=right_add,
    cases=add_cases,
    workload=add_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=ADD_MISTAKES,
    judge=close(1e-6, 0.0, strict_dtype=True),
    through="engine.launches:launched",
)
