"""Small networks for the units, each a plain `nn.Sequential` that a reader can print and understand."""

import torch
from jaxtyping import Float
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data.files import FILES, open_file


def conv_block(inputs: int, outputs: int) -> list[nn.Module]:
    """Convolution (no bias: batch norm has its own shift), batch norm, ReLU, pooling that halves the image."""
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


class Residual(nn.Module):
    """y = relu(body(x) + shortcut(x)): two 3 x 3 convolutions learn what to add to x (He et al. 2016).

    x [n, inputs, h, w] -> [n, outputs, h / stride, w / stride]; the shortcut is x itself, or a 1 x 1 convolution where shapes differ.

    >>> Residual(8, 16, stride=2)(torch.zeros(1, 8, 6, 6)).shape
    torch.Size([1, 16, 3, 3])
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        first = [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        second = [nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
        fit = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(*first, *second)
        self.shortcut = nn.Sequential(*fit) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        return F.relu(self.body(x) + self.shortcut(x))


def fashion_resnet(classes: int = 10) -> nn.Sequential:
    """A residual network for 1 x 28 x 28 images in [0, 1]: three blocks of 24, 48 and 96 channels, 174 thousand parameters.

    Image sizes: 28 -> 14 (pooling), 14, 7, 4; then the mean of each of the 96 maps.

    >>> sum(p.numel() for p in fashion_resnet().parameters())
    173842
    """
    blocks = [Residual(24, 24), Residual(24, 48, stride=2), Residual(48, 96, stride=2)]
    return nn.Sequential(*conv_block(1, 24), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q k^T / sqrt(head width)) v (Vaswani et al. 2017).

    x [n, tokens, width] -> the same shape. The number of heads follows from the layers' shapes, so that heads can be pruned.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head_width = width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n t width"]) -> Float[Tensor, "n t width"]:
        parts = (layer(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    """One block of a transformer: attention, then two linear layers for each token, both with a residual connection.

    >>> Transformer(width=8, heads=2, hidden=16)(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.before_attention, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Float[Tensor, "n t width"]) -> Float[Tensor, "n t width"]:
        x = x + self.attention(self.before_attention(x))
        return x + self.mlp(self.before_mlp(x))


class Tokens(nn.Module):
    """Maps [n, width, h, w] -> tokens [n, h * w, width], plus a learned position embedding."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(positions, width))

    def forward(self, x: Float[Tensor, "n width h w"]) -> Float[Tensor, "n t width"]:
        return x.flatten(2).transpose(1, 2) + self.position


class MeanToken(nn.Module):
    """The mean over all tokens: [n, tokens, width] -> [n, width]."""

    def forward(self, x: Float[Tensor, "n t width"]) -> Float[Tensor, "n width"]:
        return x.mean(dim=1)


def fashion_vit(classes: int = 10) -> nn.Sequential:
    """A small vision transformer (Dosovitskiy et al. 2020) for 1 x 28 x 28 images in [0, 1]: 123 thousand parameters.

    Two convolutions make 49 tokens of width 64, one for each 4 x 4 pixels (Xiao et al. 2021: better than cutting patches);
    three blocks with 4 heads of width 16.

    >>> sum(p.numel() for p in fashion_vit().parameters())
    123178
    """
    first = [nn.Conv2d(1, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    blocks = [Transformer(width=64, heads=4, hidden=128) for _ in range(3)]
    stem = [*first, nn.Conv2d(32, 64, 3, stride=2, padding=1), Tokens(49, 64)]
    return nn.Sequential(*stem, *blocks, nn.LayerNorm(64), MeanToken(), nn.Linear(64, classes))


def digits_cnn(classes: int = 10, width: int = 16) -> nn.Sequential:
    """Three convolution blocks and two linear layers for 1 x 28 x 28 digits in [0, 1]: 61 thousand parameters at width 16.

    Channels: width, 2 width, 4 width. At width 8 it has a quarter of the parameters.

    >>> [sum(p.numel() for p in digits_cnn(width=width).parameters()) for width in (16, 8)]
    [60986, 15522]
    """
    blocks = [*conv_block(1, width), *conv_block(width, 2 * width), *conv_block(2 * width, 4 * width)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(36 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, classes))


PRETRAINED = {
    "fashion_cnn": fashion_cnn,
    "fashion_cnn_60k": fashion_cnn,
    "fashion_resnet": fashion_resnet,
    "fashion_vit": fashion_vit,
    "mnist_cnn": digits_cnn,  # trained on load_mnist().train; see making/mnist_cnn.py
}


def load_pretrained(name: str = "fashion_cnn") -> nn.Sequential:
    """A network that comes with the package, trained and in eval mode.

    `fashion_cnn` was trained on 57,000 Fashion-MNIST images: all but the calibration and validation images of `load_fashion()`,
    so that these can be used to fit a range or a temperature and to choose; so were `fashion_resnet` and `fashion_vit`, whose weights
    are stored in 16 bits. `fashion_cnn_60k` was trained on all 60,000. The scripts and the logs are in
    `posttrain_lab/making/fashion_*.py` and `posttrain_lab/data/files/*.log`.
    Raises ValueError for another name, FileNotFoundError or ValueError for a missing or damaged checkpoint.

    >>> load_pretrained("fashion_cnn")[0]
    Conv2d(1, 24, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    if name not in PRETRAINED:
        raise ValueError(f"load_pretrained wants one of {', '.join(PRETRAINED)}, got {name!r}.")
    model = PRETRAINED[name]()
    model.load_state_dict(load(open_file(FILES / f"{name}.safetensors").read()))
    return model.eval()
