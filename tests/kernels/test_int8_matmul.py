"""kernels.int8_matmul against int64 arithmetic: shapes, strides, extremes, threads, contract and bad input."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding
from torch._subclasses.fake_tensor import FakeTensorMode

from posttrain_lab import kernels
from posttrain_lab.kernels import reference
from posttrain_lab.kernels.cpu import int8, int8_microkernel, threads
from posttrain_lab.kernels.cpu.int8_microkernel import BLOCK, COLUMNS
from posttrain_lab.kernels.cpu.simd import LANES
from posttrain_lab.kernels.panel_layout import from_panels, to_panels
from posttrain_lab.kernels.processor import SHIFT, VNNI

OPERATOR = torch.ops.posttrain_lab.int8_matmul.default
C = int8_microkernel.COLUMNS
SIZES = {
    "m": [1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 67],  # around PACK_FROM, the tile of 4 rows, the block of 64
    "k": [1, 2, C - 1, C, C + 1, 2 * C + 1],  # odd, and around the values of a vector
    "n": [1, 3, 4, 5, C - 1, C, C + 1, 2 * C - 1, 2 * C + 9],  # around the 4 and C columns of a tile
}


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int8)


def exact(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return a.numpy().astype(np.int64) @ b.numpy().astype(np.int64)


@pytest.mark.parametrize("m", SIZES["m"])
def test_equals_int64_for_every_shape(m):
    for k, n in itertools.product(SIZES["k"], SIZES["n"]):
        a, b = codes(m, k, seed=k), codes(n, k, seed=n).T
        got = kernels.int8_matmul(a, b)
        assert got.dtype == torch.int32, (m, k, n)
        assert got.is_contiguous(), (m, k, n)
        assert np.array_equal(got.numpy(), exact(a, b)), (m, k, n)


@pytest.mark.parametrize("m", [int8.PACK_FROM, BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1, 2 * COLUMNS + 1, 200])
def test_every_edge_of_what_is_packed(m, n, poison):
    """Whole vectors of k and what is left of one, columns of half a tile, the last rows of a block."""
    for k in (*range(1, 10), *range(4 * LANES - 2, 4 * LANES + 3), 12 * LANES + 7):
        a, b = codes(m, k, seed=k), codes(n, k, seed=n).T
        poison()
        assert np.array_equal(kernels.int8_matmul(a, b).numpy(), exact(a, b)), k


@pytest.fixture
def poison():
    """What numpy gives out next as empty has held other numbers before."""

    def fill() -> None:
        for size in (1 << 10, 1 << 14, 1 << 17):
            for _ in range(4):
                np.full(size, 0x5A, np.int8)

    return fill


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(0, 70), st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_equals_the_reference(m, k, n, seed):
    a, b = codes(m, k, seed=seed), codes(k, n, seed=seed + 1)
    assert torch.equal(kernels.int8_matmul(a, b), reference.int8_matmul(a, b))


@pytest.mark.parametrize("m", [1, 20])
@pytest.mark.parametrize(("left", "right"), [(-128, -128), (-128, 127), (127, -128), (127, 127)])
def test_extremes_are_exact(m, left, right):
    k = kernels.LARGEST_K
    a, b = torch.full((m, k), left, dtype=torch.int8), torch.full((k, 17), right, dtype=torch.int8)
    assert (kernels.int8_matmul(a, b) == left * right * k).all()


@pytest.mark.parametrize("m", [3, 30])
def test_strides_do_not_matter(m):
    a, b = codes(m, 20), codes(20, 24, seed=1)
    want = exact(a, b)
    wide = codes(2 * m, 61, seed=2)
    wide[::2, 1::3] = a
    views = {
        "transposed": a.T.contiguous().T,
        "strided": wide[::2, 1::3],
        "odd offset": torch.cat([a.flatten()[:1], a.flatten()]),
    }
    views["odd offset"] = views["odd offset"][1:].view(m, 20)
    for name, view in views.items():
        assert np.array_equal(kernels.int8_matmul(view, b).numpy(), want), name
    offset = torch.cat([b.T.flatten()[:1], b.T.flatten()])[1:].view(24, 20).T
    for other in (b, b.T.contiguous().T, offset, torch.cat([b, b], 1)[:, :24]):
        assert np.array_equal(kernels.int8_matmul(a, other).numpy(), want), other.stride()
    row = torch.full((1, 1), 3, dtype=torch.int8).expand(m, 20)
    assert np.array_equal(kernels.int8_matmul(row, b).numpy(), exact(row, b))


@pytest.mark.parametrize("shape", [(0, 5, 4), (4, 0, 5), (4, 5, 0), (0, 0, 0)])
def test_nothing_times_nothing(shape):
    m, k, n = shape
    got = kernels.int8_matmul(codes(m, k), codes(k, n))
    assert got.dtype == torch.int32
    assert torch.equal(got, torch.zeros(m, n, dtype=torch.int32))


@pytest.mark.parametrize(("m", "n"), [(3, 40), (20, 200), (200, 20)])
def test_parts_in_threads_give_the_same(m, n, monkeypatch):
    """Cut into as many parts as possible, on each of the three ways to cut."""
    ran = []
    run = int8.run
    monkeypatch.setattr(threads, "MACS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(int8, "run", lambda kernel, operands, parts: (ran.append(parts), run(kernel, operands, parts)))
    a, b = codes(m, 37), codes(37, n, seed=1)
    assert np.array_equal(kernels.int8_matmul(a, b).numpy(), exact(a, b))
    assert len(ran[-1]) == 3


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 500), st.sampled_from([1, 4]), st.integers(1, 10**9))
def test_cuts_cover_everything_once(size, least, macs):
    size = max(size, least)
    pieces = threads.cut(size, least, macs)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == size
    assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))
    assert all(end - first >= least for first, end in pieces)


GUARDED = """
import ctypes, mmap, os
import numpy as np
from posttrain_lab.kernels.cpu import int8_microkernel, winograd
libc, page, kept = ctypes.CDLL(None), mmap.PAGESIZE, []
def guarded(array, at_end):
    inside = -(-array.nbytes // page) * page
    kept.append(mmap.mmap(-1, inside + 2 * page))
    base = ctypes.addressof(ctypes.c_char.from_buffer(kept[-1]))
    for place in (base, base + page + inside):
        assert libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(page), 0) == 0
    there = np.frombuffer(kept[-1], array.dtype, array.size, page + (inside - array.nbytes if at_end else 0))
    there[:] = array.ravel()
    return there.reshape(array.shape)
