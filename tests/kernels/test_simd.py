"""Each word of the SIMD vocabulary against numpy, through a kernel of one line; and the instruction it is for."""

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit

from posttrain_lab.kernels.cpu import simd

LANES = simd.LANES
BYTES = np.array([-128, 127, *range(-40, 40)], np.int8)
WORDS = np.array([-128, 127, 127, -128, *range(-40, 40)], np.int16)


@njit
def words(a, b, out, i):
    simd.store(out, 0, simd.multiply_add_pairs(simd.zero(), simd.load(a, i), simd.load_widen(b, i)))
    simd.store(out, LANES, simd.multiply_add_pairs(simd.zero(), simd.broadcast_pair(a, i), simd.load_widen(b, i)))
    return simd.total(simd.multiply_add_pairs(simd.zero(), simd.load(a, i), simd.load_widen(b, i)))


@pytest.mark.parametrize("start", [0, 1, 3, 20])
def test_words_mean_what_the_table_says(start):
    out = np.empty(2 * LANES, np.int32)
    total = words(WORDS, BYTES, out, start)
    a, b = WORDS[start : start + 2 * LANES].astype(np.int32), BYTES[start : start + 2 * LANES].astype(np.int32)
    assert np.array_equal(out[:LANES], (a * b).reshape(LANES, 2).sum(1))
    assert np.array_equal(out[LANES:], (np.tile(a[:2], LANES) * b).reshape(LANES, 2).sum(1))
    assert total == (a * b).sum()


@njit
def accumulate(a, b, out):
    total = simd.zero()
    for _ in range(3):
        total = simd.multiply_add_pairs(total, simd.load(a, 0), simd.load_widen(b, 0))
    simd.store(out, 0, total)


def test_sums_are_kept_and_no_pair_saturates():
    """16-bit pairs of (-128) * (-128) would saturate; u8 x s8 instructions do."""
    out = np.empty(LANES, np.int32)
    accumulate(np.full(2 * LANES, -128, np.int16), np.full(2 * LANES, -128, np.int8), out)
    assert (out == 3 * 2 * 16384).all()


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or not llvm.get_host_cpu_features().get("avx2"),
    reason="vpmaddwd is an instruction of x86 with AVX2",
)
def test_pairs_become_one_instruction():
    accumulate(np.zeros(2 * LANES, np.int16), np.zeros(2 * LANES, np.int8), np.empty(LANES, np.int32))
    assembly = next(iter(accumulate.inspect_asm().values()))
    assert "vpmaddwd" in assembly or "vpdpwssd" in assembly
    assert "vpmulld" not in assembly
    assert ("zmm" in assembly) == (LANES == 16)
