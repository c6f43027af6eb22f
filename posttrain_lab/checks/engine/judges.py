"""Compare the expected outcome with the actual one, and say in words where they first differ. Only trusted code compares."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.product_spy import SUMS

Judge = Callable[[Outcome, Outcome], str | None]


def close(rtol: float = 1e-5, atol: float = 1e-6, strict_dtype: bool = False) -> Judge:
    """A judge: integers, booleans, strings and shapes equal; floats within atol + rtol * |wanted|; dtypes of one kind.

    Any floating dtype of 32 bits or more is accepted for a floating result unless `strict_dtype`.
    """

    def judge(want: Outcome, got: Outcome) -> str | None:
        return difference(want.value, got.value, rtol, atol, strict_dtype) or (
            f"the gradient is wrong: {found}" if (found := difference(want.gradients, got.gradients, rtol, atol, False)) else None
        )

    return judge


def near(share: float, rtol: float = 0.0, strict_dtype: bool = False) -> Judge:
    """A judge of floats like `close`, whose absolute tolerance is this fraction of the largest expected magnitude."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        return difference(want.value, got.value, rtol, share * _largest(want.value), strict_dtype)

    return judge


def by_precision(usual: Judge, double: Judge) -> Judge:
    """`double` judges where a float64 tensor is expected: more digits are right there than those of float32."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        exact = isinstance(want.value, Tensor) and want.value.dtype == torch.float64
        return (double if exact else usual)(want, got)

    return judge


def whole_products(values: Judge, product: str = "product") -> Judge:
    """As `values` says, and no product of floats on the way: codes are multiplied as whole numbers."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        found = values(want, got)
        if not found and got.float_products and not want.float_products:
            name = got.float_products[0]
            if name in SUMS:
                return f"a sum of codes ran in floating point ({name}); add the codes as whole numbers."
            return f"the {product} ran in floating point ({name}); multiply the codes as whole numbers."
        return found

    return judge


def _largest(value: Any) -> float:
    if isinstance(value, list | tuple):
        return max(map(_largest, value), default=0.0)
    if isinstance(value, Tensor):
        return value.double().abs().max().item() if value.numel() else 0.0
    return abs(value) if isinstance(value, int | float) else 0.0


def same(first: Outcome, second: Outcome, judge: Judge) -> bool:
    """Do two outcomes agree, errors included? (For the diagnosis: is this the known mistake?)"""
    if first.error or second.error:
        return bool(first.error) and _reason(first.error) == _reason(second.error)
    if first.changed != second.changed:
        return False
    try:
        return judge(first, second) is None and judge(second, first) is None
    except Exception:  # values of types that the judge cannot compare are not equal
        return False


def _reason(error: str) -> str:
    """The error without the line in which it was raised and without numbers, which depend on how a mistake is written."""
    return re.sub(r"\d+", "", re.sub(r" in line \d+ of your cell \(.*?\)(?=: )", "", error))


def show(value: Any) -> str:
    """A short text for any value."""
    if isinstance(value, Tensor):
        if value.ndim == 0:
            return f"{value.item() + 0.0:.6g}" if value.is_floating_point() else str(value.item())
        return f"a tensor {value.dtype} of shape {tuple(value.shape)}".replace("torch.", "")
    if isinstance(value, float):
        return f"{value:.6g}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def difference(want: Any, got: Any, rtol: float, atol: float, strict_dtype: bool = False) -> str | None:
    """None when they agree, else the first difference in words."""
    if isinstance(want, Tensor):
        return _tensor_difference(want, got, rtol, atol, strict_dtype)
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return None if type(want) is type(got) and want == got else f"expected {show(want)}, got {show(got)}."
    if isinstance(want, int | float):
        return _number_difference(want, got, rtol, atol)
    if isinstance(want, dict):
        if not isinstance(got, dict) or set(want) != set(got):
            return f"expected a dict with the keys {sorted(want)}, got {show(got)}."
        pairs = [(f"['{key}']", want[key], got[key]) for key in want]
    elif isinstance(want, list | tuple):
        if not isinstance(got, list | tuple) or len(want) != len(got):
            return f"expected {len(want)} values, got {show(got)}."
        pairs = [(f"[{i}]", w, g) for i, (w, g) in enumerate(zip(want, got, strict=True))]
    elif isinstance(want, nn.Module):
        return _module_difference(want, got, rtol, atol)
    else:
        raise TypeError(f"difference cannot compare a {type(want).__name__}.")
    found = ((where, difference(w, g, rtol, atol, strict_dtype)) for where, w, g in pairs)
    return next((f"in value {where}, {text}" for where, text in found if text), None)


def _number_difference(want: float, got: Any, rtol: float, atol: float) -> str | None:
    if isinstance(got, bool) or not isinstance(got, int | float):
        return f"expected the plain number {show(want)}, got {show(got)} (a {type(got).__name__})."
    if isinstance(want, int) and (not isinstance(got, int)):
        return f"expected the whole number {want}, got {show(got)} (a float)."
    if isinstance(want, int):
        return None if want == got else f"expected {want}, got {got}."
    within = abs(want) != float("inf") and abs(want - got) <= atol + rtol * abs(
        want
    )  # for infinity the tolerance would be infinite
    agree = want == got or within or (want != want and got != got)
    return None if agree else f"expected {show(want)}, got {show(got)}."


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "float" if torch.finfo(dtype).bits >= 32 else str(dtype)
    return str(dtype)


def _tensor_difference(want: Tensor, got: Any, rtol: float, atol: float, strict_dtype: bool) -> str | None:
    if not isinstance(got, Tensor):
        return f"expected a tensor, got {show(got)} (a {type(got).__name__})."
    if want.shape != got.shape:
        return f"expected the shape {tuple(want.shape)}, got {tuple(got.shape)}."
    if (want.dtype != got.dtype) if strict_dtype else (_kind(want.dtype) != _kind(got.dtype)):
        return f"expected the dtype {want.dtype}, got {got.dtype}."
    if want.is_floating_point():
        wrong = ~torch.isclose(got.double(), want.double(), rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = got != want
    if not wrong.any():
        return None
    where = [int(i) for i in wrong.nonzero()[0]]
    index = f" at {where}" if where else ""
    return f"expected {show(want[tuple(where)])}{index}, got {show(got[tuple(where)])} ({int(wrong.sum())} of {wrong.numel()} differ)."


def _module_difference(want: nn.Module, got: Any, rtol: float, atol: float) -> str | None:
    if type(want) is not type(got):
        return f"expected a {type(want).__name__}, got {type(got).__name__}."
    return difference(dict(want.state_dict()), dict(got.state_dict()), rtol, atol)
