"""Cases and known mistakes of `fake_quantize`: quantize and dequantize in one step, with a straight-through gradient.

Conventions that the notebook states in the same words: the scale is a number or a tensor that broadcasts; the gradient of x is the
incoming gradient where the code before clamping lies in [qmin, qmax] (both ends included), and 0 elsewhere; scale, zero point and bits
get None.

Rounding is that of exercise 2, ties to even, before the zero point is added. Two calls may come before the first backward, so each call is
followed by another one first (`before_another`): what is kept must be kept in ctx.

So for a number up to half a step beyond the last code the gradient is still passed on: it is rounded to that code, not clamped.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.quantization.quantize import around, ends, near_ties, numbers


@adapter
def before_another(fake: Callable[..., Tensor], x: Tensor, scale: float | Tensor, zero_point: int, bits: int) -> Tensor:
    """The result for x; before its backward the function is called once more, with the same numbers in another order."""
    y = fake(x, scale, zero_point, bits)
    fake(x.detach().flip(-1), scale, zero_point, bits)
    return y


class _Fake(torch.autograd.Function):
    """The right answer; `mistake` changes the result, the mask or the gradient."""

    latest: Tensor  # the mask of the latest call: the mistake is to use it

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int, bits: int, mistake: str = "") -> Tensor:
        code = _code(x / scale, zero_point, mistake)
        judged = x / scale + zero_point if mistake == "unrounded" else code
        _Fake.latest = _mask(judged, bits, zero_point, mistake)
        ctx.save_for_backward(_Fake.latest)
        ctx.mistake, ctx.scale = mistake, scale
        qmin, qmax = ends(8 if mistake == "bits ignored" else bits)
        code = code if mistake == "not clamped" else code.clamp(qmin, qmax)
        if mistake == "codes":
            return code
        return (code - zero_point) * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        mask = _Fake.latest if ctx.mistake == "mask of another call" else ctx.saved_tensors[0]
        grad = torch.ones_like(grads[0]) if ctx.mistake == "upstream ignored" else grads[0]
        factor = {"times scale": ctx.scale, "over scale": 1 / ctx.scale}.get(ctx.mistake, 1)
        return grad * mask * factor, None, None, None, None


def _code(steps: Tensor, zero_point: int, mistake: str) -> Tensor:
    if mistake == "ties up":
        return (steps + 0.5).floor() + zero_point
    if mistake == "ties away":
        return steps.sign() * (steps.abs() + 0.5).floor() + zero_point
    return (steps + zero_point).round() if mistake == "zero point first" else steps.round() + zero_point


def _mask(code: Tensor, bits: int, zero_point: int, mistake: str) -> Tensor:
    qmin, qmax = ends(8 if mistake == "bits ignored" else bits)
    if mistake in ("everywhere", "nowhere"):
        return torch.full_like(code, float(mistake == "everywhere"))
    if mistake == "strict":
        return (code > qmin) & (code < qmax)
    code = code - zero_point if mistake == "without zero point" else code
    inside = (code >= qmin) & (code <= qmax)
    return ~inside if mistake == "inverted" else inside


def right_fake(x: Tensor, scale: float, zero_point: int, bits: int) -> Any:
    return _Fake.apply(x, scale, zero_point, bits)


def _fake_case(draw: Draw, words: str, bits: int, *shape: int) -> Case:
    scale, zero_point = around(draw, bits)
    x = numbers(draw, scale, zero_point, bits, *shape)
    return Case(words, (x, scale, zero_point, bits), gradients=(0,))


def fake_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "fake_quantize")
    bits = draw.whole(2, 7)
    qmin, qmax = ends(bits)
    at_the_ends = (torch.arange(qmin - 2, qmax + 3) - 1).float() * 0.25
    beyond = (torch.tensor([qmin - 0.4, qmin - 0.6, qmin + 0.4, qmax - 0.4, qmax + 0.4, qmax + 0.6]) + 2) * 0.5
    scales = draw.uniform(0.05, 2.0, 4, 1)
    x = torch.cat([numbers(draw, scale.item(), 0, bits, 1, 6) for scale in scales])
    inside, outside = draw.uniform(-0.9, 0.9, 9), torch.tensor([50.0, -50.0, 1e5])
    strided_case = _fake_case(draw, "", 3, 3, 5)
    return [
        _fake_case(draw, "8 bits", 8, 50),
        _fake_case(draw, f"{bits} bits", bits, 7, 5),
        Case("numbers exactly on the codes, both ends included", (at_the_ends, 0.25, 1, bits), gradients=(0,)),
        Case("numbers within and beyond half a step of both ends", (beyond, 0.5, -2, bits), gradients=(0,)),
        Case("a scale for each row", (x, scales, 0, bits), gradients=(0,)),
        Case("all numbers in the range", (inside, 1 / 64, 0, 8), gradients=(0,)),
        Case("all numbers outside the range", (outside, 0.1, 3, 4), gradients=(0,)),
        Case("a view that is not contiguous", (strided(strided_case.args[0]), *strided_case.args[1:]), gradients=(0,)),
        Case("an empty tensor", (torch.zeros(0), 0.1, 0, 8), gradients=(0,)),
        _fake_case(draw, "2 bits", 2, 2, 3, 2, 2),
    ]


def fake_workload(seed: int) -> list[Case]:
    """Weights of the notebook's layers with a scale for each channel, ties, and float64 numbers."""
    draw = Draw(seed, "fake workload")
    scale = draw.uniform(0.004, 0.1, 48, 1, 1, 1)
    weight = numbers(draw, 1.0, 0, 4, 48, 32, 3, 3).mul(scale).to(memory_format=torch.channels_last)
    rows, power, odd = draw.uniform(0.004, 0.02, 70, 1), draw.pick((0.125, 0.5, 2.0)), draw.pick((-3, -1, 1, 3))
    linear = numbers(draw, 1.0, 0, 3, 70, 96) * rows
    ties = (torch.arange(*ends(5)) + 0.5 - odd) * power  # beyond the last codes too
    closer = torch.arange(-9, 9).double() + 0.5 + 2.0**-40 * (2 * draw.codes(0, 1, 18) - 1)
    words = "float64 numbers, closer to ties than float32 can tell"
    return [
        Case("a convolution's weight, a scale for each channel", (weight, scale, 0, 4), gradients=(0,)),
        Case("a linear layer's weight, a scale for each row", (linear, rows, 0, 3), gradients=(0,)),
        Case("exact ties, which go to the even number of steps", (ties, power, odd, 4), gradients=(0,)),
        Case("numbers close to ties", (near_ties(draw, power, 6), power, odd, 6), gradients=(0,)),
        Case(words, (closer * power, power, odd, 5), gradients=(0,)),
        Case("large numbers, and no gradient is asked for", (numbers(draw, 2500.0, 3, 8, 6, 7), 2500.0, 3, 8)),
    ]


