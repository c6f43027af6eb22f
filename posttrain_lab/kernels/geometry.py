"""Sizes that follow from sizes: what a convolution makes of an image."""

from typing import NamedTuple


class ConvGeometry(NamedTuple):
    """The sizes of a convolution of images [height, width, channels] that gives [out_height, out_width, outputs].

    Channels and outputs are those of all groups together.
    """

    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: int
    groups: int
    outputs: int
    out_height: int
    out_width: int


def conv_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many outputs does a convolution have along one axis? (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1

    Fewer than 1 where the padded image is smaller than the filter.

    >>> conv_size(28, kernel=5, stride=2, padding=2)
    14
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv_geometry(
    image: tuple[int, int, int], filters: tuple[int, int, int], groups: int, stride: int, padding: int
) -> ConvGeometry:
    """All sizes of a convolution: image (height, width, channels), filters (outputs, kernel height, kernel width).

    >>> conv_geometry((28, 28, 1), (8, 5, 5), groups=1, stride=2, padding=2)[-2:]
    (14, 14)
    """
    (height, width, channels), (outputs, kh, kw) = image, filters
    oh, ow = conv_size(height, kh, stride, padding), conv_size(width, kw, stride, padding)
    return ConvGeometry(height, width, channels, kh, kw, stride, padding, groups, outputs, oh, ow)
