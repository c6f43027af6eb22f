"""Sizes that follow from sizes: what a convolution makes of an image."""


def conv_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many outputs does a convolution have along one axis? (size + 2 * padding - kernel) // stride + 1

    Fewer than 1 where the padded image is smaller than the filter.

    >>> conv_size(28, kernel=5, stride=2, padding=2)
    14
    """
    return (size + 2 * padding - kernel) // stride + 1
