"""Cases and known mistakes of `leak_check`: which share of a part has a near copy in `train`?

Conventions that the notebook states in the same words:
- an image b of `other` has a near copy when min |shift(b) - a| < tolerance * |b|, over all a in `train` and all 25 shifts by up to 2
  pixels in each direction, around the edges as torch.roll does; Euclidean norms over all channels and pixels;
- train float [n, c, h, w], other float [m, c, h, w]; the result is the share of `other`, a plain float.

No distance of the cases lies within 2 % of its limit, so float32 in any order of its sums gives the same count.
"""

import itertools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

REACH = 2
TOO_FAR = [(0, 3), (0, -3), (3, 0), (-3, 0), (3, 2), (-3, -1)]
Shifted = Callable[[Tensor, int, int], Tensor]


def _around(images: Tensor, dy: int, dx: int) -> Tensor:
    return images.roll((dy, dx), (2, 3))


def _every(reach: int) -> Iterable[tuple[int, int]]:
    return itertools.product(range(-reach, reach + 1), range(-reach, reach + 1))


def _distances(
    train: Tensor, other: Tensor, shifts: Iterable[tuple[int, int]] = tuple(_every(REACH)), shifted: Shifted = _around
) -> Tensor:
    """[m, n] float64: the smallest distance over the shifts."""
    rows = train.double().flatten(1)
    found = [
        torch.cdist(shifted(other.double(), dy, dx).flatten(1), rows, compute_mode="donot_use_mm_for_euclid_dist")
        for dy, dx in shifts
    ]
    return torch.stack(found).amin(0)


def _sizes(images: Tensor) -> Tensor:
    return images.double().flatten(1).norm(dim=1)


def _share(near: Tensor) -> float:
    return near.double().mean().item()


