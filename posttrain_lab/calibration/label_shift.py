"""Label shift: when only the shares of the classes change, probabilities can be corrected without new labels.

p(x | class) stays, p(class) changes: the same illness in another clinic. Two ways to estimate the new shares from unlabelled
examples, one function to correct the probabilities with them.

Source: Saerens, Latinne, Decaestecker (2002) for EM; Lipton, Wang, Smola (2018) for BBSE; Alexandari, Kundaje, Shrikumar (2020), who
show that EM needs calibrated probabilities.
"""

import torch
from jaxtyping import Float, Float64, Integer
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import check_finite, check_labels, check_probabilities

STEPS = 10_000
CONVERGED = 1e-10
SINGULAR = 1e-6  # with a confusion matrix nearer to singular than this, the result would be noise


def _check_prior(name: str, argument: str, prior: Tensor, classes: int) -> None:
    check_finite(name, argument, prior, 1)
    if len(prior) != classes or prior.min() < 0 or abs(prior.double().sum().item() - 1) > 1e-4:
        raise ValueError(f"{name} wants {argument} [{classes}] with entries >= 0 and sum 1, got {prior.tolist()[:5]}.")


def class_shares(labels: Integer[Tensor, " n"], classes: int) -> Float64[Tensor, " {classes}"]:
    """Which share of the examples has each class?

    >>> class_shares(torch.tensor([0, 0, 1, 0]), 2)
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    check_count("class_shares", "classes", classes)
    check_labels("class_shares", labels, len(labels), classes)
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def adjust_prior(probabilities: Float[Tensor, "n c"], old: Float[Tensor, " c"], new: Float[Tensor, " c"]) -> Float[Tensor, "n c"]:
    """The probabilities of a model made with class shares `old`, where the shares are `new`: p_k new_k / old_k, divided by their sum.

    Exact by Bayes' rule when p(x | class) stays. Raises TypeError or ValueError for rows that are not probabilities, shares that do not
    sum to 1, an old share of 0, and a row whose classes all have a new share of 0.

    >>> adjust_prior(torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1]))
    tensor([[0.9000, 0.1000]])
    """
    check_probabilities("adjust_prior", probabilities)
    for argument, prior in (("old", old), ("new", new)):
        _check_prior("adjust_prior", argument, prior, probabilities.shape[1])
    if (old == 0).any():
        raise ValueError("adjust_prior wants every old share above 0: the model never saw that class.")
    joint = probabilities.double() * (new.double() / old.double())
    total = joint.sum(dim=1, keepdim=True)
    if (total == 0).any():
        raise ValueError("adjust_prior found a row that has probabilities only for classes whose new share is 0; check `new`.")
    return (joint / total).to(probabilities.dtype)


def saerens_em(probabilities: Float[Tensor, "n c"], old: Float[Tensor, " c"]) -> Float64[Tensor, " c"]:
    """Which class shares maximize the likelihood of these unlabelled examples? Repeat: correct each row, then average the rows.

    The likelihood is concave in the shares and never falls. probabilities [n, c] of the new examples by the old, CALIBRATED model; old [c]
    its class shares. Raises as `adjust_prior`. Source: Saerens et al. (2002).

    >>> saerens_em(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.5, 0.5]))
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    new = adjust_prior(probabilities.double(), old, old).mean(dim=0)
    for _ in range(STEPS):
        before, new = new, adjust_prior(probabilities.double(), old, new).mean(dim=0)
        if (new - before).abs().max() < CONVERGED:
            break
    return new


def black_box_shares(
    predicted: Integer[Tensor, " m"], labels: Integer[Tensor, " m"], new: Integer[Tensor, " n"], classes: int
) -> Float64[Tensor, " {classes}"]:
    """Which class shares explain how often each class is PREDICTED now? Needs no probabilities, only a confusion matrix.

    Solves C w = share of each predicted class among `new`, with C[i, j] = share of (predicted i, label j) in the calibration part; the new
    shares are w_j times the old ones, cut at 0 and divided by their sum. predicted, labels [m]: calibration part; new [n]: predictions for
    the unlabelled examples. Raises TypeError or ValueError for labels outside the classes, and when C cannot be inverted (a
    class that is never predicted, or has no examples). Source: Lipton et al. (2018), black box shift estimation.

    >>> black_box_shares(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), 2)
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    check_count("black_box_shares", "classes", classes)
    check_labels("black_box_shares", labels, len(predicted), classes)
    check_labels("black_box_shares", predicted, len(labels), classes)
    check_labels("black_box_shares", new, len(new), classes)
    joint = torch.bincount(predicted * classes + labels, minlength=classes**2).double().reshape(classes, classes) / len(labels)
    if torch.linalg.svdvals(joint).min() < SINGULAR:
        raise ValueError(
            "black_box_shares wants a confusion matrix that can be inverted; a class is never predicted, or missing."
        )
    weights = torch.linalg.solve(joint, class_shares(new, classes)).clamp(min=0)
    shares = weights * joint.sum(dim=0)
    return shares / shares.sum()
