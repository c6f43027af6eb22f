"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 28 x 28 images of ten kinds of clothes, shipped with the package.

10,000 of the 60,000 training images are split into train, calibration and validation; the test set is complete. Pixels are floats in
[0, 1]. Licence: MIT, beside the data in `files/`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.data.files import FILES, open_file
from posttrain_lab.data.split import Dataset, Split

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
PARTS = {"train": 7000, "calibration": 1000, "validation": 2000}


def split_indices(labels: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Split indices into train, calibration and validation: disjoint, the same number of each class in each part."""
    generator = torch.Generator().manual_seed(seed)
    cut = torch.tensor([size // len(CLASSES) for size in PARTS.values()]).tolist()
    pieces: dict[str, list[Tensor]] = {name: [] for name in PARTS}
    for c in range(len(CLASSES)):
        members = (labels == c).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        for name, piece in zip(PARTS, members[: sum(cut)].split(cut), strict=True):
            pieces[name].append(piece)
    joined = {name: torch.cat(parts) for name, parts in pieces.items()}
    return {name: index[torch.randperm(len(index), generator=generator)] for name, index in joined.items()}


def as_images(pixels: np.ndarray) -> Tensor:
    """uint8 [n, 28, 28] -> float [n, 1, 28, 28] in [0, 1]."""
    return torch.from_numpy(pixels).unsqueeze(1).float().div_(255)


def fashion_parts(seed: int) -> Iterator[tuple[str, Dataset]]:
    """(name, examples) of each part in turn. Only the current part is converted to floats, which are four times as large."""
    with _arrays() as arrays:
        pixels, labels = arrays["train_images"], torch.from_numpy(arrays["train_labels"]).long()
        for name, index in split_indices(labels, seed).items():
            yield name, Dataset(as_images(pixels[index.numpy()]), labels[index], CLASSES)
        yield "test", Dataset(as_images(arrays["test_images"]), torch.from_numpy(arrays["test_labels"]).long(), CLASSES)


@contextlib.contextmanager
def _arrays() -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of the file, or those that `keep_pixels` has read."""
    if _KEPT:
        yield _KEPT
        return
    with open_file(FILES / "fashion_mnist.npz") as file, np.load(file, allow_pickle=False) as arrays:
        yield arrays


_KEPT: dict[str, np.ndarray] = {}


def keep_pixels() -> None:
    """Read the file now and keep its pixels: for a process that is forked for each submission of a class. (A notebook reads it once.)

    Nobody changes what is kept: `as_images` and `long` make copies of bytes.
    """
    with _arrays() as arrays:
        _KEPT.update({name: arrays[name] for name in arrays})


def load_fashion(seed: int = 0) -> Split:
    """The shipped Fashion-MNIST as a `Split`: parts to train, calibrate, choose and report on.

    7,000 train, 1,000 calibration, 2,000 validation and 10,000 test images [n, 1, 28, 28] in [0, 1], labels [n] in 0..9.
    With seed 0 the shipped network `fashion_cnn` was not trained on the calibration and validation images; another seed
    splits the same 10,000 images differently. Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> split = load_fashion()
    >>> len(split.train), len(split.calibration), len(split.validation), len(split.test)
    (7000, 1000, 2000, 10000)
    """
    return Split(name="fashion", **dict(fashion_parts(seed)))


def load_full_fashion(folder: Path | str, download: bool = False) -> tuple[Dataset, Dataset]:
    """All 60,000 training and 10,000 test images, through torchvision, which downloads them and checks their checksums.

    `folder` keeps the files for the next time; nothing is fetched unless `download` is true.
    Raises FileNotFoundError when the files are not there, cannot be fetched or are damaged.
    """
    from torchvision.datasets import FashionMNIST  # 180 MB of memory, so here

    try:
        parts = [FashionMNIST(str(folder), train=train, download=download) for train in (True, False)]
        found = [Dataset(as_images(part.data.numpy()), part.targets.long(), CLASSES) for part in parts]
    except (RuntimeError, OSError, ValueError) as error:
        remedy = "Check the network and try again." if download else "Call it with download=True."
        raise FileNotFoundError(f"The whole Fashion-MNIST could not be read from {folder} ({error}). {remedy}") from error
    if [len(part) for part in found] != [60_000, 10_000]:
        raise FileNotFoundError(f"The files in {folder} are incomplete: delete them and call with download=True.")
    return found[0], found[1]
