"""An integer program as one HTML file that runs offline: on a phone, from a stick, with no request to anyone.

The weights, the engine and its WebAssembly kernel are in the page. The kernel, files/gemm.wasm, is made from files/gemm.wat by wabt's
wat2wasm. It needs WebAssembly SIMD, which browsers have since 2021 to 2023; the engine gives the same numbers without it.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from .program import IntegerProgram
from .webspec import compact, spec_and_blob

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class PageText:
    """What a page says: its title, the names of the classes, and a sentence of facts; temperature: of the confidences."""

    title: str
    classes: Sequence[str]
    facts: str = ""
    temperature: float = 1.0


def to_html(program: IntegerProgram, text: PageText, examples: UInt8[Tensor, "n h w c"], wasm: bool = True) -> str:
    """The page. examples: pictures to begin with, channels last; wasm False: the engine in JavaScript alone.

    Raises ValueError for a network that takes no pictures of one or three channels, for examples of another shape, for as many
    classes as the network does not have, and a temperature that is not positive.
    """
    _check(program, text, examples)
    spec, blob = spec_and_blob(program)
    spec |= {"classes": list(text.classes), "temperature": text.temperature}
    spec |= {"contract": asdict(program.contract) if program.contract else None}
    parts = {
        "TITLE": html.escape(text.title),
        "FACTS": html.escape(text.facts),
        "ENGINE": (FILES / "engine.js").read_text(encoding="utf-8"),
        "SPEC": compact(spec),
        "WEIGHTS": _text(blob),
        "TABLE": _text(program.pixel_codes.numpy().tobytes()),
        "EXAMPLES": _text(np.ascontiguousarray(examples.numpy()).tobytes()),
        "WASM": _text((FILES / "gemm.wasm").read_bytes()) if wasm else "",
    }
    pieces = (FILES / "page.html").read_text(encoding="utf-8").split("__")  # each second piece is a name
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _check(program: IntegerProgram, text: PageText, examples: Tensor) -> None:
    shape = program.values[0].shape
    if shape[2] not in (1, 3) or shape[:2] == (1, 1):
        raise ValueError(
            f"to_html wants a network for pictures of 1 or 3 channels, got one for {list(program.input_shape)}; use to_c."
        )
    if tuple(examples.shape[1:]) != shape:
        raise ValueError(f"to_html wants examples [n, {', '.join(map(str, shape))}], got {list(examples.shape)}; resize them.")
    if program.result.count != len(text.classes):
        raise ValueError(f"to_html wants {program.result.count} classes, as the network has outputs, got {len(text.classes)}.")
    if not (isfinite(text.temperature) and text.temperature > 0):
        raise ValueError(f"to_html wants a positive temperature, got {text.temperature}; see fit_temperature.")
