"""Cases and known mistakes of `int8_dot`: an exact sum of products of int8 numbers, a plain int.

Sums stay below 2^31; some are above 2^24, where float32 cannot represent every whole number.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.integer_judges import whole_judge, wrapped
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_dot(a: Tensor, b: Tensor) -> int:
    return int((a.long() * b.long()).sum())


def dot_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "int8_dot")
    size = draw.whole(3, 60)
    lowest = torch.full((1500 + 2 * draw.whole(0, 40) + 1,), -128, dtype=torch.int8)
    return [
        Case("a few numbers", (draw.codes(60, 127, 7), draw.codes(40, 127, 7))),
        Case("an odd size", (draw.codes(-128, 127, 2 * size + 1), draw.codes(-128, 127, 2 * size + 1))),
        Case("only the lowest code", (lowest, lowest)),
        Case("the lowest and the highest code", (lowest, -1 - lowest)),
        Case("sums beyond 2^24, an odd result", (torch.cat([lowest, lowest[:1] + 129]), torch.cat([lowest, lowest[:1] + 129]))),
        Case("one pair of lowest codes", (lowest[:2], lowest[:2])),
        Case("small numbers", (draw.codes(-3, 3, 40), draw.codes(-3, 3, 40))),
        Case("a single number", (draw.codes(100, 127, 1), draw.codes(-128, -90, 1))),
        Case("no number", (lowest[:0], lowest[:0])),
        Case("views that are not contiguous", (strided(draw.codes(20, 127, 9)), strided(draw.codes(-128, -20, 9)))),
    ]


def dot_workload(seed: int) -> list[Case]:
    """As long as the notebook's rows, and longer; many terms of both signs."""
    draw = Draw(seed, "dot workload")
    long = 20_001 + 2 * draw.whole(0, 500)
    return [
        Case("a row of the notebook's layer", (draw.codes(-128, 127, 1024), draw.codes(-127, 127, 1024))),
        Case("a long row", (draw.codes(-128, 127, long), draw.codes(-120, 127, long))),
    ]


def _saturated(values: Tensor, bits: int) -> Tensor:
    return values.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _pairs_in_int16(a: Tensor, b: Tensor) -> int:
    """As instructions for unsigned times signed bytes work: neighbours are added in 16 bits with saturation."""
    products = torch.nn.functional.pad(a.long() * b.long(), (0, len(a) % 2))
    return int(_saturated(products.reshape(-1, 2).sum(1), 16).sum())


DOT_MISTAKES = (
    Mistake(
        "products in int8",
        "Your products are int8 and wrap around at 127; widen both vectors to int32 before you multiply.",
        lambda a, b: int((a * b).sum()),
    ),
    Mistake(
        "products in int16",
        "You widen to int16 and sum there; one product fits, the sum of two or more may not: sum in int32.",
        lambda a, b: int(wrapped(right_dot(a, b) * torch.ones((), dtype=torch.long), 16)),
    ),
    Mistake(
        "sum in int8",
        "Your sum is int8 again; only the products are wider: use int32 for the sum too.",
        lambda a, b: int(wrapped(right_dot(a, b) * torch.ones((), dtype=torch.long), 8)),
    ),
    Mistake(
        "pairs saturate",
        "Two products of lowest codes add up to 32,768, one more than the largest int16; add the pairs in int32.",
        _pairs_in_int16,
    ),
    Mistake(
        "sums in float32",
        "You sum in float32, which is exact up to 2^24 only; sum in int32.",
        lambda a, b: int(torch.dot(a.float(), b.float()).item()),
    ),
    Mistake(
        "last number left out",
        "The last product is missing; with an odd size one number is left over after the pairs.",
        lambda a, b: right_dot(a[: len(a) // 2 * 2], b[: len(b) // 2 * 2]),
    ),
    Mistake(
        "unsigned",
        "You read the codes as unsigned bytes, 0 to 255; int8 codes are -128 to 127.",
        lambda a, b: int((a.long().remainder(256) * b.long().remainder(256)).sum()),
    ),
    Mistake(
        "magnitudes",
        "You multiply magnitudes; multiply the codes with their signs.",
        lambda a, b: int((a.long().abs() * b.long().abs()).sum()),
    ),
    Mistake(
        "a tensor",
        "You return a tensor; return a plain int: .item() or int(...).",
        lambda a, b: a.long() @ b.long(),
    ),
)


int8_dot = Exercise(
    name="int8_dot",
    unit="05_cpu_kernels",
    points=2,
    difficulty=1,
    minutes=8,
    oracle=right_dot,
    cases=dot_cases,
    workload=dot_workload,
    mistakes=DOT_MISTAKES,
    judge=whole_judge(),
    products=True,
    through="engine.authorship:whole",
)
