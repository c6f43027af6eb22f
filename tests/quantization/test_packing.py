"""Codes that share bytes come back as they were."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.quantization.packing import codes_per_byte, pack_codes, unpack_codes

pytestmark = pytest.mark.portable


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.integers(2, 8), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.integers(0, 1000))
def test_round_trip(bits: int, shape: list[int], seed: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    codes = torch.randint(low, high, shape, dtype=torch.int8, generator=torch.Generator().manual_seed(seed))
    packed = pack_codes(codes, bits)
    assert packed.numel() == -(-codes.numel() // codes_per_byte(bits))
    assert torch.equal(unpack_codes(packed, bits, tuple(shape)), codes)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_every_code_and_a_transposed_view(bits: int) -> None:
    codes = torch.arange(-(2 ** (bits - 1)), 2 ** (bits - 1), dtype=torch.int8)
    grid = torch.stack([codes, codes.flip(0)]).T
    assert torch.equal(unpack_codes(pack_codes(grid, bits), bits, tuple(grid.shape)), grid)


def test_the_layout_by_numpy() -> None:
    codes = np.random.default_rng(0).integers(-8, 8, 10).astype(np.int8)
    pairs = (codes & 15).astype(np.uint8).reshape(-1, 2)
    assert pack_codes(torch.from_numpy(codes), 4).tolist() == (pairs[:, 0] + 16 * pairs[:, 1]).tolist()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"codes in -8..7 for 4 bits, got 8..8"):
        pack_codes(torch.tensor([8], dtype=torch.int8), 4)
    with pytest.raises(TypeError, match=r"wants int8 codes, got torch.int32"):
        pack_codes(torch.tensor([1], dtype=torch.int32), 4)
    with pytest.raises(ValueError, match="bits from 2 to 8, got 9"):
        pack_codes(torch.tensor([1], dtype=torch.int8), 9)
    with pytest.raises(ValueError, match=r"wants 2 bytes for 4-bit codes of shape \(3,\), got 1"):
        unpack_codes(torch.tensor([1], dtype=torch.uint8), 4, (3,))
