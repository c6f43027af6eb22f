"""Granularities are values: frozen, equal by content, checked when made."""

import dataclasses

import pytest

from posttrain_lab.quantization import PerChannel, PerGroup, PerTensor

pytestmark = pytest.mark.portable


def test_they_are_values():
    assert PerTensor() == PerTensor()
    assert PerChannel() == PerChannel(axis=0) != PerChannel(1)
    assert len({PerGroup(8), PerGroup(8), PerGroup(16)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        PerGroup(8).size = 4  # type: ignore[misc]


@pytest.mark.parametrize("size", [0, -4])
def test_group_sizes_are_positive(size):
    with pytest.raises(ValueError, match=f"PerGroup wants a size of at least 1, got {size}"):
        PerGroup(size)


@pytest.mark.parametrize("value", [1.5, True, "8", None])
def test_sizes_and_axes_are_whole_numbers(value):
    with pytest.raises(TypeError, match="PerGroup wants a whole number"):
        PerGroup(value)
    with pytest.raises(TypeError, match="PerChannel wants a whole number"):
        PerChannel(value)
