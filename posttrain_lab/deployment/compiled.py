"""Compile the C of a network and run it on this machine, to compare its numbers: with gcc, clang, or whatever `cc` is."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from .c99 import CFiles
from .program import DTYPES, IntegerProgram

COMPILERS = ("gcc", "clang", "cc")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
MAIN = """#include <stdio.h>
#include "network.h"
int main(void) {
    while (fread(network_input(), 1, NETWORK_INPUTS, stdin) == NETWORK_INPUTS) fwrite(network_run(), WIDTH, NETWORK_OUTPUTS, stdout);
    return 0;
}
"""
TIMING = """#include <stdio.h>
#include <time.h>
#include "network.h"
int main(void) {
    while (fread(network_input(), 1, NETWORK_INPUTS, stdin) == NETWORK_INPUTS) {
        clock_t start = clock();
        (void)network_run();
        printf("%.9f\\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    }
    return 0;
}
"""


def compiler() -> str | None:
    """The first C compiler on this machine; None when there is none."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def run_c(
    program: IntegerProgram,
    files: CFiles,
    codes: Shaped[np.ndarray, "n h w c"],
    flags: Sequence[str] = ("-O2",),
    command: Sequence[str] | None = None,
) -> Shaped[np.ndarray, "n out"]:
    """The results of C code made under the name "network", for the codes of some images, one image after the other.

    command: the compiler, such as ("zig", "cc"); what `compiler` finds when left out.

    Raises FileNotFoundError without a compiler, RuntimeError with its words when it refuses the code, or when the program stops.
    """
    with compiled(program, files, flags, command) as run:
        return run(codes)


@contextmanager
def compiled(
    program: IntegerProgram, files: CFiles, flags: Sequence[str] = ("-O2",), command: Sequence[str] | None = None
) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """What `run_c` does, for several blocks of images: compiled once, removed at the end. Raises as `run_c` does."""
    with tempfile.TemporaryDirectory() as name:
        built = _build(
            files, Path(name), MAIN.replace("WIDTH", str(program.result.bits // 8)), (*(command or _compiler()), *flags)
        )

        def run(codes: np.ndarray) -> np.ndarray:
            return np.frombuffer(_ran(built, codes), DTYPES[program.result.bits]).reshape(len(codes), -1)

        yield run


def time_c(files: CFiles, codes: Shaped[np.ndarray, "n h w c"], flags: Sequence[str] = ("-O3",)) -> list[float]:
    """Milliseconds of processor time for each image in turn, in one process. Raises as `run_c` does."""
    with tempfile.TemporaryDirectory() as name:
        built = _build(files, Path(name), TIMING, (*_compiler(), *flags))
        return [1000 * float(line) for line in _ran(built, codes).split()]


def _ran(built: str, codes: np.ndarray) -> bytes:
    """What the program writes for the codes."""
    ran = subprocess.run([built], input=np.ascontiguousarray(codes).tobytes(), capture_output=True)
    if ran.returncode:
        raise RuntimeError(f"the C program stopped: {ran.stderr.decode(errors='replace')[:500]}")
    return ran.stdout


def _compiler() -> tuple[str]:
    command = compiler()
    if command is None:
        raise FileNotFoundError(
            f"run_c finds none of {', '.join(COMPILERS)}; install gcc, or 'pip install ziglang' and use zig cc."
        )
    return (command,)


def _build(files: CFiles, folder: Path, main: str, command: Sequence[str]) -> str:
    """Compile, strictly; returns the program's path."""
    (folder / "network.h").write_text(files.header, encoding="utf-8")
    (folder / "network.c").write_text(files.source, encoding="utf-8")
    (folder / "main.c").write_text(main, encoding="utf-8")
    sources = [str(folder / "main.c"), str(folder / "network.c")]
    made = subprocess.run([*command, *STRICT, *sources, "-o", str(folder / "network")], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"{command[0]} refuses the C code: {made.stderr[:500]}")
    return str(folder / "network")
