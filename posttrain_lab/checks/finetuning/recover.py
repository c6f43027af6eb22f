"""Cases and known mistakes of `recover`: train a compressed network further and keep its pruned weights at 0.

Conventions that the notebook states in the same words: the result is a new network, in eval mode, and the given one is not changed;
`masks` maps names of parameters to boolean tensors, true where a weight stays; in the given network the pruned weights are 0, and
they are exactly 0 after every step; it is trained on split.train only, for `epochs` passes; a network whose weights are rounded to a
grid (a parametrization) keeps that grid.

How much accuracy is recovered depends on the optimizer, which is free. The network is drawn again until the reference (Adam, rate 2e-3,
batches of 64) recovers at least 15 points on the validation images; rates from 1e-3 to 2e-2 and batches from 32 to 128 then recover at
least 5, which a right answer must reach. The weights are small and the pixels large, so that few steps are enough.

The adapter builds the split, marks its parts by one pixel (0, 0.001 and 0.002 in train, validation and test), and a hook on the network
records from which part a gradient came, from how many images (half to three times those of the epochs are accepted: some optimizers compute
a gradient twice a step), whether a pruned weight was ever other than 0 in a step, and whether gradients were not cleared after a step.
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

LEAST = 0.05  # recovered accuracy, as a fraction


class _Watch:
    """A hook on the network with its records. It is shared by all copies of the network."""

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
def recover_copy(
    function: Callable[..., nn.Module], model: nn.Module, masks: Masks, train: Pair, validation: Pair, epochs: int, step: float
) -> dict[str, Any]:
    """The adapter: recover a copy of the network, on a grid where step > 0, and return the observable results."""
    own, held = marked(*train, "train"), marked(*validation, "validation")
    test = marked(validation[0].flip(0), (validation[1].flip(0) + 1) % CLASSES, "test")
    given, watch = copy.deepcopy(model), _Watch(masks)
    if step:
        parametrize.register_parametrization(given.get_submodule("1"), "weight", OnGrid(step))
    given.register_forward_hook(watch)
    before = copy.deepcopy(dict(given.state_dict()))
    found = function(given, copy.deepcopy(masks), Split("tiny", own, own.first(40), held, test), epochs)
    if not isinstance(found, nn.Module):
        raise TypeError(f"return a network; a {type(found).__name__} was returned")
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
    """The largest distance of a weight from the grid, in steps."""
    return ((weight / step) - (weight / step).round()).abs().max().item() if step else 0.0


def recover_judge() -> Judge:
    """The rules with their sentences, exactly; then the accuracy."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        wanted, found = _rules(want.value), _rules(got.value)
        return next((sentence for (holds, _), (now, sentence) in zip(wanted, found, strict=True) if holds != now), None)

    return judge


def _rules(found: dict[str, Any]) -> tuple[tuple[bool, str], ...]:
    """The rules, each with the sentence for when it is violated."""
    own, end, way = found["given network as it was"], found["largest pruned weight"], found["in a step"]
    images, wanted = found["images"], found["images wanted"]
    return (
        (found["new network"] and own, "the given network was changed; train a copy of it."),
        (found["eval mode"], "the network must be returned in eval mode."),
        (
            found["trained on"] == [],
            f"a gradient came from the {' and '.join(found['trained on'])} images; train on split.train.",
        ),
        (found["something kept"], "the weights that should stay are 0."),
        (end == 0, f"a pruned weight is {end:.3g} at the end, not 0."),
        (way == 0, f"a pruned weight was {way:.3g} when a gradient was taken; it must be 0 after every step."),
        (found["off the grid"] < 1e-3, "weights of the quantized layer are not on their grid."),
        (found["moved"], "no element of the network has changed."),
        (
            min(wanted, found["images of an epoch"]) <= 2 * images,
            f"gradients came from {images} images in all; an epoch has {found['images of an epoch']}.",
        ),
        (
            wanted <= 2 * images <= 6 * wanted,
            f"gradients came from {images} images in all; {wanted} are expected, each train image once in an epoch.",
        ),
        (not found["gradients left"], "gradients were not cleared between two steps of the optimizer."),
        (found["won back"] >= 0.0, f"validation accuracy fell by {-100 * found['won back']:.1f} points."),
        (
            found["won back"] >= found["wanted"] - 1e-9,
            f"validation accuracy changed by {100 * found['won back']:+.1f} points; it must be {100 * found['wanted']:+.1f} or more.",
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
        Case("no epochs: an unchanged copy", (*pruned, 0, 0.0)),
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
        "You apply the masks only at the end, so the network was trained with weights that are then removed; apply them after every step.",
        _at_the_end,
    ),
    Mistake(
        "masks inverted",
        "You keep the pruned weights and remove the rest; a mask is true where a weight stays.",
        _wrong(lambda network, masks: apply(network, {name: ~mask for name, mask in masks.items()})),
    ),
    Mistake(
        "first mask only",
        "You apply only the first mask; apply all of them after every step.",
        _wrong(_first_mask_only),
    ),
    Mistake(
        "given network trained",
        "You train the given network, which must not change; use copy.deepcopy first.",
        _in_place,
    ),
    Mistake(
        "trained on validation",
        "You train on the validation images; then they no longer show whether accuracy was recovered: use split.train.",
        _wrong(apply, "validation"),
    ),
    Mistake(
        "trained on test",
        "You train on the test images, which are for the final accuracy only: use split.train.",
        _wrong(apply, "test"),
    ),
    Mistake(
        "left in train mode",
        "You return the network in train mode, where batch norm and dropout work differently; return it in eval mode.",
        lambda model, masks, split, epochs: right_recover(model, masks, split, epochs).train(),
    ),
    Mistake(
        "nothing learned",
        "The returned network is not changed; call the optimizer's step() for every batch.",
        lambda model, masks, split, epochs: copy.deepcopy(model).eval(),
    ),
    Mistake(
        "gradients not cleared",
        "Gradients of earlier batches add up; start each step with optimizer.zero_grad().",
        _not_cleared,
    ),
    Mistake(
        "one batch only",
        "You stop after the first batch; return after the loop, not in it.",
        _one_batch,
    ),
    Mistake(
        "one epoch only",
        "You make one pass over the images; make `epochs` passes.",
        lambda model, masks, split, epochs: right_recover(model, masks, split, min(epochs, 1)),
    ),
    Mistake(
        "uphill",
        "The loss grows with your steps; step against its gradient (loss.backward(), then optimizer.step()).",
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
    through="finetuning.recover:recover_copy",
    library="finetuning:recover",
)
