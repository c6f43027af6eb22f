"""The shipped answers of unit 07: what ten Fashion networks, and six sets of ten smaller versions of them, say about the test images.

Made by `python -m posttrain_lab.making.fashion_populations`, which takes many minutes: too long for a notebook.
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.data.files import FILES, open_file

NAME = "fashion_populations.npz"
DENSE = "dense"


def load_fashion_populations() -> dict[str, Tensor]:
    """The predicted class numbers of each population for the 10,000 test images of `load_fashion()`: [10, 10000] uint8 as int64.

    "dense" comes first: ten networks `fashion_cnn`, trained from ten seeds on the 7,000 training images. The others are made from these ten,
    in the same order: pruned (then trained for one epoch more) and quantized (not trained again).
    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.

    >>> populations = load_fashion_populations()
    >>> list(populations)[0], populations["dense"].shape
    ('dense', torch.Size([10, 10000]))
    """
    with open_file(FILES / NAME) as file, np.load(file, allow_pickle=False) as arrays:
        names, labels = arrays["names"].tolist(), torch.from_numpy(arrays["labels"]).long()
    return dict(zip(names, labels, strict=True))
