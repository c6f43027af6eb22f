"""Cases and known mistakes of `class_damage`: by how much more than the whole does each class change?

Conventions that the notebook states in the same words:
- dense int64 [k, n], compressed int64 [m, n], labels int64 [n] below `classes`; k and m are at least 2;
- recall of a class: the share of its own images that a model gets right; accuracy: the share of all images;
- (mean recall, compressed - mean recall, dense) - (mean accuracy, compressed - mean accuracy, dense), means over models; float [classes];
- NaN for a class without images.

All numbers are counts over counts: float32 is exact to 1e-6.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

NAN = float("nan")


def _recall(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean recall [classes] of the models."""
    hits = (predicted == labels).double().mean(0)
    total = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, hits)
    return total / torch.bincount(labels, minlength=classes)


def _accuracy(predicted: Tensor, labels: Tensor) -> Tensor:
    return (predicted == labels).double().mean()


def right_damage(dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> Tensor:
    change = _recall(compressed, labels, classes) - _recall(dense, labels, classes)
    return change - (_accuracy(compressed, labels) - _accuracy(dense, labels))


def _models(draw: Draw, k: int, labels: Tensor, classes: int, right: Tensor) -> Tensor:
    """[k, n]: right with the probability of the image's class, else any label."""
    other = torch.randint(classes, (k, len(labels)), generator=draw.generator)
    return torch.where(draw.uniform(0, 1, k, len(labels)) < right[labels], labels, other)


def _case(draw: Draw, k: int, m: int, n: int, classes: int, missing: int = 0) -> tuple[Tensor, Tensor, Tensor, int]:
    """Classes of unequal sizes, the last `missing` of which have no image but are predicted."""
    seen = classes - missing
    shares = torch.arange(1, seen + 1).double()
    drawn = (
        torch.multinomial(shares, max(n - seen, 0), replacement=True, generator=draw.generator) if n > seen else torch.zeros(0)
    )
    every = torch.arange(seen)[torch.randperm(seen, generator=draw.generator)][: min(seen, n)]
    labels = torch.cat([drawn.long(), every])
    labels = labels[torch.randperm(len(labels), generator=draw.generator)]
    dense, compressed = (
        _models(draw, size, labels, classes, draw.uniform(low, 0.95, classes)) for size, low in ((k, 0.8), (m, 0.3))
    )
    return dense, compressed, labels, classes


def damage_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "damage")
    n = draw.whole(40, 60)
    dense, compressed, labels, classes = _case(draw, 3, 3, n, 4)
    return [
        Case("three models each", _case(draw, 3, 3, n, 4)),
        Case("more compressed models than dense ones", _case(draw, 2, 5, n, 3)),
        Case("as many models as images", _case(draw, 6, 6, 6, 3)),
        Case("a view that is not contiguous", (strided(dense), strided(compressed), strided(labels), classes)),
        Case("a class without images", _case(draw, 3, 4, n, 5, missing=2)),
        Case("nothing has changed", (dense, dense, labels, classes)),
        Case("the dense models are always right", (labels.repeat(2, 1), compressed, labels, classes)),
        Case("the compressed models are never right", (dense, (labels + 1).repeat(3, 1) % classes, labels, classes)),
        Case(
            "two classes, by name",
            (),
            dict(zip(("dense", "compressed", "labels", "classes"), _case(draw, 2, 3, n, 2), strict=True)),
        ),
        Case("one image", _case(draw, 2, 2, 1, 2)),
    ]


def damage_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "damage at work")
    return [
        Case("six networks each, 600 images of ten classes", _case(draw, 6, 6, 600, 10)),
        Case("ten networks each, 5,000 images of ten classes", _case(draw, 10, 10, 5000, 10)),
    ]


def _damages_cancel(call: Call, seed: int) -> str | None:
    dense, compressed, labels, classes = _case(Draw(seed, "damage law"), 3, 4, 50, 4)
    shares = torch.bincount(labels, minlength=classes).double() / len(labels)
    total = float((shares * call(dense, compressed, labels, classes).double()).sum())
    return (
        None
        if abs(total) < 1e-5
        else f"weighted by the share of each class, the damages add up to {total:.4g}; they must cancel."
    )


