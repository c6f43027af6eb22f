"""A `Split` separates four sets of examples, because each may be used for one purpose only."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with labels: images [n, channels, height, width] float, labels [n] int64, the names of the classes."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"Dataset wants one label per image, got {len(self.images)} images, {len(self.labels)} labels.")

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> "Dataset":
        """The first n examples (the order is already random)."""
        return Dataset(self.images[:n], self.labels[:n], self.classes)


@dataclass(frozen=True, eq=False)
class Split:
    """Four parts of a data set, each for one purpose.

    train: change weights. calibration: fit ranges and temperatures. validation: choose between versions. test: report, once, last.
    """

    name: str
    train: Dataset
    calibration: Dataset
    validation: Dataset
    test: Dataset
