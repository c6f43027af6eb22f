"""Cases and known mistakes of `prepare`: from a camera's photo to the network's pixels, as the contract says.

Conventions that the notebook states in the same words, in this order:
- turn the photo upright by `contract.turns` quarter turns clockwise; cut the largest part with the proportions of `contract.size` from
  the middle (given: `middle`); its colours are red, green, blue, or for the order "BGR" the other way round;
- grey = (299 R + 587 G + 114 B + 500) // 1000; the rounded means of areas (given: `means`); 255 - v where `contract.inverted`;
- photo uint8 [h, w, 3], result uint8 [size]; whole numbers at every step.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.deployment.contract import Contract

Fields = Mapping[str, Any]


@adapter
def with_contract(function: Callable[..., Any], photo: Tensor, contract: Fields) -> Any:
    """The answer for a photo and the contract with these fields."""
    return function(photo, Contract(**contract))


def _upright(photo: Tensor, turns: int) -> Tensor:
    for _ in range(turns):
        photo = photo.flip(0).transpose(0, 1)
    return photo


def _middle(photo: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = photo.shape[:2]
    h, w = max(1, min(height, width * size[0] // size[1])), max(1, min(width, height * size[1] // size[0]))
    return photo[(height - h) // 2 :, (width - w) // 2 :][:h, :w]


def _grey(photo: Tensor) -> Tensor:
    red, green, blue = photo.long().unbind(2)
    return (299 * red + 587 * green + 114 * blue + 500) // 1000


def _windows(length: int, n: int) -> Tensor:
    """[n, length]: which rows does each of n windows cover?"""
    at, i = torch.arange(length), torch.arange(n)[:, None]
    return ((at >= i * length // n) & (at < -(-(i + 1) * length // n))).double()


def _means(grey: Tensor, size: tuple[int, int]) -> Tensor:
    rows, columns = _windows(grey.shape[0], size[0]), _windows(grey.shape[1], size[1])
    sums, count = (rows @ grey.double() @ columns.T).long(), torch.outer(rows.sum(1), columns.sum(1)).long()
    return (2 * sums + count) // (2 * count)


STEPS: dict[str, Callable[..., Tensor]] = {
    "turn": lambda photo, c: _upright(photo, c.turns),
    "cut": lambda photo, c: _middle(photo, c.size),
    "order": lambda photo, c: photo.flip(2) if c.order == "BGR" else photo,
    "grey": lambda photo, c: _grey(photo),
    "shrink": lambda grey, c: _means(grey, c.size),
    "invert": lambda grey, c: 255 - grey if c.inverted else grey,
    "type": lambda grey, c: grey.to(torch.uint8),
}


def _with(sequence: tuple[str, ...] = tuple(STEPS), /, **changes: Callable[..., Tensor]) -> Callable[[Tensor, Contract], Tensor]:
    def made(photo: Tensor, contract: Contract) -> Tensor:
        steps = STEPS | changes
        for step in sequence:
            photo = steps[step](photo, contract)
        return photo

    return made


right_prepare = _with()


def _photo(draw: Draw, h: int, w: int) -> Tensor:
    """Noise over a slope: no part of it is like another, all channels differ."""
    slope = torch.arange(h)[:, None, None] * 90 // h + torch.arange(w)[:, None] * 60 // w
    return (slope + torch.randint(0, 106, (h, w, 3), generator=draw.generator)).to(torch.uint8)


def prepare_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "prepare")
    small = {"size": (7, 7)}
    tall, wide = {"size": (8, 5)}, {"size": (4, 9)}
    half = torch.tensor([[10, 11], [20, 23], [5, 5], [200, 201]]).repeat(7, 7)[..., None].expand(-1, -1, 3).to(torch.uint8)
    return [
        Case("a square photo, twice as large", (_photo(draw, 14, 14), small)),
        Case("a wide photo", (_photo(draw, 15, draw.whole(28, 34)), small)),
        Case("a tall photo, dark on light", (_photo(draw, draw.whole(24, 31), 13), small | {"inverted": True})),
        Case("one quarter turn", (_photo(draw, 15, 23), small | {"turns": 1})),
        Case("three quarter turns, an image that is not square", (_photo(draw, 15, 33), tall | {"turns": 3})),
        Case("upside down, blue first", (_photo(draw, 12, 17), wide | {"turns": 2, "order": "BGR"})),
        Case(
            "blue first, dark on light, one turn", (_photo(draw, 31, 12), tall | {"turns": 1, "order": "BGR", "inverted": True})
        ),
        Case("a photo smaller than the image", (_photo(draw, 5, 6), small)),
        Case("means between two whole numbers, dark on light", (half.contiguous(), {"size": (14, 7), "inverted": True})),
        Case("the largest values", (torch.full((9, 9, 3), 255, dtype=torch.uint8), small)),
        Case("a view that is not contiguous", (strided(_photo(draw, 16, 18)), small | {"turns": 1})),
        Case("one row", (_photo(draw, 1, 40), {"size": (2, 3)})),
    ]


def prepare_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "prepare at work")
    return [
        Case("28 x 28 pixels of a photo of 300 x 400", (_photo(draw, 300, 400), {"size": (28, 28), "inverted": True})),
        Case("28 x 28 pixels of a tall photo", (_photo(draw, 130, 71), {"size": (28, 28), "turns": 1, "order": "BGR"})),
        Case("1,100 rows", (_photo(draw, 1100, 9), {"size": (5, 5)})),
    ]


def _four_turns(call: Call, seed: int) -> str | None:
    photo = _photo(Draw(seed, "prepare law"), 12, 18)
    turned = call(photo.flip(1).transpose(0, 1).contiguous(), {"size": (6, 6), "turns": 1})  # lies a quarter turn to the left
    return (
        None
        if torch.equal(turned, call(photo, {"size": (6, 6)}))
        else "a photo that lies on its left side, turned once, is another."
    )


def _grey_of(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """In the dtype of the channels."""
    return (299 * red + 587 * green + 114 * blue + 500) // 1000


def _nearest(grey: Tensor, contract: Contract) -> Tensor:
    rows, columns = (torch.arange(n) * length // n for n, length in zip(contract.size, grey.shape, strict=True))
    return grey[rows][:, columns]


def _stretched(photo: Tensor, contract: Contract) -> Tensor:
    return photo


def _down(grey: Tensor, contract: Contract) -> Tensor:
    """Means that are cut off."""
    rows, columns = _windows(grey.shape[0], contract.size[0]), _windows(grey.shape[1], contract.size[1])
    return (rows @ grey.double() @ columns.T).long() // torch.outer(rows.sum(1), columns.sum(1)).long()


def _corner(photo: Tensor, contract: Contract) -> Tensor:
    part = _middle(photo, contract.size)
    return photo[: part.shape[0], : part.shape[1]]


ORDER = tuple(STEPS)
PREPARE_MISTAKES = (
    Mistake(
        "not turned", "You do not turn the photo; contract.turns says how many quarter turns clockwise.", _with(turn=_stretched)
    ),
    Mistake(
        "turned to the left",
        "You turn to the left; torch.rot90 turns to the left for a positive number, so take -contract.turns.",
        _with(turn=lambda photo, c: _upright(photo, -c.turns % 4)),
    ),
    Mistake(
        "turned once",
        "You turn once where the contract asks for more; contract.turns says how many quarter turns.",
        _with(turn=lambda photo, c: _upright(photo, min(c.turns, 1))),
    ),
    Mistake(
        "stretched", "You shrink the whole photo, which changes its proportions; cut out the middle first.", _with(cut=_stretched)
    ),
    Mistake("corner", "You cut out the upper left corner; take the middle.", _with(cut=_corner)),
    Mistake(
        "cut before turning",
        "You cut before you turn, so the proportions are those of the lying photo; turn first.",
        _with(("cut", "turn", *ORDER[2:])),
    ),
    Mistake(
        "order ignored", 'You take the channels as red, green, blue; the order "BGR" begins with blue.', _with(order=_stretched)
    ),
    Mistake(
        "always BGR",
        "You turn the channels round always; do so only where contract.order says BGR.",
        lambda photo, contract: _with(order=lambda p, c: p.flip(2))(photo, contract),
    ),
    Mistake(
        "mean of the channels",
        "Your grey is the mean of the channels; it is 299 R + 587 G + 114 B, in thousandths.",
        _with(grey=lambda photo, c: (2 * photo.long().sum(2) + 3) // 6),
    ),
    Mistake(
        "mean of the channels, cut off",
        "Your grey is the sum of the channels divided by 3; it is 299 R + 587 G + 114 B, in thousandths, rounded.",
        _with(grey=lambda photo, c: photo.long().sum(2) // 3),
    ),
    Mistake(
        "grey cut off",
        "You cut off the fraction of grey; add 500 before the division by 1000.",
        _with(grey=lambda photo, c: (photo.long() @ torch.tensor([299, 587, 114])) // 1000),
    ),
    Mistake(
        "grey in uint8",
        "You multiply in uint8, which wraps around at 256; convert the photo first: photo.long().",
        _with(grey=lambda photo, c: _grey_of(*photo.unbind(2))),
    ),
    Mistake(
        "nearest pixel",
        "You take one pixel of each area; fine stripes become noise that way: take the mean of the area.",
        _with(shrink=_nearest),
    ),
    Mistake("means cut off", "Your means are cut off; `means` rounds them, ties up.", _with(shrink=_down)),
    Mistake(
        "inverted forgotten",
        "You forget contract.inverted: the photos are dark on light, so v becomes 255 - v.",
        _with(invert=lambda grey, c: grey),
    ),
    Mistake(
        "always inverted",
        "You invert always; do so only where contract.inverted says so.",
        _with(invert=lambda grey, c: 255 - grey),
    ),
    Mistake(
        "inverted first",
        "You invert before the means, so those between two numbers are rounded the other way; invert last.",
        _with(("turn", "cut", "order", "grey", "invert", "shrink", "type")),
    ),
    Mistake(
        "256",
        "You subtract from 256, so black becomes 0 again; white is 255.",
        _with(invert=lambda grey, c: 256 - grey if c.inverted else grey),
    ),
    Mistake(
        "0..1",
        "You divide by 255; the result has pixels 0..255, the network's table does the rest.",
        _with(type=lambda grey, c: grey / 255),
    ),
    Mistake("transposed", "Your result has height and width swapped.", _with(type=lambda grey, c: grey.T.to(torch.uint8))),
    Mistake("wide integers", "You return wider integers; pixels are uint8.", _with(type=lambda grey, c: grey)),
)


prepare = Exercise(
    name="prepare",
    unit="08_deployment",
    points=2,
    difficulty=3,
    minutes=6,
    oracle=right_prepare,
    cases=prepare_cases,
    workload=prepare_workload,
    mistakes=PREPARE_MISTAKES,
    laws=(Law("a photo on its side", _four_turns),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)"},
    through="deployment.prepare:with_contract",
    library="deployment.preprocess:prepare",
)
