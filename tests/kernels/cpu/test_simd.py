"""Each word of the SIMD vocabulary against numpy, through a kernel of one line; and the instruction it is for."""

import numpy as np
import pytest
from numba import njit

from posttrain_lab.kernels import processor
from posttrain_lab.kernels.cpu import simd, simd_bytes, simd_floats, simd_pairs, simd_rounding, simd_scaling

pytestmark = pytest.mark.portable

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


@pytest.mark.skipif(not processor.has("avx2"), reason="vpmaddwd is an instruction of x86 with AVX2")
def test_pairs_become_one_instruction():
    accumulate(np.zeros(2 * LANES, np.int16), np.zeros(2 * LANES, np.int8), np.empty(LANES, np.int32))
    assembly = next(iter(accumulate.inspect_asm().values()))
    assert "vpmaddwd" in assembly or "vpdpwssd" in assembly
    assert "vpmulld" not in assembly
    assert ("zmm" in assembly) == (LANES == 16)


@njit
def turned(array, other):
    simd.add_transposed(array, 1, 2 * LANES, other, 3, LANES + 1)


def test_a_square_is_turned():
    """array[1 + r * 2L + c] gets other[3 + c * (L + 1) + r]; what lies between stays."""
    array, other = np.arange(2 * LANES * LANES + 1, dtype=np.int32), np.arange(2 * LANES * LANES, dtype=np.int32) ** 2
    want = array.copy()
    for r in range(LANES):
        for c in range(LANES):
            want[1 + r * 2 * LANES + c] += other[3 + c * (LANES + 1) + r]
    turned(array, other)
    assert np.array_equal(array, want)


# ---- bytes and nibbles
@njit
def quads(signed, unsigned, out, i):
    """Products of nibbles and int8, summed up to int32 as int4_linear does."""
    whole = simd_bytes.load_bytes(unsigned, i)
    low = simd_bytes.add_products(simd_bytes.zero_products(), simd_bytes.low_nibbles(whole), simd_bytes.broadcast_quad(signed, i))
    high = simd_bytes.add_products(
        simd_bytes.zero_products(), simd_bytes.high_nibbles(whole), simd_bytes.broadcast_quad(signed, i)
    )
    simd.store(out, 0, simd_bytes.sum_products(simd.zero(), low))
    simd.store(out, LANES, simd_bytes.sum_products(simd.zero(), high))


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
def step(x, w, out):
    """One step, and how many codes it took."""
    total = simd_bytes.multiply_add_step(simd.zero(), simd_bytes.broadcast_step(x, 0), simd_bytes.load_weights(w, 0, x))
    simd.store(out, 0, total)
    return simd_bytes.step(x)


