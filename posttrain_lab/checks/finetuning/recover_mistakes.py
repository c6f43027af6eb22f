"""The known mistakes of `recover`, each with its message."""

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.recover_networks import Masks, accuracy, apply, right_recover, trained
from posttrain_lab.data.split import Split


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


def _best_by(part: str) -> Any:
    """Keeps the weights of the epoch with the best accuracy on a part."""

    def recover(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
        held, best, batches = getattr(split, part), [-1.0, copy.deepcopy(model)], -(-len(split.train) // 64)
        steps = [0]

        def after(network: nn.Module) -> None:
            apply(network, masks)
            steps[0] += 1
            if steps[0] % batches == 0 and (score := accuracy(network, held)) >= best[0]:
                best[:] = [score, copy.deepcopy(network)]

        trained(model, split.train, epochs, after)
        return best[1].eval()  # type: ignore[union-attr]

    return recover


def _thawed(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    return right_recover(copy.deepcopy(model).requires_grad_(True), masks, split, epochs)


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
        "chosen on validation",
        "You choose the weights by the validation images, which then no longer show what was recovered; use split.train alone.",
        _best_by("validation"),
    ),
    Mistake(
        "chosen on test",
        "You choose the weights by the test images, which are for the final accuracy only; use split.train alone.",
        _best_by("test"),
    ),
    Mistake(
        "frozen parameters trained",
        "You make frozen parameters trainable (requires_grad); a parameter that came in frozen stays as it is.",
        _thawed,
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
