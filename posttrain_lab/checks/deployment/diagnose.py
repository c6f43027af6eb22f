"""Cases and known mistakes of `diagnose`: which of nine wrong preprocessings reaches a network?

Conventions that the notebook states in the same words:
- images float [n, c, h, w] as they reach the model, height and width equal; labels int64 [n]; the model is in eval mode;
- undo: for "right" and for each of the nine mistakes a function that takes it back (given: `UNDO`);
- the name after whose undoing the mean cross-entropy of the labels is smallest.

Some labels are wrong, as in real data: a network that is sure of itself then has a large loss. Each case has a clear winner.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, linear
from posttrain_lab.deployment.preprocess import MISTAKES

UNDO: dict[str, Callable[[Tensor], Tensor]] = {"right": lambda x: x} | {name: one.undo for name, one in MISTAKES.items()}
ALIKE = ("right", "divided by 256")  # 255/256 is nearly 1
CLEAR, CLEAR_OF_ALIKE = 0.02, 2e-4  # by how much the smallest loss is smaller than all others
Arguments = tuple[nn.Module, Tensor, Tensor]


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    return {name: model(undo(images)).double() for name, undo in UNDO.items()}


def _losses(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    return {name: F.cross_entropy(z, labels).item() for name, z in _logits(model, images).items()}


def right_diagnosis(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    losses = _losses(model, images, labels)
    return min(losses, key=lambda name: losses[name])


def _smooth(draw: Draw, n: int, side: int) -> Tensor:
    """Images whose pixels are alike where they are near, bright in the middle, as those of clothes; a fifth of them is black."""
    coarse = draw.uniform(-0.4, 1, n, 1, 4, 4)
    fine = F.interpolate(coarse, size=(side, side), mode="bilinear") + draw.normal(n, 1, side, side, std=0.08)
    return (fine.clamp(0, 1) * 255).round() / 255


def _case(draw: Draw, mistake: str, network: Callable[[], nn.Module], n: int = 60, side: int = 8) -> Arguments:
    """Labels as the network gives them to right images, one in eight of them another; then the mistake."""
    for _ in range(300):
        model, images = network().eval(), _smooth(draw, n, side)
        with torch.no_grad():
            z = model(images)
        labels = z.argmax(1)
        off = torch.rand(n, generator=draw.generator) < 0.12
        labels = torch.where(off, torch.randint(z.shape[1], (n,), generator=draw.generator), labels)
        wrong = images if mistake == "right" else MISTAKES[mistake].make(images).contiguous()
        losses = _losses(model, wrong, labels)
        best = losses.pop(mistake)
        if all(best + (CLEAR_OF_ALIKE if {name, mistake} == set(ALIKE) else CLEAR) < loss for name, loss in losses.items()):
            return model, wrong, labels
    raise RuntimeError(f"no clear case of {mistake!r} was found")


def diagnose_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "diagnose")
    nets: tuple[Callable[[], nn.Module], ...] = (
        lambda: deep(draw, 64, 24, 5, 4.0),
        lambda: convolutional(draw, 1, 8, 8, 4, 0.5),
    )
    found = [Case("one of nine mistakes, or none", _case(draw, name, nets[i % 2])) for i, name in enumerate(tuple(UNDO))]
    model, images, labels = _case(draw, draw.pick(tuple(UNDO)), nets[0], 40)
    return [
        *found,
        Case("views that are not contiguous", (model, strided(images), strided(labels))),
        Case(
            "by name", (), dict(zip(("model", "images", "labels"), _case(draw, draw.pick(tuple(UNDO)), nets[0], 40), strict=True))
        ),
    ]


def diagnose_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "diagnose at work")
    return [
        Case("300 images of 28 x 28", _case(draw, draw.pick(tuple(UNDO)), lambda: linear(draw, 784, 10, 6.0), 300, 28)),
        Case("1,100 images", _case(draw, draw.pick(tuple(UNDO)), lambda: deep(draw, 64, 20, 3, 4.0), 1100)),
    ]


def _by(
    score: Callable[[Tensor, Tensor], Tensor], **undo: Callable[[Tensor], Tensor]
) -> Callable[[nn.Module, Tensor, Tensor], str]:
    """The name with the largest score of logits and labels."""

    def mistaken(model: nn.Module, images: Tensor, labels: Tensor) -> str:
        scores = {name: float(score(z, labels)) for name, z in _logits(model, images).items()}
        return max(scores, key=lambda name: scores[name])

    return mistaken


def _made_again(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    """The mistakes are made once more."""
    with torch.no_grad():
        losses = {name: F.cross_entropy(model(one.make(images)), labels).item() for name, one in MISTAKES.items()}
    return min(losses, key=lambda name: losses[name])


def _one_after_the_other(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    losses, moved = {}, images
    with torch.no_grad():
        for name, undo in UNDO.items():
            moved = undo(moved)
            losses[name] = F.cross_entropy(model(moved), labels).nan_to_num(1e9).item()
    return min(losses, key=lambda name: losses[name])


def _first_better(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    losses = _losses(model, images, labels)
    return next((name for name in losses if losses[name] < losses["right"]), "right")


def _first_image(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    return right_diagnosis(model, images[:1], labels[:1])


DIAGNOSE_MISTAKES = (
    Mistake(
        "confidence",
        "You choose by the network's confidence, which is highest where it is wrong (pixels 0..255); choose by the labels.",
        _by(lambda z, labels: z.softmax(1).amax(1).mean()),
    ),
    Mistake(
        "largest loss",
        "You choose the largest cross-entropy; where the mistake is taken back the network is surprised least.",
        _by(lambda z, labels: F.cross_entropy(z, labels)),
    ),
    Mistake(
        "undone one after the other",
        "You undo all mistakes one after the other; begin each time with the images that came.",
        _one_after_the_other,
    ),
    Mistake(
        "made again",
        "You make the mistakes once more in place of undoing them.",
        _made_again,
    ),
    Mistake(
        "first better one",
        "You stop at the first that is better than nothing undone; compare all of them.",
        _first_better,
    ),
    Mistake(
        "softmax before the loss",
        "You take the cross-entropy of probabilities; it does the softmax itself, so give it the logits.",
        _by(lambda z, labels: -F.cross_entropy(z.softmax(1), labels)),
    ),
    Mistake(
        "median",
        "You take the median of the losses, which no single image changes; the mean over all of them decides.",
        _by(lambda z, labels: -F.cross_entropy(z, labels, reduction="none").median()),
    ),
    Mistake("first image only", "You look at one image; the mean over all of them decides.", _first_image),
    Mistake(
        "never right",
        'You leave out "right"; sometimes nothing is wrong with the images.',
        lambda model, images, labels: min(
            (pair for pair in _losses(model, images, labels).items() if pair[0] != "right"), key=lambda p: p[1]
        )[0],
    ),
    Mistake(
        "a number",
        "You return the smallest loss; return the name of the mistake.",
        lambda model, images, labels: min(_losses(model, images, labels).values()),
    ),
    Mistake(
        "largest logit of the label",
        "You choose the largest mean logit of the labels; pixels 0..255 make all logits large: take the cross-entropy.",
        _by(lambda z, labels: z.gather(1, labels[:, None]).mean()),
    ),
)


diagnose = Exercise(
    name="diagnose",
    unit="08_deployment",
    points=1,
    difficulty=2,
    minutes=4,
    oracle=right_diagnosis,
    cases=diagnose_cases,
    workload=diagnose_workload,
    mistakes=DIAGNOSE_MISTAKES,
    legal={
        name: "how exactly you compute the losses does not matter"
        for name in ("inputs in bfloat16", "inputs in float16", "inputs rounded to 3 decimals")
    },
    library="deployment.preprocess:diagnose",
)