rng = np.random.default_rng(0)
for m, k, n in [(8, 1, 1), (9, 33, 17), (65, 70, 40), (64, 515, 129), (66, 4100, 50), (1, 31, 15), (5, 64, 16)]:
    a, w = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (n, k)))
    for at_end in (False, True):
        out = guarded(np.full(m * n, 7, np.int32), at_end)
        winograd.multiply_split(guarded(a.ravel(), at_end), guarded(w.ravel(), at_end), out, (k, n), (0, m, 0, int8_microkernel.tiles_of(n)))
        assert np.array_equal(out.reshape(m, n), a.astype(np.int64) @ w.T.astype(np.int64)), (m, k, n)
print("whole", flush=True)
os._exit(0)  # nobody touches that memory again
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="guard pages by mprotect, poison by glibc")
def test_no_read_and_no_write_beyond_the_operands_and_scratch_may_be_poisoned():
    """Operands and result touch pages where a byte read or written ends the process; all memory comes full of one odd byte."""
    assert python(GUARDED, MALLOC_PERTURB_="90") == "whole"


@pytest.mark.parametrize("m", [12, 65, 130])
@pytest.mark.parametrize("n", [128, 129, 257])
def test_groups_of_columns_and_blocks_of_rows(m, n):
    """The larger K, the fewer columns are in a group."""
    for k in (31, 517, 4000):
        a, b = codes(m, k, seed=n), codes(n, k, seed=m).T
        assert np.array_equal(kernels.int8_matmul(a, b).numpy(), exact(a, b)), k


