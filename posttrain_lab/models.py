"""Small networks for the units, each a plain `nn.Sequential` that a reader can print and understand."""

from torch import nn


def conv_block(inputs: int, outputs: int) -> list[nn.Module]:
    """Convolution (no bias: batch norm brings its own shift), batch norm, ReLU, halve the image."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def fashion_cnn(classes: int = 10) -> nn.Sequential:
    """Three convolution blocks and two linear layers for 1 x 28 x 28 images in [0, 1]: 108 thousand parameters.

    Image sizes: 28 -> 14 -> 7 -> 3; the 96 maps of 3 x 3 are flattened to 864 features.

    >>> sum(p.numel() for p in fashion_cnn().parameters())
    108258
    """
    return nn.Sequential(
        *conv_block(1, 24),
        *conv_block(24, 48),
        *conv_block(48, 96),
        nn.Flatten(),
        nn.Linear(864, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )
