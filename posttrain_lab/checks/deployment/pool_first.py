"""Cases and known mistakes of `pool_first`: the largest sum of each window first, then bias and rescaling.

Conventions that the notebook states in the same words:
- sums int32 [h, w, out], bias, multiplier and shift int64 [out]; windows of size x size that do not overlap;
- rows and columns that fill no window are left out; the zero point is 0, codes are clamped to -128..127;
- multipliers are not negative; |sum + bias| < 2^30, shift 1..62; int8 [h // size, w // size, out].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.looking import looking
from posttrain_lab.checks.engine.manners import remark
from posttrain_lab.checks.engine.random_cases import Draw, strided

Arguments = tuple[Tensor, Tensor, Tensor, Tensor, int]
NAMES = ("sums", "bias", "multiplier", "shift", "size")
RESCALING = ("mul", "__rshift__", "bitwise_right_shift", "floor_divide", "div")  # torch's names


def _windows(sums: Tensor, size: int) -> Tensor:
    """[h // size, w // size, size * size, out]."""
    h, w = sums.shape[0] // size, sums.shape[1] // size
    whole = sums[: h * size, : w * size].reshape(h, size, w, size, -1)
    return whole.transpose(1, 2).reshape(h, w, size * size, -1)


def _rescaled(total: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    """Codes in the last axis, before they are clamped."""
    half = torch.ones_like(shift) << (shift - 1)
    return (total.long() * multiplier + half) >> shift


def right_pool(sums: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, size: int) -> Tensor:
    best = _windows(sums, size).amax(2).long() + bias
    return _rescaled(best, multiplier, shift).clamp(-128, 127).to(torch.int8)


@watcher
def counting(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The answer of a function that rescales one sum of each window, not all of them."""
    sums = kwargs["sums"] if "sums" in kwargs else args[0]
    most = [0]

    def look(name: str, operands: tuple[Any, ...]) -> None:
        if name in RESCALING:
            most.append(max(one.numel() for one in operands if isinstance(one, Tensor)))

    with looking(look):
        result = function(*args, **kwargs)
    windows = result.numel() if isinstance(result, Tensor) else sums.numel()
    if windows < sums.numel() <= max(most):
        remark(f"rescales {max(most)} sums for {windows} codes; take the largest sum of each window first")
    return result


def _case(draw: Draw, h: int, w: int, out: int, size: int, spread: float = 1.5) -> Arguments:
    """Sums whose codes fill -128..127 and go a little beyond; each channel has its own bias, multiplier and shift."""
    shift = torch.tensor([draw.whole(32, 44) for _ in range(out)])
    multiplier = torch.tensor([draw.whole(2**30, 2**31 - 1) for _ in range(out)])
    reach = (spread * 128 * 2.0 ** (shift - 31)).clamp(max=2.0**28)
    sums = (draw.uniform(-1, 1, h, w, out) * reach).round().int()
    bias = (draw.uniform(-0.3, 0.3, out) * reach).round().long()
    return sums, bias, multiplier, shift, size


def _ties(draw: Draw) -> Arguments:
    """Largest sums that fall between two codes, of both signs."""
    sums = 2 * torch.randint(-9, 9, (4, 4, 3), generator=draw.generator).int() + 1
    bias = 2 * torch.tensor([draw.whole(-9, 9) for _ in range(3)])
    return sums, bias, torch.full((3,), 2**30), torch.full((3,), 31), 2


def _large_sums() -> Arguments:
    """Near 2^30; and just above 2^24, of which float32 holds the even ones only, with a bias that leaves their last bit."""
    sums = torch.tensor([2**30 - 9, 2**24 + 1]).int().repeat(2, 2, 1)
    return sums, torch.tensor([7, -(2**24)]), torch.tensor([2**31 - 1, 2**30]), torch.tensor([55, 30]), 2


def pool_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "pool first")
    viewed = _case(draw, 4, 6, 3, 2)
    wide = _case(draw, 2, 3, 2, 1)
    return [
        Case("windows of 2 x 2", _case(draw, 6, 4, 3, 2)),
        Case("an odd row and column are left over", _case(draw, 5, 7, 4, 2)),
        Case("windows of 3 x 3", _case(draw, 9, 8, 2, 3)),
        Case("all sums negative", (-_case(draw, 4, 4, 3, 2)[0].abs() - 5, *_case(draw, 4, 4, 3, 2)[1:])),
        Case("largest sums in the middle of two codes", _ties(draw)),
        Case("codes far outside of -128..127", _case(draw, 4, 4, 2, 2, spread=9)),
        Case("views that are not contiguous", (*map(strided, viewed[:4]), 2)),
        Case("one channel", _case(draw, 4, 6, 1, 2)),
        Case("windows of one pixel", wide),
        Case(
            "small shifts", (*_case(draw, 4, 4, 2, 2)[:1], torch.tensor([3, -4]), torch.tensor([1, 3]), torch.tensor([1, 20]), 2)
        ),
        Case(
            "sums near 2^30",
            _large_sums(),
        ),
        Case("by name", (), dict(zip(NAMES, _case(draw, 3, 4, 2, 2), strict=True))),
    ]


def pool_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "pool at work")
    return [
        Case("the first layer of the network", _case(draw, 28, 28, 24, 2)),
        Case("its third layer, with a row and a column too many", _case(draw, 7, 7, 96, 2)),
        Case("a photo of 260 rows", _case(draw, 260, 22, 2, 2)),
        Case("1,030 rows", _case(draw, 1030, 4, 12, 2)),
    ]


def _order_of_pixels_in_a_window(call: Call, seed: int) -> str | None:
    sums, *rest, size = _case(Draw(seed, "pool law"), 6, 6, 3, 3)
    mirrored = sums.reshape(2, 3, 6, 3).flip(1).reshape(6, 6, 3)
    if torch.equal(call(sums, *rest, size), call(mirrored, *rest, size)):
        return None
    return "with the rows inside each window in another order the codes changed; only the largest sum may matter."


def _with(
    pooled: Callable[[Tensor], Tensor] = lambda windows: windows.amax(2),
    window: Callable[[Tensor, int], Tensor] = _windows,
    after: Callable[[Tensor, Tensor, Tensor], Tensor] = _rescaled,
    bias: Callable[[Tensor, int], Tensor] = lambda bias, size: bias,
    codes: Callable[[Tensor], Tensor] = lambda codes: codes.clamp(-128, 127).to(torch.int8),
) -> Callable[..., Tensor]:
    """The right answer with one step exchanged."""

    def mistaken(sums: Tensor, bias_: Tensor, multiplier: Tensor, shift: Tensor, size: int) -> Tensor:
        best = pooled(window(sums, size)).long() + bias(bias_, size)
        return codes(after(best, multiplier, shift))

    return lambda sums, bias, multiplier, shift, size: mistaken(sums, bias, multiplier, shift, size)


def _padded(sums: Tensor, size: int) -> Tensor:
    """The rows that fill no window get one of their own."""
    h, w = -(-sums.shape[0] // size) * size, -(-sums.shape[1] // size) * size
    whole = torch.full((h, w, sums.shape[2]), -(2**31), dtype=torch.int64)
    whole[: sums.shape[0], : sums.shape[1]] = sums
    return _windows(whole, size)


def _channels(sums: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, size: int) -> Tensor:
    best = (sums.long() + bias).amax(2, keepdim=True)
    return right_pool(best.expand(*sums.shape), torch.zeros_like(bias), multiplier, shift, size)


def _overlapping(sums: Tensor, size: int) -> Tensor:
    moved = sums.unfold(0, size, 1).unfold(1, size, 1)
    return moved.flatten(3).transpose(2, 3)


def _truncated(total: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    return torch.div(
        total * multiplier + (torch.ones_like(shift) << (shift - 1)), torch.ones_like(shift) << shift, rounding_mode="trunc"
    )


POOL_MISTAKES = (
    Mistake(
        "average",
        "You average the sums of a window; max pooling keeps the largest one.",
        _with(lambda windows: windows.double().mean(2).round()),
    ),
    Mistake("max over channels", "You take the maximum over the channels too; each channel is pooled by itself.", _channels),
    Mistake(
        "bias for each pixel",
        "You add the bias once for each pixel of the window; one sum is left of them, so add it once.",
        _with(bias=lambda bias, size: size * size * bias),
    ),
    Mistake(
        "odd row kept",
        "You keep a window that is not full at the lower or right end; leave these rows and columns out.",
        _with(window=_padded),
    ),
    Mistake(
        "bias forgotten",
        "You forget the bias; add it to the largest sum, before the multiplication.",
        _with(bias=lambda bias, size: 0 * bias),
    ),
    Mistake(
        "bias after rescaling",
        "You add the bias to the codes; it belongs to the sums, before the multiplication.",
        lambda sums, bias, multiplier, shift, size: (
            (_rescaled(_windows(sums, size).amax(2), multiplier, shift) + bias).clamp(-128, 127).to(torch.int8)
        ),
    ),
    Mistake(
        "no half",
        "You cut off instead of rounding; add half, 2^(shift - 1), before the shift.",
        _with(after=lambda total, m, s: (total * m) >> s),
    ),
    Mistake(
        "division towards zero",
        "You divide towards zero, so negative codes are one too large; a shift to the right rounds down.",
        _with(after=_truncated),
    ),
    Mistake(
        "wrap",
        "Codes outside of -128..127 wrap around in yours; clamp before the conversion to int8.",
        _with(codes=lambda c: c.to(torch.int8)),
    ),
    Mistake(
        "ReLU at 0",
        "You clamp at 0; this layer has no ReLU here: the ends are -128 and 127.",
        _with(codes=lambda c: c.clamp(0, 127).to(torch.int8)),
    ),
    Mistake(
        "smallest",
        "You keep the smallest sum of a window; max pooling keeps the largest.",
        _with(lambda windows: windows.amin(2)),
    ),
    Mistake(
        "one pixel",
        "You keep one pixel of each window without looking at the others; compare all size * size of them.",
        _with(lambda windows: windows[:, :, 0]),
    ),
    Mistake(
        "overlapping windows", "Your windows move by one pixel and overlap; move them by `size`.", _with(window=_overlapping)
    ),
    Mistake(
        "first channel's multiplier",
        "You use one multiplier for all channels; each has its own multiplier and shift.",
        lambda sums, bias, multiplier, shift, size: right_pool(
            sums, bias, multiplier[:1].expand_as(multiplier), shift[:1].expand_as(shift), size
        ),
    ),
    Mistake("wider codes", "You return wider integers; codes are int8.", _with(codes=lambda c: c.clamp(-128, 127))),
)


pool_first = Exercise(
    name="pool_first",
    unit="08_deployment",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_pool,
    cases=pool_cases,
    workload=pool_workload,
    mistakes=POOL_MISTAKES,
    laws=(Law("the order inside a window", _order_of_pixels_in_a_window),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)"},
    through="deployment.pool_first:counting",
    library="deployment.rescaling:pool_first",
)
