"""Cases and known mistakes of `double_is_exact`: for which channels do doubles give the right code for every sum that can occur?

Conventions that the notebook states in the same words:
- reach = 128 * sum_k |weight[o, k]| + |bias[o]|: no sum is larger, whatever the image;
- exact where reach * multiplier + 2^(shift-1) <= 2^53, or where shift <= 43; bool [out];
- weight int8 [out, k], also -128; bias, multiplier (2^30 <= m < 2^31) and shift (17..62) are integers of any width, |bias| < 2^29.

Python's integers are the oracle. Most channels lie within a few sums of the bound.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided

Layer = tuple[Tensor, Tensor, Tensor, Tensor]
Fits = Callable[[list[int], int, int, int], bool]
EXACT = 2**53


def _channel_by_channel(fits: Fits) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A function of the layer from one of a filter's weights, its bias, multiplier and shift."""

    def whole(weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
        channels = zip(weight.tolist(), bias.tolist(), multiplier.tolist(), shift.tolist(), strict=True)
        return torch.tensor([bool(fits(*channel)) for channel in channels], dtype=torch.bool)

    return whole


def _size(w: list[int]) -> int:
    return sum(map(abs, w))


def _reach(w: list[int], b: int) -> int:
    return 128 * _size(w) + abs(b)


def _holds(reach: int, m: int, s: int, bound: int = EXACT) -> bool:
    return reach * m + (1 << (s - 1)) <= bound


right_double_is_exact = _channel_by_channel(lambda w, b, m, s: s <= 43 or _holds(_reach(w, b), m, s))


def _farthest(m: int, s: int) -> int:
    """The largest reach that fits."""
    return (EXACT - (1 << (s - 1))) // m


def _layer(draw: Draw, k: int, fixed: list[tuple[int, int, int]], large: int = 127) -> Layer:
    """One channel for each (multiplier, shift, reach): random weights, and the bias, of either sign, that gives this reach."""
    rows, biases = [], []
    for _, _, reach in fixed:
        most = min(large, max(0, reach // (128 * k)))
        row = [draw.whole(-most, most) for _ in range(k)]
        rows.append(row)
        biases.append(draw.pick((-1, 1)) * (reach - 128 * _size(row)))
    m, s = torch.tensor([one[0] for one in fixed]), torch.tensor([one[1] for one in fixed])
    return torch.tensor(rows, dtype=torch.int8).reshape(len(fixed), k), torch.tensor(biases), m, s


def _at_the_bound(draw: Draw, shift: int, count: int) -> list[tuple[int, int, int]]:
    found = []
    for number in range(count):
        m = draw.whole(2**30, 2**31 - 1)
        found.append((m, shift, _farthest(m, shift) + (-1, 1, 0, -2000, 2000, 30_000, -_farthest(m, shift) // 3)[number % 7]))
    return found


def _filled(draw: Draw, k: int, m: int, s: int, beyond: int) -> Layer:
    """Filters of large weights, -128 among them, whose reach is that of the bound plus `beyond`, with biases as small as can be."""
    weight = draw.codes(-128, 127, 4, k)
    weight[:, ::7] = -128
    short = [_farthest(m, s) + beyond - 128 * _size(row) for row in weight.tolist()]
    signs = [draw.pick((-1, 1)) for _ in short]
    return weight, torch.tensor([a * b for a, b in zip(signs, short, strict=True)]), torch.full((4,), m), torch.full((4,), s)


def _stored(layer: Layer) -> Layer:
    """The dtypes of an integer network's buffers."""
    return layer[0], layer[1].to(torch.int32), layer[2].to(torch.int32), layer[3].to(torch.int8)


def double_is_exact_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "double_is_exact")
    wide, equal = 2**29, (2**30, 44, 2**23 - 2**13)
    few = _layer(draw, 6, _at_the_bound(draw, 44, 7))
    named: dict[str, Tensor] = dict(
        zip(("weight", "bias", "multiplier", "shift"), _layer(draw, 9, _at_the_bound(draw, 45, 5)), strict=True)
    )
    zeros = torch.zeros(3, 4, dtype=torch.int8), torch.zeros(3, dtype=torch.int64)
    return [
        Case("one sum on each side of the bound", few),
        Case("exactly 2^53", _layer(draw, 5, [equal, (2**30, 44, 2**23 - 2**13 + 1), (2**30, 46, 2**23 - 2**15)])),
        Case(
            "shifts around 43, sums far beyond the bound", _layer(draw, 7, [(2**31 - 1, s, wide) for s in (40, 43, 44, 45, 62)])
        ),
        Case("in the dtypes of a network", _stored(_layer(draw, 30, _at_the_bound(draw, draw.whole(44, 47), 10)))),
        Case(
            "weights of -128, below the bound", _stored(_filled(draw, 37, 2**30 + draw.whole(1, 9**9), 45, -draw.whole(3, 900)))
        ),
        Case("weights of -128, above the bound", _stored(_filled(draw, 37, 2**30 + draw.whole(1, 9**9), 45, draw.whole(3, 900)))),
        Case("large shifts, where the half decides", _layer(draw, 5, _at_the_bound(draw, 52, 5) + _at_the_bound(draw, 53, 3))),
        Case("no weight but 0", (*zeros, torch.full((3,), 2**30), torch.tensor([53, 54, 55]))),
        Case("one channel", _layer(draw, 11, _at_the_bound(draw, 48, 1))),
        Case("one weight a channel", _layer(draw, 1, _at_the_bound(draw, 44, 4))),
        Case("a view that is not contiguous", (strided(few[0]), *few[1:])),
        Case("by name", (), named),
    ]


def double_is_exact_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "layers at work")
    weight = (draw.normal(64, 864) * 30).clamp(-127, 127).to(torch.int8)
    bias = torch.randint(-(2**20), 2**20, (64,), generator=draw.generator, dtype=torch.int32)
    shift = torch.tensor([draw.pick((41, 42, 43, 44, 44, 44, 45)) for _ in range(64)], dtype=torch.int8)
    multiplier = torch.tensor([draw.whole(2**30, 2**31 - 1) for _ in range(64)], dtype=torch.int32)
    return [Case("a Linear behind a Flatten", (weight, bias, multiplier, shift))]


def _whole_layer(weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    found = right_double_is_exact(weight, bias, multiplier, shift)
    return found.all().expand(len(found)).clone()


def _narrow_half(weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    if shift.dtype != torch.int8:
        return right_double_is_exact(weight, bias, multiplier, shift)
    return _other(lambda w, b, m, s: _reach(w, b) * m <= EXACT)(weight, bias, multiplier, shift)


def _int8_size(w: list[int]) -> int:
    """|w| in int8, where -128 has no opposite."""
    return sum(abs(one) if one != -128 else -128 for one in w)


def _other(fits: Fits) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A wrong bound; small shifts are exact as they should be."""
    return _channel_by_channel(lambda w, b, m, s: s <= 43 or fits(w, b, m, s))


DOUBLE_IS_EXACT_MISTAKES = (
    Mistake(
        "saturation forgotten",
        "You look at the size of the sums only; up to a shift of 43 a number that is too large for a double is saturated anyway.",
        _channel_by_channel(lambda w, b, m, s: _holds(_reach(w, b), m, s)),
    ),
    Mistake(
        "the shift alone",
        "You look at the shift only; above 43, sums are still exact where reach * multiplier + 2^(shift-1) <= 2^53.",
        _channel_by_channel(lambda w, b, m, s: s <= 43),
    ),
    Mistake(
        "44 too",
        "You take a shift of 44 for safe; saturation helps up to 43 only.",
        _channel_by_channel(lambda w, b, m, s: s <= 44 or _holds(_reach(w, b), m, s)),
    ),
    Mistake(
        "127",
        "You multiply by 127; an input code can be -128, so the farthest sum is 128 * sum |weight|.",
        _other(lambda w, b, m, s: _holds(127 * _size(w) + abs(b), m, s)),
    ),
    Mistake(
        "bias left out",
        "You forgot the bias, which is added to every sum; add |bias| to the reach.",
        _other(lambda w, b, m, s: _holds(128 * _size(w), m, s)),
    ),
    Mistake(
        "the sign of the bias",
        "You add the bias with its sign; sums go both ways, so add |bias|.",
        _other(lambda w, b, m, s: _holds(128 * _size(w) + b, m, s)),
    ),
    Mistake(
        "weights added with their signs",
        "You add the weights before you take the absolute value; an image can have the worst sign for each weight: sum |weight|.",
        _other(lambda w, b, m, s: _holds(128 * abs(sum(w)) + abs(b), m, s)),
    ),
    Mistake(
        "abs in int8",
        "You take abs of int8, where -128 stays -128; convert the weights first (.long()).",
        _other(lambda w, b, m, s: _holds(128 * _int8_size(w) + abs(b), m, s)),
    ),
    Mistake(
        "without the codes",
        "You forgot the input's codes; each weight is multiplied by up to 128.",
        _other(lambda w, b, m, s: _holds(_size(w) + abs(b), m, s)),
    ),
    Mistake(
        "bias times 128",
        "You multiply the bias by 128 too; it is added once, as it is.",
        _other(lambda w, b, m, s: _holds(128 * (_size(w) + abs(b)), m, s)),
    ),
    Mistake(
        "the half forgotten",
        "You forgot the half: sum * m + 2^(shift-1) has to fit too.",
        _other(lambda w, b, m, s: _reach(w, b) * m <= EXACT),
    ),
    Mistake(
        "2^52",
        "Your bound is 2^52; a double holds every whole number up to 2^53.",
        _other(lambda w, b, m, s: _holds(_reach(w, b), m, s, 2**52)),
    ),
    Mistake(
        "2^54",
        "Your bound is 2^54; above 2^53 a double holds the even numbers only.",
        _other(lambda w, b, m, s: _holds(_reach(w, b), m, s, 2**54)),
    ),
    Mistake(
        "2^53 itself",
        "You leave 2^53 itself out; a double holds it, so compare with <=.",
        _other(lambda w, b, m, s: _holds(_reach(w, b), m, s, EXACT - 1)),
    ),
    Mistake(
        "the half in int8",
        "You compute 2^(shift-1) in the dtype of the shifts; it does not fit int8: convert the shifts first (.long()).",
        _narrow_half,
    ),
    Mistake(
        "one answer for the layer",
        "You give all channels the answer of the worst; each channel has its own.",
        _whole_layer,
    ),
    Mistake(
        "turned around",
        "Your answers are turned around: True stands for exact.",
        lambda weight, bias, multiplier, shift: ~right_double_is_exact(weight, bias, multiplier, shift),
    ),
)

double_is_exact = Exercise(
    name="double_is_exact",
    unit="08_deployment",
    points=2,
    difficulty=3,
    minutes=9,
    oracle=right_double_is_exact,
    cases=double_is_exact_cases,
    workload=double_is_exact_workload,
    mistakes=DOUBLE_IS_EXACT_MISTAKES,
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)"},
    library="deployment.rescaling:double_is_exact",
)
