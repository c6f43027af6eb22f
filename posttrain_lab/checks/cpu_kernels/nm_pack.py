"""Cases and known mistakes of `nm_pack`: 2:4 sparsity, two weights of each four and their positions in a byte.

Conventions that the notebook states in the same words: of each four weights along `in` the two of largest magnitude are kept, the earlier
one on a tie, in the order of their positions; positions = first position + 4 * second position.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided, whole_floats

Places = tuple[Tensor, Tensor]


def right_nm_pack(weight: Tensor) -> Places:
    groups = weight.unflatten(1, (-1, 4))
    places = groups.abs().argsort(dim=2, descending=True, stable=True)[..., :2].sort(dim=2).values
    return _packed(groups, places)


def _packed(groups: Tensor, places: Tensor) -> Places:
    return groups.gather(2, places).contiguous(), (places[..., 0] + 4 * places[..., 1]).to(torch.uint8)


def nm_pack_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "nm_pack")
    out, k = draw.whole(2, 5), 4 * draw.whole(2, 5)
    every = torch.cartesian_prod(*[torch.tensor([-2.0, 0.0, 1.0])] * 4)
    distinct = torch.rand(out, k // 4, 4, generator=draw.generator).argsort(2).float() + 1
    signs = (2 * draw.codes(0, 1, out, k // 4, 4) - 1).float()
    return [
        Case("four different magnitudes", ((distinct * signs).flatten(1),)),
        Case("positive weights", (distinct.flatten(1),)),
        Case("large negative weights", ((distinct * (5 - 2 * distinct).sign()).flatten(1),)),
        Case("two zeros in each four", (every[[5, 7, 11, 15, 19, 21, 29, 33, 45]],)),
        Case("fewer than two weights in a group", (every[[13, 39, 40, 41, 31]].reshape(-1, 20),)),
        Case("all ties", (every.reshape(9, -1)[draw.shuffled(range(9))],)),
        Case("as many rows as inputs", ((distinct * signs).reshape(-1, 4)[:4].repeat(1, 1)[:4],)),
        Case("a single group", (torch.tensor([[3.0, -7.0, draw.real(4.0, 6.0), 1.0]]),)),
        Case("only zeros", (torch.zeros(2, 8),)),
        Case("a view that is not contiguous", (strided((distinct * signs).flatten(1)),)),
        Case("a transposed view", (whole_floats(draw, 8, 5).T,)),
    ]


def nm_pack_workload(seed: int) -> list[Case]:
    """A layer of the notebook's width, whose magnitudes float32 separates and 16 bits do not; and fractions below one half."""
    draw = Draw(seed, "nm_pack workload")
    return [
        Case("a wide layer, magnitudes close to each other", (ladder(draw, 6, 1024),)),
        Case("numbers far below 1", (ladder(draw, 4, 64, top=1e-6),)),
        Case("numbers whose squares are 0 in float32", (ladder(draw, 4, 64, top=1e-25),)),
        Case("many rows, numbers far above 1", (ladder(draw, 300, 8, top=1e8),)),
    ]


def _positions_of(choose: Callable[[Tensor], Tensor], code: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], Any]:
    def nm_pack(weight: Tensor) -> Places:
        groups = weight.unflatten(1, (-1, 4))
        places = choose(groups)
        values, positions = _packed(groups, places)
        return values, positions if code is None else code(places).to(torch.uint8)

    return nm_pack


def _largest(groups: Tensor, descending: bool = True) -> Tensor:
    return groups.abs().argsort(dim=2, descending=descending, stable=True)[..., :2]


def _inside(groups: Tensor) -> Tensor:
    return _largest(groups).sort(dim=2).values


def _later(groups: Tensor) -> Tensor:
    return (3 - _largest(groups.flip(2))).sort(dim=2).values


def _signed(groups: Tensor) -> Tensor:
    return groups.argsort(dim=2, descending=True, stable=True)[..., :2].sort(dim=2).values


NM_PACK_MISTAKES = (
    Mistake("signed", "You keep the largest values; keep the largest magnitudes: sort by abs().", _positions_of(_signed)),
    Mistake(
        "smallest kept",
        "You keep the two smallest magnitudes; sort in descending order.",
        _positions_of(lambda groups: _largest(groups, descending=False).sort(dim=2).values),
    ),
    Mistake(
        "order of magnitude",
        "Your two values are in the order of their magnitudes; sort the two positions, the earlier one comes first.",
        _positions_of(_largest),
    ),
    Mistake(
        "later of equals",
        "Of equal magnitudes you keep the later one; keep the earlier one: sort with stable=True.",
        _positions_of(_later),
    ),
    Mistake(
        "first two",
        "You keep the first two of each four; keep the two largest magnitudes.",
        _positions_of(lambda groups: torch.tensor([0, 1]).expand(*groups.shape[:2], 2)),
    ),
    Mistake(
        "positions swapped",
        "You swapped the two positions in the byte: the first one is in bits 0 and 1, the second in bits 2 and 3.",
        _positions_of(_inside, lambda places: 4 * places[..., 0] + places[..., 1]),
    ),
    Mistake(
        "a nibble for each position",
        "You shift the second position by 4 bits; a position has two bits, so multiply the second by 4.",
        _positions_of(_inside, lambda places: places[..., 0] + 16 * places[..., 1]),
    ),
    Mistake(
        "magnitudes stored",
        "You stored magnitudes; store the values with their signs.",
        lambda weight: (right_nm_pack(weight)[0].abs(), right_nm_pack(weight)[1]),
    ),
    Mistake(
        "positions in the row",
        "Your positions count from the start of the row; within a group they are 0 to 3.",
        lambda weight: (
            right_nm_pack(weight)[0],
            (right_nm_pack(weight)[1].long() + 20 * torch.arange(weight.shape[1] // 4)).remainder(256).to(torch.uint8),
        ),
    ),
    Mistake(
        "a mask of bits",
        "Your byte has one bit for each kept position; store the two positions themselves, first + 4 * second.",
        _positions_of(_inside, lambda places: (1 << places).sum(2)),
    ),
    Mistake(
        "one group",
        "Your groups run along the outputs; four neighbours along the inputs (axis 1) form a group.",
        lambda weight: right_nm_pack(weight.T.contiguous()) if len(weight) % 4 == 0 else right_nm_pack(0 * weight),
    ),
)


nm_pack = Exercise(
    name="nm_pack",
    unit="05_cpu_kernels",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_nm_pack,
    cases=nm_pack_cases,
    workload=nm_pack_workload,
    mistakes=NM_PACK_MISTAKES,
    judge=close(0.0, 0.0, strict_dtype=True),
    legal={"not contiguous": "The results need not be contiguous."},
    through="engine.authorship:own",
)
