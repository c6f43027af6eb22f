"""The one training loop of the course: shuffled batches, AdamW, a one-cycle learning rate. Seeded, so a run can be repeated."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

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


def shuffled_batches(images: Tensor, labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Every image once, in random order."""
    for index in torch.randperm(len(labels), generator=generator).split(batch_size):
        yield images[index], labels[index]


def _follow_gradient(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float) -> None:
    """One step of the optimizer, along a gradient no longer than `clip` (0: of any length)."""
    optimizer.zero_grad()
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: TrainingConfig | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    progress: bool = True,
    after_step: Callable[[nn.Module, int], None] | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a copy of `model` and return it in eval mode, with the mean loss of each epoch.

    images [n, ...] float, labels [n] int64; `augment` changes a batch of images with the generator it is given; `after_step` is
    called after each step of the optimizer with the model in training and the number of steps taken (pruning puts its zeros back).
    Raises ValueError when a loss is not finite. The model that came in is left as it was.
    """
    config = config or TrainingConfig()
    model = copy.deepcopy(model).train()
    generator = torch.Generator().manual_seed(config.seed)
    steps = max(1, config.epochs * -(-len(labels) // config.batch_size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    history, taken = [], 0
    with tqdm(total=steps, desc="training", unit="batch", disable=not progress) as bar:
        for epoch in range(config.epochs):
            total = 0.0
            for x, y in shuffled_batches(images, labels, config.batch_size, generator):
                x = augment(x, generator) if augment else x
                loss = F.cross_entropy(model(x), y, label_smoothing=config.label_smoothing)
                if not torch.isfinite(loss):
                    raise ValueError(f"The loss became {loss.item()} in epoch {epoch}: try a smaller learning_rate.")
                _follow_gradient(model, optimizer, loss, config.clip)
                schedule.step()
                taken += 1
                if after_step:
                    after_step(model, taken)
                total += loss.item() * len(y)
                bar.update()
            history.append(total / len(labels))
            bar.set_postfix(loss=f"{history[-1]:.3f}")
    return model.eval(), history
