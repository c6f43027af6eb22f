"""Each word of the SIMD vocabulary against numpy, through a kernel of one line; and the instruction it is for."""

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit

from posttrain_lab.kernels.cpu import simd, simd_floats

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


# ---- bytes and nibbles
@njit
def quads(signed, unsigned, out, i):
    """Products of nibbles and int8, summed up to int32 as int4_linear does."""
    whole = simd.load_bytes(unsigned, i)
    low = simd.add_products(simd.zero_products(), simd.low_nibbles(whole), simd.broadcast_quad(signed, i))
    high = simd.add_products(simd.zero_products(), simd.high_nibbles(whole), simd.broadcast_quad(signed, i))
    simd.store(out, 0, simd.sum_products(simd.zero(), low))
    simd.store(out, LANES, simd.sum_products(simd.zero(), high))


@pytest.mark.parametrize("start", [0, 1, 5])
def test_nibbles_meet_quads(start):
    unsigned = np.random.default_rng(start).integers(0, 256, 4 * LANES + 8).astype(np.uint8)
    signed = np.array([-128, 127, -1, 3, -77, 127, 127, -128, 9], np.int8)
    out = np.empty(2 * LANES, np.int32)
    quads(signed, unsigned, out, start)
    whole, four = unsigned[start : start + 4 * LANES].astype(np.int32), np.tile(signed[start : start + 4].astype(np.int32), LANES)
    assert np.array_equal(out[:LANES], ((whole & 15) * four).reshape(LANES, 4).sum(1))
    assert np.array_equal(out[LANES:], ((whole >> 4) * four).reshape(LANES, 4).sum(1))


@njit
def step(a, w, out):
    simd.store(out, 0, simd.multiply_add_step(simd.zero(), simd.load_weights(w, 0), simd.broadcast_step(a, 0)))


def test_a_step_of_packed_weights_is_exact_at_the_extremes():
    a = np.full(simd.STEP, -128, np.int8 if simd.STEP == 4 else np.int16)
    raised = np.full(4 * LANES, 127 + simd.OFFSET, np.uint8 if simd.STEP == 4 else np.int8)
    out = np.empty(LANES, np.int32)
    step(a, raised, out)
    assert (out == -128 * (127 + simd.OFFSET) * simd.STEP).all()


def instructions(function) -> str:
    return next(iter(function.inspect_asm().values()))


@pytest.mark.skipif(not simd.has("avx2"), reason="the instructions are those of x86 with AVX2")
def test_bytes_become_one_instruction():
    quads(np.zeros(4, np.int8), np.zeros(4 * LANES, np.uint8), np.empty(2 * LANES, np.int32), 0)
    step(np.zeros(4, np.int8 if simd.STEP == 4 else np.int16), np.zeros(4 * LANES, np.uint8), np.empty(LANES, np.int32))
    assert ("vpdpbusd" if simd.STEP == 4 else "vpmaddubsw") in instructions(quads)
    assert ("vpdpbusd" if simd.STEP == 4 else "vpmaddwd") in instructions(step) or "vpdpwssd" in instructions(step)


# ---- floats
@njit
def float_words(a, b, out):
    total = simd_floats.multiply_add(simd_floats.zero_floats(), a[2], simd_floats.load_floats(b, 1))
    simd_floats.store_floats(out, 0, total)
    total = simd_floats.multiply_vectors(total, simd_floats.load_floats(a, 0), simd_floats.repeat_float(b, 3))
    simd_floats.store_floats(out, 16, total)
    return simd_floats.total_floats(total)


def test_float_words():
    a, b = np.linspace(-2, 2, 40, dtype=np.float32), np.linspace(3, -1, 40, dtype=np.float32) ** 3
    out = np.empty(32, np.float32)
    total = float_words(a, b, out)
    first = a[2] * b[1:17]
    np.testing.assert_allclose(out[:16], first, rtol=1e-6)
    np.testing.assert_allclose(out[16:], first + a[:16] * b[3], rtol=1e-5)
    np.testing.assert_allclose(total, out[16:].sum(), rtol=1e-5)


@njit
def gathered_words(a, b, at, out):
    fetched = simd_floats.gather_scaled(b, at, 1)
    simd_floats.store_scaled(out, 0, fetched)
    total = simd_floats.multiply_vectors(fetched, simd_floats.load_scaled(a, 2), fetched)
    simd_floats.store_scaled(out, LANES, total)
    return simd_floats.total_floats(total)


def test_gathered_words():
    a, b = np.linspace(-2, 2, 40, dtype=np.float32), np.linspace(3, -1, 40, dtype=np.float32) ** 3
    at = np.random.default_rng(0).integers(0, 40, LANES + 1).astype(np.int32)
    out = np.empty(2 * LANES, np.float32)
    total = gathered_words(a, b, at, out)
    assert np.array_equal(out[:LANES], b[at[1:]])
    np.testing.assert_allclose(out[LANES:], b[at[1:]] * (1 + a[2 : LANES + 2]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total, out[LANES:].sum(), rtol=1e-5)


@njit
def turning_word(a, out):
    simd_floats.turn_eight(a, 5, 11, out, 3, 9)


def test_eight_rows_are_turned():
    a, out = np.arange(100, dtype=np.float32), np.zeros(80, np.float32)
    turning_word(a, out)
    want = np.zeros(80, np.float32)
    for r in range(8):
        for c in range(8):
            want[3 + 9 * c + r] = a[5 + 11 * r + c]
    assert np.array_equal(out, want)


@njit
def scaled_words(a, w, scales, out):
    sums = simd.multiply_add_pairs(simd.zero(), simd.broadcast_pair(a, 0), simd.load_widen(w, 0))
    simd_floats.store_scaled(out, 1, simd_floats.add_scaled(simd_floats.zero_scaled(), sums, np.int32(7), scales, 2))


def test_scaled_words():
    scales, out = np.linspace(0.1, 2, LANES + 2, dtype=np.float32), np.zeros(LANES + 2, np.float32)
    w = np.arange(2 * LANES).astype(np.int8)
    scaled_words(np.array([5, -3], np.int16), w, scales, out)
    sums = 5 * w[::2].astype(int) - 3 * w[1::2].astype(int)
    np.testing.assert_allclose(out[1:-1], (sums - 7) * scales[2:], rtol=1e-6)
    assert out[0] == out[-1] == 0


@njit
def fetching_word(a, i):
    simd_floats.fetch_early(a, i)
    return a[0]


@pytest.mark.parametrize("i", [0, 3, -(10**9), 10**12])
def test_fetching_changes_nothing_and_never_faults(i):
    assert fetching_word(np.array([7, 8, 9, 10], np.uint8), i) == 7
    if platform.machine().lower() in ("x86_64", "amd64"):
        assert "prefetcht0" in instructions(fetching_word)