Recall = Callable[[Tensor, Tensor, int], Tensor]


def _with(recall: Recall = _recall, accuracy: Callable[[Tensor, Tensor], Tensor] = _accuracy) -> Callable[..., Tensor]:
    """The right answer with another recall or accuracy."""

    def mistaken(dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> Tensor:
        change = recall(compressed, labels, classes) - recall(dense, labels, classes)
        return change - (accuracy(compressed, labels) - accuracy(dense, labels))

    return mistaken


def _precision(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    each = [_one_precision(p, labels, classes) for p in predicted]
    return torch.stack(each).mean(0)


def _one_precision(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    hits = torch.bincount(labels[predicted == labels], minlength=classes).double()
    return hits / torch.bincount(predicted, minlength=classes)


def _of_all(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    there = torch.bincount(labels, minlength=classes)
    return _recall(predicted, labels, classes) * there / len(labels)


def _mean_recall(dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> Tensor:
    change = _recall(compressed, labels, classes) - _recall(dense, labels, classes)
    return change - change.nanmean()


def _relative(dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> Tensor:
    recall, accuracy = (
        (f(compressed) - f(dense)) / f(dense)
        for f in (lambda part: _recall(part, labels, classes), lambda part: _accuracy(part, labels))
    )
    return recall - accuracy


def _predicted_share(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.stack([(predicted == c).double().mean() for c in range(classes)])


def _added(dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> Tensor:
    change = _recall(compressed, labels, classes) - _recall(dense, labels, classes)
    return change + (_accuracy(compressed, labels) - _accuracy(dense, labels))


DAMAGE_MISTAKES = (
    Mistake(
        "precision",
        "You divide by how often a class is predicted (precision); recall divides by how many images of the class there are.",
        _with(_precision),
    ),
    Mistake(
        "overall change forgotten",
        "You return the change of recall alone; subtract the change of the accuracy, which every class shares.",
        _with(accuracy=lambda predicted, labels: torch.tensor(0.0)),
    ),
    Mistake(
        "divided by n",
        "You divide the hits of a class by all n images; divide by the number of images of that class.",
        _with(_of_all),
    ),
    Mistake(
        "overall change added",
        "You add the change of the accuracy; subtract it: the damage is what goes beyond it.",
        _added,
    ),
    Mistake(
        "dense minus compressed",
        "You subtract the compressed models from the dense ones; a class that lost more than the whole must be negative.",
        lambda dense, compressed, labels, classes: right_damage(compressed, dense, labels, classes),
    ),
    Mistake(
        "mean of the recalls",
        "You subtract the mean change over the classes; subtract the change of the accuracy, in which large classes count more.",
        _mean_recall,
    ),
    Mistake(
        "relative",
        "You divide the changes by the dense values; damage is a difference of shares, in points.",
        _relative,
    ),
    Mistake(
        "first models only",
        "You use one model of each population; average over all of them.",
        lambda dense, compressed, labels, classes: right_damage(dense[:1], compressed[:1], labels, classes),
    ),
    Mistake(
        "share of predictions",
        "You count how often a class is predicted; count how many of its own images are right.",
        _with(_predicted_share),
    ),
    Mistake(
        "0 without images",
        "A class without images has 0 in your result; it has no recall, so return NaN.",
        lambda *case: right_damage(*case).nan_to_num(),
    ),
    Mistake("percent", "You return percentage points; return shares.", lambda *case: 100 * right_damage(*case)),
    Mistake("list", "You return a list; make a tensor of it.", lambda *case: right_damage(*case).tolist()),
)


class_damage = Exercise(
    name="class_damage",
    unit="07_auditing",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_damage,
    cases=damage_cases,
    workload=damage_workload,
    mistakes=DAMAGE_MISTAKES,
    judge=close(1e-6, 1e-6),
    laws=(Law("damages cancel", _damages_cancel),),
    legal={
        "not contiguous": "Results may lie in memory in any order (contiguous or not).",
        "float32 for float64": "the result is `float [classes]`",
    },
    library="auditing:class_damage",
)
