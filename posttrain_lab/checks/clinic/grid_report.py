"""Cases and known mistakes of `grid_report`: is a weight pruned, quantized, clipped?

Conventions that the notebook states in the same words:
- the slices are those along `axis` (0: one for each output); weight float, two or more axes;
- (share of exact zeros among all weights, the most different numbers that one slice has, share at the top);
- at the top: not 0, and a magnitude within one part in a million of its slice's largest; as a share of all weights;
- plain numbers: float, int, float.

All of it is counting: exact but for the division.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

PART = 1e-6
Report = tuple[float, int, float]


def _slices(weight: Tensor, axis: int) -> list[list[float]]:
    return [part.flatten().tolist() for part in weight.unbind(axis)]


def _zeros(rows: list[list[float]], small: float = 0.0) -> float:
    return sum(abs(v) <= small for row in rows for v in row) / sum(map(len, rows))


def _values(rows: list[list[float]]) -> list[int]:
    return [len(set(row)) for row in rows]


def _top(rows: list[list[float]], part: float = PART, zeros: bool = False) -> float:
    count = 0
    for row in rows:
        largest = max(map(abs, row))
        count += sum(abs(v) >= largest * (1 - part) and (zeros or v != 0) for v in row)
    return count / sum(map(len, rows))


def right_grid(weight: Tensor, axis: int = 0) -> Report:
    rows = _slices(weight, axis)
    return _zeros(rows), max(_values(rows)), _top(rows)


def _quantized(draw: Draw, outputs: int, inputs: int, most: int) -> Tensor:
    """Each row on its own grid, up to `most` steps to each side; the range is used."""
    codes = torch.randint(-most, most + 1, (outputs, inputs), generator=draw.generator)
    codes[:, 0] = most
    return codes * draw.uniform(0.02, 0.4, outputs, 1)


def _clipped(draw: Draw, *shape: int) -> Tensor:
    return draw.normal(*shape).clamp(-0.8, 0.8)


def grid_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "grid report")
    n, m = draw.whole(4, 6), draw.whole(17, 25)
    pruned = draw.normal(n, m) * (draw.uniform(0, 1, n, m) < 0.4)
    empty, near, turned = _quantized(draw, n, m, 3), _quantized(draw, n, m, 7), _quantized(draw, n, m, 4)
    empty[1] = 0
    near[2, :4] = near[2].abs().max() * torch.tensor([1 + 2e-7, 1 - 4e-7, 0.9999, -0.999])
    turned[:, 0] *= -1
    minus = pruned.clone()
    minus[pruned == 0] *= -1
    return [
        Case("weights as they were learned", (draw.normal(n, m), 0)),
        Case("pruned weights", (pruned, 0)),
        Case("four bits for each output", (_quantized(draw, n, m, 7), 0)),
        Case("the largest magnitude is negative", (turned, 0)),
        Case("four bits for each input", (_quantized(draw, n, m, 7).T.contiguous(), 1)),
        Case("the axis is left out, a view that is not contiguous", (strided(_quantized(draw, n, m, 5)),)),
        Case("asked along the other axis", (_quantized(draw, n, m, 2), 1)),
        Case("clipped weights", (_clipped(draw, n, m), 0)),
        Case("a convolution, its inputs, counted from the end", (_quantized(draw, 3, 24, 3).reshape(3, 4, 2, 3), -3)),
        Case("tiny weights that are not 0", (1e-9 * draw.normal(n, m), 0)),
        Case("a slice of zeros", (empty, 0)),
        Case("magnitudes near the top", (near, 0)),
        Case("zeros with a sign", (minus, 0)),
        Case("two slices, one with few values", (torch.stack([draw.normal(m), draw.normal(m).sign()]), 0)),
        Case("float64, by name", (), {"weight": _quantized(draw, n, m, 6).double(), "axis": 0}),
    ]


def grid_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "grid report at work")
    weight = _quantized(draw, 48, 216, 127).reshape(48, 24, 3, 3)
    return [Case("the weight of a convolution, 8 bits", (weight, 0)), Case("float weights of a layer", (draw.normal(64, 300), 0))]


def _scale_free(call: Call, seed: int) -> str | None:
    weight = _quantized(Draw(seed, "grid report law"), 4, 15, 3)
    first, second = call(weight, 0), call(weight * 1024, 0)
    return None if first == second else f"1,024 times the weight has the same grid; got {first} and {second}."


def _with(zeros: Callable = _zeros, values: Callable = max, top: Callable = _top) -> Callable[..., Report]:
    """The right answer with one part of it exchanged."""

    def mistaken(weight: Tensor, axis: int = 0) -> Report:
        rows = _slices(weight, axis)
        return zeros(rows), values(_values(rows)), top(rows)

    return mistaken


def _whole_values(weight: Tensor, axis: int = 0) -> Report:
    zeros, _, top = right_grid(weight, axis)
    return zeros, len(set(weight.flatten().tolist())), top


def _whole_top(weight: Tensor, axis: int = 0) -> Report:
    zeros, values, _ = right_grid(weight, axis)
    return zeros, values, _top([weight.flatten().tolist()])


def _signed_top(rows: list[list[float]]) -> float:
    return sum(v >= max(row) * (1 - PART) and v != 0 for row in rows for v in row) / sum(map(len, rows))


def _of_slices(rows: list[list[float]]) -> float:
    return _top(rows) * sum(map(len, rows)) / len(rows)


GRID_MISTAKES = (
    Mistake(
        "values of the whole weight",
        "You count different numbers in the whole weight; each slice has its own grid, so count in each.",
        _whole_values,
    ),
    Mistake(
        "top of the whole weight",
        "You compare with the largest magnitude of the whole weight; each slice has its own.",
        _whole_top,
    ),
    Mistake(
        "axis ignored",
        "You always take the slices along axis 0; take those along `axis`.",
        lambda weight, axis=0: right_grid(weight, 0),
    ),
    Mistake(
        "other axis",
        "Your slices run along the other axes; movedim(axis, 0).flatten(1) has one slice in each row.",
        lambda weight, axis=0: right_grid(weight.movedim(axis, -1).flatten(0, -2).T.contiguous(), 1),
    ),
    Mistake("nearly 0", "You count what is nearly 0; a pruned weight is exactly 0.", _with(zeros=partial(_zeros, small=1e-6))),
    Mistake(
        "largest with its sign",
        "You compare with the largest number; the largest magnitude may be negative.",
        _with(top=_signed_top),
    ),
    Mistake(
        "mean number of values",
        "You average the numbers of values; return the largest.",
        _with(values=lambda found: round(sum(found) / len(found))),
    ),
    Mistake("fewest values", "You return the fewest values of a slice; return the most.", _with(values=min)),
    Mistake("values added", "You add the numbers of values of all slices; return the largest.", _with(values=sum)),
    Mistake(
        "magnitudes counted",
        "You count different magnitudes; -1 and 1 are two values.",
        lambda weight, axis=0: (right_grid(weight, axis)[0], right_grid(weight.abs(), axis)[1], right_grid(weight, axis)[2]),
    ),
    Mistake(
        "0 at the top",
        "In a slice of zeros you count them as the top; zeros do not count there.",
        _with(top=partial(_top, zeros=True)),
    ),
    Mistake(
        "exactly at the top",
        "You ask for exactly the largest magnitude; rounding moves some by a part in a million.",
        _with(top=partial(_top, part=0.0)),
    ),
    Mistake("wide top", "Your top is too wide; it is one part in a million.", _with(top=partial(_top, part=2e-3))),
    Mistake(
        "top by slices", "You divide the number at the top by the slices; divide by the number of weights.", _with(top=_of_slices)
    ),
    Mistake(
        "share that is not 0",
        "You return the share of weights that are not 0; return that of zeros.",
        _with(zeros=lambda rows: 1 - _zeros(rows)),
    ),
)


grid_report = Exercise(
    name="grid_report",
    unit="11_clinic",
    points=2,
    difficulty=2,
    minutes=9,
    oracle=right_grid,
    cases=grid_cases,
    workload=grid_workload,
    mistakes=GRID_MISTAKES,
    judge=close(1e-6, 1e-9),
    laws=(Law("another scale", _scale_free),),
    library="clinic:grid_report",
)
