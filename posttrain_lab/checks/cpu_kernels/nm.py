"""Cases and known mistakes of `nm_pack` and `nm_matmul`: 2:4 sparsity, two weights of each four and their places in a byte.

Conventions that the notebook states in the same words: of each four weights along `in` the two of largest magnitude are kept, the earlier
one on a tie, in the order of their places; positions = first place + 4 * second place. Values of products are small whole numbers, so
every order of summation gives the same float: equal is asked for.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.whole import whole_floats
from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake

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


def _places_of(choose: Callable[[Tensor], Tensor], code: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], Any]:
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
    Mistake("signed", "You keep the largest numbers; the largest magnitudes are wanted, so sort by abs().", _places_of(_signed)),
    Mistake(
        "smallest kept",
        "You keep the two smallest magnitudes; sort from large to small.",
        _places_of(lambda groups: _largest(groups, descending=False).sort(dim=2).values),
    ),
    Mistake(
        "order of magnitude",
        "Your two values stand in the order of their magnitudes; sort the two places, the earlier one comes first.",
        _places_of(_largest),
    ),
    Mistake(
        "later of equals",
        "Of equal magnitudes you keep the later one; the earlier one stays: sort with stable=True.",
        _places_of(_later),
    ),
    Mistake(
        "first two",
        "You keep the first two of each four; the two largest magnitudes are wanted.",
        _places_of(lambda groups: torch.tensor([0, 1]).expand(*groups.shape[:2], 2)),
    ),
    Mistake(
        "places swapped",
        "The two places are swapped in the byte: the first one stands in bits 0 and 1, the second in bits 2 and 3.",
        _places_of(_inside, lambda places: 4 * places[..., 0] + places[..., 1]),
    ),
    Mistake(
        "a nibble for each place",
        "You shift the second place by 4 bits; two bits hold a place, so it is 4 times the second one.",
        _places_of(_inside, lambda places: places[..., 0] + 16 * places[..., 1]),
    ),
    Mistake(
        "magnitudes stored",
        "You stored magnitudes; the values keep their signs.",
        lambda weight: (right_nm_pack(weight)[0].abs(), right_nm_pack(weight)[1]),
    ),
    Mistake(
        "places in the row",
        "Your places count from the start of the row; inside a group they go from 0 to 3.",
        lambda weight: (
            right_nm_pack(weight)[0],
            (right_nm_pack(weight)[1].long() + 20 * torch.arange(weight.shape[1] // 4)).remainder(256).to(torch.uint8),
        ),
    ),
    Mistake(
        "a mask of bits",
        "Your byte has one bit for each kept place; the two places themselves are wanted, first + 4 * second.",
        _places_of(_inside, lambda places: (1 << places).sum(2)),
    ),
    Mistake(
        "one group",
        "Your groups are taken down the outputs; four neighbours along the inputs (axis 1) form a group.",
        lambda weight: right_nm_pack(weight.T.contiguous()) if len(weight) % 4 == 0 else right_nm_pack(0 * weight),
    ),
)


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
        Case("every pair of places", (whole_floats(draw, 1, 6, 2), every[None], whole_floats(draw, 24, 3))),
        Case("as many outputs as inputs and columns", (*packed(4 * same, same), whole_floats(draw, 4 * same, 4 * same))),
        Case("a single group", (*packed(3, 1), whole_floats(draw, 4, 5))),
        Case("a single output", (*packed(1, groups), whole_floats(draw, 4 * groups, 3))),
        Case("a single column of x", (*packed(out, groups), whole_floats(draw, 4 * groups, 1))),
        Case("only zeros", (*right_nm_pack(torch.zeros(2, 8)), whole_floats(draw, 8, 3))),
        Case("views that are not contiguous", (*packed(3, 2), strided(whole_floats(draw, 8, 5)))),
        Case("a transposed view", (*packed(3, 2), whole_floats(draw, 5, 8).T)),
    ]


NM_MISTAKES = (
    Mistake(
        "places swapped",
        "The two places are swapped: place % 4 belongs to the first value, place // 4 to the second.",
        lambda values, positions, x: right_nm(values.flip(2), positions, x),
    ),
    Mistake(
        "second value forgotten",
        "The second value of each group is missing.",
        lambda values, positions, x: right_nm(values * torch.tensor([1.0, 0.0]), positions, x),
    ),
    Mistake(
        "first value forgotten",
        "The first value of each group is missing.",
        lambda values, positions, x: right_nm(values * torch.tensor([0.0, 1.0]), positions, x),
    ),
    Mistake(
        "group forgotten",
        "All groups read the first four rows of x; group g starts at row 4 * g.",
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
        "places ignored",
        "You take the first two rows of each group; the byte says which two.",
        lambda values, positions, x: right_nm(values, torch.full_like(positions, 4), x),
    ),
    Mistake(
        "last group missing",
        "The last group of each row is missing.",
        lambda values, positions, x: right_nm(values[:, :-1], positions[:, :-1], x[:-4]),
    ),
    Mistake(
        "overwritten",
        "Each group overwrites what the row held; add the products up.",
        lambda values, positions, x: right_nm(values[:, -1:], positions[:, -1:], x[-4:]),
    ),
    Mistake(
        "result transposed",
        "Your result is [batch, outputs]; [outputs, batch] is wanted.",
        lambda values, positions, x: right_nm(values, positions, x).T.contiguous() + 0,
    ),
    Mistake(
        "uninitialised output",
        "You add to what was in memory before; start from zeros, not from empty.",
        lambda values, positions, x: right_nm(values, positions, x) + 1,
    ),
)