def _wrong_fake(mistake: str) -> Any:
    return lambda x, scale, zero_point, bits: _Fake.apply(x, scale, zero_point, bits, mistake)


FAKE_MISTAKES = (
    Mistake(
        "gradient everywhere",
        "Your gradient is passed on outside the range too; a clamped number does not change the output, so its gradient is 0.",
        _wrong_fake("everywhere"),
    ),
    Mistake(
        "gradient nowhere",
        "Your gradient is 0 everywhere, the derivative of rounding, so no weight is trained; pass it on unchanged in the range.",
        _wrong_fake("nowhere"),
    ),
    Mistake(
        "ends left out",
        "The lowest and the highest code are in the range, so use >= and <=; only for clamped numbers the gradient is 0.",
        _wrong_fake("strict"),
    ),
    Mistake(
        "mask before rounding",
        "Your mask uses the code before rounding; a number less than half a step beyond an end is rounded to it: round first.",
        _wrong_fake("unrounded"),
    ),
    Mistake("mask inverted", "Your mask is inverted; it must be 1 in the range and 0 outside.", _wrong_fake("inverted")),
    Mistake(
        "incoming gradient ignored",
        "You return the mask alone; multiply it by the incoming gradient (the chain rule).",
        _wrong_fake("upstream ignored"),
    ),
    Mistake(
        "gradient times the scale",
        "Your gradient is multiplied by the scale; dividing by it before and multiplying after cancel, so the slope is 1.",
        _wrong_fake("times scale"),
    ),
    Mistake(
        "gradient over the scale",
        "Your gradient is divided by the scale; dividing by it before and multiplying after cancel, so the slope is 1.",
        _wrong_fake("over scale"),
    ),
    Mistake(
        "mask without zero point",
        "Your mask forgets the zero point: compare the code, round(x / scale) + zero_point, with qmin and qmax.",
        _wrong_fake("without zero point"),
    ),
    Mistake(
        "codes returned", "You return codes; fake quantization returns real numbers, so dequantize them.", _wrong_fake("codes")
    ),
    Mistake(
        "not clamped", "You never clamp; numbers outside the range must become the end of the range.", _wrong_fake("not clamped")
    ),
    Mistake("bits ignored", "You always use 8 bits; `bits` says how many codes there are.", _wrong_fake("bits ignored")),
    Mistake(
        "mask of another call",
        "Your gradient uses the mask of a later call; keep what backward needs in ctx (save_for_backward), not on the class.",
        _wrong_fake("mask of another call"),
    ),
    Mistake(
        "half always up",
        "Your function rounds ties up, as floor(x + 0.5) does; round them to the even number, as torch.round does.",
        _wrong_fake("ties up"),
    ),
    Mistake(
        "half away from zero",
        "You round ties away from zero, as in school; round them to the even number, as torch.round does.",
        _wrong_fake("ties away"),
    ),
    Mistake(
        "zero point before rounding",
        "You added the zero point before rounding; with an odd one ties are rounded the other way: round x / scale first, then add.",
        _wrong_fake("zero point first"),
    ),
)


fake_quantize = Exercise(
    name="fake_quantize",
    unit="02_quantization",
    points=2,
    difficulty=3,
    minutes=20,
    oracle=right_fake,
    cases=fake_cases,
    mistakes=FAKE_MISTAKES,
    judge=close(0.0001, 1e-12, strict_dtype=True),
    function="FakeQuantize",
    attribute="apply",
    through="quantization.fake_quantize:before_another",
    workload=fake_workload,
    library="quantization:FakeQuantize",
)
