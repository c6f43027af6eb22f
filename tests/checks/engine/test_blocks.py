"""Does a product by blocks depend on the size of its blocks? Python functions, and loops compiled by Numba."""

import numpy as np
import pytest

from posttrain_lab.checks.engine.blocks import complaint, floats_in
from posttrain_lab.kernels.cpu.notebook import add_block, compiled_kernel, on_tensors

ANY = "no block depends on it"
FIXED = "without a largest or smallest size"
LARGE = "calls add_block with blocks larger than `tile`"


def by_rows(a, b, tile):
    return sum(x.int() @ y.int() for x, y in zip(a.split(tile, 1), b.split(tile), strict=True))


def test_blocks_in_torch_pass():
    assert complaint(by_rows, None) is None


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda a, b, tile: by_rows(a, b, 2 + 0 * tile), ANY),
        (lambda a, b, tile: a.int() @ b.int() if tile else None, ANY),
        (lambda a, b, tile: by_rows(a, b, min(tile, 32)), FIXED),
        (lambda a, b, tile: by_rows(a, b, max(tile, 200)), ANY),
    ],
)
def test_other_sizes_than_the_given_one_are_named(function, wanted):
    assert wanted in complaint(function, None)


def test_what_cannot_be_run_counts_as_blocks():
    def fails(a, b, tile):
        raise ValueError("not with these sizes")

    assert complaint(fails, None) is None


@on_tensors
def in_loops(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.zeros((m, n), np.int32)
    for i in range(0, m, tile):
        for j in range(0, n, tile):
            for p in range(0, k, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile, k)))
    return out


@on_tensors
def whole_rows(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.zeros((m, n), np.int32)
    for i in range(0, m, tile):
        add_block(out, a, b, (i, 0, 0), (min(i + tile, m), n, k))
    return out


@on_tensors
def capped(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.zeros((m, n), np.int32)
    tile = min(tile, 32)
    for i in range(0, m, tile):
        for j in range(0, n, tile):
            for p in range(0, k, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile, k)))
    return out


@pytest.mark.parametrize(
    ("function", "wanted"), [(in_loops, None), (whole_rows, LARGE), (capped, "with blocks smaller than `tile`")]
)
def test_compiled_loops_are_run_as_python(function, wanted):
    found = complaint(function, compiled_kernel(function))
    assert found is None if wanted is None else wanted in found


@on_tensors
def in_floats(a, b, tile):
    return (a.astype(np.float32) * np.float32(2.0)).astype(np.int32)


@pytest.mark.slow
def test_floats_in_compiled_code_are_seen():
    import torch

    codes = torch.ones(3, 4, dtype=torch.int8)
    in_floats(codes, codes, 2)
    in_loops(codes, codes.t().contiguous(), 2)
    assert floats_in(compiled_kernel(in_floats))
    assert not floats_in(compiled_kernel(in_loops))
