"""Cases and known mistakes of `emit_dense`: a linear layer as C99, read and run by `c_reader`, so no compiler is needed.

Conventions that the notebook states in the same words:
- void name(const int8_t *x, int8_t *y); y[o] = clamp(((sum * multiplier + 2^(shift-1)) >> shift) + zero point, low, high);
- sum = bias + the products of x and row o of the weight, in int32_t; the product with the multiplier in int64_t;
- constants are `const` arrays; stdint.h's types; loops, if, ?:; no calls, no pointers but x and y, no floats.

What is sent is the text; the trusted side runs it. Nothing that a student wrote is ever compiled while grading.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.deployment.emit_dense_mistakes import EMIT_MISTAKES, emitted
from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.deployment.c_reader import CError, read_c

Arguments = tuple[str, Tensor, Tensor, Tensor, Tensor, tuple[int, int, int]]
PARAMETERS = ("name", "weight", "bias", "multiplier", "shift", "limits")
LARGE = 200  # products


@adapter
def with_sizes(function: Callable[..., str], *args: Any, **kwargs: Any) -> tuple[Any, str, int, int]:
    """The text, and what the judge needs to run it: the function's name, the number of outputs and of inputs."""
    given = dict(zip(PARAMETERS, args, strict=False)) | kwargs
    out, k = given["weight"].shape
    return function(*args, **kwargs), given["name"], out, k


def _inputs(out: int, k: int) -> dict[str, list[int]]:
    """By their words; two of them for large layers, which take long."""
    draw = Draw(100 * out + k, "emitted")
    found = {"of all -128": [-128] * k, "of all 127": [127] * k}
    found |= {f"of {words} codes": draw.codes(-128, 127, k).tolist() for words in ("random", "other random")}
    return found if out * k < LARGE else {words: found[words] for words in list(found)[1:3]}


@lru_cache(4096)  # the texts of all known mistakes on all cases of a check
def _ran(text: str, name: str, out: int, k: int) -> tuple[list[int], ...] | str:
    """The results of each input, or what is wrong with the text."""
    try:
        run = read_c(text, name)
        return tuple(run(codes, out) for codes in _inputs(out, k).values())
    except CError as error:
        return str(error)


def runs_alike(want: Outcome, got: Outcome) -> str | None:
    """None when both texts give the same codes for the same inputs, or the same error."""
    text, name, out, k = want.value
    theirs = got.value[0]
    if not isinstance(theirs, str):
        return f"expected a text, got a {type(theirs).__name__}."
    wanted, found = _ran(text, name, out, k), _ran(theirs, name, out, k)
    if isinstance(found, str) or isinstance(wanted, str):
        same = isinstance(found, str) and isinstance(wanted, str) and _kind(found) == _kind(wanted)
        return None if same else f"your C was not run to its end: {found}."
    for words, one, other in zip(_inputs(out, k), wanted, found, strict=True):
        wrong = [o for o in range(out) if one[o] != other[o]]
        if wrong:
            o = wrong[0]
            return f"for an x {words} your C gives y[{o}] = {other[o]}, not {one[o]} ({len(wrong)} of {out} codes differ)."
    return None


def _kind(error: str) -> str:
    """The error without its numbers; those in the name of a type stay."""
    return re.sub(r"-?\b\d+", "", error)


def _layer(draw: Draw, out: int, k: int, name: str = "layer", limits: tuple[int, int, int] = (0, -128, 127)) -> Arguments:
    """Codes beyond both ends for the inputs of equal codes, inside them for the others."""
    weight = draw.codes(-128, 127, out, k)
    reach = 60.0 * k**0.5 * 128  # of a sum of random codes
    shift = torch.tensor([draw.whole(36, 42) for _ in range(out)])
    multiplier = (80 / reach * 2.0**shift * draw.uniform(0.7, 1.4, out)).double()
    down = (multiplier / 2.0**30).log2().floor().long()  # multipliers of 31 bits
    shift, multiplier = shift - down, (multiplier / 2.0**down).long()
    return name, weight, (draw.uniform(-0.5, 0.5, out) * reach).round().long(), multiplier, shift, limits


def _ties(draw: Draw) -> Arguments:
    """Weights of one sign and half a code for each: sums in the middle of two codes, of both signs."""
    weight = (2 * draw.codes(0, 1, 5, 3) - 1).to(torch.int8)
    return "ties", weight, torch.arange(-2, 3), torch.full((5,), 2**30), torch.full((5,), 33), (3, -128, 127)


def emit_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "emit dense")
    name, weight, bias, multiplier, shift, limits = _layer(draw, 4, 7)
    big = torch.full((4, 9), -128).to(torch.int8), torch.tensor([9_000, -9_000, 9_000, -9_000])
    large = (
        torch.tensor([2**31 - 1, 2**30, 2**31 - 1, 2**30]),
        torch.tensor([44, 43, 17, 31]),
    )  # what is shifted passes 16, or 32 bits
    return [
        Case("a layer without ReLU", _layer(draw, 5, 11, limits=(draw.whole(3, 20), -128, 127))),
        Case("ReLU: the lowest code is the zero point", _layer(draw, 6, 9, "hidden", (-128, -128, 127))),
        Case("ReLU with another zero point", _layer(draw, 6, 9, "hidden_2", (-draw.whole(20, 60), -20, 127))),
        Case("codes of 4 bits", _layer(draw, 4, 8, "four", (draw.whole(-3, 3), -8, 7))),
        Case("sums in the middle of two codes", _ties(draw)),
        Case("the largest weights", ("large", *big, *large, (0, -128, 127))),
        Case("views that are not contiguous", (name, *map(strided, (weight, bias, multiplier, shift)), limits)),
        Case("one output", _layer(draw, 1, 6, "one", (1, -128, 127))),
        Case("one input", _layer(draw, 4, 1, "single", (-5, -128, 127))),
        Case("by name", (), dict(zip(PARAMETERS, _layer(draw, 3, 5, "named", (2, -128, 127)), strict=True))),
    ]


def emit_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "emit at work")
    return [
        Case("as many inputs as the last layer of the network", _layer(draw, 10, 64, "layer_15", (draw.whole(-9, 9), -128, 127))),
        Case("two filters of its layer 13", _layer(draw, 2, 864, "layer_13", (-128, -128, 127))),
        Case("70 outputs", _layer(draw, 70, 3, "wide", (draw.whole(-9, 9), -128, 127))),
    ]


def _the_name(call: Call, seed: int) -> str | None:
    """The name is used as it was given, and nothing else of the text depends on it."""
    _, *rest = _layer(Draw(seed, "emit law"), 2, 3)
    text = call("first_name", *rest)[0]
    return (
        None
        if re.search(r"\bvoid\s+first_name\s*\(", text)
        else "the function must be called as `name` says: void first_name(...)."
    )


emit_dense = Exercise(
    name="emit_dense",
    unit="08_deployment",
    points=3,
    difficulty=3,
    minutes=9,
    oracle=emitted,
    cases=emit_cases,
    workload=emit_workload,
    mistakes=EMIT_MISTAKES,
    judge=runs_alike,
    laws=(Law("the name", _the_name),),
    through="deployment.emit_dense:with_sizes",
    library="deployment.c99:emit_dense",
)
