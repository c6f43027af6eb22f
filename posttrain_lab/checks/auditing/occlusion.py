"""Cases and known mistakes of `occlusion`: how much does the target's logit drop when a part of the image is hidden?

Conventions that the notebook states in the same words:
- image float [c, h, w]; a square of window x window pixels, in all channels, is set to `baseline`, at every place where it fits into the
  image, one pixel apart; drop = logit(image) - logit(hidden image), of `target`;
- the result [h, w] has at each pixel the mean drop of all the squares that cover it;
- the model (in eval mode) and the image are left as they were.

A drop is a difference of two logits of float32: it is exact to some 1e-6 of the logits, and the judge allows 3e-5 of the largest drop.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import near
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, doubled, images, linear, weight_of

NAMES = ("model", "image", "target", "window", "baseline")
Drop = Callable[[Tensor, Tensor, int], Tensor]
Hide = Callable[[Tensor, slice, slice, float], None]


def _drop(before: Tensor, after: Tensor, target: int) -> Tensor:
    """[k] drops from logits [1, c] and [k, c]."""
    return before[:, target] - after[:, target]


def _hide(image: Tensor, rows: slice, columns: slice, baseline: float) -> None:
    image[:, rows, columns] = baseline


def _drops(
    model: nn.Module,
    image: Tensor,
    target: int,
    window: int,
    baseline: float,
    drop: Drop = _drop,
    hide: Hide = _hide,
    apart: int = 1,
) -> dict[tuple[int, int], float]:
    """The drop for each place of the square's upper left corner."""
    net, image = doubled(model), image.double()
    height, width = image.shape[1:]
    places = list(itertools.product(range(0, height - window + 1, apart), range(0, width - window + 1, apart)))
    hidden = image.repeat(len(places), 1, 1, 1)
    for copy, (i, j) in zip(hidden, places, strict=True):
        hide(copy, slice(i, i + window), slice(j, j + window), baseline)
    with torch.no_grad():
        found = drop(net(image[None]), net(hidden), target)
    return dict(zip(places, found.tolist(), strict=True))


def _averaged(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    """The mean, at each pixel, of the squares that cover it; 0 where none does."""
    total, count = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    for (i, j), drop in drops.items():
        total[i : i + window, j : j + window] += drop
        count[i : i + window, j : j + window] += 1
    return total / count.clamp_min(1)


def right_occlusion(model: nn.Module, image: Tensor, target: int, window: int, baseline: float) -> Tensor:
    return _averaged(_drops(model, image, target, window, baseline), image.shape[1:], window).to(image.dtype)


def _visible(make: Callable[[], tuple[nn.Module, Tensor, int, int, float]]) -> tuple[nn.Module, Tensor, int, int, float]:
    """A case whose one difference is no small rest of two large logits, of which float32 would keep few digits."""
    while True:
        case = make()
        if right_occlusion(*case).abs().max() > 0.2 * case[0](case[1][None]).abs().max():
            return case


def occlusion_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "occlusion")
    grey, classes = round(draw.real(0.3, 0.7), 2), draw.whole(3, 5)
    viewed = images(draw, 1, 5, 7)
    named = (deep(draw, 30, 9, 3), images(draw, 1, 5, 6), draw.whole(0, 2), 2, 0.25)
    return [
        Case("a square of 3 x 3", (deep(draw, 63, 12, classes), images(draw, 1, 7, 9), 1, 3, grey)),
        Case("two channels, an even square", (deep(draw, 60, 12, 4), images(draw, 2, 5, 6), draw.whole(1, 3), 2, grey)),
        Case("a convolutional network", (convolutional(draw, 2, 6, 8, 3), images(draw, 2, 6, 8), 2, 4, 0.0)),
        Case("a linear model", (linear(draw, 30, 4), images(draw, 1, 6, 5), 0, 3, 1.0)),
        Case("a view that is not contiguous", (deep(draw, 35, 8, 3), strided(viewed), 2, 3, grey)),
        Case("single pixels", (deep(draw, 20, 8, 3), images(draw, 1, 4, 5), 1, 1, grey)),
        Case("small logits", (deep(draw, 20, 8, 3, 0.02), images(draw, 1, 4, 5), 1, 2, 0.0)),
        Case("a square as large as the image", _visible(lambda: (deep(draw, 16, 8, 3), images(draw, 1, 4, 4), 0, 4, grey))),
        Case("a square as high as the image", (deep(draw, 21, 8, 3), images(draw, 1, 3, 7), 2, 3, grey)),
        Case("by name", (), dict(zip(NAMES, named, strict=True))),
    ]


def occlusion_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "occlusion at work")
    precise = (doubled(deep(draw, 20, 8, 3)), images(draw, 1, 4, 5).double(), 1, 2, 1 / 3)
    return [
        Case("28 x 28 pixels, a square of 9 x 9", (deep(draw, 784, 16, 10), images(draw, 1, 28, 28), draw.whole(0, 9), 9, 0.0)),
        Case("float64", precise),
        Case("large features", (linear(draw, 20, 3), 2e4 * draw.normal(1, 4, 5), 2, 2, 0.0)),
    ]


def _linear_parts(call: Call, seed: int) -> str | None:
    """With single pixels, a linear model's map is weight times difference."""
    draw = Draw(seed, "occlusion law")
    model, image = linear(draw, 12, 2), images(draw, 1, 3, 4)
    wanted = weight_of(model)[1].reshape(3, 4) * (image[0] - 0.5)
    found = call(model, image, 1, 1, 0.5)
    return (
        None
        if torch.allclose(found.float(), wanted, atol=1e-4)
        else "for single pixels of a linear model, the map is weight * (pixel - baseline)."
    )


