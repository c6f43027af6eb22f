"""Cases and known mistakes of `affine_qparams`: which scale and zero point cover a range of real numbers?

Conventions that the notebook states in the same words:
- codes of b bits: -2^(b-1) ... 2^(b-1) - 1; symmetric: zero point 0 and codes +-(2^(b-1) - 1);
- the range is first widened to contain 0; a range of zero width at 0 gives scale 1.0 and zero point 0.
"""

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw

Params = tuple[float, int]


def _ends(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def right_affine(low: float, high: float, bits: int = 8, symmetric: bool = False) -> Params:
    qmin, qmax = _ends(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    if symmetric:
        return max(-low, high) / qmax, 0
    scale = (high - low) / (qmax - qmin)
    return scale, round(qmin - low / scale)


def _range_around_zero(draw: Draw, bits: int, fraction: float) -> tuple[float, float]:
    """A range whose exact zero point is a code plus `fraction`: far from ties, so that all orders of rounding agree."""
    steps = 2**bits - 1
    below = draw.whole(1, steps - 2) + 1 - fraction
    scale = draw.real(0.5, 2.0) * draw.pick((0.001, 0.02, 0.7, 30.0))
    return -below * scale, (steps - below) * scale


def affine_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "affine_qparams")
    size = draw.real(0.2, 9.0)
    low, high = _range_around_zero(draw, 8, draw.real(0.55, 0.9))
    bits = draw.whole(2, 7)
    return [
        Case("a range around zero", (low, high)),
        Case("zero point a little above a whole number", _range_around_zero(draw, 8, draw.real(0.1, 0.45))),
        Case("a positive range that leaves out zero", (size, size * draw.real(1.5, 4.0))),
        Case("a negative range that leaves out zero", (-size * draw.real(1.5, 4.0), -size)),
        Case(f"{bits} bits", (*_range_around_zero(draw, bits, draw.real(0.55, 0.9)), bits)),
        Case("3 bits, by name", _range_around_zero(draw, 3, 0.3), {"bits": 3}),
        Case("from zero upwards, as after a ReLU", (0.0, size)),
        Case("from zero downwards", (-size, 0.0)),
        Case("a constant tensor", (size, size)),
        Case("a constant negative tensor", (-size, -size, bits)),
        Case("a tensor of zeros", (0.0, 0.0)),
        Case("symmetric, positive end larger", (-size, size * draw.real(1.2, 3.0), 8, True)),
        Case("symmetric, negative end larger", (-size * draw.real(1.2, 3.0), size, bits, True)),
        Case("symmetric, only positive numbers, by name", (size / 2, size), {"symmetric": True}),
        Case("symmetric, zeros", (0.0, 0.0, 8, True)),
        Case("a very narrow range", (-size * 2.3e-4, size * 1e-4, 8)),
    ]


def affine_workload(seed: int) -> list[Case]:
    """Ranges of sums, of gradients, and of a layer's activations: nothing but zero width is a special case."""
    draw = Draw(seed, "affine workload")
    low, high = _range_around_zero(draw, 8, 0.7)
    return [
        Case("hundreds of thousands", (low / high * 9e5, 9e5)),
        Case("symmetric, hundreds of thousands", (-draw.real(2e5, 4e5), draw.real(5e5, 9e5), 4, True)),
        Case("less than a billionth", (low / high * 4e-12, 4e-12)),
        Case("symmetric, less than a billionth", (-draw.real(2e-12, 4e-12), 1e-12, 8, True)),
        Case("activations after a ReLU, 4 bits", (0.0, draw.real(9.0, 30.0), 4)),
    ]


def _variant(low: float, high: float, bits: int, symmetric: bool, **change: object) -> Params:
    """The right answer with one step changed."""
    qmin, qmax = _ends(bits)
    if change.get("widen", True):
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high or (symmetric and not max(-low, high)):
        return 1.0, 0
    if symmetric:
        span = high - low if change.get("span") else 2 * max(-low, high)
        return span / 2 / (qmax + float(bool(change.get("lowest")))), 0
    scale = (high - low) / (qmax - qmin + int(bool(change.get("one_more"))))
    position = qmin + low / scale if change.get("sign") else qmin - low / scale
    zero_point = int(position) if change.get("truncate") else round(position)
    zero_point -= qmin if change.get("unsigned") else 0
    return scale, max(qmin, min(qmax, zero_point)) if change.get("clamp") else zero_point


AFFINE_MISTAKES = (
    Mistake(
        "range without zero",
        "Your range does not always contain 0, so 0 has no code of its own: first take low = min(low, 0), high = max(high, 0).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, widen=False),
    ),
    Mistake(
        "zero point clamped instead",
        "Clamping the zero point afterwards shifts the whole range; first widen the range to contain 0, then no clamping is needed.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, widen=False, clamp=True),
    ),
    Mistake(
        "2^bits steps",
        "You divide by 2^bits; 2^bits codes have only 2^bits - 1 steps between them: divide by qmax - qmin.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, one_more=True),
    ),
    Mistake(
        "sign of the zero point",
        "The sign is wrong: low must get the code qmin, so zero_point = qmin - low / scale.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, sign=True),
    ),
    Mistake(
        "unsigned codes",
        "Your zero point is for codes 0 ... 2^bits - 1; ours are signed and begin at qmin = -2^(bits-1).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, unsigned=True),
    ),
    Mistake(
        "zero point truncated",
        "int() truncates the zero point; round it, or low and high are up to a whole step away from their codes.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, truncate=True),
    ),
    Mistake(
        "bits ignored",
        "You always use 256 codes; `bits` says how many there are.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, 8, symmetric),
    ),
    Mistake(
        "symmetric ignored",
        "`symmetric` changes nothing in your function; symmetric codes have zero point 0 and the same scale on both sides.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, False),
    ),
    Mistake(
        "symmetric with the lowest code",
        "Symmetric codes leave out the lowest one: they end at +-(2^(bits-1) - 1), so divide by that and not by 2^(bits-1).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, lowest=True),
    ),
    Mistake(
        "symmetric from the span",
        "You used half of high - low, which clips the end farther from zero; symmetric codes must reach max(-low, high).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, span=True),
    ),
    Mistake(
        "tiny scale for zeros",
        "For a tensor of zeros you return a tiny scale, by which later divisions overflow; return scale 1.0 and zero point 0.",
        lambda low, high, bits=8, symmetric=False: right_affine(low, high, bits, symmetric) if low or high else (1e-8, 0),
    ),
)


# 1e-6: float32 has 24 bits, and a scale takes two operations
affine_qparams = Exercise(
    name="affine_qparams",
    unit="02_quantization",
    points=3,
    difficulty=2,
    minutes=12,
    oracle=right_affine,
    cases=affine_cases,
    mistakes=AFFINE_MISTAKES,
    judge=close(1e-06, 0.0),
    workload=affine_workload,
    library="quantization:affine_qparams",
)
