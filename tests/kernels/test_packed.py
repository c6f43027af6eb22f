"""Packed weights: what went in comes out, bytes are counted, broken ones are refused."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.kernels import (
    BlockSparseWeight,
    Int4Weight,
    Int8ConvWeight,
    Int8Weight,
    NMWeight,
    SparseWeight,
    panel_layout,
    processor,
)
from posttrain_lab.quantization import PerChannel, PerGroup, dequantize_weight, quantize_weight
from tests.kernels.cases import codes, floats, pruned, two_of_four

pytestmark = pytest.mark.portable


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**31 - 1))
def test_round_trips(n, k, seed):
    want = codes(n, k, seed=seed)
    assert torch.equal(Int8Weight.from_codes(want, torch.ones(n)).rows(), want)
    four = codes(n, 8 * k, seed=seed).remainder(16) - 8
    assert torch.equal(Int4Weight.from_codes(four, torch.ones(n)).rows(), four)
    filters = codes(2 * n, 3, 2, 3, seed=seed)
    assert torch.equal(Int8ConvWeight.from_codes(filters, torch.ones(2 * n), groups=2).filters(), filters)
    sparse = pruned(n, k, seed=seed)
    assert torch.equal(SparseWeight.from_float(sparse).dense(), sparse)
    for block in (4, 8, 16, 32):
        assert torch.equal(BlockSparseWeight.from_float(sparse, block).dense(), sparse)
    pairs = two_of_four(n, 4 * k, seed)
    assert torch.equal(NMWeight.from_float(pairs).dense(), pairs)


EXTREMES = [(-128, -128), (127, 127), (-128, 127), (64, 64), (65, 64), (-65, -64), (-64, -64), (0, 0)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 60), st.sampled_from(EXTREMES), st.integers(0, 2**31 - 1))
def test_what_panels_leave_out_makes_their_pairs_safe(n, k, pair, seed):
    """Whole again with the corrections, and without it, no two neighbours add up to more than SAFE, where bytes saturate."""
    want = codes(n, k, seed=seed)
    want[-1] = torch.tensor(pair, dtype=torch.int8).repeat(k)[:k]
    safe, corrections = panel_layout.split(want)
    assert torch.equal(panel_layout.join(safe, corrections), want)
    assert torch.equal(corrections[n + 1 : 2 * n + 1], processor.SHIFT * want.sum(1, dtype=torch.int32))
    if processor.PAIRS_SATURATE:
        pairs = torch.nn.functional.pad(safe, (0, k % 2)).int().unflatten(1, (-1, 2))
        assert pairs.clamp(min=0).sum(2).max() <= panel_layout.SAFE
        assert pairs.clamp(max=0).sum(2).min() >= -panel_layout.SAFE
        assert (
            len(corrections) - 2 * n - 1
            == (torch.nn.functional.pad(want, (0, k % 2)).int().unflatten(1, (-1, 2)).sum(2).abs() > 128).sum()
        )
    else:
        assert torch.equal(safe, want)


def test_from_float_agrees_with_the_quantization_module():
    weight = floats(20, 48)
    assert torch.equal(Int8Weight.from_float(weight).rows(), quantize_weight(weight, 8, PerChannel())[0])
    scheme = PerGroup(16)
    by_module = quantize_weight(weight, 4, scheme)
    packed = Int4Weight.from_codes(*by_module)
    assert torch.equal(packed.dense(), dequantize_weight(*by_module, scheme))
    assert torch.equal(Int4Weight.from_float(weight, 16).codes, packed.codes)


def test_bytes():
    weight = floats(64, 64)
    packed = Int8Weight.from_float(weight)
    assert packed.bytes == 64 * 64 + 4 * 64 + 4 * len(packed.corrections)
    assert len(packed.corrections) <= 64 + 1 + 64 + 0.05 * 64 * 64  # bells have few pairs that two of the largest weights make
    assert Int4Weight.from_float(weight, 32).bytes == 64 * 64 // 2 + 4 * 64 * 2
    assert NMWeight.from_float(two_of_four(64, 64)).bytes <= 0.6 * 4 * 64 * 64
    sparse = SparseWeight.from_float(pruned(64, 64))
    assert sparse.bytes == 8 * int((pruned(64, 64) != 0).sum()) + 4 * 65


def every_kind() -> list:
    return [
        Int8Weight.from_float(floats(5, 8)),
        Int4Weight.from_float(floats(5, 8), 8),
        Int8ConvWeight.from_float(floats(4, 3, 3, 3)),
        SparseWeight.from_float(pruned(5, 8)),
        BlockSparseWeight.from_float(pruned(5, 8), 4),
        NMWeight.from_float(two_of_four(5, 8)),
    ]


@pytest.mark.parametrize("weight", every_kind(), ids=lambda weight: type(weight).__name__)
def test_views_are_kept_and_neither_copied_nor_saved(weight):
    views = weight.views
    assert weight.views is views
    assert weight.plain
    assert [view.ctypes.data for view in views] == [part.data_ptr() for part in weight.tensors()]
    for other in (copy.deepcopy(weight), pickle.loads(pickle.dumps(weight))):
        assert {"_views", "_plain"}.isdisjoint(vars(other))
        assert all(np.array_equal(a, b) for a, b in zip(other.views, views, strict=True))
        assert all(a.ctypes.data != b.ctypes.data for a, b in zip(other.views, views, strict=True))
    weight.tensors()[0].zero_()
    assert not weight.views[0].any()
    for part in weight.tensors():
        part.share_memory_()
    assert [view.ctypes.data for view in weight.views] == [part.data_ptr() for part in weight.tensors()]


def test_views_of_what_is_not_contiguous_see_what_is_written_later():
    weight = SparseWeight(torch.ones(6)[::2], torch.arange(3, dtype=torch.int32), torch.tensor([0, 3], dtype=torch.int32), 3)
    assert weight.views[0].tolist() == [1, 1, 1]
    weight.values.zero_()
    assert weight.views[0].tolist() == [0, 0, 0]


def test_from_csr_takes_what_scipy_makes():
    packed = SparseWeight.from_float(pruned(9, 11))
    again = SparseWeight.from_csr(packed.values, packed.columns, packed.row_pointers, 11)
    assert torch.equal(again.dense(), pruned(9, 11))


NAN = torch.tensor([[1.0, float("nan")]])
INT = torch.tensor([0, 1], dtype=torch.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Int8Weight.from_float(NAN), ValueError, "Int8Weight.from_float wants finite weights"),
        (lambda: Int8Weight.from_float(torch.ones(2)), ValueError, r"with 2 axes and at least one value, got \(2,\)"),
        (lambda: Int8Weight.from_float(torch.ones(0, 4)), ValueError, "at least one value"),
        (lambda: Int8Weight.from_float(codes(2, 2)), TypeError, "wants a float weight, got torch.int8; use from_codes"),
        (
            lambda: Int8Weight.from_codes(torch.ones(2, 2), torch.ones(2)),
            TypeError,
            "wants int8 codes with 2 axes, got torch.float32",
        ),
        (lambda: Int8Weight.from_codes(codes(2, 2), torch.zeros(2)), ValueError, "positive finite scales, got 0.0"),
        (lambda: Int8Weight.from_codes(codes(2, 2), torch.tensor([1.0, float("inf")])), ValueError, "positive finite scales"),
        (lambda: Int8Weight.from_codes(codes(2, 2), torch.ones(3)), ValueError, r"scales of shape \(2,\), got \(3,\)"),
        (lambda: Int4Weight.from_codes(codes(2, 8) * 0 + 9, torch.ones(2)), ValueError, r"codes in -8\.\.7, got 9\.\.9"),
        (
            lambda: Int4Weight.from_float(torch.ones(2, 12), 12),
            ValueError,
            "groups that divide 12 inputs and are a multiple of 8, got 12",
        ),
        (lambda: Int4Weight.from_float(torch.ones(2, 24), 16), ValueError, "got 16; choose another group"),
        (lambda: BlockSparseWeight.from_float(torch.ones(4, 4), 5), ValueError, r"wants a block of \(4, 8, 16, 32\), got 5"),
        (lambda: NMWeight.from_float(torch.ones(2, 6)), ValueError, "inputs in groups of 4, got 6; pad with zeros"),
        (
            lambda: NMWeight.from_float(torch.ones(2, 4)),
            ValueError,
            "at most 2 weights in each 4, got 2 groups with more; prune first",
        ),
        (lambda: SparseWeight.from_csr(torch.ones(2), INT.long(), INT, 4), TypeError, "wants int32 row_pointers and columns"),
        (lambda: SparseWeight.from_csr(torch.ones(1), INT[1:], INT, 1), ValueError, r"columns in 0\.\.0, got 1\.\.1"),
        (lambda: SparseWeight.from_csr(torch.ones(2), INT.flip(0), INT * 2, 4), ValueError, "sorted and different"),
        (lambda: SparseWeight.from_csr(torch.ones(2), INT, INT * 3, 4), ValueError, "row_pointers that rise from 0 to 2"),
        (lambda: SparseWeight.from_csr(torch.ones(3), INT, INT * 2, 4), ValueError, "one value for each column, got 3 and 2"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
