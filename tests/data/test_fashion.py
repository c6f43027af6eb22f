"""The shipped images: disjoint parts, balanced classes, damage noticed."""

import itertools

import numpy as np
import pytest
import torch

from posttrain_lab.data import Dataset, fashion, files, load_fashion, load_full_fashion
from posttrain_lab.making.fashion_images import choose


def test_sizes_and_ranges():
    split = load_fashion()
    sizes = {"train": 7000, "calibration": 1000, "validation": 2000, "test": 10_000}
    for name, size in sizes.items():
        part = getattr(split, name)
        assert part.images.shape == (size, 1, 28, 28)
        assert part.images.dtype == torch.float32
        assert part.images.min() == 0
        assert part.images.max() == 1
        assert part.labels.dtype == torch.int64
        assert torch.bincount(part.labels, minlength=10).tolist() == [size // 10] * 10


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_parts_are_disjoint_and_cover(seed):
    labels = torch.arange(10).repeat_interleave(1000)
    parts = fashion.split_indices(labels, seed)
    for first, second in itertools.combinations(parts.values(), 2):
        assert not set(first.tolist()) & set(second.tolist())
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(10_000))


def test_the_seed_decides():
    first, again, other = load_fashion(), load_fashion(), load_fashion(seed=1)
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.labels, other.train.labels)
    assert torch.equal(first.test.labels, other.test.labels)


def test_kept_images_are_the_ones_the_script_chooses():
    with np.load(files.FILES / "fashion_mnist.npz", allow_pickle=False) as arrays:
        labels = arrays["train_labels"]
        index = arrays["train_index"]
    assert len(np.unique(index)) == 10_000
    assert index.max() < 60_000
    assert np.bincount(labels).tolist() == [1000] * 10
    again = choose(np.repeat(np.arange(10), 6000), 1000)
    assert len(np.unique(again)) == 10_000


def test_data_fits_the_promise():
    assert (files.FILES / "fashion_mnist.npz").stat().st_size <= 10_000_000


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fashion_mnist\.npz is missing .* Install posttrain-lab again"):
        files.open_file(tmp_path / "fashion_mnist.npz")


@pytest.mark.parametrize("damage", [lambda raw: raw[:-100], lambda raw: b"", lambda raw: raw[:500] + b"x" + raw[501:]])
def test_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "fashion_mnist.npz"
    path.write_bytes(damage((files.FILES / "fashion_mnist.npz").read_bytes()))
    with pytest.raises(ValueError, match=r"fashion_mnist\.npz \(\d+ bytes\) is damaged"):
        files.open_file(path)


def test_every_shipped_file_has_its_checksum():
    shipped = {p.name for p in files.FILES.iterdir() if p.suffix in (".npz", ".safetensors", ".csv")}
    assert shipped == set(files.checksums())
    for name in shipped:
        files.open_file(files.FILES / name)


def test_pixels_that_are_kept_give_the_same_images_and_stay(monkeypatch):
    monkeypatch.setattr(fashion, "_KEPT", {})
    before = load_fashion(3)
    fashion.keep_pixels()
    monkeypatch.setattr(fashion, "open_file", None)
    first = load_fashion(3)
    for part in ("train", "calibration", "validation", "test"):
        assert torch.equal(getattr(first, part).images, getattr(before, part).images)
        assert torch.equal(getattr(first, part).labels, getattr(before, part).labels)
        getattr(first, part).images.zero_()
        getattr(first, part).labels.zero_()
    assert torch.equal(load_fashion(3).test.images, before.test.images)
    assert torch.equal(load_fashion(3).test.labels, before.test.labels)


def test_dataset_wants_one_label_per_image():
    with pytest.raises(ValueError, match="3 images, 2 labels"):
        Dataset(torch.zeros(3, 1, 28, 28), torch.zeros(2, dtype=torch.int64), ("a",))


def test_full_data_absent_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="download=True"):
        load_full_fashion(tmp_path)
