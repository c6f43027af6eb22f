"""Run a network's C on a Cortex-M4 that qemu imitates; what it gives, how many instructions it takes, how much memory."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posttrain_lab.deployment.c99 import array, to_c
from posttrain_lab.deployment.compiled import STRICT
from posttrain_lab.deployment.program import IntegerProgram

HERE = Path(__file__).parent
CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
LINK = ("-nostartfiles", "-T", str(HERE / "start.ld"), "-Wl,--fatal-warnings", "-Wl,--no-warn-rwx-segments", "-lc", "-lgcc")
QEMU = ("qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-serial", "none", "-monitor", "none", "-icount", "shift=0")
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")


@dataclass(frozen=True)
class Found:
    """results [n, out]; instructions for one image; bytes of flash (code and constants), of RAM (the arena) and of stack."""

    results: np.ndarray
    instructions: int
    flash: int
    ram: int
    stack: int


def missing() -> str:
    """The tools that are not installed."""
    return ", ".join(tool for tool in TOOLS if shutil.which(tool) is None)


def run_on_cortex(program: IntegerProgram, codes: np.ndarray, folder: Path, flags: Sequence[str] = ("-O2",)) -> Found:
    """Compile strictly, run, read what it prints. The result must be int32 sums."""
    assert program.result.bits == 32
    files = to_c(program)
    (folder / "network.h").write_text(files.header, encoding="utf-8")
    (folder / "network.c").write_text(files.source, encoding="utf-8")
    images = f"#define IMAGES {len(codes)}\n" + array("static const int8_t", "images", codes)
    (folder / "images.h").write_text(images, encoding="utf-8")
    compile_c = ["arm-none-eabi-gcc", *CPU, *STRICT, *flags, f"-I{folder}"]
    subprocess.run([*compile_c, "-c", str(folder / "network.c"), "-o", str(folder / "network.o")], check=True)
    sources = [str(HERE / "start.c"), str(folder / "network.o")]
    subprocess.run([*compile_c, "-std=gnu99", *sources, *LINK, "-o", str(folder / "a.elf")], check=True)
    command = [*QEMU, "-semihosting-config", "enable=on,target=native", "-kernel", str(folder / "a.elf")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    numbers = [int(line) for line in (ran.stdout + ran.stderr).split()]
    sizes = subprocess.run(["arm-none-eabi-size", str(folder / "network.o")], capture_output=True, text=True, check=True)
    text, data, bss = (int(one) for one in sizes.stdout.splitlines()[1].split()[:3])
    results = np.array(numbers[:-2]).reshape(len(codes), -1)
    return Found(results, numbers[-2], text + data, data + bss, numbers[-1])
