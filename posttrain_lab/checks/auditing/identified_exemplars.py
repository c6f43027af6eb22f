"""Cases and known mistakes of `identified_exemplars`: which images do most compressed models label differently than most dense ones?

Conventions that the notebook states in the same words:
- dense int64 [k, n], compressed int64 [m, n]: the labels that k dense and m compressed models give to n images; k and m are at least 2;
- the modal label of a population is its most frequent one; a tie goes to the smallest label;
- bool [n]: the two modal labels differ.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def _votes(labels: Tensor, classes: int) -> Tensor:
    """[classes, n]: how many models say each label."""
    return torch.zeros(classes, labels.shape[1], dtype=torch.long).scatter_add_(0, labels.contiguous(), torch.ones_like(labels))


def _modes(labels: Tensor) -> Tensor:
    """The most frequent label [n]; argmax gives the first of equal ones."""
    return _votes(labels, int(labels.max()) + 1).argmax(0)


def right_exemplars(dense: Tensor, compressed: Tensor) -> Tensor:
    return _modes(dense) != _modes(compressed)


def _labels(draw: Draw, k: int, n: int, classes: int, agree: float) -> Tensor:
    """[k, n]: models that mostly say the same label for an image."""
    own = torch.randint(classes, (1, n), generator=draw.generator)
    other = torch.randint(classes, (k, n), generator=draw.generator)
    return torch.where(draw.uniform(0, 1, k, n) < agree, own, other)


def _pair(draw: Draw, k: int, m: int, n: int, classes: int) -> tuple[Tensor, Tensor]:
    """Two populations; the second is the first for most images."""
    dense = _labels(draw, k, n, classes, 0.5)
    new = _labels(draw, m, n, classes, 0.5)
    kept = dense[torch.randint(k, (m,), generator=draw.generator)]
    return dense, torch.where(draw.uniform(0, 1, m, n) < 0.55, kept, new)


def _tied(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    """Two labels, each twice, in random order; the compressed models agree on one of the two."""
    low = torch.randint(0, 4, (n,), generator=draw.generator)
    high = low + torch.randint(1, 4, (n,), generator=draw.generator)
    dense = torch.stack([torch.stack(draw.shuffled([a, a, b, b])) for a, b in zip(low, high, strict=True)], 1)
    return dense, torch.where(draw.uniform(0, 1, n) < 0.5, low, high).repeat(3, 1)


def exemplar_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "exemplars")
    n, k = draw.whole(25, 40), draw.whole(5, 7)
    square = _pair(draw, k, k, k, 4)
    dense, compressed = _pair(draw, 5, 5, n, 5)
    return [
        Case("five models each", _pair(draw, 5, 5, n, 4)),
        Case("more compressed models than dense ones", _pair(draw, 3, 6, n, 4)),
        Case("as many models as images", square),
        Case("a view that is not contiguous", (strided(dense), strided(compressed))),
        Case("the dense models are divided", _tied(draw, n)),
        Case("the compressed models are divided", _tied(draw, n)[::-1]),
        Case("two models each", _pair(draw, 2, 2, n, 3)),
        Case("no image differs", (dense, dense.flip(0))),
        Case("every image differs", (torch.zeros(3, n).long(), torch.full((4, n), draw.whole(1, 9)))),
        Case("one image", _pair(draw, 3, 3, 1, 2)),
        Case("far apart labels, by name", (), {"dense": 7 * dense, "compressed": 7 * compressed}),
    ]


def exemplar_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "exemplars at work")
    return [
        Case("ten networks each, 2,000 images of ten classes", _pair(draw, 10, 10, 2000, 10)),
        Case("ten networks, 6,000 images", _pair(draw, 10, 10, 6000, 10)),
    ]


def _models_in_any_order(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "exemplars law")
    dense, compressed = _pair(draw, 5, 4, 20, 4)
    same = torch.equal(call(dense, compressed), call(dense.flip(0), compressed.roll(1, 0)))
    return None if same else "the models in another order must give the same images."


def _by(mode: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Another kind of middle label."""
    return lambda dense, compressed: mode(dense) != mode(compressed)


