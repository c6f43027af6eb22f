"""Do two runs of a cell show the same? Text exactly; numbers that come out of float arithmetic within what its order may change.

Two processors add up the same float32 products in another order. A sum of K products then differs by at most
2 K u sum |a b|, with u = 2^-24 the unit roundoff of float32 (Higham, Accuracy and Stability of Numerical Algorithms,
section 4.2). The longest sums of the course's networks have K = 864 products, so 2 K u = 1.03e-4: the share of an
array's largest value by which its values may differ. In a figure of 1000 pixels that is a tenth of a pixel.
A printed number is rounded once more: the last shown digit may be the next one. So may that of a figure's long list whose
numbers were rounded to a few digits, to keep the notebook small: by a unit of the last digit of its largest number. Whole
numbers are exact.
"""

import base64
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from posttrain_lab.site.outputs import PLOTLY

LONGEST_SUM = 864
SHARE = 2 * LONGEST_SUM * 2.0**-24
LONG, ROUNDED = 20, 5  # so many numbers with so few digits were rounded; of a few short ones such as 0.5 nobody knows
# Ids of models, another one at each run; pictures that are made of the figures after a run.
NOT_COMPARED = {"application/vnd.jupyter.widget-view+json", "image/png"}
# What differs from run to run, each with what it is replaced by.
RUN_BY_RUN = [
    (re.compile(r"0x[0-9a-fA-F]{6,}"), "ADDRESS"),
    (re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?"), "TIME"),
]
# A number with digits behind the point, and the blanks before it that fill up its column; no version such as 2.7.1.
DECIMAL = re.compile(r"(?<![\w.])( *[-+]?\d[\d,]*\.\d+(?:e[-+]?\d+)?)(?![\w.]*\.\d)", re.IGNORECASE)


def differences(stored: Sequence[Any], fresh: Sequence[Any]) -> list[str]:
    """What differs between the outputs that a notebook stores for a cell and those of a run; empty when they agree."""
    old, new = list(_merged(stored)), list(_merged(fresh))
    if [kind for kind, _ in old] != [kind for kind, _ in new]:
        return [f"stored are {[kind for kind, _ in old]}, shown were {[kind for kind, _ in new]}"]
    return [text for (kind, a), (_, b) in zip(old, new, strict=True) for text in _unlike(a, b, kind)]


def _merged(outputs: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(kind, content) of each output; texts to one stream are joined: where one ends and the next begins is chance."""
    for kind, group in itertools.groupby(outputs, lambda output: f"{output['output_type']} {output.get('name', '')}".strip()):
        if kind.startswith("stream"):
            yield kind, "".join(_text(output["text"]) for output in group)
        else:
            yield from ((kind, _content(output)) for output in group)


def _content(output: Any) -> dict[str, Any]:
    if output["output_type"] == "error":
        return {"ename": output["ename"], "evalue": output["evalue"]}
    made_later = NOT_COMPARED | ({"text/html"} if PLOTLY in output["data"] else set())  # a figure's picture is its HTML
    return {kind: value for kind, value in output["data"].items() if kind not in made_later}


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _unlike(a: Any, b: Any, where: str, tolerance: float = 0.0) -> Iterator[str]:
    """Every difference of two JSON trees; `tolerance` is that of the list which a number stands in."""
    a, b = _array(a), _array(b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        yield from _unlike_arrays(a, b, where)
    elif isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from _unlike(a[key], b[key], f"{where}, {key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        allowed = _tolerance([item for item in a if isinstance(item, float)])
        for place, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _unlike(one, other, f"{where}[{place}]", allowed)
    elif isinstance(a, str) and isinstance(b, str):
        yield from _unlike_texts(a, b, where)
    elif not (_float(a, b) and abs(a - b) <= max(SHARE * abs(a), tolerance)) and not (type(a) is type(b) and a == b):
        yield f"{where}: stored is {str(a)[:80]!r}, shown was {str(b)[:80]!r}"


def _tolerance(numbers: list[float]) -> float:
    """By how much may the numbers of a list differ? A share of the largest, or a unit of its last digit if all were rounded."""
    largest = max(map(abs, numbers), default=0.0)
    digits = max((len(Decimal(repr(number)).normalize().as_tuple().digits) for number in numbers), default=0)
    rounded = len(numbers) >= LONG and digits <= ROUNDED and largest > 0
    return max(SHARE * largest, 1.001 * 10.0 ** (math.floor(math.log10(largest)) - digits + 1) if rounded else 0.0)


def _float(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float)


def _array(value: Any) -> Any:
    """An array as plotly writes it, {"dtype": "f4", "bdata": base64, "shape": "2, 3"}; anything else as it is."""
    if not isinstance(value, dict) or "bdata" not in value:
        return value
    array = np.frombuffer(base64.b64decode(value["bdata"]), np.dtype(value["dtype"]).newbyteorder("<"))
    return array.reshape([int(size) for size in str(value["shape"]).split(",")]) if "shape" in value else array


def _unlike_arrays(a: np.ndarray, b: np.ndarray, where: str) -> Iterator[str]:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        yield f"{where}: stored is {a.dtype} {a.shape}, shown was {b.dtype} {b.shape}"
    elif a.dtype.kind != "f":
        if not np.array_equal(a, b):
            yield f"{where}: whole numbers differ"
    elif not np.allclose(a, b, rtol=0, atol=SHARE * np.max(np.abs(a), initial=0, where=np.isfinite(a)), equal_nan=True):
        yield f"{where}: values differ by up to {np.nanmax(np.abs(a - b)):.3g}, the largest is {np.nanmax(np.abs(a)):.3g}"


def _unlike_texts(a: str, b: str, where: str) -> Iterator[str]:
    for pattern, word in RUN_BY_RUN:
        a, b = pattern.sub(word, a), pattern.sub(word, b)
    pieces, others = DECIMAL.split(a), DECIMAL.split(b)
    pairs = enumerate(zip(pieces, others, strict=False))  # text and numbers in turn
    if len(pieces) != len(others) or not all(_unit_apart(*pair) if place % 2 else pair[0] == pair[1] for place, pair in pairs):
        yield f"{where}: stored is {a!r}, shown was {b!r}"


def _unit_apart(one: str, other: str) -> bool:
    """Two printed numbers with as many digits behind the point, at most one unit of the last digit apart."""
    first, second = (Decimal(text.strip().replace(",", "")) for text in (one, other))
    unit = first.as_tuple().exponent
    return unit == second.as_tuple().exponent and abs(first - second) <= Decimal(10) ** int(unit)