def _with(drop: Drop = _drop, hide: Hide = _hide, apart: int = 1) -> Callable[..., Tensor]:
    """The right map of other drops."""

    def mistaken(model: nn.Module, image: Tensor, target: int, window: int, baseline: float) -> Tensor:
        drops = _drops(model, image, target, window, baseline, drop, hide, apart)
        return _averaged(drops, image.shape[1:], window).to(image.dtype)

    return mistaken


def _from(collect: Callable[[dict[tuple[int, int], float], torch.Size, int], Tensor]) -> Callable[..., Tensor]:
    """Another map of the right drops."""

    def mistaken(model: nn.Module, image: Tensor, target: int, window: int, baseline: float) -> Tensor:
        return collect(_drops(model, image, target, window, baseline), image.shape[1:], window).to(image.dtype)

    return mistaken


def _at_the_middle(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    found = torch.zeros(shape, dtype=torch.float64)
    for (i, j), drop in drops.items():
        found[i + window // 2, j + window // 2] = drop
    return found


def _grid(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    height = max(i for i, _ in drops) + 1
    return torch.tensor(list(drops.values()), dtype=torch.float64).reshape(height, -1)


def _added(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    found = torch.zeros(shape, dtype=torch.float64)
    for (i, j), drop in drops.items():
        found[i : i + window, j : j + window] += drop
    return found


def _by_the_area(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    return _added(drops, shape, window) / window**2


def _last_one(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    found = torch.zeros(shape, dtype=torch.float64)
    for (i, j), drop in drops.items():
        found[i : i + window, j : j + window] = drop
    return found


def _largest(drops: dict[tuple[int, int], float], shape: torch.Size, window: int) -> Tensor:
    found = torch.full(shape, -torch.inf, dtype=torch.float64)
    for (i, j), drop in drops.items():
        part = found[i : i + window, j : j + window]
        part.copy_(part.clamp_min(drop))
    return found


def _tiles(model: nn.Module, image: Tensor, target: int, window: int, baseline: float) -> Tensor:
    return _with(apart=window)(model, image, target, window, baseline)


def _of_the_predicted(before: Tensor, after: Tensor, target: int) -> Tensor:
    chosen = int(before[0].argmax())
    return before[:, chosen] - after[:, chosen]


def _first_channel(image: Tensor, rows: slice, columns: slice, baseline: float) -> None:
    image[0, rows, columns] = baseline


def _black(image: Tensor, rows: slice, columns: slice, baseline: float) -> None:
    image[:, rows, columns] = 0


def _the_rest(image: Tensor, rows: slice, columns: slice, baseline: float) -> None:
    kept = image[:, rows, columns].clone()
    image[:] = baseline
    image[:, rows, columns] = kept


OCCLUSION_MISTAKES = (
    Mistake(
        "rise",
        "You subtract the logit of the whole image, so important pixels are negative; drop = logit(image) - logit(hidden).",
        _with(lambda before, after, target: after[:, target] - before[:, target]),
    ),
    Mistake(
        "predicted class",
        "You follow the class that the model predicts; follow `target`.",
        _with(_of_the_predicted),
    ),
    Mistake(
        "largest logit",
        "You compare the largest logits, which belong to different classes when the answer changes; follow `target`.",
        _with(lambda before, after, target: before.amax(1) - after.amax(1)),
    ),
    Mistake(
        "middle of the square only",
        "You write each drop at the middle of its square, so the borders stay 0; write it at every pixel that the square covers.",
        _from(_at_the_middle),
    ),
    Mistake(
        "one number a square",
        "Your map has one number for each place of the square; it has the size of the image, [h, w].",
        _from(_grid),
    ),
    Mistake(
        "sum",
        "You add the drops of the squares that cover a pixel; divide by how many there are.",
        _from(_added),
    ),
    Mistake(
        "divided by the area",
        "You divide by window^2; near the border fewer squares cover a pixel, so divide by their number.",
        _from(_by_the_area),
    ),
    Mistake(
        "the last square wins",
        "Later squares overwrite earlier ones; average all squares that cover a pixel.",
        _from(_last_one),
    ),
    Mistake("largest drop", "You take the largest drop; average all squares that cover a pixel.", _from(_largest)),
    Mistake(
        "side by side",
        "You move the square by its own width; move it by one pixel, so that the squares overlap.",
        _tiles,
    ),
    Mistake(
        "probability",
        "You compare probabilities (softmax), which mix in the other classes; compare the target's logits.",
        _with(lambda before, after, target: before.softmax(1)[:, target] - after.softmax(1)[:, target]),
    ),
    Mistake(
        "absolute",
        "You take absolute values; a part that speaks against the target has a negative drop.",
        _with(lambda before, after, target: _drop(before, after, target).abs()),
    ),
    Mistake("first channel only", "You hide one channel; hide the square in all channels.", _with(hide=_first_channel)),
    Mistake("black", "You set the square to 0; set it to `baseline`.", _with(hide=_black)),
    Mistake("the rest hidden", "You hide everything but the square; hide the square.", _with(hide=_the_rest)),
)


occlusion = Exercise(
    name="occlusion",
    unit="07_auditing",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_occlusion,
    cases=occlusion_cases,
    workload=occlusion_workload,
    mistakes=OCCLUSION_MISTAKES,
    judge=near(3e-5, strict_dtype=True),
    laws=(Law("a linear model", _linear_parts),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)."},
    library="auditing:occlusion",
)
