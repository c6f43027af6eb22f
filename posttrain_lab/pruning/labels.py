"""Labels for channels that must be removed together: union-find over labels, and tensors of labels.

A tensor of labels has the shape of an activation; equal labels mean "the same channel". Label 0 means "must stay".
"""

import torch
from torch import Tensor

FIXED = 0


def without_repeats(*labels: Tensor) -> list[Tensor]:
    """The same labels with size 1 along each axis that all of them only repeat (`expand`): no larger than what differs.

    >>> without_repeats(torch.arange(3).reshape(3, 1).expand(3, 1000))[0].shape
    torch.Size([3, 1])
    """
    repeats = [axis for axis in range(labels[0].ndim) if all(one.stride(axis) == 0 for one in labels)]
    parts = [slice(0, 1) if axis in repeats else slice(None) for axis in range(labels[0].ndim)]
    return [one[tuple(parts)] for one in labels]


def no_labels(value: Tensor) -> Tensor:
    """Labels for a value without channels: all must stay."""
    return torch.zeros((), dtype=torch.int64).expand(value.shape)


class Labels:
    """New labels, and which of them have been joined."""

    def __init__(self) -> None:
        self.parent = [FIXED]

    def fresh(self, count: int) -> Tensor:
        """`count` new labels, each in a set of its own."""
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def root(self, label: int) -> int:
        """The label that represents all labels joined with this one; 0 when it must stay."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def roots(self, labels: Tensor) -> Tensor:
        """Every label replaced by its root."""
        (few,) = without_repeats(labels)
        found, places = few.unique(return_inverse=True)
        roots = torch.tensor([self.root(label) for label in found.tolist()], dtype=torch.int64)[places]
        return roots.reshape(few.shape).expand(labels.shape)

    def join(self, a: Tensor, b: Tensor) -> None:
        """Join the labels at equal positions of a and b (broadcast)."""
        pairs = torch.stack(without_repeats(*torch.broadcast_tensors(a, b))).reshape(2, -1)
        for one, other in dict.fromkeys(zip(*pairs.tolist(), strict=True)):
            low, high = sorted((self.root(one), self.root(other)))
            self.parent[high] = low

    def fix(self, labels: Tensor) -> None:
        """None of these may be removed."""
        self.join(labels, torch.zeros((), dtype=torch.int64))

    def varying(self, labels: Tensor) -> list[int]:
        """The axes along which the labels differ.

        >>> labels = Labels()
        >>> labels.varying(labels.fresh(3).reshape(1, 3, 1).expand(1, 3, 2))
        [1]
        """
        (few,) = without_repeats(labels)
        roots = self.roots(few)
        return [axis for axis in range(roots.ndim) if bool((roots != roots.narrow(axis, 0, 1)).any())]

    def join_slices(self, labels: Tensor, axis: int) -> None:
        """Join all labels with the same index along `axis`."""
        rows = labels.movedim(axis, 0).flatten(1)
        self.join(rows, rows[:, :1])
