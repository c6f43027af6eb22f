"""Every way to compute an artefact that this machine has, against the network itself: number by number, and the time of each image.

Images are compared in blocks, so that a large network on many of them needs little memory, and a mistake is found in the first block.
Times are of the processor: a busy neighbour does not change them, and one thread computes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from posttrain_lab.quantization import to_onnx

from .c99 import to_c
from .compiled import compiled, compiler, time_c
from .deployable import Deployable
from .engine import node, run_engine, time_engine
from .runtime import Session, check_runtime, start_onnxruntime

TARGETS = ("web", "c", "onnx")
OPTIMIZED = ("-O3",)
TIMED = 100  # images
BLOCK = 50  # images
Progress = Callable[[int, int], object]  # how many images are done, of how many
Judge = Callable[[Deployable, np.ndarray], dict[str, int]]  # on how many images of a block does each way differ?


@dataclass(frozen=True)
class Way:
    """One way to compute a program: on how many of `images` it differs from the network, and the milliseconds of single images."""

    name: str
    wrong: int
    images: int
    milliseconds: list[float]


def compare(
    made: Deployable, target: str, progress: Progress = lambda done, total: None
) -> tuple[list[Way], Int[np.ndarray, "n out"]]:
    """Each way to compute the artefact of a target, and the integers that each must give.

    The first way is the list of operations (of a saved program nothing else is known, so there is none); of the others there is none for
    "web" without Node.js and for "c" without a compiler. Ends after the first block in which a way differs, and measures no time then.
    """
    wrong, wanted, total = Counter[str](), [], len(made.images)
    with ExitStack() as stack:
        judges = [*_judges(made, target, stack)]
        for block in made.blocks(BLOCK):
            wanted.append(block.wanted())
            for judge in judges:
                wrong.update(judge(block, wanted[-1]))
            done = sum(map(len, wanted))
            progress(done, total)
            if wrong.total():
                break
    times = {} if wrong.total() else _times(made, target)
    return [Way(name, count, done, times.get(name, [])) for name, count in wrong.items()], np.concatenate(wanted)


def _judges(made: Deployable, target: str, stack: ExitStack) -> Iterator[Judge]:
    if made.network is not None:
        yield lambda block, want: {"the list of operations": _wrong(block.listed(), want)}
    if target == "web" and node():
        yield lambda block, want: {
            f"the page's {kind}": _wrong(numbers, want) for kind, numbers in run_engine(block.program, block.codes()).items()
        }
    if target == "c" and compiler():
        run = stack.enter_context(compiled(made.program, to_c(made.program), OPTIMIZED))
        yield lambda block, want: {"the C code": _wrong(run(block.codes()), want)}
    if target == "onnx":
        session = _onnxruntime(made)
        yield lambda block, want: {"onnxruntime": _floats_differ(session, block)}


def _times(made: Deployable, target: str) -> dict[str, list[float]]:
    """Milliseconds of the first images, by way."""
    few = next(made.blocks(TIMED))
    if target == "web" and node():
        return {f"the page's {kind}": found for kind, found in time_engine(few.program, few.codes()).items()}
    if target == "c" and compiler():
        return {"the C code": time_c(to_c(few.program), few.codes(), OPTIMIZED)}
    return {"onnxruntime": _timed(_onnxruntime(few), few)} if target == "onnx" else {}


def _wrong(numbers: np.ndarray, want: np.ndarray) -> int:
    return int((numbers != want).any(1).sum())


def _onnxruntime(made: Deployable) -> Session:
    check_runtime(start_onnxruntime)
    network: Any = made.network
    return start_onnxruntime(to_onnx(network).SerializeToString())


@torch.no_grad()
def _floats_differ(session: Session, made: Deployable) -> int:
    """An ONNX file ends in floats: they must be those of the network, bit for bit."""
    network: Any = made.network
    found, want = session({"x": made.images.numpy()})[0], network(made.images).numpy()
    return _wrong(found.reshape(len(found), -1), want.reshape(len(want), -1))


def _timed(session: Session, made: Deployable) -> list[float]:
    milliseconds = []
    for image in made.images.split(1):
        start = time.process_time()
        session({"x": image.numpy()})
        milliseconds.append(1000 * (time.process_time() - start))
    return milliseconds
