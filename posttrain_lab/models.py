"""Small networks for the units, each a plain `nn.Sequential` that a reader can print and understand."""

from safetensors.torch import load
from torch import nn

from posttrain_lab.data.files import FILES, open_file


def conv_block(inputs: int, outputs: int) -> list[nn.Module]:
    """Convolution (no bias: batch norm brings its own shift), batch norm, ReLU, halve the image."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def fashion_cnn(classes: int = 10) -> nn.Sequential:
    """Three convolution blocks and two linear layers for 1 x 28 x 28 images in [0, 1]: 108 thousand parameters.

    Image sizes: 28 -> 14 -> 7 -> 3; the 96 maps of 3 x 3 are flattened to 864 features.

    >>> sum(p.numel() for p in fashion_cnn().parameters())
    108402
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


PRETRAINED = {"fashion_cnn": fashion_cnn, "fashion_cnn_60k": fashion_cnn}


def load_pretrained(name: str = "fashion_cnn") -> nn.Sequential:
    """A network that comes with the package, trained and in eval mode.

    `fashion_cnn` was trained on 57,000 Fashion-MNIST images: all but the calibration and validation images of `load_fashion()`,
    so that a range, a temperature or a choice made on those is honest. `fashion_cnn_60k` was trained on all 60,000.
    The script and the logs are in `posttrain_lab/data/making/fashion_cnn.py` and `posttrain_lab/data/files/*.log`.
    Raises ValueError for another name, FileNotFoundError or ValueError for a missing or damaged checkpoint.

    >>> load_pretrained("fashion_cnn")[0]
    Conv2d(1, 24, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    if name not in PRETRAINED:
        raise ValueError(f"load_pretrained wants one of {', '.join(PRETRAINED)}, got {name!r}.")
    model = PRETRAINED[name]()
    model.load_state_dict(load(open_file(FILES / f"{name}.safetensors").read()))
    return model.eval()


def digits_cnn(classes: int = 10, width: int = 16) -> nn.Sequential:
    """Three convolution blocks and two linear layers for 1 x 28 x 28 digits in [0, 1]: 61 thousand parameters at width 16.

    Channels: width, 2 width, 4 width. At width 8 it has a quarter of the parameters.

    >>> [sum(p.numel() for p in digits_cnn(width=width).parameters()) for width in (16, 8)]
    [60986, 15522]
    """
    blocks = [*conv_block(1, width), *conv_block(width, 2 * width), *conv_block(2 * width, 4 * width)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(36 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, classes))


PRETRAINED["mnist_cnn"] = digits_cnn  # trained on load_mnist().train; see data/making/mnist_cnn.py
