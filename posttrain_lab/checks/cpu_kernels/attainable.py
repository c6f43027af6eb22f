"""Cases and known mistakes of `attainable`: how fast can a product of matrices be at best?

The minimum of the peak and of what the memory allows: intensity times bandwidth. A plain float.
"""

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw


def right_attainable(intensity: float, peak: float, bandwidth: float) -> float:
    return min(peak, intensity * bandwidth)


def attainable_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "attainable")
    peak, bandwidth = draw.real(2e11, 9e11), draw.real(5e9, 4e10)
    ridge = peak / bandwidth
    return [
        Case("memory is the limit", (draw.real(0.1, 0.6) * ridge, peak, bandwidth)),
        Case("arithmetic is the limit", (draw.real(1.6, 5.0) * ridge, peak, bandwidth)),
        Case("a very low intensity", (draw.real(0.01, 0.4), peak, bandwidth)),
        Case("a very high intensity", (1e5 * ridge, peak, bandwidth)),
        Case("at the ridge", (8.0, 8.0 * 2.0**33, 2.0**33)),
    ]


def attainable_workload(seed: int) -> list[Case]:
    """The points of the notebook's figure, and machines far from its own."""
    draw = Draw(seed, "attainable workload")
    return [
        Case("the lowest point of the figure", (0.25, draw.real(1e11, 1e12), draw.real(5e9, 4e10))),
        Case("the highest point of the figure", (1024.0, draw.real(1e11, 1e12), draw.real(5e9, 4e10))),
        Case("a GPU, just below its ridge", (590.0, 1979e12, 3350e9)),
        Case("a tiny chip, just above its ridge", (4.01, 4e6, 1e6)),
        Case("in units of 1e12", (draw.real(0.2, 0.6), 0.5, 0.0335)),
    ]


ATTAINABLE_MISTAKES = (
    Mistake(
        "max",
        "You took the larger of the two; the slower of memory and arithmetic is the limit, so take the smaller.",
        lambda intensity, peak, bandwidth: max(peak, intensity * bandwidth),
    ),
    Mistake(
        "always the peak",
        "You always return the peak; below the ridge the memory is the limit, so take the minimum.",
        lambda i, peak, bandwidth: peak,
    ),
    Mistake(
        "always the slope",
        "You always return intensity * bandwidth; above the ridge the peak is the limit, so take the minimum.",
        lambda intensity, peak, bandwidth: intensity * bandwidth,
    ),
    Mistake(
        "divided",
        "You divide the bandwidth by the intensity; multiply: operations per byte times bytes per second.",
        lambda intensity, peak, bandwidth: min(peak, bandwidth / intensity if intensity else peak),
    ),
    Mistake(
        "harmonic",
        "You add the two times; arithmetic and memory work at the same time, so only the slower one counts.",
        lambda i, peak, bandwidth: 1 / (1 / peak + 1 / (i * bandwidth)) if i else 0.0,
    ),
    Mistake(
        "ridge as a switch",
        "Below the ridge you return the bandwidth itself; it is in bytes, so multiply it by the intensity.",
        lambda i, peak, bandwidth: peak if i * bandwidth >= peak else bandwidth,
    ),
    Mistake(
        "in units of 1e9",
        "Your result is a billion times too small; return operations per second, not GOPS.",
        lambda i, peak, bandwidth: min(peak, i * bandwidth) / 1e9,
    ),
)


attainable = Exercise(
    name="attainable",
    unit="05_cpu_kernels",
    points=1,
    difficulty=1,
    minutes=5,
    oracle=right_attainable,
    cases=attainable_cases,
    workload=attainable_workload,
    mistakes=ATTAINABLE_MISTAKES,
    judge=close(1e-09, 0.0),
)
