"""A judge for exercises whose signature says Float: in float64 an answer must be as exact as float64 allows."""

from torch import Tensor, float64, nn

from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome

DOUBLES = 1e-9  # of float64 values, relative to 1 or to the value: sums of thousands of terms in any order are exacter


def precise(rtol: float, atol: float) -> Judge:
    """As `close`, but where a float64 value is expected both tolerances are 1e-9, and a float32 one is too coarse."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        within = (DOUBLES, DOUBLES) if _has_doubles(want.value) else (rtol, atol)
        return difference(want.value, got.value, *within) or (
            f"the gradient is wrong: {found}" if (found := difference(want.gradients, got.gradients, *within)) else None
        )

    return judge


def _has_doubles(value: object) -> bool:
    """Is there a float64 tensor in it?"""
    if isinstance(value, dict | list | tuple):
        return any(map(_has_doubles, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.dtype == float64
