"""Cases and known mistakes of `recover`: train a compressed network further and keep its pruned weights at 0.

Conventions that the notebook states in the same words: the result is a new network, in eval mode, and the given one is not changed;
`masks` maps names of parameters to boolean tensors, true where a weight stays; in the given network the pruned weights are 0, and
they are exactly 0 after every step; it is trained on split.train only, for `epochs` passes; a network whose weights are rounded to a
grid (a parametrization) keeps that grid.

Nothing but split.train has an influence on the weights: no epoch is chosen by the validation images, which say afterwards how
much was recovered. A frozen parameter (requires_grad = False) stays as it is. The network is in train mode while it learns.

How much accuracy is recovered depends on the optimizer, which is free. The network is drawn again until the reference (AdamW, rate
2e-3, batches of 64) recovers at least 15 points on the validation images; Adam with rates from 1e-3 to 2e-2, RMSprop with 1e-3 and SGD
with 0.02 to 0.1 then recover at least 5, which a right answer must reach (after 4 epochs; after 3 it must not lose any). The weights
are small and the pixels large, so that few steps are enough.

The adapter builds the split, marks its parts by one pixel (0 to 0.003 in train, validation, test and calibration), and a hook on the
network records from which part a gradient came, from how many images (half to three times those of the epochs are accepted: some
optimizers compute a gradient twice a step), whether a pruned weight was ever other than 0 in a step, and whether gradients were not
cleared after a step. Where a case asks for it, the function is called again with the same train images and with other images and labels
in one of the other parts: labels by which the network as it was given is best. A part by which the result changes had an influence, also
without a gradient. Other labels of the train images must change it. When two calls with the same split differ (an answer with a generator
of its own), only the rules are asked of the second.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import Judge
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.finetuning.recover_mistakes import RECOVER_MISTAKES
from posttrain_lab.checks.finetuning.recover_networks import (
    CLASSES,
    PARTS,
    STEP,
    Masks,
    OnGrid,
    Pair,
    accuracy,
    compressed,
    marked,
    right_recover,
)
from posttrain_lab.data.split import Dataset, Split

AGAIN = "a second call"
IGNORED = "the labels"
LEAST = 0.02  # of the accuracy on validation images: another optimizer or order of images may win back half of the reference's


class _Watch:
    """A hook on the network with its records. It is shared by all copies of the network."""

    def __init__(self, masks: Masks):
        self.masks, self.parts, self.largest, self.images, self.fixed = masks, set(), 0.0, 0, False
        self.clean: list[Tensor] = []  # the weights when the gradients were last 0
        self.stale = False

    def __deepcopy__(self, memo: Any) -> "_Watch":
        return self

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            marks = {round(1000 * value) for value in inputs[0].detach().flatten(1)[:, -1].tolist()}
            output.register_hook(lambda gradient: self._note(network, marks, len(output)))

    def _note(self, network: nn.Module, marks: set[int], images: int) -> None:
        self.images += images
        self.fixed |= not network.training
        weights = list(network.parameters())
        if not any(bool(p.grad.any()) for p in weights if p.grad is not None):
            self.clean = [p.detach().clone() for p in weights]
        self.stale |= not all(map(torch.equal, self.clean, weights))
        self.parts |= {PARTS[mark] if mark in range(len(PARTS)) else "other images" for mark in marks}
        self.largest = max(self.largest, largest_pruned(network, self.masks))


def largest_pruned(network: nn.Module, masks: Masks) -> float:
    """The largest magnitude of a weight that should be 0."""
    found = [0.0]
    for name, mask in masks.items():
        layer, _, kind = name.rpartition(".")
        pruned = getattr(network.get_submodule(layer), kind).detach()[~mask]
        found += [pruned.abs().max().item()] if pruned.numel() else []
    return max(found)


def _split(train: Pair, validation: Pair) -> Split:
    """The four parts; the test images have wrong labels, so that training on them shows."""
    images, labels = validation
    test = marked(images.flip(0), (labels.flip(0) + 1) % CLASSES, "test")
    kept = marked(images[:40], labels[:40], "calibration")
    return Split("tiny", marked(*train, "train"), kept, marked(images, labels, "validation"), test)


@adapter
def recover_copy(
    function: Callable[..., nn.Module], model: nn.Module, masks: Masks, parts: list[Pair], epochs: int, step: float, others: bool
) -> dict[str, Any]:
    """The adapter: recover a copy of the network, on a grid where step > 0, and return the observable results."""
    split, given, watch = _split(*parts), copy.deepcopy(model), _Watch(masks)
    if step:
        parametrize.register_parametrization(given.get_submodule("1"), "weight", OnGrid(step))
    given.register_forward_hook(watch)
    before, learns = copy.deepcopy(dict(given.state_dict())), {n: p.requires_grad for n, p in given.named_parameters()}
    found = function(given, copy.deepcopy(masks), split, epochs)
    if not isinstance(found, nn.Module):
        raise TypeError(f"return a network; a {type(found).__name__} was returned")
    return {
        **_kept(given, before, learns, found),
        "trained on": sorted(watch.parts - {"train"}),
        "something kept": all(bool(found.get_parameter(name)[mask].any()) for name, mask in masks.items()),
        "largest pruned weight": largest_pruned(found, masks),
        "in a step": watch.largest,
        "gradients left": watch.stale,
        "in eval mode": watch.fixed,
        "images": watch.images,
        "images of an epoch": len(split.train),
        "images wanted": epochs * len(split.train),
        "off the grid": _off_grid(found[1].weight.detach(), step),  # type: ignore[index]
        "moved": epochs == 0 or any(not torch.equal(before[name], tensor) for name, tensor in found.state_dict().items()),
        "won back": accuracy(found, split.validation) - accuracy(given, split.validation),
        "wanted": LEAST if epochs and not others else 0.0,
        "depends on": _influences(function, model, masks, split, epochs) if others else [],
    }


def _kept(given: nn.Module, before: dict[str, Tensor], learns: dict[str, bool], found: nn.Module) -> dict[str, bool]:
    """What must be as it was: the given network, frozen parameters and flags."""
    now = dict(found.named_parameters())
    return {
        "given network as it was": all(torch.equal(before[name], tensor) for name, tensor in given.state_dict().items()),
        "new network": found is not given,
        "eval mode": not found.training,
        "frozen kept": all(p.requires_grad or torch.equal(p, now.get(n, p)) for n, p in given.named_parameters()),
        "flags kept": all(learns[name] == p.requires_grad for name, p in now.items() if name in learns),
        "finite": all(bool(p.isfinite().all()) for p in now.values()),
    }


def _influences(function: Callable[..., nn.Module], model: nn.Module, masks: Masks, split: Split, epochs: int) -> list[str]:
    """The parts, other than train, by which the result changes; and whether the labels of train change nothing."""
    generator = torch.default_generator.get_state()
    split = replace(split, test=marked(split.test.images, (split.test.labels - 1) % CLASSES, "test"))  # the right labels

    def result(**changed: Dataset) -> nn.Module:
        torch.default_generator.set_state(generator)
        return copy.deepcopy(function(copy.deepcopy(model), copy.deepcopy(masks), replace(split, **changed), epochs))

    first, again = result(), result()
    if not _equal(first, again):
        now, lost = dict(again.named_parameters()), accuracy(again, split.validation) < accuracy(model, split.validation)
        frozen = all(p.requires_grad or torch.equal(p, now[name]) for name, p in model.named_parameters())
        return [AGAIN] if lost or largest_pruned(again, masks) or not frozen else []
    learnt = replace(split.train, labels=(split.train.labels + 1) % CLASSES)
    ignored = [IGNORED] if _equal(first, result(train=learnt)) else []
    return ignored + [
        part for part in PARTS[1:] if not _equal(first, result(**{part: _other(model, getattr(split, part), part)}))
    ]


def _equal(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@torch.no_grad()
def _other(model: nn.Module, part: Dataset, name: str) -> Dataset:
    """Other images with the labels that the given network finds: by them every step makes it worse."""
    images = part.images.flip(0) * 1.25
    return marked(images, copy.deepcopy(model).eval()(images).argmax(1), name)


def _off_grid(weight: Tensor, step: float) -> float:
    """The largest distance of a weight from the grid, in steps."""
    return ((weight / step) - (weight / step).round()).abs().max().item() if step else 0.0


def recover_judge() -> Judge:
    """The rules with their sentences, exactly; then the accuracy."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        wanted, found = _rules(want.value), _rules(got.value)
        return next((sentence for (holds, _), (now, sentence) in zip(wanted, found, strict=True) if holds != now), None)

    return judge


