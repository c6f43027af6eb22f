"""Two sets of handwritten digits with the same ten classes and other writers, scanners and sizes: a real distribution shift.

MNIST (LeCun, Cortes, Burges 1998), 5,000 images of 28 x 28: the old task of a network. The digits of UCI's optical recognition set
(Alpaydin, Kaynak 1998), 1,797 images of 8 x 8: the new task, with few labels. Both are shipped; the licences are in `files/`.
"""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.data.fashion import as_images
from posttrain_lab.data.files import FILES, open_file
from posttrain_lab.data.split import Dataset, Split

CLASSES = tuple("0123456789")
MNIST_PARTS = {"train": 360, "calibration": 20, "validation": 20}  # images of each class; the rest is test
DIGITS_PARTS = {"train": 90, "calibration": 10, "validation": 20}


@functools.lru_cache(maxsize=2)
def _shipped(name: str) -> tuple[np.ndarray, np.ndarray]:
    with open_file(FILES / name) as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"]


def cut(name: str, data: Dataset, parts: dict[str, int], seed: int) -> Split:
    """A Split with `parts[part]` examples of each class in each part, and all others in test; disjoint, in random order."""
    generator = torch.Generator().manual_seed(seed)
    pieces: dict[str, list[Tensor]] = {part: [] for part in (*parts, "test")}
    for c in range(len(data.classes)):
        members = (data.labels == c).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        sizes = [*parts.values(), len(members) - sum(parts.values())]
        for part, piece in zip(pieces, members.split(sizes), strict=True):
            pieces[part].append(piece)
    found = {}
    for part, index in pieces.items():
        joined = torch.cat(index)
        joined = joined[torch.randperm(len(joined), generator=generator)]
        found[part] = Dataset(data.images[joined], data.labels[joined], data.classes)
    return Split(name=name, **found)


def load_mnist(seed: int = 0) -> Split:
    """The data of the shipped network `mnist_cnn`: 5,000 MNIST images as a `Split`.

    3,600 train, 200 calibration, 200 validation and 1,000 test images [n, 1, 28, 28] in [0, 1], labels [n] in 0..9. With
    seed 0 the shipped network was not trained on the calibration, validation and test images.
    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> split = load_mnist()
    >>> len(split.train), len(split.calibration), len(split.validation), len(split.test)
    (3600, 200, 200, 1000)
    """
    pixels, labels = _shipped("mnist.npz")
    return cut("mnist", Dataset(as_images(pixels), torch.from_numpy(labels).long(), CLASSES), MNIST_PARTS, seed)


def enlarge(pixels: Tensor) -> Tensor:
    """Grey levels 0..16 [n, 8, 8] -> images [n, 1, 28, 28] in [0, 1], the digit in the middle 20 x 20 as in MNIST.

    Bilinear interpolation between pixel centres (torch's `interpolate`, align_corners=False), then 4 black pixels on each side.

    >>> enlarge(torch.full((1, 8, 8), 16)).sum().item()
    400.0
    """
    large = F.interpolate(pixels[:, None].float() / 16, size=(20, 20), mode="bilinear", align_corners=False)
    return F.pad(large, (4, 4, 4, 4))


def load_digits(seed: int = 0) -> Split:
    """The new task for the digit network: the 1,797 UCI digits, enlarged to 28 x 28 by `enlarge`, as a `Split`.

    900 train (a pool: take as few labels as you like with `few_labels`), 100 calibration, 200 validation and 597 test images
    [n, 1, 28, 28] in [0, 1], labels [n] in 0..9.
    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> split = load_digits()
    >>> len(split.train), len(split.calibration), len(split.validation), len(split.test)
    (900, 100, 200, 597)
    """
    pixels, labels = _shipped("digits.npz")
    data = Dataset(enlarge(torch.from_numpy(pixels)), torch.from_numpy(labels).long(), CLASSES)
    return cut("digits", data, DIGITS_PARTS, seed)


def load_small_digits(seed: int = 0) -> Split:
    """The same 1,797 UCI digits as they are, 8 x 8 pixels: small enough to train many networks in seconds.

    The parts of `load_digits`, in the same order: images [n, 1, 8, 8] in [0, 1], labels [n] in 0..9.
    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> split = load_small_digits()
    >>> split.train.images.shape, torch.equal(split.test.labels, load_digits().test.labels)
    (torch.Size([900, 1, 8, 8]), True)
    """
    pixels, labels = _shipped("digits.npz")
    data = Dataset(torch.from_numpy(pixels)[:, None].float() / 16, torch.from_numpy(labels).long(), CLASSES)
    return cut("digits, 8 x 8", data, DIGITS_PARTS, seed)


def few_labels(data: Dataset, count: int, seed: int = 0) -> Dataset:
    """`count` of these examples, as if only they had labels: drawn with `seed`, equally many of each class.

    Where count is not a multiple of the number of classes, the first classes of a random order get one more.
    Raises ValueError for count below 1, or a class with too few examples.

    >>> few = few_labels(load_digits().train, 20)
    >>> torch.bincount(few.labels).tolist()
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    classes = len(data.classes)
    generator = torch.Generator().manual_seed(seed)
    extra = set(torch.randperm(classes, generator=generator)[: count % classes].tolist())
    chosen = []
    for c in range(classes):
        members = (data.labels == c).nonzero().flatten()
        wanted = count // classes + (c in extra)
        if count < 1 or wanted > len(members):
            raise ValueError(
                f"few_labels wants a count from 1 to what each class has, got {count}: {wanted} of class "
                f"'{data.classes[c]}', which has {len(members)}."
            )
        chosen.append(members[torch.randperm(len(members), generator=generator)[:wanted]])
    index = torch.cat(chosen)
    index = index[torch.randperm(len(index), generator=generator)]
    return Dataset(data.images[index], data.labels[index], data.classes)