@pytest.mark.skipif(not SHIFT, reason="bytes are multiplied on x86 with AVX2")
@pytest.mark.parametrize(("m", "k", "n"), [(12, 1, 1), (13, 33, 17), (65, 70, 40)])
def test_the_way_by_bytes_is_exact_where_pairs_do_not_saturate(m, k, n):
    """What processors with VNNI run, here with weights that any processor with AVX2 adds up."""
    a, w = codes(m, k), codes(n, k, seed=1) // 2
    assert np.array_equal(int8._by_bytes(a, w, (m, k, n)).numpy(), exact(a, w.T))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (16, 4), (17, 9), (40, 33), (16, 64), (35, 67), (50, 261)])
def test_packing_here_is_packing_there(n, k):
    w, there = codes(n, k), to_panels(codes(n, k), int8.STEP)
    panels, compensation = int8._panels(w)
    here = panels.reshape(there.shape)
    assert torch.equal(from_panels(torch.from_numpy(here), n, k), w)
    assert here.dtype == there.numpy().dtype
    assert np.array_equal(compensation, SHIFT * w.numpy().sum(1, dtype=np.int32))


def test_which_kernel_ran(monkeypatch):
    kernel = []
    run = int8.run
    monkeypatch.setattr(int8, "run", lambda *args: (kernel.append(args[0]), run(*args)))
    for m in (int8.PACK_FROM - 1, int8.PACK_FROM):
        kernels.int8_matmul(codes(m, 8), codes(8, 8))
    assert kernel == [int8.multiply_rows, *([int8.pack, int8.multiply_tiles] if VNNI else [int8.multiply_split])]


@pytest.mark.slow
def test_the_operator_keeps_its_contract():
    for operands in [(codes(13, 6), codes(6, 9)), (codes(2, 5), codes(7, 5).T), (codes(0, 3), codes(3, 2))]:
        torch.library.opcheck(OPERATOR, operands)


def test_fake_and_meta_tensors_have_shapes_only():
    with FakeTensorMode():
        fake = kernels.int8_matmul(torch.empty(3, 5, dtype=torch.int8), torch.empty(5, 2, dtype=torch.int8))
    meta = kernels.int8_matmul(*(torch.empty(s, dtype=torch.int8, device="meta") for s in [(3, 5), (5, 2)]))
    assert (fake.shape, fake.dtype) == (meta.shape, meta.dtype) == (torch.Size([3, 2]), torch.int32)


def test_a_device_without_kernels_is_named():
    with FakeTensorMode():
        a = torch.empty(2, 2, dtype=torch.int8, device="mps")
        with pytest.raises(NotImplementedError, match=r"got mps:0; there is no kernel for mps yet, .*\.cpu\(\)"):
            kernels.int8_matmul(a, a)
        with pytest.raises(ValueError, match="wants one device, got mps:0 and cpu"):
            kernels.int8_matmul(a, torch.empty(2, 2, dtype=torch.int8))


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (torch.ones(2, 2), torch.ones(2, 2, dtype=torch.int8), TypeError, "got torch.float32 and torch.int8; quantize first"),
        (torch.ones(2, 2, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.int8), TypeError, "got torch.uint8"),
        ([[1]], torch.ones(1, 1, dtype=torch.int8), TypeError, "wants two tensors, got list and Tensor"),
        (codes(2, 3), codes(2, 3), ValueError, r"got \(2, 3\) and \(2, 3\); .*transpose"),
        (codes(3), codes(3, 2), ValueError, r"wants shapes \(M, K\) and \(K, N\), got \(3,\)"),
        (codes(2, 2, 2), codes(2, 2), ValueError, "flatten leading axes"),
        (codes(1, 131_072), codes(131_072, 1), ValueError, "wants K up to 131071"),
    ],
)
def test_bad_input(a, b, error, message):
    with pytest.raises(error, match=message):
        kernels.int8_matmul(a, b)


