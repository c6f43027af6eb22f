"""Cases and known mistakes of `arithmetic_intensity`: how many operations does a product of matrices make for each byte?

Conventions that the notebook states in the same words: one product and one addition are two operations; each input is read once
with its own width, each result is written once with 4 bytes (float32 or int32). A plain float.
"""

from collections.abc import Callable

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw


def right_intensity(m: int, k: int, n: int, bytes_per_element: float) -> float:
    return 2 * m * k * n / (bytes_per_element * (m * k + k * n) + 4 * m * n)


def intensity_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "intensity")
    m, k, n = draw.whole(20, 90), draw.whole(200, 900), draw.whole(91, 199)
    return [
        Case("int8", (m, k, n, 1)),
        Case("float32", (k, n, m, 4)),
        Case("4-bit inputs, half a byte each", (n, m, k, 0.5)),
        Case("a single row", (1, k, n, 1)),
        Case("a single row, float32", (1, n, k, 4)),
        Case("one input", (m, 1, n, 1)),
        Case("one number times one number", (1, 1, 1, draw.pick((1, 2)))),
        Case("large and square", (k * 10, k * 10, k * 10, 1)),
    ]


def _of(change: Callable[[int, int, int, float], float]) -> Callable[..., float]:
    return lambda m, k, n, bytes_per_element: float(change(m, k, n, bytes_per_element))


INTENSITY_MISTAKES = (
    Mistake(
        "one operation a product",
        "You count one operation for a multiplication with its addition; the field counts two.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, b) / 2),
    ),
    Mistake(
        "result forgotten",
        "You left the result out of the traffic; m * n numbers of 4 bytes are written.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n))),
    ),
    Mistake(
        "result as narrow as the inputs",
        "Your result has the width of the inputs; sums need 4 bytes each, whatever the inputs take.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n + m * n))),
    ),
    Mistake(
        "width ignored",
        "You count 4 bytes for every input; an input takes bytes_per_element.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, 4 if b != 4 else 1)),
    ),
    Mistake(
        "elements, not bytes",
        "You divide by the count of numbers; the traffic is in bytes, so multiply the counts by their widths.",
        _of(lambda m, k, n, b: 2 * m * k * n / (m * k + k * n + m * n)),
    ),
    Mistake(
        "upside down",
        "Your fraction is upside down: operations per byte, not bytes per operation.",
        _of(lambda m, k, n, b: 1 / right_intensity(m, k, n, b)),
    ),
    Mistake(
        "nothing stays in a cache",
        "You read both inputs anew for each product; here each number is read once and stays in a cache.",
        _of(lambda m, k, n, b: 2 * m * k * n / (2 * b * m * k * n + 4 * m * n)),
    ),
    Mistake(
        "weights only",
        "You count the right matrix only; the left one (m * k) is read too.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * k * n + 4 * m * n)),
    ),
    Mistake(
        "inner size left out",
        "A result is a sum over k products, so there are m * k * n products, not m * n.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, b) / k if k > 1 else 0.0),
    ),
)


# 1e-9: float64 keeps 16 digits, and a few operations are made
arithmetic_intensity = Exercise(
    name="arithmetic_intensity",
    unit="05_cpu_kernels",
    points=2,
    difficulty=1,
    minutes=8,
    oracle=right_intensity,
    cases=intensity_cases,
    mistakes=INTENSITY_MISTAKES,
    judge=close(1e-09, 0.0),
)
