"""Rotation, blur and noise against scipy and their laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from posttrain_lab.calibration import add_noise, blur, rotate

from .drawing import modest

pytestmark = pytest.mark.portable


def rounding(sigma: float) -> float:
    """How far may a blurred float32 pixel of [0, 1] be off? Two passes, each a sum of products with weights that another sum divided.

    A sum of n terms below 1 is off by at most n - 1 roundings of 2**-24 (Higham 2002), whatever their order; exp, product and quotient add 4.
    """
    return 2 * (2 * (2 * math.ceil(3 * sigma) + 1) + 4) * 2**-24


def pictures(n: int = 3, height: int = 9, width: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
@pytest.mark.parametrize("size", [8, 9])
def test_quarter_turns_move_pixels(turns, size):
    x = pictures(height=size, width=size)
    assert torch.allclose(rotate(x, 90 * turns), torch.rot90(x, turns, (2, 3)), atol=1e-5)


@pytest.mark.parametrize("degrees", [10.0, -30.0, 45.0])
@pytest.mark.parametrize(("height", "width"), [(15, 15), (21, 12)])
def test_rotation_is_scipys_inside(degrees, height, width):
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    picture = torch.exp(-3 * ((x - 0.1) ** 2 + (y + 0.2) ** 2))[None, None]
    oracle = ndimage.rotate(picture[0, 0].double().numpy(), degrees, reshape=False, order=1, mode="constant")
    inside = ndimage.rotate(np.ones((height, width)), degrees, reshape=False, order=1, mode="constant") > 0.999
    found = rotate(picture, degrees)[0, 0].numpy()
    np.testing.assert_allclose(found[inside], oracle[inside], atol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_scipys(sigma):
    x = pictures(height=12, width=7)
    reach = int(np.ceil(3 * sigma))
    oracle = [ndimage.gaussian_filter(p.double().numpy(), sigma, mode="nearest", radius=reach) for p in x[:, 0]]
    np.testing.assert_allclose(blur(x, sigma)[:, 0].numpy(), np.stack(oracle), rtol=0, atol=rounding(sigma))


@modest
@given(value=st.floats(0, 1, width=32), sigma=st.floats(0.1, 4))
def test_blur_keeps_a_constant(value, sigma):
    x = torch.full((1, 2, 6, 5), value)
    assert torch.allclose(blur(x, sigma), x, rtol=0, atol=rounding(sigma))


def test_noise_has_its_standard_deviation_and_is_cut():
    x = torch.full((50, 1, 20, 20), 0.5)
    assert (add_noise(x, 0.1) - x).std().item() == pytest.approx(0.1, rel=0.03)
    loud = add_noise(x, 5.0)
    assert (loud.min(), loud.max()) == (0, 1)
    assert torch.equal(add_noise(x, 0.1, seed=3), add_noise(x, 0.1, seed=3))
    assert not torch.equal(add_noise(x, 0.1, seed=3), add_noise(x, 0.1, seed=4))


@pytest.mark.parametrize(("change", "strength"), [(rotate, 0), (rotate, 360), (blur, 0), (add_noise, 0)])
def test_nothing_is_an_equal_copy(change, strength):
    x = pictures()
    found = change(x, strength)
    assert torch.equal(found, x)
    assert found.data_ptr() != x.data_ptr()


@pytest.mark.parametrize(("change", "strength"), [(rotate, 20), (blur, 1), (add_noise, 0.2)])
def test_the_input_is_left_alone(change, strength):
    x = pictures()
    kept = x.clone()
    assert change(x, strength).shape == x.shape
    assert torch.equal(x, kept)


@pytest.mark.parametrize("change", [rotate, blur, add_noise])
@pytest.mark.parametrize(
    ("images", "strength", "error", "message"),
    [
        (torch.zeros(2, 9, 9), 1.0, TypeError, r"\[n, channels, height, width\], got \[2, 9, 9\]"),
        (torch.zeros(1, 1, 2, 2).byte(), 1.0, TypeError, "float images"),
        ("picture", 1.0, TypeError, "got str"),
        (torch.zeros(1, 1, 2, 2), float("nan"), ValueError, "got nan"),
    ],
)
def test_refuse(change, images, strength, error, message):
    with pytest.raises(error, match=f"^{change.__name__} wants .*{message}"):
        change(images, strength)


@pytest.mark.parametrize("change", [blur, add_noise])
def test_strengths_are_not_negative(change):
    with pytest.raises(ValueError, match=">= 0, got -1"):
        change(pictures(), -1.0)
