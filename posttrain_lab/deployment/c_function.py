"""Compile one C function and run it on this machine: for a text that you trust, such as your own."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from .compiled import COMPILERS, STRICT, compiler

MAIN = """
#include <stdio.h>
int main(void) {
    static int8_t x[INPUTS], y[OUTPUTS];
    while (fread(x, 1, INPUTS, stdin) == INPUTS) { NAME(x, y); fwrite(y, 1, OUTPUTS, stdout); }
    return 0;
}
"""


def run_function(
    text: str, name: str, x: Int8[np.ndarray, "n inputs"], outputs: int, flags: Sequence[str] = (*STRICT, "-O2")
) -> Int8[np.ndarray, "n outputs"]:
    """The results of `void name(const int8_t *x, int8_t *y)`, one row of codes after the other.

    Raises FileNotFoundError without a compiler, RuntimeError with its words when it refuses the text, or when the program stops.
    """
    command = compiler()
    if command is None:
        raise FileNotFoundError(f"run_function finds none of {', '.join(COMPILERS)}; install gcc, or use read_c.")
    main = MAIN.replace("INPUTS", str(x.shape[1])).replace("OUTPUTS", str(outputs)).replace("NAME", name)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "main.c", Path(folder) / "main"
        source.write_text(f"#include <stdint.h>\nvoid {name}(const int8_t *x, int8_t *y);\n{text}{main}", encoding="utf-8")
        done = subprocess.run([command, *flags, str(source), "-o", str(made)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command} refuses the C text: {done.stderr[:500]}")
        ran = subprocess.run([str(made)], input=np.ascontiguousarray(x).tobytes(), capture_output=True)
        if ran.returncode:
            raise RuntimeError(f"the C program stopped: {ran.stderr.decode(errors='replace')[:500]}")
    return np.frombuffer(ran.stdout, np.int8).reshape(len(x), outputs).copy()
