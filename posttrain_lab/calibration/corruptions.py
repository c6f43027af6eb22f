"""Corrupted images: rotated, blurred, noisy. In plain torch; the input is not changed.

Source: Hendrycks and Dietterich (2019); Ovadia et al. (2019), who measured calibration under such shifts.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.data.corrupted import in_blocks


def _check(name: str, images: Tensor, argument: str, value: float, least: float) -> None:
    if not (isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4 and images.numel()):
        got = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} wants float images [n, channels, height, width], got {got}; do images.float().")
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} wants a finite {argument} >= {least}, got {value}.")


def rotate(images: Float[Tensor, "n c h w"], degrees: float) -> Float[Tensor, "n c h w"]:
    """Each image rotated counter-clockwise around its center, by bilinear interpolation; pixels from outside are 0.

    degrees may be of either sign. 0 gives an equal copy. Raises TypeError for other images; ValueError for NaN or infinity.

    >>> rotate(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 90).round()
    tensor([[[[2., 4.],
              [1., 3.]]]])
    """
    _check("rotate", images, "number of degrees", degrees, -math.inf)
    if degrees % 360 == 0:
        return images.clone()
    height, width = images.shape[2:]
    angle = math.radians(degrees)
    cos, sin, ratio = math.cos(angle), math.sin(angle), height / width
    matrix = images.new_tensor([[cos, -sin * ratio, 0], [sin / ratio, cos, 0]])

    def rotated(block: Tensor) -> Tensor:
        grid = F.affine_grid(matrix.expand(len(block), 2, 3), list(block.shape), align_corners=False)
        return F.grid_sample(block, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    return in_blocks(rotated, images)


def blur(images: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Each image blurred: convolved with a Gaussian of standard deviation sigma pixels, cut at 3 sigma; edges repeated.

    sigma = 0 gives an equal copy. A constant image does not change. Raises TypeError for other images; ValueError for sigma < 0.

    >>> blur(torch.ones(1, 1, 3, 3), 1.0).allclose(torch.ones(1, 1, 3, 3))
    True
    """
    _check("blur", images, "sigma", sigma, 0)
    if sigma == 0:
        return images.clone()
    reach = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    n, channels, height, width = images.shape

    def filtered(block: Tensor) -> Tensor:
        padded = F.pad(block, (reach,) * 4, mode="replicate")
        return F.conv2d(F.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None])

    return in_blocks(filtered, images.reshape(n * channels, 1, height, width)).reshape(images.shape)


def add_noise(images: Float[Tensor, "n c h w"], sd: float, seed: int = 0) -> Float[Tensor, "n c h w"]:
    """Each pixel plus a normal random number of standard deviation sd, clamped to [0, 1]. sd = 0: an equal copy of images in [0, 1].

    Raises TypeError for other images; ValueError for sd < 0.

    >>> add_noise(torch.full((1, 1, 1, 1), 0.5), 0.0)
    tensor([[[[0.5000]]]])
    """
    _check("add_noise", images, "sd", sd, 0)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    return (images + sd * noise).clamp(0, 1)
