"""Cases and known mistakes of `nm_matmul`: a product with 2:4 sparse weights, packed as `nm_pack` packs them.

Values are small whole numbers or eighths, so every order of summation gives the same float: results must be equal.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.nm_pack import Places, right_nm_pack
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, eighths, strided, whole_floats


def _unpacked(values: Tensor, positions: Tensor, first: int = 4, second: int = 4) -> Tensor:
    places = torch.stack((positions.long() % first, positions.long() // second), 2)
    groups = values.new_zeros(*positions.shape, 4)
    return groups.scatter_add_(2, places, values).flatten(1)


def right_nm(values: Tensor, positions: Tensor, x: Tensor) -> Tensor:
    return _unpacked(values, positions) @ x


def nm_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "nm_matmul")
    out, groups, batch = draw.whole(2, 5), draw.whole(2, 5), draw.whole(2, 6)

    def packed(out: int, groups: int) -> Places:
        return right_nm_pack(whole_floats(draw, out, 4 * groups))

    every = torch.tensor([first + 4 * second for second in range(1, 4) for first in range(second)], dtype=torch.uint8)
    same = draw.whole(3, 5)
    return [
        Case("some rows and groups", (*packed(out, groups), whole_floats(draw, 4 * groups, batch))),
        Case("every pair of positions", (whole_floats(draw, 1, 6, 2), every[None], whole_floats(draw, 24, 3))),
        Case("as many outputs as inputs and columns", (*packed(4 * same, same), whole_floats(draw, 4 * same, 4 * same))),
        Case("a single group", (*packed(3, 1), whole_floats(draw, 4, 5))),
        Case("a single output", (*packed(1, groups), whole_floats(draw, 4 * groups, 3))),
        Case("a single column of x", (*packed(out, groups), whole_floats(draw, 4 * groups, 1))),
        Case("only zeros", (*right_nm_pack(torch.zeros(2, 8)), whole_floats(draw, 8, 3))),
        Case("views that are not contiguous", (*packed(3, 2), strided(whole_floats(draw, 8, 5)))),
        Case("a transposed view", (*packed(3, 2), whole_floats(draw, 5, 8).T)),
    ]


def nm_workload(seed: int) -> list[Case]:
    """A layer of the notebook's width, fractions (eighths: their sums are exact in any order), and a whole batch."""
    draw = Draw(seed, "nm workload")
    return [
        Case("512 inputs, fractions, a batch of 64", (*right_nm_pack(eighths(draw, 12, 512)), eighths(draw, 512, 64))),
        Case("1024 inputs, one row of x", (*right_nm_pack(eighths(draw, 4, 1024)), eighths(draw, 1024, 1))),
    ]


NM_MISTAKES = (
    Mistake(
        "positions swapped",
        "You swapped the two positions: position % 4 belongs to the first value, position // 4 to the second.",
        lambda values, positions, x: right_nm(values.flip(2), positions, x),
    ),
    Mistake(
        "second value forgotten",
        "The second value of each group is missing; add its product too.",
        lambda values, positions, x: right_nm(values * torch.tensor([1.0, 0.0]), positions, x),
    ),
    Mistake(
        "first value forgotten",
        "The first value of each group is missing; add its product too.",
        lambda values, positions, x: right_nm(values * torch.tensor([0.0, 1.0]), positions, x),
    ),
    Mistake(
        "group forgotten",
        "You use the first four rows of x for all groups; group g starts at row 4 * g.",
        lambda values, positions, x: _unpacked(values, positions).unflatten(1, (-1, 4)).sum(1) @ x[:4],
    ),
    Mistake(
        "two rows a group",
        "Your groups start at row 2 * g of x; two values are kept, but they come from four rows.",
        lambda values, positions, x: sum(
            (_unpacked(values[:, g : g + 1], positions[:, g : g + 1]) @ x[2 * g : 2 * g + 4] for g in range(positions.shape[1])),
            x.new_zeros(len(values), x.shape[1]),
        ),
    ),
    Mistake(
        "positions ignored",
        "You take the first two rows of each group; the byte contains the two positions.",
        lambda values, positions, x: right_nm(values, torch.full_like(positions, 4), x),
    ),
    Mistake(
        "last group missing",
        "The last group of each row is missing; there are k / 4 groups.",
        lambda values, positions, x: right_nm(values[:, :-1], positions[:, :-1], x[:-4]),
    ),
    Mistake(
        "overwritten",
        "Each group overwrites the result of its row; add up the products.",
        lambda values, positions, x: right_nm(values[:, -1:], positions[:, -1:], x[-4:]),
    ),
    Mistake(
        "result transposed",
        "Your result is [batch, outputs]; return [outputs, batch].",
        lambda values, positions, x: right_nm(values, positions, x).T.contiguous() + 0,
    ),
    Mistake(
        "uninitialised output",
        "You add to old values from memory; create the result with zeros, not with empty.",
        lambda values, positions, x: right_nm(values, positions, x) + 1,
    ),
)


nm_matmul = Exercise(
    name="nm_matmul",
    unit="05_cpu_kernels",
    points=2,
    difficulty=3,
    minutes=8,
    oracle=right_nm,
    cases=nm_cases,
    workload=nm_workload,
    legal={"not contiguous": "No product of this unit need be contiguous."},
    mistakes=NM_MISTAKES,
    judge=close(0.0, 0.0, strict_dtype=True),
    through="engine.authorship:own",
    library="kernels:nm_linear",
)
