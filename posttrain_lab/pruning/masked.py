"""Train a network whose pruned weights must stay 0: gradients and momentum change them, so the mask is applied after each step.

`train_masked` is the course's one training loop with this step in its hook.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from posttrain_lab.data import Dataset, Split
from posttrain_lab.training import TrainingConfig, TrainingState, train

from .arguments import check_mask, prunable_layers
from .masks import apply_masks


@torch.no_grad()
def masked_step(optimizer: torch.optim.Optimizer, masks: Mapping[nn.Parameter, Bool[Tensor, "..."]]) -> None:
    """One step of an optimizer that leaves pruned weights at 0: step, then set the zeros again.

    A mask on the gradient is not enough: momentum contains old gradients, and weight decay needs no gradient. In place: weights where
    the mask is False are exactly 0 afterwards; all others are as `optimizer.step()` leaves them.

    masks: by parameter, True where a weight stays; parameters without a mask change freely. Raises ValueError for a mask of another
    shape.

    >>> weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> weight.grad = torch.tensor([0.5, 0.5])
    >>> masked_step(torch.optim.SGD([weight], lr=1.0), {weight: torch.tensor([True, False])})
    >>> weight.data
    tensor([0.5000, 0.0000])
    """
    for number, (parameter, mask) in enumerate(masks.items()):
        check_mask("masked_step", mask, parameter, f"number {number}")
    optimizer.step()
    for parameter, mask in masks.items():
        parameter.masked_fill_(~mask, 0.0)


def keep_masks(masks: Mapping[str, Bool[Tensor, "..."]]) -> Callable[[TrainingState], None]:
    """A hook for `train(after_step=...)`: sets the zeros again in the layers of these names."""

    @torch.no_grad()
    def after_step(state: TrainingState) -> None:
        for name, mask in masks.items():
            state.model.get_submodule(name).weight.masked_fill_(~mask, 0.0)  # type: ignore[operator, union-attr]

    return after_step


def train_masked(
    model: nn.Module,
    masks: Mapping[str, Bool[Tensor, "..."]],
    data: Dataset,
    config: TrainingConfig | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    progress: bool = True,
) -> tuple[nn.Module, list[float]]:
    """Train the weights that are left of a pruned network.

    masks: by layer; exactly these weights are 0 in the returned network, in spite of gradients and momentum.
    Returns (a new model in eval mode, the mean loss of each epoch), as `posttrain_lab.training.train`. Raises as it and `apply_masks`.
    """
    if isinstance(data, Split):
        raise TypeError("train_masked wants a Dataset to train on, got a Split; give split.train.")
    prunable_layers("train_masked", model)
    start = apply_masks(model, dict(masks))
    return train(start, data.images, data.labels, config, augment, progress, after_step=keep_masks(masks))
