"""Cases and known mistakes of `worst_case_accuracy`: which share of the images is right under every attack?

Conventions that the notebook states in the same words:
- correct bool [attacks, n]: is image i still classified correctly under attack a? an image counts when it is right under all of them;
- the share of all n images, a plain float.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_worst(correct: Tensor) -> float:
    columns = list(zip(*correct.tolist(), strict=True))
    return sum(all(column) for column in columns) / len(columns)


def _attacked(draw: Draw, attacks: int, n: int) -> Tensor:
    """Most images are right under each attack; different attacks succeed on different images."""
    return draw.uniform(0, 1, attacks, n) < draw.uniform(0.55, 0.9, attacks, 1)


def worst_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "worst case")
    n = draw.whole(31, 50)
    return [
        Case("three attacks", (_attacked(draw, 3, n),)),
        Case("as many attacks as images", (_attacked(draw, 5, 5),)),
        Case("one attack", (_attacked(draw, 1, n),)),
        Case("more attacks than images", (_attacked(draw, 6, 4),)),
        Case("a view that is not contiguous", (strided(_attacked(draw, 3, n)),)),
        Case("a transposed view", (_attacked(draw, n, 3).T,)),
        Case("no attack ever succeeds", (torch.ones(2, n).bool(),)),
        Case("every image falls to one of the attacks", (torch.stack([torch.arange(n) % 2 == 0, torch.arange(n) % 2 == 1]),)),
        Case("one image", (torch.tensor([[True], [False]]),)),
        Case("by name", (), {"correct": _attacked(draw, 2, n)}),
    ]


def worst_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "worst at work")
    return [
        Case("four attacks on 2,000 images", (_attacked(draw, 4, 2000),)),
        Case("1,100 attacks", (draw.uniform(0, 1, 1100, 50) < 0.9995,)),
    ]


def _another_attack_never_helps(call: Call, seed: int) -> str | None:
    correct = _attacked(Draw(seed, "worst law"), 4, 40)
    fewer, more = call(correct[:3]), call(correct)
    return None if more <= fewer + 1e-9 else f"with one more attack the share rose from {fewer:.3g} to {more:.3g}; it cannot."


def _of(share: Callable[[Tensor], Tensor]) -> Callable[[Tensor], float]:
    return lambda correct: float(share(correct))


def _only_attacked(correct: Tensor) -> float:
    """Images that no attack changes the answer for are left out."""
    some = ~correct.all(0)
    return float(correct[:, some].double().mean()) if some.any() else 1.0


WORST_MISTAKES = (
    Mistake(
        "mean over attacks",
        "You average the accuracies of the attacks; an adversary uses the one that succeeds: count images right under all of them.",
        _of(lambda correct: correct.double().mean()),
    ),
    Mistake(
        "weakest attack",
        "You take the accuracy under the weakest attack; count images that are right under every attack.",
        _of(lambda correct: correct.double().mean(1).max()),
    ),
    Mistake(
        "strongest attack",
        "You take the lowest accuracy of one attack; different attacks fool different images, so ask for each image first.",
        _of(lambda correct: correct.double().mean(1).min()),
    ),
    Mistake(
        "any attack",
        "You count an image when it is right under any attack; it must be right under all of them.",
        _of(lambda correct: correct.any(0).double().mean()),
    ),
    Mistake(
        "fooled ones",
        "You return the share of images that some attack fools; return the share that none does.",
        lambda correct: 1 - right_worst(correct),
    ),
    Mistake(
        "attacked images only",
        "You leave out the images on which no attack succeeds; divide by all n images.",
        _only_attacked,
    ),
    Mistake(
        "most attacks",
        "You count an image when most attacks fail; a single one that succeeds is enough for the adversary.",
        _of(lambda correct: (correct.double().mean(0) > 0.5).double().mean()),
    ),
    Mistake(
        "over the images",
        "You ask whether all images are right under an attack; ask whether an image is right under all attacks (dim 0).",
        _of(lambda correct: correct.all(1).double().mean()),
    ),
    Mistake("count", "You count the images; divide by their number n.", lambda correct: int(correct.all(0).sum())),
    Mistake(
        "independent attacks",
        "You multiply the accuracies as if attacks were independent; count the images that are right under all of them.",
        _of(lambda correct: correct.double().mean(1).prod()),
    ),
    Mistake("percent", "You return percent; return a share from 0 to 1.", lambda correct: 100 * right_worst(correct)),
    Mistake("tensor", "You return a tensor; .item() makes a plain float of it.", lambda correct: correct.all(0).double().mean()),
)


worst_case_accuracy = Exercise(
    name="worst_case_accuracy",
    unit="07_auditing",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_worst,
    cases=worst_cases,
    workload=worst_workload,
    mistakes=WORST_MISTAKES,
    judge=close(1e-6, 1e-7),
    laws=(Law("another attack never helps", _another_attack_never_helps),),
    library="auditing:worst_case_accuracy",
)
