"""Cases and known mistakes of `observe`: which range of real numbers should the codes cover?

Conventions that the notebook states in the same words:
- the result is a pair of plain floats, low <= high, and is not widened to contain 0 (affine_qparams does that);
- minmax: smallest and largest number;
- percentile: the quantiles 0.001 and 0.999 of x itself, interpolated linearly as torch.quantile does;
- mse: the minmax range times the factor of torch.linspace(0.01, 1, 100) whose squared error after quantize and dequantize
  (affine_qparams with `bits` bits, asymmetric) is smallest; on a tie the larger factor.

The numbers of an mse case are drawn until the second best factor's error is larger by more than a ten-thousandth, so that an answer that
adds errors in another order or precision finds the same factor. The ties are exact: all numbers are multiples of 1/16, and the two ranges
have steps of 1 and 3/4 (or 4 and 3), so that every precision finds the same two errors.

There are at most 2 outliers on each side of 3,001 or more numbers, so the quantiles do not lie between outliers: there float32 and float64
ranks, which differ by up to 2^-12, change the result by less than 2e-5 of the largest number.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import near
from posttrain_lab.checks.engine.random_cases import Draw, strided

Range = tuple[float, float]


FACTORS = torch.linspace(0.01, 1, 100)


def _minmax(x: Tensor) -> Range:
    return x.min().item(), x.max().item()


def _quantiles(x: Tensor, low: float, high: float) -> Range:
    flat = x.double().flatten()
    return flat.quantile(low).item(), flat.quantile(high).item()


def _leftover(x: Tensor, ranges: Tensor, bits: int, clip: bool = True) -> Tensor:
    """x - dequantize(quantize(x)) for each of the ranges [k, 2], float64 [k, n]; without `clip` as if there were codes outside the range."""
    low, high = ranges[:, :1].double().clamp(max=0), ranges[:, 1:].double().clamp(min=0)
    qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = torch.where(high > low, (high - low) / (qmax - qmin), 1.0)
    zero_point = (qmin - low / scale).round()
    code = (x.double().flatten() / scale).round() + zero_point
    return ((code.clamp(qmin, qmax) if clip else code) - zero_point) * scale - x.double().flatten()


def _grid(x: Tensor) -> Tensor:
    return FACTORS[:, None] * torch.tensor(_minmax(x))


def _pick(x: Tensor, errors: Tensor) -> Range:
    """The range with the smallest error; on a tie the larger range."""
    best = len(errors) - 1 - int(errors.flip(0).argmin())
    low, high = _grid(x)[best].tolist()
    return low, high


def _errors(x: Tensor, bits: int) -> Tensor:
    return _leftover(x, _grid(x), bits).square().mean(1)


def _mse(x: Tensor, bits: int) -> Range:
    return _pick(x, _errors(x, bits))


def right_observe(x: Tensor, method: str = "minmax", bits: int = 8) -> Range:
    if method == "minmax":
        return _minmax(x)
    return _quantiles(x, 0.001, 0.999) if method == "percentile" else _mse(x, bits)


def _with_outliers(draw: Draw, n: int) -> Tensor:
    """Skewed numbers, two outliers above and two below, in random order."""
    x = draw.normal(n) + 0.5 * draw.normal(n).abs()
    x[:4] = torch.tensor([40.0, 30.0, -25.0, -20.0]) * draw.real(0.8, 1.2)
    return x[torch.randperm(n, generator=draw.generator)]


def observe_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "observe")
    n = 3001 + 2 * draw.whole(0, 200)
    x = _with_outliers(draw, n)
    positive = draw.uniform(2.0, 3.0, 4, 5) * draw.real(0.5, 20.0)
    number = draw.real(-5.0, 5.0)
    return [
        Case("minmax", (draw.normal(5, 7) + 0.3, "minmax")),
        Case("minmax of positive numbers", (positive, "minmax", 8)),
        Case("minmax of negative numbers, a view that is not contiguous", (-strided(positive), "minmax", 4)),
        Case("percentile with a few outliers", (x, "percentile")),
        Case("percentile of a 2-D view", (_with_outliers(draw, 3900).reshape(60, 65).T, "percentile", 4)),
        Case("percentile of positive numbers", (draw.uniform(2.0, 3.0, n), "percentile")),
        Case("percentile of a few numbers", (draw.normal(3, 2), "percentile", 8)),
        Case("minmax of a single number", (torch.tensor([number]), "minmax")),
        Case("percentile of a single number", (torch.tensor([number]), "percentile")),
        Case("minmax of a constant tensor", (torch.full((3, 3), number), "minmax", 8)),
        Case("percentile of zeros", (torch.zeros(9), "percentile", 8)),
    ]


# Numbers with their counts, whose error at 2 bits is the same for the factors 1 and 0.75, and larger by 0.2 % or more for all others
TIES = (
    ((0.4375, 5), (0.9375, 6), (2.1875, 9), (3.0, 1)),
    ((1.75, 7), (2.5, 8), (3.5, 1), (4.5, 9), (6.0, 1)),
    ((2.5, 7), (5.0, 5), (8.75, 8), (12.0, 2)),
    ((-3.0, 4), (5.25, 8), (5.5, 6), (9.0, 3)),
    ((-4.0, 1), (-3.5, 9), (5.25, 9), (8.0, 2)),
    ((-8.0, 1), (-5.25, 7), (-4.0, 6), (0.0, 2), (2.25, 2), (4.0, 2)),
)


def _tie(draw: Draw) -> Case:
    numbers = torch.tensor([value for value, count in draw.pick(TIES) for _ in range(count)])
    return Case(
        "mse, where two factors have the same error", (numbers[torch.randperm(len(numbers), generator=draw.generator)], "mse", 2)
    )


def _clear(make: Callable[[], Tensor], bits: int, others: tuple[int, ...] = ()) -> Tensor:
    """Numbers whose best factor is clear, less than 1, beaten by one between those of the grid, and another one than with `others` bits.

    They are drawn again where this is not so.
    """
    while True:
        x = make()
        errors = _errors(x, bits)
        first, second = errors.topk(2, largest=False).values.tolist()
        best = _pick(x, errors)
        between = _leftover(x, torch.tensor(best) * torch.tensor([[0.995], [1.005]]), bits).square().mean(1).min().item()
        clear = second > 1.0001 * first and between < 0.9999 * first and best != _minmax(x)
        if clear and all(best != _mse(x, other) for other in others):
            return x


def _heavy_tails(draw: Draw) -> Tensor:
    """2,001 numbers with an outlier on each side: so many that clipping reduces the error even with 8 bits."""
    x = (draw.normal(2001) * draw.normal(2001).abs() * 1.5 + 0.3).clamp(-7.0, 7.0)
    x[draw.whole(0, 999)], x[draw.whole(1000, 2000)] = draw.real(12.0, 14.0), -draw.real(10.0, 12.0)
    return x


def observe_workload(seed: int) -> list[Case]:
    """The mse range of skewed numbers, of activations as the notebook observes them, and at ties; all defaults."""
    draw = Draw(seed, "observe workload")
    tails = _clear(lambda: _heavy_tails(draw), 8, (9, 7, 4))
    few, bits = draw.whole(3, 5), draw.whole(3, 6)
    relu = _clear(lambda: draw.normal(30, 40).relu() * draw.uniform(0.1, 3.0, 40), bits)
    normal = _clear(lambda: draw.normal(20, 2, 5) * 1e-3, few)
    number = draw.real(0.5, 3.0) * draw.pick((-1, 1))
    layer = draw.normal(90, 70, std=1.7)
    layer[7, 7], layer[-1, -1] = 9.5, -11.25
    return [
        Case("mse of activations after a ReLU", (relu, "mse", bits)),
        Case("mse of small numbers", (normal, "mse"), {"bits": few}),
        Case("mse of a single number", (torch.tensor([number]), "mse", 8)),
        Case("mse of 2,001 numbers with an outlier on each side", (tails, "mse")),
        Case("mse of zeros", (torch.zeros(4), "mse", 4)),
        Case("minmax of numbers of less than a millionth", (draw.normal(4, 5) * 1e-8, "minmax", 4)),
        _tie(draw),
        Case("a layer's outputs, all by default", (layer,)),
        Case("percentile of a layer's outputs", (layer * 1e-3, "percentile", 8)),
    ]


def _but(**methods: Callable[[Tensor, int], Range]) -> Callable[..., Range]:
    """The right observer with the given methods replaced."""

    def observe(x: Tensor, method: str = "minmax", bits: int = 8) -> Range:
        return methods[method](x, bits) if method in methods else right_observe(x, method, bits)

    return observe


def _both(change: Callable[[Range], Range]) -> Callable[..., Range]:
    """Minmax and percentile, changed in the same way."""
    return _but(minmax=lambda x, bits: change(_minmax(x)), percentile=lambda x, bits: change(_quantiles(x, 0.001, 0.999)))


def _high_only(x: Tensor, bits: int) -> Range:
    low, high = _minmax(x)
    ranges = torch.stack([torch.full((100,), low), FACTORS * high], dim=1)
    return low, ranges[int(_leftover(x, ranges, bits).square().mean(1).argmin()), 1].item()


def _share_of_the_range(x: Tensor, bits: int) -> Range:
    low, high = _minmax(x)
    return low + 0.001 * (high - low), high - 0.001 * (high - low)


OBSERVE_MISTAKES = (
    Mistake(
        "quantile of magnitudes",
        "You took one quantile of |x| for both sides; the two sides differ: take the quantiles 0.001 and 0.999 of x.",
        _but(percentile=lambda x, bits: (-_quantiles(x.abs(), 0, 0.999)[1], _quantiles(x.abs(), 0, 0.999)[1])),
    ),
    Mistake(
        "one tail only",
        "You clip the upper tail only; outliers below are as harmful: take the quantile 0.001 as low.",
        _but(percentile=lambda x, bits: (_minmax(x)[0], _quantiles(x, 0.001, 0.999)[1])),
    ),
    Mistake(
        "percent as a fraction",
        "You clip a tenth of the numbers on each side; 0.1 % is the fraction 0.001.",
        _but(percentile=lambda x, bits: _quantiles(x, 0.1, 0.9)),
    ),
    Mistake(
        "one percent",
        "You clip 1 % on each side; clip 0.1 %, with the quantiles 0.001 and 0.999.",
        _but(percentile=lambda x, bits: _quantiles(x, 0.01, 0.99)),
    ),
    Mistake(
        "share of the range",
        "You cut off 0.1 % of the range; a percentile cuts off 0.1 % of the numbers, so sort them (or use torch.quantile).",
        _but(percentile=_share_of_the_range),
    ),
    Mistake(
        "zero included",
        "You widened the range to contain 0; affine_qparams does that later, so return the range as it is.",
        _both(lambda ends: (min(ends[0], 0.0), max(ends[1], 0.0))),
    ),
    Mistake(
        "made symmetric",
        "You return -m and m for the largest magnitude m; the codes are asymmetric, so low and high need not be opposite numbers.",
        _both(lambda ends: (-max(map(abs, ends)), max(map(abs, ends)))),
    ),
    Mistake(
        "error without clipping",
        "Your error does not include clipping, so the narrowest range always has the smallest; clamp the codes before you measure (quantize does).",
        _but(mse=lambda x, bits: _pick(x, _leftover(x, _grid(x), bits, clip=False).square().mean(1))),
    ),
    Mistake(
        "mse is minmax",
        "Your mse returns the whole range; the outlier makes all steps large, so try narrower ranges and keep the best.",
        _but(mse=lambda x, bits: _minmax(x)),
    ),
    Mistake(
        "smaller range on a tie",
        "Two factors have the same error, and you took the smaller one; on a tie take the larger factor, which clips less.",
        _but(mse=lambda x, bits: tuple(_grid(x)[int(_errors(x, bits).argmin())].tolist())),
    ),
    Mistake(
        "bits ignored",
        "Your mse always measures with 8 bits; pass `bits` on, as with fewer codes a narrower range is better.",
        _but(mse=lambda x, bits: _mse(x, 8)),
    ),
    Mistake(
        "absolute error",
        "You compare mean absolute errors; compare mean squared errors, in which large errors count more.",
        _but(mse=lambda x, bits: _pick(x, _leftover(x, _grid(x), bits).abs().mean(1))),
    ),
    Mistake(
        "upper end only",
        "Your mse shrinks the upper end only; multiply both ends by the factor.",
        _but(mse=_high_only),
    ),
)


def _as_tensors(x: Tensor, method: str = "minmax", bits: int = 8) -> tuple[Tensor, Tensor]:
    low, high = right_observe(x, method, bits)
    return torch.tensor(low), torch.tensor(high)


OBSERVE_MISTAKES += (Mistake("tensors", "You return tensors; .item() makes plain floats of them.", _as_tensors),)


observe = Exercise(
    name="observe",
    unit="02_quantization",
    points=3,
    difficulty=3,
    minutes=15,
    oracle=right_observe,
    cases=observe_cases,
    mistakes=OBSERVE_MISTAKES,
    judge=near(2e-5),
    workload=observe_workload,
    library="quantization:observe",
)
