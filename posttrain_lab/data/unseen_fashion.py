"""The clothes of Fashion-MNIST that are not shipped: for hidden evaluations, from the original files on an instructor's machine.

Debian and Ubuntu have them as the package `dataset-fashion-mnist`; elsewhere https://github.com/zalandoresearch/fashion-mnist. The whole set
is public, so a learner could train on it: what nobody can know is which photographs the hidden seed takes.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from .fashion import CLASSES, as_images
from .files import FILES, open_file
from .split import Dataset

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
ALL = 60_000


def read_idx(path: Path) -> np.ndarray:
    """One IDX file (LeCun's format): magic number, sizes as big-endian int32, then the bytes."""
    raw = gzip.decompress(path.read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", count=dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def unseen_fashion(folder: str | Path) -> Dataset:
    """The 50,000 training images of Fashion-MNIST that the package does not ship.

    `folder` holds the two original files. Raises FileNotFoundError where one is missing, ValueError where one is damaged.
    """
    folder = Path(folder)
    for name in (IMAGES, LABELS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"unseen_fashion finds no {name} in {folder}; install the package dataset-fashion-mnist, or fetch the original files."
            )
    try:
        images, labels = read_idx(folder / IMAGES), read_idx(folder / LABELS)
    except (OSError, ValueError, EOFError, IndexError, zlib.error) as error:
        raise ValueError(f"The files in {folder} are damaged ({error}); fetch them again.") from error
    if images.shape != (ALL, 28, 28) or labels.shape != (ALL,):
        raise ValueError(
            f"The files in {folder} hold {list(images.shape)} and {list(labels.shape)}, not {ALL:,} images of 28 x 28."
        )
    rest = np.ones(ALL, dtype=bool)
    with open_file(FILES / "fashion_mnist.npz") as file, np.load(file, allow_pickle=False) as shipped:
        rest[shipped["train_index"]] = False
    return Dataset(as_images(images[rest]), torch.from_numpy(labels[rest].copy()).long(), CLASSES)