FEATURES = ("avx2", "avx512bw", "avx512vnni", "avxvnni")
WIDTH = """
import sys
import torch
from llvmlite import binding
features = binding.get_host_cpu_features()
class Pretending(type(features)):
    def get(self, name, default=None):
        return name in sys.argv[1].split(",") if name.startswith("avx") else super().get(name, default)
binding.get_host_cpu_features = lambda: Pretending(features)
from posttrain_lab import kernels
from posttrain_lab.kernels import reference
from posttrain_lab.kernels import processor
from posttrain_lab.kernels.cpu import simd
from tests.kernels.cases import SIZES, codes, floats, linear_ops
for m, k, n in SIZES:
    a, b = codes(m, k), codes(k, n, seed=1)
    assert torch.equal(kernels.int8_matmul(a, b), reference.int8_matmul(a, b)), (m, k, n)
    for name, weight in linear_ops(n, k).items():
        wanted = getattr(reference, name, reference.dense_linear)
        rest = {"int8_linear": ("none",), "int4_linear": ("none", "int8")}.get(name, ())
        want = wanted(floats(m, k), weight if rest else weight.dense(), None, *rest)
        torch.testing.assert_close(getattr(kernels, name)(floats(m, k), weight), want, rtol=1e-5, atol=1e-4)
image, weight = codes(2, 7, 6, 5), kernels.Int8ConvWeight.from_codes(codes(37, 5, 3, 3), torch.ones(37))
assert torch.equal(kernels.int8_conv2d(image, weight, 2, 1, 9), reference.int8_conv2d(image, weight, 2, 1, 9, None, None, "none"))
print(simd.LANES, processor.STEP, processor.PAIRS_SATURATE)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "found"),
    [
        ("", "8 2 False"),
        ("avx2", "8 4 True"),
        ("avx512bw", "16 2 False"),  # wide vectors of portable code: LLVM halves them where registers are narrow
        ("avx2,avx512bw", "16 4 True"),
        ("avx2,avx512bw,avx512vnni", "16 4 False"),
        ("avx2,avxvnni", "8 4 False"),
    ],
    ids=["no avx2", "avx2", "wide", "avx512", "avx512 vnni", "avx vnni"],
)
def test_every_kind_of_processor_is_exact(features, found, pytestconfig, monkeypatch):
    """The kernels that other processors get, run on this one where it has the instructions, whichever numba was told to compile for.

    Each kind has a folder of its own for its kernels in pytest's cache, since numba takes all kinds for the same processor.
    """
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.delenv(name, raising=False)
    needed = [name for name in FEATURES if name in features.split(",") and features != "avx512bw"]
    if not all(binding.get_host_cpu_features().get(name) for name in needed):
        pytest.skip(f"this processor lacks {' and '.join(needed)}")
    kept = pytestconfig.cache.mkdir(f"kernels {features.replace(',', ' ')}".strip())
    assert python(WIDTH, features, NUMBA_CACHE_DIR=str(kept)) == found


def python(code: str, *arguments: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.slow
def test_numba_is_loaded_by_the_first_product_and_the_compiler_never():
    code = """
import sys, torch
from posttrain_lab import kernels
before = [name in sys.modules for name in ("numba", "triton")]
a = torch.ones(20, 20, dtype=torch.int8)
kernels.int8_matmul(a, a)
print(before, "numba" in sys.modules, "torch._dynamo" in sys.modules)
"""
    assert python(code) == "[False, False] True False"


@pytest.mark.slow
def test_without_numba_the_message_names_the_remedy():
    code = """
import sys, torch
sys.modules["numba"] = None
from posttrain_lab import kernels
try:
    kernels.int8_matmul(torch.ones(2, 2, dtype=torch.int8), torch.ones(2, 2, dtype=torch.int8))
except ModuleNotFoundError as error:
    print(error)
"""
    assert python(code) == "int8_matmul on the cpu wants numba, which is not installed; pip install numba."
