"""Cases of `multiply_shift`: from an int32 sum to a code's neighbourhood, with no number above 2^53. Mistakes: beside this file.

Conventions that the notebook states in the same words:
- (sum * m + 2^(shift-1)) >> shift, exactly; so ties are rounded up, towards +infinity, for negative sums too; int64 [n, out];
- sums int32 [n, out] with |sum| < 2^30; multiplier [out] with 2^30 <= m < 2^31, int32 or int64; shift [out] from 17 to 62, int8 or int64;
- no number on the way is above 2^53 (watched in tensors and arrays).

Python's integers are the oracle. Real images show none of the rounding mistakes, because ReLU hides negative sums and ties are rare:
the cases consist of negative sums, of ties, and of products that lie 1 beside a tie.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.checks.deployment.multiply_shift_mistakes import MULTIPLY_SHIFT_MISTAKES
from posttrain_lab.checks.deployment.multiply_shift_oracle import right_multiply_shift
from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.looking import looking
from posttrain_lab.checks.engine.manners import remark
from posttrain_lab.checks.engine.numpy_spy import WatchedArray, watching
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.stand_ins import is_running, is_stand_in

TOP = 2**30 - 1
EXACT = 2**53
# Nothing is computed by these, and what is written over may be memory that nobody has filled yet (torch.empty).
MOVES = {
    "select",
    "slice",
    "view",
    "unsqueeze",
    "squeeze",
    "expand",
    "transpose",
    "permute",
    "t",
    "alias",
    "detach",
    "as_strided",
}
WRITES = {"copy", "fill", "zero", "index_put"}


def _beyond(least: float, most: float) -> bool:
    return least < -EXACT or most > EXACT


def _arrays(found: list[str]) -> type[WatchedArray]:
    """Arrays of numpy that note results above 2^53 in `found`."""

    class Narrow(WatchedArray):
        def _note(self, name: str, operands: list[Any], result: Any) -> None:
            if (
                isinstance(result, np.ndarray)
                and result.size
                and result.dtype.kind in "iuf"
                and _beyond(result.min(), result.max())
            ):
                found.append(name)

    return Narrow


@watcher
def within_doubles(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The answer; that a tensor or array on the way held a number above 2^53 is told only of a right result."""
    if is_stand_in(function):
        return function(*args, **kwargs)
    found: list[str] = []

    def look(name: str, operands: tuple[Any, ...]) -> None:
        computed = () if name in MOVES else operands[1:] if name in WRITES else operands
        for one in computed:
            wide = isinstance(one, Tensor) and one.numel() and one.dtype in (torch.int64, torch.float64)
            if wide and not is_running() and _beyond(int(one.min()), int(one.max())):
                found.append(name)

    with looking(look), watching(None, _arrays(found)):
        result = function(*args, **kwargs)
    if found:
        remark("computes a number above 2^53, which a double does not hold; multiply the two halves of the multiplier one by one")
    return result


