"""Cases and known mistakes of `recover`: train a compressed network on, without losing what was gained.

Conventions that the notebook states in the same words: a new network comes back, in eval mode, and the given one stays as it was;
`masks` maps names of parameters to boolean tensors, true where a weight stays; the network comes with its pruned weights at 0, and
they are exactly 0 after every step; it is trained on split.train only, for `epochs` times; a network whose weights come from a grid
(a parametrization) keeps that grid.

How much is won back depends on the optimizer, which is free. The network is drawn again until the reference (Adam, rate 2e-3, batches of
64) wins back at least 15 points on the validation images; rates from 1e-3 to 2e-2 and batches from 32 to 128 then win at least 5,
which is what a right answer must reach. The weights are small and the pixels large, so that few steps go far.

The adapter builds the split, marks its parts by one pixel (0, 0.001 and 0.002 in train, validation and test), and a hook on the network
notes from which part a gradient came, from how many images (half to three times the epochs' are taken: some optimizers ask twice), whether
a pruned weight was ever another number than 0 in a step, and whether gradients from before a step were still there after it.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import Judge
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.finetuning.recover_networks import (
    CLASSES,
    PARTS,
    STEP,
    Masks,
    OnGrid,
    Pair,
    accuracy,
    apply,
    compressed,
    marked,
    right_recover,
    trained,
)
from posttrain_lab.data.split import Split

LEAST = 0.05  # points won back, as a part of 1


class _Watch:
    """What a hook on the network notes. It is shared by all copies of the network."""

    def __init__(self, masks: Masks):
        self.masks, self.parts, self.largest, self.images = masks, set(), 0.0, 0
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
        weights = list(network.parameters())
        if not any(bool(p.grad.any()) for p in weights if p.grad is not None):
            self.clean = [p.detach().clone() for p in weights]
        self.stale |= not all(map(torch.equal, self.clean, weights))
        self.parts |= {PARTS[mark] if mark in range(3) else "other images" for mark in marks}
        self.largest = max(self.largest, largest_pruned(network, self.masks))


def largest_pruned(network: nn.Module, masks: Masks) -> float:
    """The largest magnitude of a weight that should be 0."""
    found = [0.0]
    for name, mask in masks.items():
        layer, _, kind = name.rpartition(".")
        pruned = getattr(network.get_submodule(layer), kind).detach()[~mask]
        found += [pruned.abs().max().item()] if pruned.numel() else []
    return max(found)


@adapter
def healed(
    function: Callable[..., nn.Module], model: nn.Module, masks: Masks, train: Pair, validation: Pair, epochs: int, step: float
) -> dict[str, Any]:
    """The adapter: recover a copy of the network, on a grid where step > 0, and tell what can be seen."""
    own, held = marked(*train, "train"), marked(*validation, "validation")
    test = marked(validation[0].flip(0), (validation[1].flip(0) + 1) % CLASSES, "test")
    given, watch = copy.deepcopy(model), _Watch(masks)
    if step:
        parametrize.register_parametrization(given.get_submodule("1"), "weight", OnGrid(step))
    given.register_forward_hook(watch)
    before = copy.deepcopy(dict(given.state_dict()))
    found = function(given, copy.deepcopy(masks), Split("tiny", own, own.first(40), held, test), epochs)
    if not isinstance(found, nn.Module):
        raise TypeError(f"a network is wanted, a {type(found).__name__} was returned")
    return {
        "given network as it was": all(torch.equal(before[name], now) for name, now in given.state_dict().items()),
        "new network": found is not given,
        "eval mode": not found.training,
        "trained on": sorted(watch.parts - {"train"}),
        "something kept": all(bool(found.get_parameter(name)[mask].any()) for name, mask in masks.items()),
        "largest pruned weight": largest_pruned(found, masks),
        "in a step": watch.largest,
        "gradients left": watch.stale,
        "images": watch.images,
        "images of an epoch": len(own),
        "images wanted": epochs * len(own),
        "off the grid": _off_grid(found[1].weight.detach(), step),  # type: ignore[index]
        "moved": epochs == 0 or any(not torch.equal(before[name], now) for name, now in found.state_dict().items()),
        "won back": accuracy(found, held) - accuracy(given, held),
        "wanted": LEAST if epochs else 0.0,
    }


def _off_grid(weight: Tensor, step: float) -> float:
    """How far the farthest weight is from the grid, in steps."""
    return ((weight / step) - (weight / step).round()).abs().max().item() if step else 0.0


def recover_judge() -> Judge:
    """What must hold exactly, in words; then the accuracy."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        wanted, found = _rules(want.value), _rules(got.value)
        return next((sentence for (holds, _), (now, sentence) in zip(wanted, found, strict=True) if holds != now), None)

    return judge


