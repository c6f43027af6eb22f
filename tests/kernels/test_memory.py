"""What a kernel takes beside its operands and its result: at most twice the input, and no second copy of the weights.

The peak of a process only rises, so each op runs in a process of its own: once on few rows, which compiles it, then on many.
"""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts otherwise elsewhere")]
RUN = """
import resource, torch
from posttrain_lab import kernels as k
torch.set_num_threads(1)
m, inputs, outputs = {shape}
w = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0))
{weight}
del w
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
for rows in (8, 80): {call}
x = torch.ones(m, inputs)
before = peak()
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


@pytest.mark.parametrize("op", WEIGHTS)
@pytest.mark.parametrize("shape", [(8192, 2048, 64), (16, 4096, 4096)], ids=["many rows", "many weights"])
def test_scratch_is_at_most_twice_the_input(op, shape):
    m, inputs, outputs = shape
    call = f"k.{op}(torch.ones(rows, inputs), weight)"
    code = RUN.format(shape=shape, weight=WEIGHTS[op], call=call, call_many=f"y = k.{op}(x, weight)")
    taken = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300).stdout)
    operands = 4 * m * (2 * inputs + outputs) / 1e6
    assert taken <= operands + 8, "8 MB: what the allocator and Numba keep"
