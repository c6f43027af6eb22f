"""Every way to compute an artefact that this machine has, against the network itself: number by number, and the time of each image.

Times are of the processor: a busy neighbour does not change them, and one thread computes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from posttrain_lab.quantization import to_onnx

from .c99 import to_c
from .compiled import compiler, run_c, time_c
from .deployable import Deployable
from .engine import node, run_engine, time_engine
from .runtime import check_runtime, start_onnxruntime

TARGETS = ("web", "c", "onnx")
OPTIMIZED = ("-O3",)
TIMED = 100  # images


@dataclass(frozen=True)
class Way:
    """One way to compute a program: on how many images it differs from the network, and the milliseconds of single images."""

    name: str
    wrong: int
    milliseconds: list[float]


def ways(made: Deployable, target: str, want: Int[np.ndarray, "n out"]) -> Iterator[Way]:
    """Each way to compute the artefact of a target: none, for "web" without Node.js and for "c" without a compiler."""
    if target == "web" and node():
        milliseconds = time_engine(made.program, made.codes()[:TIMED])
        for kind, integers in run_engine(made.program, made.codes()).items():
            yield Way(f"the page's {kind}", _wrong(integers, want), milliseconds[kind])
    if target == "c" and compiler():
        files = to_c(made.program)
        integers = run_c(made.program, files, made.codes(), OPTIMIZED)
        yield Way("the C code", _wrong(integers, want), time_c(files, made.codes()[:TIMED], OPTIMIZED))
    if target == "onnx":
        yield _onnxruntime(made)


def _wrong(numbers: np.ndarray, want: np.ndarray) -> int:
    return int((numbers != want).any(1).sum())


@torch.no_grad()
def _onnxruntime(made: Deployable) -> Way:
    """An ONNX file ends in floats: they must be those of the network, bit for bit."""
    check_runtime(start_onnxruntime)
    network: Any = made.network
    session = start_onnxruntime(to_onnx(network).SerializeToString())
    parts = [(session({"x": part.numpy()})[0], network(part).numpy()) for part in made.images.split(50)]
    milliseconds = []
    for image in made.images[:TIMED].split(1):
        start = time.process_time()
        session({"x": image.numpy()})
        milliseconds.append(1000 * (time.process_time() - start))
    return Way("onnxruntime", sum(_wrong(*(one.reshape(len(one), -1) for one in pair)) for pair in parts), milliseconds)
