"""What would a kernel become on a chip that is not here? Compile it ahead of time, and read the machine's own report.

Triton compiles for any chip without a GPU, but not in a process that interprets; so a short process of its own does it.
"""

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHIPS = {75: "T4", 80: "A100", 90: "H100"}
SCRIPT = """
import importlib.util, json, sys
import triton
from triton.backends.compiler import GPUTarget
folder, name, chip = sys.argv[1], sys.argv[2], int(sys.argv[3])
job = json.load(open(folder + "/job.json"))
spec = importlib.util.spec_from_file_location("kernels_to_compile", folder + "/kernels.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
source = triton.compiler.ASTSource(fn=getattr(module, name), signature=job["signature"], constexprs=job["constants"])
compiled = triton.compile(source, target=GPUTarget("cuda", chip, 32), options={"num_warps": job["warps"]})
open(folder + "/out.ptx", "w").write(compiled.asm["ptx"])
open(folder + "/out.cubin", "wb").write(compiled.asm["cubin"])
"""


@dataclass(frozen=True)
class Ahead:
    """A kernel compiled for one chip: its PTX, registers a thread and spilled bytes (None where unknown), or why and where it failed."""

    chip: int
    ptx: str = ""
    registers: int | None = None
    spilled: int | None = None
    error: str = ""
    line: str = ""  # the line of the kernel that the compiler refused


def compile_ahead(kernel: Any, signature: dict[str, str], constants: dict[str, Any], chip: int, warps: int = 4) -> Ahead:
    """Compile a @triton.jit kernel for sm_<chip>: `signature` types its arguments ("*i8", "i32"), `constants` are its constexprs."""
    types = {**signature, **{name: "constexpr" for name in constants}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernels.py").write_text(
            f"import triton\nimport triton.language as tl\n\n\n{source_of(kernel.fn)}", encoding="utf-8"
        )
        (folder / "job.json").write_text(json.dumps({"signature": types, "constants": constants, "warps": warps}))
        # importing triton in the interpreter's mode would change it: the child is not told of it
        environment = {**os.environ, "TRITON_INTERPRET": "0"}
        command = [sys.executable, "-c", SCRIPT, str(folder), kernel.fn.__name__, str(chip)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        if done.returncode:
            return Ahead(chip, error=_reason(done.stderr), line=_line(done.stderr))
        ptx = (folder / "out.ptx").read_text(encoding="utf-8")
        return Ahead(chip, ptx, *_resources(folder, ptx, chip))


def source_of(function: Any, seen: tuple[str, ...] = ()) -> str:
    """The function's text, after those of its cell's other kernels and numbers that it names."""
    needed = ""
    for name in (name for name in function.__code__.co_names if name not in seen and name in function.__globals__):
        value, seen = function.__globals__[name], (*seen, name)
        if inspect.isfunction(inner := getattr(value, "fn", None)) and not inner.__module__.startswith("triton"):
            needed += source_of(inner, (*seen, function.__name__))
        elif isinstance(value, int | float):
            needed += f"{name} = tl.constexpr({value!r})\n"
    return f"{needed}{textwrap.dedent(inspect.getsource(function))}\n\n"


def _reason(said: str) -> str:
    """The last line of what the compiler said, without Python's name for it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = re.sub(r"^(?:AssertionError|\w*Error)\(['\"](.*)['\"]\)$", r"\1", lines[-1]) if lines else "the compiler said nothing"
    return last[:200]


def _line(said: str) -> str:
    """The line above the last "^" with which the compiler points at a kernel."""
    before, _, after = said.rpartition("\n")[0].rpartition("^\n")
    lines = [line.strip() for line in before.splitlines() if line.strip()] if after or before else []
    return lines[-1] if lines else ""


def _resources(folder: Path, ptx: str, chip: int) -> tuple[int | None, int | None]:
    """Registers a thread and bytes spilled, as ptxas (it comes with Triton) reports them."""
    import triton

    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    if not program.is_file():
        return None, None
    (folder / "again.ptx").write_text(ptx, encoding="utf-8")
    arch = f"sm_{chip}a" if chip >= 90 else f"sm_{chip}"
    command = [str(program), "-v", f"--gpu-name={arch}", str(folder / "again.ptx"), "-o", str(folder / "again.cubin")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120).stderr
    used, spilled = re.search(r"Used (\d+) registers", said), re.search(r"(\d+) bytes spill stores", said)
    return (int(used[1]) if used else None), (int(spilled[1]) if spilled else None)
