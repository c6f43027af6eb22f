"""The interpreter of unit 06 sees what goes wrong: reads and writes outside, garbage, an order that matters; and counts bytes.

The kernels run in a process of their own: Triton's interpreter is switched on before Triton is imported.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from posttrain_lab.kernels.gpu import interpreter
from posttrain_lab.kernels.gpu.notebook import compile_ahead

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton runs on Linux only")

KERNELS = """
import torch
import posttrain_lab.kernels.gpu.interpreter as interpreter
{early}
interpreter.start()
import triton
import triton.language as tl

@triton.jit
def copy(x_ptr, out_ptr, n, B: tl.constexpr, READ: tl.constexpr, WRITE: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    x = tl.load(x_ptr + i, mask=i < READ)
    tl.store(out_ptr + i, x + tl.zeros((B,), tl.float32), mask=i < WRITE)

@triton.jit
def race(out_ptr):
    tl.store(out_ptr, tl.program_id(0).to(tl.float32))

@triton.jit
def blank(out_ptr):
    raise NotImplementedError

def copied(read, write, n=10):
    x, out = interpreter.guarded(torch.arange(float(n))), interpreter.output(n)
    interpreter.launch(copy, (triton.cdiv(n, 4),), x, out, n, B=4, READ=read, WRITE=write)
    return out

def said(function):
    try:
        return function()
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"
"""
PROBE = """
before = set(globals())
with interpreter.counting() as traffic:
    print(copied(10, 10).tolist())
print(sorted(set(globals()) - before))
print(traffic)
print(said(lambda: copied(12, 10)))
print(said(lambda: copied(10, 11)))
print(copied(8, 10).tolist()[6:])
out = interpreter.output(1)
interpreter.launch(race, (5,), out)
print(int(out) != 4)
print(said(lambda: interpreter.launch(blank, (1,), out)))
"""
SAID = """[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
['before', 'traffic']
Traffic(programs=3, read=40, written=40, lanes=12, masked=2, launches=1)
OutOfBounds: the kernel read 2 numbers outside of its tensors; mask the load.
OutOfBounds: the kernel wrote 1 numbers outside of its tensors; mask the store.
[6.0, 7.0, inf, inf]
True
NotImplementedError: 
"""


def run_kernels(tmp_path, early: str) -> str:
    path = tmp_path / "kernels.py"
    path.write_text(KERNELS.format(early=early) + PROBE, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is used where there is no GPU")


@needs_no_gpu
@pytest.mark.parametrize("early", ["", "import triton.language"], ids=["", "triton imported too early"])
def test_what_the_interpreter_sees(tmp_path, early):
    assert run_kernels(tmp_path, early) == SAID


LEFT = """
import os, torch
{early}
from posttrain_lab.kernels.gpu import interpreter
with interpreter.left_as_found():
    print(interpreter.start(), os.environ.get("TRITON_INTERPRET"))
    import triton
    import triton.language as tl
    interpreted = type(tl.zeros).__name__

    @triton.jit
    def total(x_ptr, out_ptr):
        tl.store(out_ptr, tl.sum(tl.load(x_ptr + tl.arange(0, 4)) + tl.zeros((4,), tl.float32), 0))

    out = interpreter.output(1)
    interpreter.launch(total, (1,), interpreter.guarded(torch.ones(4)), out)
    print(out.item())
print(os.environ.get("TRITON_INTERPRET"), interpreted, type(tl.zeros).__name__)
from posttrain_lab.kernels.gpu.ptx_report import compile_ahead
print(any("s8" in name for name in compile_ahead("int8_matmul", 80).multiply))
"""


@needs_no_gpu
@pytest.mark.slow
@pytest.mark.parametrize("early", ["", "import triton.language"], ids=["", "triton imported before"])
def test_afterwards_triton_compiles_again(tmp_path, early):
    """Also after a kernel that called Triton's own functions; with an empty cache, or nothing would be compiled."""
    path = tmp_path / "left.py"
    path.write_text(LEFT.format(early=early), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cpu 1\n4.0\nNone InterpretedFunction JITFunction\nTrue\n"


def test_who_interpreted_before_goes_on(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with interpreter.left_as_found():
        pass
    assert interpreter.interpreted()


def test_without_triton_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(interpreter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="open this unit in Colab, or run `pip install triton` on Linux"):
        interpreter.start()


def test_importing_the_checks_imports_no_triton():
    code = "import sys; from posttrain_lab.checks import gpu_kernels; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_a_kernel_that_cannot_be_compiled_says_so(tmp_path):
    path = tmp_path / "broken_kernel.py"
    path.write_text("class Kernel:\n    pass\n\n\ndef broken(x_ptr):\n    raise ValueError\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("broken_kernel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Kernel.fn = staticmethod(module.broken)
    made = compile_ahead(module.Kernel, {"x_ptr": "*i8"}, {}, 80)
    assert (made.ptx, made.registers) == ("", None)
    assert made.error