Rule = tuple[bool, str]


def _rules(found: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules, each with the sentence for when it is violated."""
    return (*_rules_of_parts(found), *_rules_of_weights(found), *_rules_of_training(found))


def _rules_of_parts(found: dict[str, Any]) -> tuple[Rule, ...]:
    """What is returned, and which images had an influence on it."""
    given, trained = found["given network as it was"], " and ".join(found["trained on"])
    other = "images and labels give other weights; only split.train may have an influence on them."
    return (
        (found["new network"] and given, "the given network was changed; train a copy of it."),
        (found["eval mode"], "the network must be returned in eval mode."),
        (trained == "", f"a gradient came from the {trained} images; train on split.train."),
        (AGAIN not in found["depends on"], "a second call with the same split returned a network that breaks these rules."),
        (IGNORED not in found["depends on"], "other labels of split.train give the same weights; learn from its labels."),
        *((part not in found["depends on"], f"other {part} {other}") for part in PARTS[1:]),
    )


def _rules_of_weights(found: dict[str, Any]) -> tuple[Rule, ...]:
    end, way = found["largest pruned weight"], found["in a step"]
    return (
        (found["finite"], "a weight of the network is not a finite number."),
        (found["something kept"], "the weights that should stay are 0."),
        (end == 0, f"a pruned weight is {end:.3g} at the end, not 0."),
        (way == 0, f"a pruned weight was {way:.3g} when a gradient was taken; it must be 0 after every step."),
        (found["off the grid"] < 1e-3, "weights of the quantized layer are not on their grid."),
        (found["frozen kept"], "a parameter that was frozen (requires_grad = False) has changed."),
        (found["flags kept"], "requires_grad of the parameters is not as in the given network."),
    )


def _rules_of_training(found: dict[str, Any]) -> tuple[Rule, ...]:
    images, wanted, gain = found["images"], found["images wanted"], 100 * found["won back"]
    seen = f"gradients came from {images} images in all;"
    return (
        (not found["in eval mode"], "a gradient was taken in eval mode; train in train mode."),
        (found["moved"], "no element of the network has changed."),
        (2 * images <= 6 * wanted, f"{seen} {wanted} are expected: make `epochs` passes."),
        (min(wanted, found["images of an epoch"]) <= 2 * images, f"{seen} an epoch has {found['images of an epoch']}."),
        (wanted <= 2 * images, f"{seen} {wanted} are expected, each train image once in an epoch."),
        (not found["gradients left"], "gradients were not cleared between two steps of the optimizer."),
        (gain >= 0.0, f"validation accuracy fell by {-gain:.1f} points."),
        (
            gain >= 100 * found["wanted"] - 1e-7,
            f"validation accuracy changed by {gain:+.1f} points; it must be {100 * found['wanted']:+.1f} or more.",
        ),
    )


def recover_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "recover")
    model, masks, *parts = compressed(seed, 0.85, 0.0)
    coarse, _, *its_parts = compressed(seed, 0.0, STEP)
    first_only = {"1.weight": masks["1.weight"]}
    frozen = copy.deepcopy(model)
    frozen.get_parameter("3.bias").requires_grad_(False)
    return [
        Case("85 % of the weights pruned", (model, masks, parts, 4 + draw.whole(0, 1), 0.0, False)),
        Case("masks for the first layer only", (model, first_only, parts, 4, 0.0, False)),
        Case("a layer on a coarse grid, nothing pruned", (coarse, {}, its_parts, 5, STEP, False)),
        Case("no epochs: an unchanged copy", (model, masks, parts, 0, 0.0, False)),
        Case("a frozen bias, and again with other validation and test images", (frozen, masks, parts, 3, 0.0, True)),
    ]


recover = Exercise(
    name="recover",
    unit="03_fine_tuning",
    points=3,
    difficulty=3,
    minutes=16,
    oracle=right_recover,
    cases=recover_cases,
    mistakes=RECOVER_MISTAKES,
    judge=recover_judge(),
    through="finetuning.recover:recover_copy",
    library="finetuning:recover",
)
