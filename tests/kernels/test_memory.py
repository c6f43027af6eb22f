"""What a kernel takes beside its operands and its result: at most twice the input, and no second copy of the weights.

Each op runs in a process of its own: on few rows, which compiles it, then on all, between two looks at the peak of its resident memory,
which Linux lets a process set back.
"""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")]
RUN = """
import ctypes, gc, torch
from posttrain_lab import kernels as k
torch.set_num_threads(1)
m, inputs, outputs = {shape}
w = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0))
{weight}
del w
def peak(): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
for rows in (8, 80): {call}
x = torch.ones(m, inputs)
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # what making the weight left in the allocator would hide what the call takes
open("/proc/self/clear_refs", "w").write("5")
before = peak()
{extra}
{call_many}
print((peak() - before) / 1e6)
"""
WEIGHTS = {
    "int8_linear": "weight = k.Int8Weight.from_float(w)",
    "int4_linear": "weight = k.Int4Weight.from_float(w)",
    "sparse_linear": "weight = k.SparseWeight.from_float(w * (w > 1.28))",
    "block_sparse_linear": "weight = k.BlockSparseWeight.from_float(w * (torch.arange(outputs) % 80 < 16)[:, None])",
    "nm_linear": "weight = k.NMWeight.from_float(w * torch.tensor([1.0, 0, 0, 1]).repeat(inputs // 4))",
}


def megabytes(**parts):
    """What RUN finds with these parts."""
    done = subprocess.run([sys.executable, "-c", RUN.format(**parts)], capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def taken(op, shape, extra=""):
    """Megabytes above what was there, and what input and result take."""
    m, inputs, outputs = shape
    calls = {"call": f"k.{op}(torch.ones(rows, inputs), weight)", "call_many": f"y = k.{op}(x, weight)"}
    return megabytes(shape=shape, weight=WEIGHTS[op], extra=extra, **calls), 4 * m * (2 * inputs + outputs) / 1e6


@pytest.mark.parametrize("op", WEIGHTS)
@pytest.mark.parametrize("shape", [(8192, 2048, 64), (16, 4096, 4096)], ids=["many rows", "many weights"])
def test_scratch_is_at_most_twice_the_input(op, shape):
    found, allowed = taken(op, shape)
    assert found <= allowed + 8, "8 MB: what the allocator and Numba keep"


def test_a_copy_of_the_weights_is_seen():
    found, allowed = taken("int8_linear", (16, 4096, 4096), extra="copy = weight.codes.clone()")
    assert found > allowed + 8


@pytest.mark.parametrize("windows", [False, True], ids=["ours", "with a copy of all windows"])
def test_a_convolution_holds_no_more_than_twice_its_images(windows):
    side, images, channels, outputs = 16, 512, 32, 16
    few = "k.int8_conv2d(torch.ones(rows, 9, 9, inputs, dtype=torch.int8), weight, padding=1)"
    many = f"image = torch.ones(m, {side}, {side}, inputs, dtype=torch.int8)\ny = k.int8_conv2d(image, weight, padding=1)"
    weight = "weight = k.Int8ConvWeight.from_float(w.repeat(1, 9).reshape(outputs, inputs, 3, 3))"
    extra = f"copy = torch.ones(9 * m * inputs * {side} * {side}, dtype=torch.int8)" if windows else ""
    found = megabytes(shape=(images, channels, outputs), weight=weight, extra=extra, call=few, call_many=many)
    allowed = images * side * side * (3 * channels + 4 * outputs) / 1e6  # the images, twice as much, and the result
    assert (found <= allowed + 8) != windows
