"""From a camera's photo to the network's pixels, by the contract; and which of nine usual mistakes did an app make?

The numbers are whole ones at every step, so that Python, C and a page can agree on every pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.measure import predict

from .contract import Contract, contract_of

__all__ = ["MISTAKES", "RIGHT", "Contract", "WrongInput", "as_input", "contract_of", "diagnose", "prepare"]

GREY = (299, 587, 114)  # thousandths of red, green, blue: ITU-R BT.601, the eye's own weights
RIGHT = "right"
SAME_LOSS = 0.002


def prepare(photo: UInt8[Tensor, "h w 3"], contract: Contract) -> UInt8[Tensor, "..."]:
    """The photo as the contract wants it: [height, width] in grey, or [height, width, 3] in the order red, green, blue.

    1. The largest part of the network's proportions is cut from the middle, after the photo was turned upright.
    2. Grey: (299 R + 587 G + 114 B + 500) // 1000, where the contract says one channel.
    3. Pixel i of n is the mean over rows floor(i h / n) to ceil((i + 1) h / n) - 1, and columns likewise, ties up.
    4. v becomes 255 - v where the contract says inverted.
    Raises TypeError unless it gets uint8, ValueError for another shape, or a photo without pixels.

    >>> prepare(torch.full((60, 80, 3), 200, dtype=torch.uint8), Contract(inverted=True))[0, :3]
    tensor([55, 55, 55], dtype=torch.uint8)
    """
    _check(photo)
    upright = torch.rot90(photo.long(), -contract.turns, (0, 1))
    colours = _middle(upright, contract.size)
    colours = colours.flip(2) if contract.order == "BGR" else colours
    if contract.channels == 1:
        colours = (colours * torch.tensor(GREY)).sum(2, keepdim=True).add(500) // 1000
    small = _means(colours, contract.size)
    small = 255 - small if contract.inverted else small
    return (small if contract.channels == 3 else small[..., 0]).to(torch.uint8)


def _check(photo: Tensor) -> None:
    if not isinstance(photo, Tensor) or photo.dtype != torch.uint8:
        got = photo.dtype if isinstance(photo, Tensor) else type(photo).__name__
        raise TypeError(f"prepare wants a photo of torch.uint8, pixels 0..255, got {got}.")
    if photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(
            f"prepare wants a photo [height, width, 3], got {list(photo.shape)}; make grey ones three equal channels."
        )
    if not photo.numel():
        raise ValueError(f"prepare wants a photo with pixels, got {list(photo.shape)}: the camera gave none; take it again.")


def _middle(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest part with the proportions of `size`, from the middle; of a pixel too many, the last is left out."""
    height, width = photo.shape[:2]
    h, w = max(1, min(height, width * size[0] // size[1])), max(1, min(width, height * size[1] // size[0]))
    top, left = (height - h) // 2, (width - w) // 2
    return photo[top : top + h, left : left + w]


def _means(image: Int[Tensor, "h w c"], size: tuple[int, int]) -> Int[Tensor, "sh sw c"]:
    """The rounded mean of each window, from sums over all pixels above and to the left."""
    above = F.pad(image.cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
    (top, bottom), (left, right) = (_edges(length, n) for length, n in zip(image.shape[:2], size, strict=True))
    sums = above[bottom][:, right] - above[top][:, right] - above[bottom][:, left] + above[top][:, left]
    count = ((bottom - top)[:, None] * (right - left))[..., None]
    return (2 * sums + count) // (2 * count)


def _edges(length: int, n: int) -> tuple[Tensor, Tensor]:
    steps = torch.arange(n + 1) * length
    return steps[:-1] // n, -(-steps[1:] // n)


def as_input(pixels: UInt8[Tensor, "..."], contract: Contract) -> Float[Tensor, "1 c h w"]:
    """What `prepare` gave, as the network's input: low + (high - low) * (pixel / 255), channels first, a batch of one.

    Raises ValueError for pixels of another size.

    >>> as_input(torch.tensor([[0, 255]], dtype=torch.uint8), Contract(size=(1, 2), low=-1.0))
    tensor([[[[-1.,  1.]]]])
    """
    image = pixels[..., None] if pixels.ndim == 2 else pixels
    if list(image.shape) != [*contract.size, contract.channels]:
        raise ValueError(f"as_input wants pixels {[*contract.size, contract.channels]}, got {list(image.shape)}; see prepare.")
    return contract.numbers(image.permute(2, 0, 1)[None]).contiguous()


Images = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class WrongInput:
    """A wrong preprocessing: what it makes of right images, with pixels 0..1, and what takes it back."""

    make: Callable[[Images], Images]
    undo: Callable[[Images], Images]


def _scaled(mean: float, deviation: float) -> WrongInput:
    return WrongInput(lambda x: (x - mean) / deviation, lambda x: x * deviation + mean)


def _moved(x: Images, step: int) -> Images:
    """Down and to the right by one pixel, or for -1 up and to the left; black comes in."""
    height, width = x.shape[2:]
    return F.pad(x, (1, 1, 1, 1))[:, :, 1 - step : 1 - step + height, 1 - step : 1 - step + width]


def _blurred(x: Images) -> Images:
    """Made half as large, and as large as before again."""
    size = (max(1, x.shape[2] // 2), max(1, x.shape[3] // 2))
    half = F.interpolate(x, size=size, mode="bilinear", antialias=True)
    return F.interpolate(half, size=x.shape[2:], mode="bilinear")


def _sharpened(x: Images) -> Images:
    """Add eight times what blurring still takes away (Van Cittert 1931): no blurring can be taken back wholly."""
    found = x
    for _ in range(8):
        found = (found + x - _blurred(found)).clamp(0, 1)
    return found


MISTAKES = {
    "pixels 0..255": _scaled(0, 1 / 255),
    "pixels -1..1": _scaled(0.5, 0.5),
    "mean and std of ImageNet": _scaled(0.449, 0.226),
    "mean and std of MNIST": _scaled(0.1307, 0.3081),
    "height and width swapped": WrongInput(lambda x: x.transpose(2, 3), lambda x: x.transpose(2, 3)),
    "black and white swapped": WrongInput(lambda x: 1 - x, lambda x: 1 - x),
    "blurred": WrongInput(_blurred, _sharpened),
    "moved by one pixel": WrongInput(lambda x: _moved(x, 1), lambda x: _moved(x, -1)),
    "divided by 256": _scaled(0, 256 / 255),
}


@torch.no_grad()
def diagnose(model: nn.Module, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> str:
    """Which of the nine `MISTAKES` does an app make, whose network gets these images? Its name, or "right".

    images: what reaches the model, some hundred of them; labels [n]. Each mistake is taken back, and the one without which the model
    is least surprised, by the mean cross-entropy, is the diagnosis. Where two are alike (dividing by 256 costs nothing that can be
    measured), the one that leaves whole pixels v / 255. The model must have been trained on pixels 0..1.
    Raises as `predict` does.

    >>> from posttrain_lab.data import load_fashion
    >>> from posttrain_lab.models import load_pretrained
    >>> part = load_fashion().validation
    >>> diagnose(load_pretrained("fashion_cnn"), 255 * part.images[:200], part.labels[:200])
    'pixels 0..255'
    """
    found: list[tuple[float, float, str]] = []
    for name in (RIGHT, *MISTAKES):
        undone = images if name == RIGHT else MISTAKES[name].undo(images)
        if undone.shape == images.shape:
            loss = F.cross_entropy(predict(model, undone).double(), labels).item()
            pixels = 255 * undone.double()
            found.append((loss, (pixels - pixels.round()).abs().mean().item(), name))
    best = min(found)[0]
    return min((one for one in found if one[0] <= best + SAME_LOSS), key=lambda one: one[1])[2]
