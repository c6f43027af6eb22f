"""The customer's camera: what a shop's clean picture looks like from above a sorting belt. Its model is part of the brief."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TURN = 15.0  # degrees, to either side
ZOOM = 0.1  # larger or smaller by up to a tenth
SHIFT = 2.0  # pixels, in each direction
DARKEST, BRIGHTEST = 0.5, 1.2
NOISE = 0.05  # standard deviation, where white is 1


def camera(images: Float[Tensor, "n c h w"], seed: int) -> Float[Tensor, "n c h w"]:
    """Photographs of the pictures [n, c, h, w] in [0, 1]: turned, zoomed, shifted, in another light, with noise, in 256 steps of grey.

    Every picture has its own draw; the same seed and the same pictures give the same photographs. A turn of up to 15 degrees either way,
    a zoom of 0.9 to 1.1, a shift of up to 2 of 28 pixels, light of 0.5 to 1.2, noise of 0.05. Raises ValueError for other shapes.

    >>> camera(torch.zeros(2, 1, 28, 28), seed=0).shape
    torch.Size([2, 1, 28, 28])
    """
    if images.ndim != 4:
        raise ValueError(f"camera wants pictures [n, channels, height, width], got {list(images.shape)}; use unsqueeze(1).")
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(len(images), *shape, generator=generator) - 1

    angle, zoom = uniform() * math.radians(TURN), 1 + ZOOM * uniform()
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    shift = uniform(2) * 2 * SHIFT / images.shape[-1]  # half an image is 1 for affine_grid
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    seen = F.grid_sample(images, F.affine_grid(theta, list(images.shape), align_corners=False), align_corners=False)
    light = DARKEST + (BRIGHTEST - DARKEST) * (uniform(1, 1, 1) + 1) / 2
    noisy = seen * light + NOISE * torch.randn(images.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).round() / 255
