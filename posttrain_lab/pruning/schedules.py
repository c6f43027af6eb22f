"""When to prune: at once (one-shot), gradually during training, or in rounds with rewinding (lottery tickets).

One-shot is `prune_model` followed by `train_masked`. Here are the other two.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from posttrain_lab.data import Dataset
from posttrain_lab.training import TrainingConfig, TrainingState, train

from .arguments import check_sparsity, prunable_layers
from .masked import keep_masks, train_masked
from .masks import apply_masks, global_from_scores, global_masks, masks_of
from .scores import DATALESS, layer_scores

Augment = Callable[[Tensor, torch.Generator], Tensor]


def cubic_sparsity(step: int, steps: int, final: float, first: float = 0.0) -> float:
    """How sparse should the network be after `step` of `steps`? Fast at first, when many weights are not needed, then slower.

    s = final + (first - final) * (1 - step / steps)^3;  beyond the last step it stays at `final`.

    Raises ValueError for sparsities outside [0, 1] or steps below 1. Source: Zhu and Gupta 2017, "To Prune, or Not to Prune".

    >>> [round(cubic_sparsity(step, 4, final=0.8), 2) for step in range(5)]
    [0.0, 0.46, 0.7, 0.79, 0.8]
    """
    check_sparsity("cubic_sparsity", final)
    check_sparsity("cubic_sparsity", first)
    if steps < 1 or step < 0:
        raise ValueError(f"cubic_sparsity wants step >= 0 and steps >= 1, got {step} of {steps}.")
    return final + (first - final) * (1 - min(step, steps) / steps) ** 3


@dataclass(frozen=True)
class GradualConfig:
    """Prune to `sparsity` over the first `share` of the training steps, with new masks every `every` steps; `skip` some layers.

    score: "magnitude" or "lamp", over all layers together; see scores.py.
    """

    sparsity: float = 0.9
    share: float = 0.5
    every: int = 10
    skip: tuple[str, ...] = ()
    score: str = "magnitude"

    def __post_init__(self) -> None:
        check_sparsity("GradualConfig", self.sparsity)
        if self.score not in DATALESS:
            raise ValueError(f"GradualConfig wants score to be one of {', '.join(DATALESS)}, got {self.score!r}; no images here.")
        if not 0 < self.share <= 1 or self.every < 1:
            raise ValueError(f"GradualConfig wants 0 < share <= 1 and every >= 1, got {self.share} and {self.every}.")


def prune_gradually(
    model: nn.Module,
    data: Dataset,
    config: GradualConfig | None = None,
    training: TrainingConfig | None = None,
    augment: Augment | None = None,
    progress: bool = True,
) -> tuple[nn.Module, dict[str, Bool[Tensor, "..."]]]:
    """Gradual pruning: a network is pruned while it trains, by one ranking of all weights, along the cubic schedule.

    A removed weight stays 0, because it is the smallest in the next ranking. data: to train on; the sparsity at the end is exact.
    Returns (a new model in eval mode, its masks by layer). Raises as `train` and `prune_model`. Source: Zhu and Gupta 2017.
    """
    config, training = config or GradualConfig(), training or TrainingConfig()
    layers = prunable_layers("prune_gradually", model, config.skip)
    steps = max(1, round(config.share * training.epochs * -(-len(data) // training.batch_size)))
    masks: dict[str, Tensor] = {name: torch.ones_like(layer.weight, dtype=torch.bool) for name, layer in layers.items()}

    @torch.no_grad()
    def after_step(state: TrainingState) -> None:
        step = state.steps
        if step <= steps and (step % config.every == 0 or step == steps):
            found = layer_scores(state.model, config.score)
            scores = {name: found[name] for name in masks}
            masks.update(global_from_scores(dict(scores), scores, cubic_sparsity(step, steps, config.sparsity)))
        keep_masks(masks)(state)

    trained, _ = train(model, data.images, data.labels, training, augment, progress, after_step=after_step)
    return trained, masks


@dataclass(frozen=True, eq=False)
class Ticket:
    """One round of the search: the masks, the network at its start (rewound, pruned), the same after training."""

    sparsity: float
    masks: dict[str, Bool[Tensor, "..."]]
    start: nn.Module
    trained: nn.Module


def lottery_tickets(
    start: nn.Module, data: Dataset, sparsity: float, rounds: int, training: TrainingConfig | None = None, progress: bool = True
) -> tuple[Ticket, ...]:
    """Is there a small network inside the untrained one that would have learned as well on its own?

    Each round trains, removes the smallest of the weights that are left (globally, the same share each round, so that
    1 - sparsity = (1 - share)^rounds), and rewinds the others to their values in `start`: an untrained network, or one after a few
    steps ("late rewinding", Frankle et al. 2020).

    Returns rounds + 1 tickets, the first of them dense. To test whether the initial values matter, train a ticket's masks from another
    start.
    Raises ValueError for rounds below 1 or a sparsity outside [0, 1). Source: Frankle and Carbin 2019, "The Lottery Ticket Hypothesis".
    """
    if rounds < 1 or not check_sparsity("lottery_tickets", sparsity) < 1:
        raise ValueError(f"lottery_tickets wants rounds >= 1 and a sparsity below 1, got {rounds} rounds and {sparsity}.")
    masks = {name: torch.ones_like(mask) for name, mask in masks_of(start).items()}
    tickets = []
    for number in range(rounds + 1):
        share = 1 - (1 - sparsity) ** (number / rounds)
        if tickets:
            masks = global_masks(_masked_weights(tickets[-1].trained, masks), share)
        ticket = apply_masks(start, masks)
        trained, _ = train_masked(ticket, masks, data, training, progress=progress)
        tickets.append(Ticket(share, masks, ticket, trained))
    return tuple(tickets)


def _masked_weights(model: nn.Module, masks: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by layer; removed ones are 0 already and so the smallest."""
    return {name: model.get_submodule(name).weight.detach() * mask for name, mask in masks.items()}  # type: ignore[operator, union-attr]
