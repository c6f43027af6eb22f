"""Kernels with every operand and result between two pages where a single byte read or written ends the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = '''
import ctypes, dataclasses, mmap, os, sys
import numpy as np, torch
from posttrain_lab import kernels
from posttrain_lab.kernels import reference
from posttrain_lab.kernels.cpu import conv, int4, linear, threads
from tests.kernels.cases import codes, floats, linear_ops

libc, page, kept, turn = ctypes.CDLL(None), mmap.PAGESIZE, [], [0]

def guarded(array):
    """The same numbers; by turns they end at the page behind and begin at the page before."""
    inside = -(-array.nbytes // page) * page
    kept.append(mmap.mmap(-1, inside + 2 * page))
    base = ctypes.addressof(ctypes.c_char.from_buffer(kept[-1]))
    for place in (base, base + page + inside):
        assert libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(page), 0) == 0
    turn[0] += 1
    there = np.frombuffer(kept[-1], array.dtype, array.size, page + (inside - array.nbytes if turn[0] % 3 else 0))
    there[:] = array.ravel()
    return there.reshape(array.shape)

def tensor(part):
    return torch.from_numpy(guarded(part.numpy()))

def weight(packed):
    held = {f.name: getattr(packed, f.name) for f in dataclasses.fields(packed)}
    return dataclasses.replace(packed, **{name: tensor(part) for name, part in held.items() if isinstance(part, torch.Tensor)})

def results(shape, dtype):
    array = guarded(np.full(shape, 7, dtype))
    return torch.from_numpy(array), array.reshape(-1)

linear.results = conv.results = int4.results = results
torch.set_num_threads(2)
for cut in (25_000_000, 1):  # one part, and one for each thread
    threads.MACS_A_THREAD = cut
    for m, k, n in [(1, 8, 1), (1, 64, 33), (2, 72, 17), (3, 24, 48), (4, 16, 5), (15, 64, 16), (65, 136, 40), (70, 8, 65)]:
        x = floats(m, k)
        for name, packed in linear_ops(n, k).items():
            rest = {"int8_linear": ("relu",), "int4_linear": ("relu", "int8")}.get(name, ())
            want = getattr(reference, name, reference.dense_linear)(x, packed if rest else packed.dense(), floats(n), *rest)
            got = getattr(kernels, name)(tensor(x), weight(packed), tensor(floats(n)), *rest)
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4, msg=f"{name} {(m, k, n)}")
    for n, h, w, depth, out, side, stride, padding, groups in [
        (1, 3, 3, 1, 1, 3, 1, 0, 1), (2, 7, 6, 5, 37, 3, 2, 1, 1), (1, 9, 70, 3, 8, 2, 1, 2, 1),
        (3, 5, 4, 6, 9, 3, 1, 1, 3), (40, 2, 2, 4, 16, 1, 1, 0, 1),
    ]:
        x, packed = codes(n, h, w, depth), kernels.Int8ConvWeight.from_codes(codes(out, depth // groups, side, side), torch.ones(out), groups)
        for scale in (None, torch.linspace(0.1, 1, n)):
            want = reference.int8_conv2d(x, packed, stride, padding, 9, scale, None, "none")
            got = kernels.int8_conv2d(tensor(x), weight(packed), stride, padding, 9, scale if scale is None else tensor(scale))
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4, msg=f"conv {(n, h, w, depth, out)}")
print("whole", flush=True)
os._exit(0)  # nobody touches that memory again
'''


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="guard pages by mprotect, poison by glibc")
def test_no_kernel_reads_or_writes_beyond_its_operands():
    """Memory for what is in between comes full of an odd byte (MALLOC_PERTURB_)."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", GUARDED],
        capture_output=True,
        text=True,
        env={**os.environ, "MALLOC_PERTURB_": "90"},
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr[-2000:]