def _int32(rows: list[list[int]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int32)


def _odd(draw: Draw) -> int:
    return 2 * draw.whole(2**29, 2**30 - 1) + 1


def _wide(draw: Draw, n: int, shifts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of both signs, as large as the shift leaves something of them."""
    sums = [[draw.whole(-1, 1) * draw.whole(0, TOP) + draw.whole(-9, 9) * (n > 1) for _ in shifts] for _ in range(n)]
    clipped = [[max(-TOP, min(TOP, one)) for one in row] for row in sums]
    return _int32(clipped), torch.tensor([_odd(draw) for _ in shifts]), torch.tensor(shifts)


def _ties(draw: Draw, n: int, shifts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """sum * m = (k + 1/2) * 2^shift, with odd and even k of both signs; shifts from 21 to 44."""
    multipliers = [(2 * draw.whole(2**9, 2**10 - 1) + 1) << 20 for _ in shifts]
    odd = [2 * (row - n // 2) + 1 for row in range(n)]
    return _int32([[one << (shift - 21) for shift in shifts] for one in odd]), torch.tensor(multipliers), torch.tensor(shifts)


def _beside_ties(draw: Draw, shifts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Products that are a tie plus -2..2, with all their 60 bits; shifts from 17 to 30."""
    multipliers = [_odd(draw) for _ in shifts]
    rows = []
    for distance in (-2, -1, 0, 1, 2):
        row = []
        for m, shift in zip(multipliers, shifts, strict=True):
            small = pow(m, -1, 2**shift) * (2 ** (shift - 1) + distance) % 2**shift
            row.append(small - 2**shift if small > TOP or draw.whole(0, 1) else small)
        rows.append([max(-TOP, one) for one in row])
    return _int32(rows), torch.tensor(multipliers), torch.tensor(shifts)


def _as_stored(case: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The dtypes of an integer network's buffers."""
    return case[0], case[1].to(torch.int32), case[2].to(torch.int8)


def multiply_shift_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "multiply_shift")
    middle = [draw.whole(38, 40), 41, draw.whole(42, 44)]
    few, low = _wide(draw, 4, [31, 33]), _ties(draw, 6, [draw.whole(30, 36)])
    return [
        Case("large sums of both signs", _wide(draw, 5, middle)),
        Case("exact ties, which are rounded up", _ties(draw, 8, [22, draw.whole(31, 34), draw.whole(40, 44)])),
        Case("products just beside a tie", _beside_ties(draw, [18, draw.whole(22, 26), draw.whole(28, 30)])),
        Case("the dtypes of a network: m int32, shift int8", _as_stored(_wide(draw, 5, [draw.whole(36, 39), 41]))),
        Case("ties, in the dtypes of a network", _as_stored(_ties(draw, 6, [draw.whole(36, 44), 38]))),
        Case("the smallest shift", _wide(draw, 4, [17, 17])),
        Case("the largest shifts, of which little is left", _wide(draw, 4, [60, 61, 62])),
        Case("every shift from 17 to 62", _wide(draw, 3, list(range(17, 63)))),
        Case("sums of zero and next to it", (_int32([[0, 0], [1, 1], [-1, -1]]), few[1], few[2])),
        Case("the largest and the smallest sum", (_int32([[TOP, TOP], [-TOP, -TOP]]), torch.tensor([2**31 - 1, 2**30]), few[2])),
        Case("a view that is not contiguous", (strided(few[0]), *few[1:])),
        Case("one channel, by name", (), dict(zip(("sums", "multiplier", "shift"), low, strict=True))),
        Case("no image", (few[0][:0], *few[1:])),
    ]


def multiply_shift_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "sums at work")
    sums = torch.randint(-300_000, 300_000, (784, 24), generator=draw.generator, dtype=torch.int32)
    fixed = torch.tensor([_odd(draw) for _ in range(24)]), torch.tensor([draw.whole(38, 41) for _ in range(24)])
    return [Case("all sums of the first layer, for one image", _as_stored((sums, *fixed)))]


def _one_more_code(call: Call, seed: int) -> str | None:
    """2^shift more, divided by m = 2^30, is one more: rounding does not depend on where zero is."""
    draw = Draw(seed, "multiply_shift law")
    multiplier, shift = torch.full((3,), 2**30), torch.tensor([31, 36, 41])
    sums = torch.randint(-(2**20), 2**20, (6, 3), generator=draw.generator, dtype=torch.int32)
    before, after = (call(one, multiplier, shift) for one in (sums, sums + (1 << (shift - 30)).to(torch.int32)))
    return None if torch.equal(after, before + 1) else "a sum that is larger by one whole code must give one more."


multiply_shift = Exercise(
    name="multiply_shift",
    unit="08_deployment",
    points=3,
    difficulty=4,
    minutes=10,
    oracle=right_multiply_shift,
    cases=multiply_shift_cases,
    workload=multiply_shift_workload,
    mistakes=MULTIPLY_SHIFT_MISTAKES,
    laws=(Law("one code more", _one_more_code),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)"},
    through="deployment.multiply_shift:within_doubles",
    library="deployment.rescaling:multiply_shift",
)
