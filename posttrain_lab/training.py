"""The one training loop of the course: shuffled batches, AdamW, a one-cycle learning rate. Seeded, so a run can be repeated.

Another loss, optimizer or schedule, early stopping and checkpoints are given by `Hooks`.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from posttrain_lab.module_walks import check_copyable

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: `learning_rate` is the peak of the cycle, `clip` the largest gradient norm (0 switches it off)."""

    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 5e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.0
    clip: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(
                f"train wants epochs >= 0, batch_size >= 1 and learning_rate > 0, got epochs={self.epochs}, "
                f"batch_size={self.batch_size}, learning_rate={self.learning_rate}."
            )


@dataclass
class TrainingState:
    """The whole state of a run: hooks may read it, and between two epochs save and restore it.

    `memory` belongs to the hooks; `finished` ends the run.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Any
    generator: torch.Generator
    config: TrainingConfig
    history: list[float] = field(default_factory=list)
    steps: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)


@dataclass(frozen=True)
class Hooks:
    """Functions by which a technique changes the loop; those left out are `train`'s own.

    loss(model, x, y) -> scalar; optimizer(model) -> Optimizer; schedule(optimizer, steps) -> an object whose step() follows every
    batch; before(state) at the start, after_epoch(state) when an epoch is done: several each, called in this order.
    """

    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None
    schedule: Callable[[torch.optim.Optimizer, int], Any] | None = None
    before: tuple[Callable[[TrainingState], None], ...] = ()
    after_epoch: tuple[Callable[[TrainingState], None], ...] = ()


class NotFiniteError(ValueError):
    """A loss became NaN or infinite. `model`: the weights of the last batch whose loss was finite; `epoch`, `batch`: where."""

    def __init__(self, value: float, epoch: int, batch: int, model: nn.Module) -> None:
        super().__init__(
            f"The loss became {value} in epoch {epoch}: try a smaller learning_rate, and look at batch {batch} (both counted "
            "from 0) for inputs that are not finite. The error's .model has the last weights with a finite loss."
        )
        self.epoch, self.batch, self.model = epoch, batch, model


def shuffled_batches(images: Tensor, labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Every image once, in random order."""
    for index in torch.randperm(len(labels), generator=generator).split(batch_size):
        yield images[index], labels[index]


def check_labels(labels: Tensor, classes: int, caller: str = "train") -> None:
    """Raise ValueError unless every label is in 0..classes-1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"{caller} wants labels in 0..{classes - 1}, one for each output of the model, got {int(labels.min())}.."
            f"{int(labels.max())}; check that the labels belong to this model."
        )


def _default_loss(config: TrainingConfig) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        logits = model(x)
        check_labels(y, logits.shape[1])
        return F.cross_entropy(logits, y, label_smoothing=config.label_smoothing)

    return loss


def _begin(model: nn.Module, config: TrainingConfig, steps: int, hooks: Hooks) -> TrainingState:
    """A copy of the model in train mode, with its optimizer and schedule."""
    check_copyable("train", model)
    model = copy.deepcopy(model).train()
    if hooks.optimizer:
        optimizer = hooks.optimizer(model)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    if hooks.schedule:
        schedule = hooks.schedule(optimizer, steps)
    else:
        rates = [group["lr"] for group in optimizer.param_groups]
        cycle = hooks.optimizer is None  # the schedule changes momentum too, unless the optimizer was given
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=cycle)
    state = TrainingState(model, optimizer, schedule, torch.Generator().manual_seed(config.seed), config)
    for hook in hooks.before:
        hook(state)
    return state


def _step(state: TrainingState, loss: Tensor, after_step: Callable[[TrainingState], None] | None) -> None:
    """Backward, clip, one step of the optimizer and of the schedule."""
    state.optimizer.zero_grad()
    loss.backward()
    if state.config.clip:
        nn.utils.clip_grad_norm_(state.model.parameters(), state.config.clip)
    state.optimizer.step()
    state.steps += 1
    if after_step:
        after_step(state)
    state.schedule.step()


def _check_finite(state: TrainingState, loss: Tensor, batch: int, good: dict[str, Tensor]) -> None:
    """Raise NotFiniteError, with the weights `good` of the last finite loss, unless this one is finite."""
    if not torch.isfinite(loss):
        state.model.load_state_dict(good)
        raise NotFiniteError(loss.item(), state.epoch, batch, state.model.eval())


def _end_epoch(state: TrainingState, loss: float, hooks: Hooks) -> None:
    """Note the mean loss of the epoch; then its hooks run."""
    state.history.append(loss)
    for hook in hooks.after_epoch:
        hook(state)


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: TrainingConfig | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    progress: bool = True,
    after_step: Callable[[TrainingState], None] | None = None,
    hooks: Hooks | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a copy of `model` and return it in eval mode, with the mean loss of each epoch.

    images [n, ...] float, labels [n] int64; `augment` changes a batch of images with the generator it is given;
    `after_step` is called with the state after each step of the optimizer (pruning sets its zeros again). Dropout is seeded by the config
    too. Raises ValueError for labels outside the model's classes, and `NotFiniteError`, a ValueError with the last finite
    weights, when a loss is not finite. The given model is not changed.
    """
    config, hooks = config or TrainingConfig(), hooks or Hooks()
    steps = max(1, config.epochs * -(-len(labels) // config.batch_size))
    loss_of = hooks.loss or _default_loss(config)
    with torch.random.fork_rng(devices=[]), tqdm(total=steps, desc="training", unit="batch", disable=not progress) as bar:
        torch.manual_seed(config.seed)
        state = _begin(model, config, steps, hooks)
        good = _snapshot(state.model)
        while state.epoch < config.epochs and not state.finished:
            total = 0.0
            for number, (x, y) in enumerate(shuffled_batches(images, labels, config.batch_size, state.generator)):
                now = _snapshot(state.model)
                loss = loss_of(state.model, augment(x, state.generator) if augment else x, y)
                _check_finite(state, loss, number, good)
                good = now
                _step(state, loss, after_step)
                total += loss.item() * len(y)
                bar.update()
            bar.set_postfix(loss=f"{total / len(labels):.3f}")
            _end_epoch(state, total / len(labels), hooks)
    return state.model.eval(), state.history
