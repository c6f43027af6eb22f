"""Kernels written in a notebook: tensors go in and come out, wrong code is a sentence, and the roof's two numbers are sane."""

import numpy as np
import pytest
import torch
from numba import njit

from posttrain_lab.kernels import int8_matmul
from posttrain_lab.kernels.cpu import roofline_probe
from posttrain_lab.kernels.cpu.notebook import ROWS, SMALL, add_block, in_tiles, on_tensors
from posttrain_lab.kernels.cpu.simd import broadcast_pair, load_widen, multiply_add_pairs
from posttrain_lab.kernels.panel_layout import PANEL


@on_tensors
def row_sums(x, factor):
    out = np.zeros(x.shape[0], np.int32)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            out[row] += factor * x[row, column]
    return out


@on_tensors
def outside(x):
    return x[len(x) + 3] + 0 * x[0]


@in_tiles
def right(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p)
    a = multiply_add_pairs(a, broadcast_pair(x, r), pairs)
    b = multiply_add_pairs(b, broadcast_pair(x, r + row), pairs)
    c = multiply_add_pairs(c, broadcast_pair(x, r + 2 * row), pairs)
    return a, b, c, multiply_add_pairs(d, broadcast_pair(x, r + 3 * row), pairs)


@in_tiles
def wrong(a, b, c, d, x, r, row, w, p):
    return a + 1, b, c, d


@in_tiles
def empty(a, b, c, d, x, r, row, w, p):
    """Nothing yet."""
    raise NotImplementedError


@on_tensors
def empty_loops(x):
    """Nothing yet."""
    raise NotImplementedError


def panels_of(w):
    n, k = w.shape
    padded = torch.nn.functional.pad(w, (0, k % 2, 0, -n % PANEL))
    return padded.reshape(len(padded) // PANEL, PANEL, padded.shape[1] // 2, 2).transpose(1, 2)


def codes(*shape):
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(sum(shape))).to(torch.int8)


def test_tensors_meet_loops():
    assert row_sums(torch.arange(6).reshape(2, 3).T, 2).tolist() == [6, 10, 14]
    with pytest.raises(IndexError):
        outside(torch.zeros(4))


@pytest.mark.parametrize("size", [(1, 1, 1), (4, 2, 16), (5, 7, 17), (0, 3, 4), (ROWS, 9, 48), (70, SMALL // 16, 16)])
def test_a_step_becomes_a_product(size):
    m, k, n = size
    x, w = codes(m, k), codes(n, k)
    assert torch.equal(right(x, panels_of(w), n), int8_matmul(x, w.T))


def test_an_empty_cell_raises_plainly():
    for call in (lambda: empty(codes(4, 2), panels_of(codes(16, 2)), 16), lambda: empty_loops(torch.zeros(2))):
        with pytest.raises(NotImplementedError) as caught:
            call()
        assert caught.value.args == ()


def test_what_numba_cannot_compile_is_a_sentence():
    with pytest.raises(
        TypeError, match=r"^Numba cannot compile line \d+ of your cell \(return a \+ 1, b, c, d\): there is no add\("
    ) as caught:
        wrong(codes(4, 2), panels_of(codes(16, 2)), 16)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda a, b, c, d, x, r, row, w, p: None, "nothing is returned where several values are wanted"),
        (lambda a, b, c, d, x, r, row, w, p: (a, b, c), "4 values are wanted, not 3"),
    ],
)
def test_a_step_that_returns_something_else_is_told_what_is_wanted(result, words):
    with pytest.raises(TypeError, match=f"^Numba cannot compile this: {words}$"):
        in_tiles(result)(codes(4, 2), panels_of(codes(16, 2)), 16)


def test_add_block_stays_inside():
    @njit
    def block(a, b, first, end):
        out = np.zeros((a.shape[0], b.shape[1]), np.int32)
        add_block(out, a, b, first, end)
        return out

    a, b = codes(3, 4).numpy(), codes(4, 5).numpy()
    expected = np.zeros((3, 5), np.int32)
    expected[1:, 2:4] = a[1:, 1:3].astype(np.int32) @ b[1:3, 2:4]
    assert np.array_equal(block(a, b, (1, 2, 1), (3, 4, 3)), expected)
    for end in ((4, 5, 4), (3, 6, 4), (3, 5, 5)):
        with pytest.raises(IndexError, match="outside"):
            block(a, b, (0, 0, 0), end)


def test_the_roof_is_measured():
    """Only what holds on every machine: fours of bytes are not slower than pairs by more than a factor of three."""
    pairs, best, bandwidth = roofline_probe.int8_peak(pairs=True), roofline_probe.int8_peak(), roofline_probe.read_bandwidth()
    assert pairs > 1e9
    assert best > pairs / 3
    assert bandwidth > 1e8