def _largest_of_ties(labels: Tensor) -> Tensor:
    top = int(labels.max())
    return top - _modes(top - labels)


def _any_pair(dense: Tensor, compressed: Tensor) -> Tensor:
    return (dense[:, None] != compressed[None]).any(0).any(0)


def _most_pairs(dense: Tensor, compressed: Tensor) -> Tensor:
    return (dense[:, None] != compressed[None]).double().mean((0, 1)) > 0.5


def _most_leave_the_dense_label(dense: Tensor, compressed: Tensor) -> Tensor:
    return (compressed != _modes(dense)).double().mean(0) > 0.5


def _shares_differ(dense: Tensor, compressed: Tensor) -> Tensor:
    classes = int(max(dense.max(), compressed.max())) + 1
    return (_votes(dense, classes) * len(compressed) != _votes(compressed, classes) * len(dense)).any(0)


def _unanimous(labels: Tensor) -> Tensor:
    """The common label, or -1."""
    return torch.where((labels == labels[0]).all(0), labels[0], -1)


EXEMPLAR_MISTAKES = (
    Mistake(
        "one pair of models",
        "You compare one dense with one compressed model; they differ by chance too, so compare the modal labels of all models.",
        lambda dense, compressed: dense[0] != compressed[0],
    ),
    Mistake(
        "mean of labels",
        "You average class numbers; between classes 2 and 4 there is no class 3, so take the most frequent label.",
        _by(lambda labels: labels.double().mean(0).round()),
    ),
    Mistake(
        "median of labels",
        "You take the median of class numbers, which have no order; take the most frequent label.",
        _by(lambda labels: labels.sort(0).values[(len(labels) - 1) // 2]),
    ),
    Mistake(
        "any disagreement",
        "You mark an image when any two models differ; compare the most frequent label of each population.",
        _any_pair,
    ),
    Mistake(
        "most pairs of models",
        "You count the pairs of models that differ; compare the most frequent label of each population.",
        _most_pairs,
    ),
    Mistake(
        "most compressed models",
        "You ask whether most compressed models leave the dense label; they may scatter over other labels: compare two modal labels.",
        _most_leave_the_dense_label,
    ),
    Mistake(
        "shares of votes",
        "You mark an image when the votes are distributed otherwise; only their most frequent label matters.",
        _shares_differ,
    ),
    Mistake(
        "agreement of all",
        "You use a population's label only where all its models agree; the most frequent one is enough.",
        _by(_unanimous),
    ),
    Mistake(
        "over the images",
        "You take the mode over the images, for each model; take it over the models (dim 0), for each image.",
        lambda dense, compressed: _modes(dense.T) != _modes(compressed.T),
    ),
    Mistake(
        "ties to the largest label",
        "A tie goes to the largest label in your function; it goes to the smallest.",
        _by(_largest_of_ties),
    ),
    Mistake(
        "the unchanged images",
        "You mark the images on which the populations agree; mark those on which their modal labels differ.",
        lambda dense, compressed: ~right_exemplars(dense, compressed),
    ),
    Mistake(
        "numbers of images",
        "You return the positions of the images; return bool [n], True for each of them.",
        lambda dense, compressed: right_exemplars(dense, compressed).nonzero()[:, 0],
    ),
    Mistake(
        "numbers",
        "You return numbers; return the result of the comparison, bool.",
        lambda dense, compressed: right_exemplars(dense, compressed).float(),
    ),
)


identified_exemplars = Exercise(
    name="identified_exemplars",
    unit="07_auditing",
    points=2,
    difficulty=2,
    minutes=7,
    oracle=right_exemplars,
    cases=exemplar_cases,
    workload=exemplar_workload,
    mistakes=EXEMPLAR_MISTAKES,
    laws=(Law("the models have no order", _models_in_any_order),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)."},
    library="auditing:identified_exemplars",
)
