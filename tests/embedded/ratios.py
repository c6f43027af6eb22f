"""The times of the page and of the C beside onnxruntime's, in one run: `python -m tests.embedded.ratios`, for docs/deployment.md.

Every way takes its turn in every round, so that what else the machine does meets all of them alike. A time is the median over the rounds
of a round's p50, of the processor, one image a call, one thread, the first ten calls left out.
"""

import functools
import sys
from collections.abc import Callable
from statistics import median

import torch

from posttrain_lab.deployment.c99 import to_c
from posttrain_lab.deployment.compiled import compiler, time_c
from posttrain_lab.deployment.deployable import Deployable
from posttrain_lab.deployment.engine import node, time_engine
from posttrain_lab.deployment.float_onnx import float_onnx
from posttrain_lab.deployment.runtime import Session, start_onnxruntime
from posttrain_lab.experiments.deployables import deployable
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import to_onnx

from . import ort_web
from .table import FLAGS, NETWORKS, clocked, p50

ROUNDS, IMAGES = 7, 60
FLOAT, OURS = "onnxruntime, float32", "onnxruntime, our integers"
Ways = list[Callable[[], dict[str, list[float]]]]


def in_session(name: str, session: Session, images: torch.Tensor) -> Callable[[], dict[str, list[float]]]:
    return lambda: {name: clocked(lambda one: session({"x": one.numpy()}), images)}


def in_ort_web(name: str, content: bytes, images: torch.Tensor) -> dict[str, list[float]]:
    return {name.replace("onnxruntime", "onnxruntime-web (Node.js)"): ort_web.run_ort_web(content, images.numpy())[1]}


def in_c(made: Deployable, flags: tuple[str, ...]) -> dict[str, list[float]]:
    return {f"C, gcc {' '.join(flags)}": time_c(to_c(made.program), made.codes()[:IMAGES], flags)}


def ways(made: Deployable) -> Ways:
    """Each gives the milliseconds of IMAGES images, by name."""
    images, codes = made.images[:IMAGES], made.codes()[:IMAGES]
    files = {OURS: to_onnx(made.network).SerializeToString()}
    if made.name == "fashion_cnn":
        files[FLOAT] = float_onnx(load_pretrained(made.name)).SerializeToString()
    found: Ways = [in_session(name, start_onnxruntime(content), images) for name, content in files.items()]
    if ort_web.here():
        found += [functools.partial(in_ort_web, name, content, images) for name, content in files.items()]
    if compiler():
        for flags in FLAGS[1:]:
            found.append(functools.partial(in_c, made, flags))
    if node():
        found.append(lambda: {f"page, {kind} (Node.js)": ms for kind, ms in time_engine(made.program, codes).items()})
    return found


def in_turn(made: Deployable, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds by way."""
    times: dict[str, list[float]] = {}
    listed = ways(made)
    for _ in range(rounds):
        for way in listed:
            for name, milliseconds in way().items():
                times.setdefault(name, []).append(p50(milliseconds))
    return {name: median(found) for name, found in times.items()}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    print("| network | where | ms, p50 | to onnxruntime, our integers | to onnxruntime, float32 |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or NETWORKS:
        found = in_turn(deployable(name, IMAGES))
        for where, ms in found.items():
            to_float = f"{ms / found[FLOAT]:.2f}" if FLOAT in found else ""
            print(f"| {name} | {where} | {ms:.3f} | {ms / found[OURS]:.2f} | {to_float} |", flush=True)


if __name__ == "__main__":
    main()