def _rules(found: dict[str, Any]) -> tuple[tuple[bool, str], ...]:
    """What must hold, each with the sentence for when it does not."""
    own, end, way = found["given network as it was"], found["largest pruned weight"], found["in a step"]
    images, wanted = found["images"], found["images wanted"]
    return (
        (found["new network"] and own, "the given network was changed; train a copy of it."),
        (found["eval mode"], "the network must come back in eval mode."),
        (
            found["trained on"] == [],
            f"a gradient came from the {' and '.join(found['trained on'])} images; train on split.train.",
        ),
        (found["something kept"], "the weights that should stay are 0."),
        (end == 0, f"a pruned weight is {end:.3g} at the end, not 0."),
        (way == 0, f"a pruned weight was {way:.3g} when a gradient was taken; it must be 0 after every step."),
        (found["off the grid"] < 1e-3, "weights of the quantized layer lie beside their grid."),
        (found["moved"], "no number of the network has changed."),
        (
            min(wanted, found["images of an epoch"]) <= 2 * images,
            f"gradients came from {images} images in all; an epoch has {found['images of an epoch']}.",
        ),
        (
            wanted <= 2 * images <= 6 * wanted,
            f"gradients came from {images} images in all; {wanted} are wanted, each train image once in an epoch.",
        ),
        (not found["gradients left"], "gradients from before a step of the optimizer were still there after it."),
        (found["won back"] >= 0.0, f"validation accuracy fell by {-100 * found['won back']:.1f} points."),
        (
            found["won back"] >= found["wanted"] - 1e-9,
            f"validation accuracy changed by {100 * found['won back']:+.1f} points; {100 * found['wanted']:+.1f} or more is wanted.",
        ),
    )


def recover_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "recover")
    pruned, coarse = compressed(seed, 0.85, 0.0), compressed(seed, 0.0, STEP)
    first_only = {"1.weight": pruned[1]["1.weight"]}
    return [
        Case("85 % of the weights pruned", (*pruned, 4 + draw.whole(0, 1), 0.0)),
        Case("masks for the first layer only", (pruned[0], first_only, *pruned[2:], 4, 0.0)),
        Case("a layer on a coarse grid, nothing pruned", (*coarse, 5, STEP)),
        Case("no epochs: the network as it came", (*pruned, 0, 0.0)),
    ]


def _wrong(after: Callable[[nn.Module, Masks], None], part: str = "train") -> Any:
    def recover(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
        return trained(model, getattr(split, part), epochs, lambda network: after(network, masks))

    return recover


def _in_place(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    model.load_state_dict(right_recover(model, masks, split, epochs).state_dict())
    return model.eval()


def _at_the_end(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    network = trained(model, split.train, epochs)
    apply(network, masks)
    return network


def _not_cleared(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    return trained(model, split.train, epochs, lambda network: apply(network, masks), clear=False)


def _one_batch(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    part = split.train.first(64)
    return trained(model, part, min(epochs, 1), lambda network: apply(network, masks))


def _first_mask_only(network: nn.Module, masks: Masks) -> None:
    apply(network, dict(list(masks.items())[:1]))


RECOVER_MISTAKES = (
    Mistake(
        "masks lost",
        "Pruned weights are no longer 0: multiply the weights by their masks after every step of the optimizer.",
        _wrong(lambda network, masks: None),
    ),
    Mistake(
        "masks at the end",
        "You prune again only at the end: the network learned with weights that it then loses; apply the masks after every step.",
        _at_the_end,
    ),
    Mistake(
        "masks the wrong way round",
        "You keep what was pruned and remove the rest: a mask is true where a weight stays.",
        _wrong(lambda network, masks: apply(network, {name: ~mask for name, mask in masks.items()})),
    ),
    Mistake(
        "first mask only",
        "Only the first mask is applied; go through all of them after every step.",
        _wrong(_first_mask_only),
    ),
    Mistake(
        "given network trained",
        "You train the network that you were given; it must stay as it was: copy.deepcopy first.",
        _in_place,
    ),
    Mistake(
        "trained on validation",
        "You train on the validation images; then they can no longer say whether anything was won: use split.train.",
        _wrong(apply, "validation"),
    ),
    Mistake(
        "trained on test",
        "You train on the test images, which are for the last number only: use split.train.",
        _wrong(apply, "test"),
    ),
    Mistake(
        "left in train mode",
        "The network comes back in train mode, where batch norm and dropout behave otherwise: return it in eval mode.",
        lambda model, masks, split, epochs: right_recover(model, masks, split, epochs).train(),
    ),
    Mistake(
        "nothing learned",
        "The network that comes back is as it was: its weights must be moved by steps of the optimizer.",
        lambda model, masks, split, epochs: copy.deepcopy(model).eval(),
    ),
    Mistake(
        "gradients not cleared",
        "Gradients of earlier batches add up: begin each step with optimizer.zero_grad().",
        _not_cleared,
    ),
    Mistake(
        "one batch only",
        "You stop after the first batch: return behind the loop, not in it.",
        _one_batch,
    ),
    Mistake(
        "one epoch only",
        "You go through the images once; go through them `epochs` times.",
        lambda model, masks, split, epochs: right_recover(model, masks, split, min(epochs, 1)),
    ),
    Mistake(
        "uphill",
        "The loss grows with your steps: step against its gradient (loss.backward(), then optimizer.step()).",
        lambda model, masks, split, epochs: trained(model, split.train, epochs, lambda network: apply(network, masks), -1.0),
    ),
)


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
    through="finetuning.recover:healed",
    library="finetuning:recover",
)
