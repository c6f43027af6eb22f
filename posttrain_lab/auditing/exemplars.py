"""What has a smaller model forgotten? Not which accuracy it lost, but which images and which classes.

Two networks that were trained from different seeds disagree about some images for no other reason than chance. So populations are
compared: k dense networks with k compressed ones. An image whose most frequent (modal) label differs between the two populations is a
compression-identified exemplar. Left out: top-5 labels.

Source: Hooker, Courville, Clark, Dauphin, Frome 2019, "What Do Compressed Deep Neural Networks Forget?"; Welch (1947); Holm (1979).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from posttrain_lab.arguments import check_count
from posttrain_lab.comparisons import holm, welch

Labels = Integer[Tensor, "k n"]


def check_populations(name: str, dense: Tensor, compressed: Tensor) -> None:
    """Raise unless both are class numbers [models, n], at least two models each, of the same n >= 1 images."""
    for argument, labels in (("dense", dense), ("compressed", compressed)):
        if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
            got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
            raise TypeError(f"{name} wants {argument} to be a Tensor of class numbers, got {got}; do logits.argmax(1).")
        if labels.ndim != 2 or labels.shape[1] == 0:
            raise ValueError(
                f"{name} wants {argument} [models, n] with n >= 1, got shape {list(labels.shape)}; stack the models."
            )
        if len(labels) < 2:
            raise ValueError(
                f"{name} wants at least two models in each population, got {len(labels)} in {argument}; one pair of networks "
                "disagrees by the chance of their seeds."
            )
        if labels.min() < 0:
            raise ValueError(f"{name} wants class numbers >= 0, got {int(labels.min())}.")
    if dense.shape[1] != compressed.shape[1]:
        raise ValueError(f"{name} wants labels of the same images, got {dense.shape[1]} and {compressed.shape[1]} images.")


def modal_labels(labels: Labels) -> Integer[Tensor, " n"]:
    """Which label do most models of a population give to each image? A tie goes to the smallest label.

    labels [k, n] -> [n] int64.

    >>> modal_labels(torch.tensor([[3, 1], [3, 0], [5, 2]]))
    tensor([3, 0])
    """
    votes = torch.stack([(labels == c).sum(0) for c in range(int(labels.max()) + 1)])
    return votes.argmax(0)  # the first of equal ones


def identified_exemplars(dense: Labels, compressed: Integer[Tensor, "m n"]) -> Bool[Tensor, " n"]:
    """Which images are labelled differently by most compressed models than by most dense ones?

    exemplar_i = [mode_k dense[k, i] != mode_k compressed[k, i]]; a tie goes to the smallest label. dense [k, n], compressed [m, n]: class
    numbers. Raises TypeError for other dtypes, ValueError for fewer than two models or other images. Source: Hooker et al. (2019).

    >>> dense, compressed = torch.tensor([[2, 1], [2, 1], [0, 1]]), torch.tensor([[0, 1], [0, 1], [2, 0]])
    >>> identified_exemplars(dense, compressed)
    tensor([ True, False])
    """
    check_populations("identified_exemplars", dense, compressed)
    return modal_labels(dense) != modal_labels(compressed)


def recalls(labels: Labels, truth: Integer[Tensor, " n"], classes: int) -> Float[Tensor, "k classes"]:
    """The share of each class's images that each model gets right; NaN for a class without images."""
    hits = labels == truth
    columns = [hits[:, truth == c].double().mean(dim=1) for c in range(classes)]
    return torch.stack(columns, dim=1)


def _check_truth(name: str, dense: Tensor, compressed: Tensor, labels: Tensor, classes: int) -> None:
    check_populations(name, dense, compressed)
    check_count(name, "classes", classes)
    if labels.shape != dense.shape[1:] or labels.is_floating_point():
        raise ValueError(f"{name} wants one true label for each of {dense.shape[1]} images, got shape {list(labels.shape)}.")
    highest = max(int(each.max()) for each in (dense, compressed, labels))
    if labels.min() < 0 or highest >= classes:
        raise ValueError(f"{name} wants labels in 0..{classes - 1}, got up to {highest}; check the number of classes.")


def class_damage(
    dense: Labels, compressed: Integer[Tensor, "m n"], labels: Integer[Tensor, " n"], classes: int
) -> Float[Tensor, " {classes}"]:
    """By how much more than the whole does each class change?

    damage_c = (mean recall_c, compressed - mean recall_c, dense) - (mean accuracy, compressed - mean accuracy, dense), means over models.
    Negative: the class suffers more than the accuracy says. dense [k, n], compressed [m, n], labels [n] in 0..classes-1 -> [classes] float64;
    NaN for a class without images. Raises as `identified_exemplars`. Source: Hooker et al. (2019).

    >>> labels = torch.tensor([0, 0, 0, 1])
    >>> class_damage(labels.repeat(2, 1), torch.zeros(2, 4, dtype=torch.long), labels, classes=2)  # only class 1 is lost
    tensor([ 0.2500, -0.7500], dtype=torch.float64)
    """
    _check_truth("class_damage", dense, compressed, labels, classes)
    change = recalls(compressed, labels, classes).mean(0) - recalls(dense, labels, classes).mean(0)
    return change - ((compressed == labels).double().mean() - (dense == labels).double().mean())


@dataclass(frozen=True)
class Damage:
    """The damage of one class, and Holm's corrected p-value of Welch's test over the models."""

    label: int
    change: float
    p: float


def damage_tests(
    dense: Labels, compressed: Integer[Tensor, "m n"], labels: Integer[Tensor, " n"], classes: int
) -> tuple[Damage, ...]:
    """Which classes changed more than the whole, beyond the chance of the seeds? The most damaged first.

    For each class with images: each model's recall minus its accuracy, Welch's test between the two populations, and Holm's correction for
    asking about so many classes at once. Raises as `class_damage`.

    >>> labels = torch.tensor([0, 0, 1, 1])
    >>> dense = labels.repeat(3, 1)
    >>> damage_tests(dense, torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), labels, 2)[0].label
    1
    """
    damage = class_damage(dense, compressed, labels, classes)
    there = [c for c in range(classes) if not damage[c].isnan()]
    own = [recalls(part, labels, classes) - (part == labels).double().mean(1, keepdim=True) for part in (dense, compressed)]
    corrected = holm([welch(own[1][:, c].tolist(), own[0][:, c].tolist()) for c in there])
    found = [Damage(c, float(damage[c]), p) for c, p in zip(there, corrected, strict=True)]
    return tuple(sorted(found, key=lambda one: one.change))
