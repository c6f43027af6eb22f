"""The result must be what the student's kernel stored, from the arguments' numbers; and Triton's compiler must take the kernel.

The kernels run in a process of their own: Triton's interpreter is switched on before Triton is imported.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton runs on Linux only")
pytestmark = pytest.mark.slow

PROGRAM = """
import json
import torch
import posttrain_lab.kernels.gpu.interpreter as interpreter
interpreter.start()
import triton
import triton.language as tl
from posttrain_lab.checks.engine.submission import LocalSubmission

@triton.jit
def double(x_ptr, out_ptr, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.store(out_ptr + i, x + x, mask=i < n)

@triton.jit
def idle(x_ptr, out_ptr, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    tl.store(out_ptr + i, tl.zeros((B,), tl.float32), mask=i < n)

@triton.jit
def all_in_each(x_ptr, out_ptr, n, B: tl.constexpr):
    i = tl.arange(0, 16)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.store(out_ptr + i, x + x, mask=i < n)

@triton.jit
def again(x_ptr, out_ptr, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.store(out_ptr + i, x, mask=i < n)
    tl.store(out_ptr + i, x + x, mask=i < n)

@triton.jit
def first_does_all(x_ptr, out_ptr, n, B: tl.constexpr):
    if tl.program_id(0) == 0:
        for start in range(0, n, B):
            i = start + tl.arange(0, B)
            x = tl.load(x_ptr + i, mask=i < n, other=0.0)
            tl.store(out_ptr + i, x + x, mask=i < n)

@triton.jit
def refused(x_ptr, out_ptr, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    rows = [x, x]
    total = rows[0]
    for k in range(1, len(rows)):
        total = total + rows[k]
    tl.store(out_ptr + i, total, mask=i < n)

def launch(kernel, x):
    n = x.numel()
    inside, out = interpreter.guarded(x), interpreter.output(n)
    interpreter.launch(kernel, (triton.cdiv(n, 4),), inside, out, n, B=4)
    return out

def beside(x):
    launch(idle, x)
    return torch.from_numpy(x.numpy() * 2)

ANSWERS = {
    "right": lambda x: launch(double, x),
    "numpy beside an idle kernel": beside,
    "two kernels": lambda x: launch(double, launch(double, x)),
    "other numbers": lambda x: launch(double, torch.from_numpy(x.numpy() * 2)),
    "all in each program": lambda x: launch(all_in_each, x),
    "stored twice": lambda x: launch(again, x),
    "the first program does all": lambda x: launch(first_does_all, x),
    "refused by the compiler": lambda x: launch(refused, x),
}
found = {}
for name, answer in ANSWERS.items():
    submission = LocalSubmission(answer, through="engine.launches:launched")
    outcomes = [submission.call(torch.arange(float(n))) for n in (9, 10, 11, 5, 6, 7, 8, 12, 13)]
    found[name] = [outcome.error or "; ".join(outcome.notes) for outcome in outcomes]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    file = tmp_path_factory.mktemp("launches") / "program.py"
    file.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("answer", ["right", "two kernels"])
def test_right_kernels_have_no_notes(notes, answer):
    assert set(notes[answer]) == {""}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("numpy beside an idle kernel", "returns other numbers than its kernel stored"),
        ("other numbers", "gives its kernel other numbers than its arguments"),
        ("all in each program", "stores in one place from several programs"),
        ("stored twice", "stores a number more than once"),
        ("the first program does all", "has programs that store nothing"),
    ],
)
def test_each_call_is_noted(notes, answer, sentence):
    assert all(sentence in note for note in notes[answer])


def test_a_kernel_that_the_compiler_refuses_is_named_from_the_eighth_call_on(notes):
    *before, eighth, ninth = notes["refused by the compiler"]
    assert set(before) == {""}
    assert "Triton's compiler does not" in eighth
    assert eighth == ninth
    assert "/" not in eighth.partition("does not")[2].partition(":")[0]
