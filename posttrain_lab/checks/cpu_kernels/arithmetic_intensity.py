"""Cases and known mistakes of `arithmetic_intensity`: how many operations does a product of matrices need for each byte that it moves?

Conventions that the notebook states in the same words: one product and one addition are two operations; each input is read once
with its bytes per element, each result is written once with 4 bytes (float32 or int32). A plain float.
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


def intensity_workload(seed: int) -> list[Case]:
    """The shapes and widths of the notebook's slider."""
    draw = Draw(seed, "intensity workload")
    return [
        Case("16-bit inputs, two bytes each", (2 ** draw.whole(1, 10), 1024, 1024, 2)),
        Case("256 rows, a layer of 4096 x 4096", (256, 4096, 4096, 0.5)),
        Case("a weight and its scale, 4.5 bits", (draw.whole(2, 64), 1024, 1024, 0.5625)),
    ]


def _of(change: Callable[[int, int, int, float], float]) -> Callable[..., float]:
    return lambda m, k, n, bytes_per_element: float(change(m, k, n, bytes_per_element))


INTENSITY_MISTAKES = (
    Mistake(
        "one operation a product",
        "You count one operation for a multiplication and its addition; count two.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, b) / 2),
    ),
    Mistake(
        "result forgotten",
        "You left out the result; add its m * n elements of 4 bytes, which are written.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n))),
    ),
    Mistake(
        "result as narrow as the inputs",
        "You count bytes_per_element for the result too; its elements always have 4 bytes.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n + m * n))),
    ),
    Mistake(
        "width ignored",
        "You count 4 bytes for every input; an input has bytes_per_element bytes.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, 4 if b != 4 else 1)),
    ),
    Mistake(
        "elements, not bytes",
        "You divide by the number of elements; multiply each number by its bytes per element.",
        _of(lambda m, k, n, b: 2 * m * k * n / (m * k + k * n + m * n)),
    ),
    Mistake(
        "upside down",
        "Your fraction is inverted; return operations per byte, not bytes per operation.",
        _of(lambda m, k, n, b: 1 / right_intensity(m, k, n, b)),
    ),
    Mistake(
        "nothing stays in a cache",
        "You count both inputs again for each product; here each element is read once and stays in a cache.",
        _of(lambda m, k, n, b: 2 * m * k * n / (2 * b * m * k * n + 4 * m * n)),
    ),
    Mistake(
        "weights only",
        "You count the right matrix only; add the left one (m * k), which is read too.",
        _of(lambda m, k, n, b: 2 * m * k * n / (b * k * n + 4 * m * n)),
    ),
    Mistake(
        "inner size left out",
        "You count m * n products; each result is a sum of k products, so there are m * k * n.",
        _of(lambda m, k, n, b: right_intensity(m, k, n, b) / k if k > 1 else 0.0),
    ),
)


# 1e-9: float64 has 16 digits, and there are only a few operations
arithmetic_intensity = Exercise(
    name="arithmetic_intensity",
    unit="05_cpu_kernels",
    points=2,
    difficulty=1,
    minutes=8,
    oracle=right_intensity,
    cases=intensity_cases,
    workload=intensity_workload,
    mistakes=INTENSITY_MISTAKES,
    judge=close(1e-09, 0.0),
)
