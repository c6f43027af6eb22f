"""Extract the shipped Fashion-MNIST file from the four original IDX files.

    python -m posttrain_lab.making.fashion_images FOLDER_WITH_IDX_GZ

Of the 60,000 training images 10,000 are kept, 1,000 of each class, chosen with seed 0; of the 10,000 test images all. The file
also names which training images were kept (`train_index`), so that a network can be trained without the held-out ones.
"""

import sys
from pathlib import Path

import numpy as np

from posttrain_lab.data.files import FILES
from posttrain_lab.data.unseen_fashion import read_idx

KEPT_PER_CLASS = 1000


def read_original(folder: Path) -> dict[str, np.ndarray]:
    """The four arrays of the original distribution."""
    return {
        f"{part}_{kind}": read_idx(folder / f"{prefix}-{kind}-idx{rank}-ubyte.gz")
        for part, prefix in (("train", "train"), ("test", "t10k"))
        for kind, rank in (("images", 3), ("labels", 1))
    }


def choose(labels: np.ndarray, per_class: int, seed: int = 0) -> np.ndarray:
    """The same number of indices from each class, shuffled, without repetition."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in range(10)]
    return rng.permutation(np.concatenate(chosen))


def main(folder: str) -> None:
    arrays = read_original(Path(folder))
    keep = choose(arrays["train_labels"], KEPT_PER_CLASS)
    np.savez_compressed(
        FILES / "fashion_mnist.npz",
        train_images=arrays["train_images"][keep],
        train_labels=arrays["train_labels"][keep],
        train_index=keep.astype(np.int32),
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"],
    )
    print(f"kept {len(keep)} training and {len(arrays['test_labels'])} test images")


if __name__ == "__main__":
    main(sys.argv[1])
