"""What the shipped networks cost on each device that this machine has or imitates: `python -m tests.embedded.table`, for docs/deployment.md.

Every row is compared with the network first, number by number. Times are of the processor, one image a call, one thread, one process after the other.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from posttrain_lab.deployment.budget import tail
from posttrain_lab.deployment.c99 import to_c
from posttrain_lab.deployment.compiled import run_c, time_c
from posttrain_lab.deployment.deploy import deploy
from posttrain_lab.deployment.deployable import Deployable
from posttrain_lab.deployment.engine import node, run_engine, time_engine
from posttrain_lab.deployment.float_onnx import float_onnx
from posttrain_lab.deployment.memory import plan_memory
from posttrain_lab.deployment.runtime import start_onnxruntime
from posttrain_lab.experiments.deployables import deployable
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import to_onnx

from .arm import missing, run_on_cortex

NETWORKS = ("fashion_cnn", "fashion_cnn_pruned", "fashion_resnet")
FLAGS = (("-Os",), ("-O2",), ("-O3",), ("-O3", "-march=native"))
CORTEX = {"fashion_cnn": 20, "fashion_cnn_pruned": 20, "fashion_resnet": 4}
OURS = "onnxruntime, our integers"
Row = tuple[str, str, str, str, str]  # where, equal numbers, time, flash, RAM


def p50(times: list[float]) -> float:
    return tail(times, 10)[1]


def clocked(call, images: torch.Tensor) -> list[float]:
    """Milliseconds of processor time for each image."""
    found = []
    for image in images.split(1):
        start = time.process_time()
        call(image)
        found.append(1000 * (time.process_time() - start))
    return found


def runtimes(made: Deployable) -> Iterator[Row]:
    images, want = made.images, made.network(made.images).numpy()
    if made.name == "fashion_cnn":
        model = load_pretrained(made.name)
        content = float_onnx(model).SerializeToString()
        session = start_onnxruntime(content)
        near = np.abs(session({"x": images.numpy()})[0] - model(images).detach().numpy()).max()
        ms = p50(clocked(lambda one: session({"x": one.numpy()}), images[:200]))
        yield ("onnxruntime, float32", f"to {near:.0e}", f"{ms:.3f}", f"{len(content):,}", "")
    content = to_onnx(made.network).SerializeToString()
    session = start_onnxruntime(content)
    equal = (session({"x": images.numpy()})[0] == want).sum()
    ms = p50(clocked(lambda one: session({"x": one.numpy()}), images[:200]))
    yield OURS, f"{equal:,} of {want.size:,}", f"{ms:.3f}", f"{len(content):,}", ""


def in_c(made: Deployable, want: np.ndarray, codes: np.ndarray) -> Iterator[Row]:
    files, plan = to_c(made.program), plan_memory(made.program)
    for flags in FLAGS:
        equal = (run_c(made.program, files, codes, flags) == want).sum()
        ms = p50(time_c(files, codes[:200], flags))
        yield f"C, gcc {' '.join(flags)}", f"{equal:,} of {want.size:,}", f"{ms:.3f}", flash_of(files, flags), f"{plan.arena:,}"
    if importlib.util.find_spec("ziglang"):
        equal = (run_c(made.program, files, codes, ("-O2",), (sys.executable, "-m", "ziglang", "cc")) == want).sum()
        yield "C, zig cc -O2", f"{equal:,} of {want.size:,}", "", "", f"{plan.arena:,}"
    if not missing():
        with tempfile.TemporaryDirectory() as folder:
            count = CORTEX[made.name]
            found = run_on_cortex(made.program, codes[:count], Path(folder))
        equal, ram = (found.results == want[:count]).sum(), f"{found.ram:,} and {found.stack} of stack"
        yield (
            "C, Cortex-M4 in qemu, gcc -O2",
            f"{equal:,} of {want[:count].size:,}",
            f"{found.instructions:,} instructions",
            f"{found.flash:,}",
            ram,
        )


def flash_of(files, flags) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "network.h").write_text(files.header)
        (folder / "network.c").write_text(files.source)
        subprocess.run(["gcc", "-std=c99", *flags, "-c", str(folder / "network.c"), "-o", str(folder / "n.o")], check=True)
        text, data = subprocess.run(["size", str(folder / "n.o")], capture_output=True, text=True, check=True).stdout.split()[6:8]
    return f"{int(text) + int(data):,}"


def in_the_page(made: Deployable, want: np.ndarray, codes: np.ndarray) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        few = Deployable(made.name, made.program, made.images[:10], made.network, made.labels[:10], made.classes)
        size = deploy(few, "web", Path(folder) / "a.html").files[0].stat().st_size
    times = time_engine(made.program, codes[:200])
    for kind, found in run_engine(made.program, codes).items():
        equal = (found == want).sum()
        yield f"page, {kind} (Node.js)", f"{equal:,} of {want.size:,}", f"{p50(times[kind]):.3f}", f"{size:,}", ""


def with_ratios(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """A column more: the time over that of onnxruntime on our integers, which this very run measured."""
    base = next(float(ms) for where, _, ms, *_ in rows if where == OURS)
    for where, equal, ms, *rest in rows:
        timed = re.fullmatch(r"[0-9.]+", ms)
        yield where, equal, ms, f"{float(ms) / base:.2f}" if timed else "", *rest


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    print(
        "| network | where | equal numbers | ms, p50 | ratio | flash or file, bytes | RAM, bytes |\n|---|---|---|---|---|---|---|"
    )
    for name in sys.argv[1:] or NETWORKS:
        made = deployable(name, 1000)
        codes, want = made.codes(), made.wanted()
        rows = [*runtimes(made)]
        rows += [*in_c(made, want, codes)] if shutil.which("gcc") else []
        rows += [*in_the_page(made, want, codes)] if node() else []
        for row in with_ratios(rows):
            print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