def right_leak(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    return _share((_distances(train, other) < tolerance * _sizes(other)[:, None]).any(1))


def _parts(draw: Draw, n: int, m: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Two parts without any near copies, the images with dark edges only by chance."""
    return draw.uniform(0, 1, n, *shape), draw.uniform(0, 1, m, *shape)


def _leaking(draw: Draw, n: int, m: int, copies: int, change: Callable[[Tensor], Tensor], *shape: int) -> tuple[Tensor, Tensor]:
    """In `other`, at places of its own, stand changed copies of images of `train`."""
    train, other = _parts(draw, n, m, *shape)
    taken = torch.randperm(n, generator=draw.generator)[:copies]
    places = torch.randperm(m, generator=draw.generator)[:copies]
    other[places] = change(train[taken])
    return train, other


def _noise(draw: Draw, size: float) -> Callable[[Tensor], Tensor]:
    """Copies at this distance from the image, relative to its own norm."""

    def noisy(images: Tensor) -> Tensor:
        noise = draw.normal(*images.shape)
        return images + noise * (size * _sizes(images) / _sizes(noise)).float().view(-1, 1, 1, 1)

    return noisy


def _placed(draw: Draw, train: Tensor, other: Tensor, shifts: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """In `other` stand copies of the first images of `train`, each moved by a shift of its own."""
    places = torch.randperm(len(other), generator=draw.generator)
    for image, place, (dy, dx) in zip(train, places.tolist(), shifts, strict=False):
        other[place] = _around(image[None], dy, dx)[0]
    return train, other


def _moved(draw: Draw, n: int, m: int, *shape: int) -> tuple[Tensor, Tensor]:
    """As many copies of each shift as tell which shifts were tried."""
    return _placed(draw, *_parts(draw, n, m, *shape), [(0, 0), (-1, 0), (-2, -2), (1, 1), (1, 1), (2, -1)])


def _dark_edges(draw: Draw, n: int, m: int) -> tuple[Tensor, Tensor]:
    """The edges of these images are 0, so that nothing is lost there when they move by one."""
    train, other = (nn.functional.pad(part, (2, 2, 2, 2)) for part in _parts(draw, n, m, 1, 5, 5))
    return _placed(draw, train, other, [(-1, 0), (1, 0), (1, 0)])


def leak_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "leak check")
    n, m, shape = draw.whole(13, 18), draw.whole(9, 12), (1, 8, 7)
    mixed_train, mixed_other = _leaking(draw, n, m, 3, _noise(draw, 0.05), *shape)
    some = _leaking(draw, n, m, 5, lambda images: images, *shape)
    return [
        Case("honest parts", _parts(draw, n, m, *shape)),
        Case("five exact copies", some),
        Case("three noisy copies, views that are not contiguous", (strided(mixed_train), strided(mixed_other))),
        Case("noisy copies, a small tolerance", (mixed_train, mixed_other, 0.02)),
        *_moved_cases(draw, n, m),
        *_changed_cases(draw, n, m),
        Case("one image each, by name", (), {"train": some[0][:1], "other": _around(some[0][:1], 1, -1), "tolerance": 0.05}),
        Case("one image, twice in train", (some[0][:2].repeat(2, 1, 1, 1), torch.cat([some[0][:1], 1 - some[0][:1]]))),
    ]


def _turn(dy: int, dx: int) -> Callable[[Tensor], Tensor]:
    return lambda images: _around(images, dy, dx)


def _moved_cases(draw: Draw, n: int, m: int) -> list[Case]:
    shape = (1, 8, 7)
    return [
        Case("dark edges, copies that have moved up and down", _dark_edges(draw, n, m)),
        Case("copies that have moved in five ways", _moved(draw, n, m, *shape)),
        Case("copies that have moved down and to the left", _leaking(draw, n, m, 4, _turn(2, -2), *shape)),
        Case("copies that have moved up by one", _leaking(draw, n, m, 2, _turn(-1, 0), *shape)),
        Case("copies that have moved by three: too far", _placed(draw, *_parts(draw, n, m, *shape), TOO_FAR)),
    ]


def _changed_cases(draw: Draw, n: int, m: int) -> list[Case]:
    """Noise, light and channels."""

    def copies(count: int, change: Callable[[Tensor], Tensor], factor: float = 1) -> tuple[Tensor, ...]:
        return tuple(factor * part for part in _leaking(draw, n, m, count, change, 1, 8, 7))

    return [
        Case("hardly any noise, a very small tolerance", (*copies(4, _noise(draw, 8e-4)), 1.3e-3)),
        Case("very dark images", (*copies(3, _noise(draw, 0.01), 1e-6), 0.02)),
        Case("dark images, with noisy copies", copies(3, _noise(draw, 0.08), 0.01)),
        Case("bright images, with noisy copies", copies(3, _noise(draw, 0.08), 50)),
        Case("noise above the limit", copies(4, _noise(draw, 0.2))),
        Case("brighter copies", (*copies(3, lambda images: 1.2 * images), 0.18)),
        Case("fainter copies", (*copies(3, lambda images: 0.9 * images), 0.105)),
        Case("three channels, more of `other` than of `train`", (*_leaking(draw, m, n + 4, 6, _turn(1, 2), 3, 6, 6), 0.1)),
        Case(
            "only the first channel is alike",
            _leaking(draw, n, m, 4, lambda images: torch.cat([images[:, :1], 1 - images[:, 1:]], 1), 2, 6, 6),
        ),
    ]


def leak_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "leak check at work")
    return [
        Case("160 and 40 images of 28 x 28 pixels", _leaking(draw, 160, 40, 12, lambda images: _around(images, 1, 1), 1, 28, 28))
    ]


def _copies_count(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "leak check law")
    train, other = _parts(draw, 9, 6, 1, 6, 6)
    found = [call(train, torch.cat([other, _around(train[:k], 2, 1)])) for k in (0, 3, 9)]
    wanted = [0.0, 3 / 9, 9 / 15]
    return (
        None
        if all(abs(a - b) < 1e-6 for a, b in zip(found, wanted, strict=True))
        else (f"six images, with 0, 3 and 9 moved copies added, must give {wanted}; got {found}.")
    )


def _zeros(images: Tensor, dy: int, dx: int) -> Tensor:
    """Moved, with 0 where nothing comes from."""
    moved = _around(images, dy, dx).clone()
    moved[:, :, : max(dy, 0)] = 0
    moved[:, :, images.shape[2] + min(dy, 0) :] = 0
    moved[..., : max(dx, 0)] = 0
    moved[..., images.shape[3] + min(dx, 0) :] = 0
    return moved


def _with(shifts: Iterable[tuple[int, int]] = tuple(_every(REACH)), shifted: Shifted = _around) -> Callable[..., float]:
    kept = tuple(shifts)

    def mistaken(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
        return _share((_distances(train, other, kept, shifted) < tolerance * _sizes(other)[:, None]).any(1))

    return mistaken


def _limited(limit: Callable[[Tensor, Tensor, float], Tensor | float]) -> Callable[..., float]:
    """Another limit."""

    def mistaken(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
        return _share((_distances(train, other) < limit(train, other, tolerance)).any(1))

    return mistaken


def _of_train(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    return _share((_distances(train, other) < tolerance * _sizes(other)[:, None]).any(0))


def _near_all(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    return _share((_distances(train, other) < tolerance * _sizes(other)[:, None]).all(1))


def _pairs(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    return _share(_distances(train, other) < tolerance * _sizes(other)[:, None])


def _same_place(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    both = min(len(train), len(other))
    near = _distances(train[:both], other[:both]).diagonal() < tolerance * _sizes(other[:both])
    return near.double().sum().item() / len(other)


def _exact(train: Tensor, other: Tensor, tolerance: float = 0.15) -> float:
    return _share((_distances(train, other) == 0).any(1))


LEAK_MISTAKES = (
    Mistake(
        "exact copies only", "You find exact copies only; a near copy may differ by a share of its size, the tolerance.", _exact
    ),
    Mistake("same place only", "You compare images at equal places; a copy may stand anywhere in `train`.", _same_place),
    Mistake("share of train", "You return the share of `train`; return the share of `other` that has a copy there.", _of_train),
    Mistake("near to all", "You ask for images that are near to all of `train`; near to one is enough.", _near_all),
    Mistake("pairs", "You count pairs; count each image of `other` once.", _pairs),
    Mistake("no shifts", "You compare images as they are; try all shifts by up to 2 pixels.", _with([(0, 0)])),
    Mistake(
        "one direction",
        "You shift in one direction at a time; try all 25 combinations of down and across.",
        _with([(d, 0) for d in range(-2, 3)] + [(0, d) for d in range(-2, 3)]),
    ),
    Mistake(
        "down and to the right only",
        "You shift down and to the right only; try both directions, -2 to 2.",
        _with(itertools.product(range(3), range(3))),
    ),
    Mistake("one pixel", "You shift by one pixel at most; try up to 2.", _with(_every(1))),
    Mistake("three pixels", "You shift by more than 2 pixels.", _with(_every(3))),
    Mistake(
        "edges lost",
        "What leaves the image at one edge is lost; shift around the edges, as torch.roll does.",
        _with(shifted=_zeros),
    ),
    Mistake(
        "absolute",
        "You compare the distance with the tolerance alone; the limit is tolerance * |b|.",
        _limited(lambda train, other, tolerance: tolerance),
    ),
    Mistake(
        "relative to train",
        "Your limit is a share of the norm of the image of `train`; take that of `other`.",
        _limited(lambda train, other, tolerance: tolerance * _sizes(train)[None]),
    ),
    Mistake(
        "own tolerance",
        "Your tolerance is fixed; use the given one.",
        _limited(lambda train, other, tolerance: 0.15 * _sizes(other)[:, None]),
    ),
    Mistake(
        "squared",
        "You compare a squared distance with a norm; take its square root.",
        lambda train, other, tolerance=0.15: _share((_distances(train, other) ** 2 < tolerance * _sizes(other)[:, None]).any(1)),
    ),
    Mistake(
        "first channel",
        "You compare the first channel only; take all of them.",
        lambda train, other, tolerance=0.15: right_leak(train[:, :1], other[:, :1], tolerance),
    ),
    Mistake(
        "number",
        "You return a number of images; return the share of `other`.",
        lambda train, other, tolerance=0.15: right_leak(train, other, tolerance) * len(other),
    ),
)


leak_check = Exercise(
    name="leak_check",
    unit="11_clinic",
    points=3,
    difficulty=3,
    minutes=10,
    oracle=right_leak,
    cases=leak_cases,
    workload=leak_workload,
    mistakes=LEAK_MISTAKES,
    judge=close(1e-6, 1e-6),
    laws=(Law("copies count", _copies_count),),
    library="clinic:leak_check",
)