KINDS = [np.int16] + [np.uint8] * processor.has("avx2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_made_of_the_words_for_its_inputs(kind):
    x, w = (
        np.array([255, 3, 0, 200], np.uint8).astype(kind),
        np.random.default_rng(0).integers(-64, 65, 4 * LANES).astype(np.int8),
    )
    out = np.empty(LANES, np.int32)
    many = step(x, w, out)
    assert many == (2 if kind is np.int16 else 4)
    want = (np.tile(x[:many], LANES).astype(np.int32) * w[: many * LANES]).reshape(LANES, many).sum(1)
    assert np.array_equal(out, want)


@pytest.mark.skipif("np.uint8 not in KINDS", reason="products of bytes are those of x86 with AVX2")
@pytest.mark.parametrize("pair", [(127, 1), (64, 64), (1, 127), (-128, 0), (-64, -64), (-1, -127)])
def test_pairs_that_layout_calls_safe_do_not_saturate(pair):
    """The largest inputs meet weights that add up to SAFE; one more saturates, where the processor has no VNNI."""
    from posttrain_lab.kernels.panel_layout import SAFE

    x, out = np.full(4, 255, np.uint8), np.empty(LANES, np.int32)
    assert abs(sum(pair)) == SAFE
    step(x, np.array(pair * 2 * LANES, np.int8), out)
    assert (out == 2 * 255 * sum(pair)).all()
    step(x, np.array([65, 64] * 2 * LANES, np.int8), out)
    assert (out == 2 * 255 * 129).all() != processor.PAIRS_SATURATE


@njit
def repeated(number, signed, out):
    simd.store(
        out,
        0,
        simd_bytes.sum_products(
            simd.zero(),
            simd_bytes.add_products(simd_bytes.zero_products(), simd_bytes.load_bytes(signed, 0), simd_bytes.repeat_quad(number)),
        ),
    )


def test_a_quad_is_repeated():
    ones, out = np.ones(4 * LANES, np.uint8), np.empty(LANES, np.int32)
    repeated(np.array([1, -2, 30, -128], np.int8).view(np.int32)[0], ones, out)
    assert (out == 1 - 2 + 30 - 128).all()


def instructions(function) -> str:
    return next(iter(function.inspect_asm().values()))


@pytest.mark.skipif(not processor.has("avx2"), reason="the instructions are those of x86 with AVX2")
def test_bytes_become_one_instruction():
    quads(np.zeros(4, np.int8), np.zeros(4 * LANES, np.uint8), np.empty(2 * LANES, np.int32), 0)
    assert ("vpdpbusd" if processor.VNNI else "vpmaddubsw") in instructions(quads)
    fours = njit(step.py_func)
    fours(np.zeros(4, np.uint8), np.zeros(4 * LANES, np.int8), np.empty(LANES, np.int32))
    assert ("vpdpbusd" if processor.VNNI else "vpmaddubsw") in instructions(fours)


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
    simd_floats.transpose_eight(a, 5, 11, out, 3, 9)


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
def scaled_twice(sums, raised, scales, out):
    exact = simd_scaling.subtract_sums(simd_scaling.load_sums(sums, 1), simd_scaling.load_sums(raised, 0))
    vector = simd_scaling.scaled_sums(exact, scales[0], simd_floats.load_scaled(scales, 1), simd_floats.load_scaled(scales, 2))
    simd_floats.store_scaled(out, 0, vector)
    simd_floats.store_scaled(out, LANES, simd_scaling.positive(vector))
    again = simd_scaling.scaled_floats(vector, scales[0], simd_floats.load_scaled(scales, 2))
    simd_floats.store_scaled(out, 2 * LANES, again)
    return simd_rounding.size_of(scales[3]), simd_rounding.size_of(-scales[3])


def test_sums_are_scaled():
    sums, raised = np.arange(-4, LANES - 3).astype(np.int32), np.full(LANES, 2**31 - 1, np.int32)
    sums[2] = -(2**31) + 5  # wraps around: the difference is 6
    scales, out = np.linspace(0.1, -2, LANES + 2, dtype=np.float32), np.empty(3 * LANES, np.float32)
    sizes = scaled_twice(sums, raised, scales, out)
    exact = (sums[1:] - raised).astype(np.float32)
    want = exact * (scales[0] * scales[1 : LANES + 1]) + scales[2:]
    assert np.array_equal(out[:LANES], want)
    assert np.array_equal(out[LANES : 2 * LANES], np.maximum(want, 0))
    assert np.array_equal(out[2 * LANES :], want * scales[0] + scales[2:])
    assert sizes == (abs(scales[3]).view(np.int32),) * 2


@njit
def to_the_edge(array, index, last, out, many):
    simd_scaling.store_up_to(out, 1, simd_scaling.load_up_to(array, index, last), many)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
@pytest.mark.parametrize("many", [0, 1, LANES - 1, LANES, LANES + 3])
@pytest.mark.parametrize(("index", "last"), [(0, LANES - 1), (2, LANES), (3, 5), (5, 2)])
def test_edges_are_kept(kind, many, index, last):
    array, out = np.arange(10, 20 + LANES).astype(kind), np.full(LANES + 2, 7, kind)
    to_the_edge(array, index, last, out, many)
    want = np.full(LANES + 2, 7, kind)
    taken = array[np.minimum(np.arange(index, index + LANES), last)][:many]
    want[1 : 1 + len(taken)] = taken
    assert np.array_equal(out, want)


@njit
def rounding_words(x, codes, factor, rounding):
    sizes = simd_rounding.larger_sizes(simd_rounding.larger_sizes(simd_rounding.no_sizes(), x, 1), x, 17)
    simd_rounding.store_rounded(codes, 2, x, 1, factor, rounding)
    return simd_rounding.float_of(simd_rounding.largest_size(sizes))


@pytest.mark.parametrize("largest", range(1, 33))
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16])
def test_sixteen_floats_are_rounded_and_none_is_overlooked(kind, largest):
    x = np.random.default_rng(largest).uniform(-3, 3, 34).astype(np.float32)
    x[0], x[33], x[largest] = 9, 9, -4
    codes, raised = np.full(19, 7, kind), 0 if kind is not np.uint8 else 128
    assert rounding_words(x, codes, np.float32(31), np.float32((3 << 22) + raised)) == 4
    assert np.array_equal(codes[2:18], (np.rint(x[1:17] * np.float32(31)) + raised).astype(kind))
    assert np.array_equal(codes[[0, 1, 18]], [7, 7, 7])


# ---- sums of two int8 (Winograd's inner product)
@njit
def pair_words(array, out, sums):
    whole = simd_bytes.load_bytes(array, 1)
    even, odd = simd_pairs.even_bytes(whole), simd_pairs.odd_bytes(whole)
    simd_pairs.store_mixed(out, 0, even, odd)
    simd.store(out, 4 * LANES, simd_pairs.add_words(even, odd))
    simd.store(sums, 0, simd.multiply_add_pairs(simd.zero(), simd_pairs.add_words(even, even), simd_pairs.add_words(odd, odd)))


@pytest.mark.parametrize("seed", range(3))
def test_bytes_are_taken_apart_and_added(seed):
    array = np.random.default_rng(seed).integers(-128, 128, 4 * LANES + 1).astype(np.int8)
    array[1:5] = (-128, -128, 127, -128)
    out, sums = np.empty(6 * LANES, np.int16), np.empty(LANES, np.int32)
    pair_words(array, out, sums)
    even, odd = array[1::2].astype(np.int32), array[2::2].astype(np.int32)
    assert np.array_equal(out[: 4 * LANES].reshape(-1, 4), np.stack([even[::2], even[1::2], odd[::2], odd[1::2]], 1))
    assert np.array_equal(out[4 * LANES :], even + odd)
    assert np.array_equal(sums, (4 * even * odd).reshape(-1, 2).sum(1))  # 9 bits times 9 bits, two of them: 17 bits and a sign
    if processor.has("avx2"):
        assert "vpmaddwd" in instructions(pair_words) or "vpdpwssd" in instructions(pair_words)
        assert "vpmulld" not in instructions(pair_words)
