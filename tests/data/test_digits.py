"""The shipped digits and the corrupted clothes: the right images, disjoint parts, an interpolation that is what it says."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from posttrain_lab.data import Dataset, corrupt, few_labels, load_corrupted_fashion, load_digits, load_fashion, load_mnist
from posttrain_lab.data.corrupted import CORRUPTIONS
from posttrain_lab.data.digits import enlarge
from posttrain_lab.data.files import FILES


@pytest.mark.parametrize(("load", "sizes"), [(load_mnist, (3600, 200, 200, 1000)), (load_digits, (900, 100, 200, 597))])
def test_sizes_ranges_and_disjoint_parts(load, sizes):
    split = load()
    parts = [split.train, split.calibration, split.validation, split.test]
    assert tuple(map(len, parts)) == sizes
    for part in parts:
        assert part.images.shape[1:] == (1, 28, 28)
        assert part.images.dtype == torch.float32
        assert part.images.min() == 0
        assert part.images.max() <= 1
        assert part.labels.dtype == torch.int64
    for part in parts[:3]:
        assert len(set(torch.bincount(part.labels, minlength=10).tolist())) == 1
    seen = [{image.numpy().tobytes() for image in part.images} for part in parts]
    assert all(not first & second for first, second in itertools.combinations(seen, 2))


def test_the_seed_decides():
    first, again, other = load_digits(), load_digits(), load_digits(seed=1)
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.labels, other.train.labels)


def test_digits_are_those_of_scikit_learn():
    from sklearn import datasets

    wanted = datasets.load_digits()
    with np.load(FILES / "digits.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["images"], wanted.images)
        assert np.array_equal(arrays["labels"], wanted.target)


def test_enlarging_is_bilinear_between_pixel_centres():
    """scipy interpolates the same grid; beyond the outer centres both repeat the border."""
    pixels = torch.randint(0, 17, (3, 8, 8), generator=torch.Generator().manual_seed(0))
    places = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    rows, columns = np.meshgrid(places, places, indexing="ij")
    for image, small in zip(enlarge(pixels), pixels.numpy() / 16, strict=True):
        want = map_coordinates(small, [rows, columns], order=1, mode="nearest")
        assert np.allclose(image[0, 4:24, 4:24].numpy(), want, atol=1e-6)
        image[0, 4:24, 4:24] = 0
        assert not image.any()


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 60), seed=st.integers(0, 10))
def test_few_labels_are_balanced_and_different(count, seed):
    data = Dataset(torch.arange(80.0).reshape(80, 1, 1, 1), torch.arange(80) % 10, tuple("0123456789"))
    few = few_labels(data, count, seed)
    found = torch.bincount(few.labels, minlength=10)
    assert len(few) == count
    assert found.max() - found.min() <= 1
    assert len(few.images.unique()) == count
    assert torch.equal(few.labels, few.images.flatten().long() % 10)


@pytest.mark.parametrize("count", [0, -3, 1000])
def test_too_few_or_too_many_labels_are_named(count):
    with pytest.raises(ValueError, match=f"few_labels wants a count from 1 to what each class has, got {count}"):
        few_labels(load_digits().train, count)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_corruptions_are_seeded_stay_in_range_and_grow(corruption):
    images = load_fashion().validation.images[:50]
    before = images.clone()
    changes = []
    for severity in (1, 3, 5):
        worse = corrupt(images, corruption, severity, seed=1)
        assert torch.equal(worse, corrupt(images, corruption, severity, seed=1))
        assert worse.shape == images.shape
        assert worse.min() >= 0
        assert worse.max() <= 1
        changes.append((worse - images).square().mean().item())
    assert 0 < changes[0] < changes[1] < changes[2]
    assert torch.equal(images, before)


@pytest.mark.slow
def test_blur_and_rotation_equal_torchvision():
    functional = pytest.importorskip("torchvision.transforms.functional")
    images = load_fashion().validation.images[:4]
    blurred = functional.gaussian_blur(functional.pad(images, [7] * 4, padding_mode="edge"), [15, 15], [1.5, 1.5])
    assert torch.allclose(corrupt(images, "blur", 3), blurred[:, :, 7:35, 7:35], atol=1e-5)
    turned = corrupt(images, "rotation", 3, seed=0)
    bilinear = functional.InterpolationMode.BILINEAR
    either = [functional.rotate(images, angle, interpolation=bilinear) for angle in (45.0, -45.0)]
    for number, image in enumerate(turned):
        assert any(torch.allclose(image, side[number], atol=1e-4) for side in either)


def test_corrupted_fashion_keeps_labels_and_order():
    clean, bad = load_fashion(), load_corrupted_fashion("noise", 2)
    assert torch.equal(clean.test.labels, bad.test.labels)
    assert not torch.equal(clean.test.images[:10], bad.test.images[:10])
    assert bad.name == "fashion, noise 2"


def test_unknown_corruption_and_severity_are_named():
    with pytest.raises(ValueError, match="one of noise, blur, contrast, rotation, occlusion, got 'rain'"):
        corrupt(torch.zeros(1, 1, 28, 28), "rain")
    with pytest.raises(ValueError, match="severity from 1 to 5, got 6"):
        corrupt(torch.zeros(1, 1, 28, 28), "noise", 6)
