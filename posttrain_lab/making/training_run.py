"""How every shipped network is trained: on one thread, from seed 0, with the log that is kept beside its checkpoint.

The test images are used once, after the last epoch, to report; nothing is chosen by them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data import Split
from posttrain_lab.data.files import FILES
from posttrain_lab.measure import predict
from posttrain_lab.training import TrainingConfig, train

REPORTED = ("validation", "test")
Augment = Callable[[Tensor, torch.Generator], Tensor]


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move a batch by up to two pixels: cheap new views of the same things."""
    dy, dx = (int(torch.randint(-2, 3, (), generator=generator)) for _ in range(2))
    return F.pad(images, (2, 2, 2, 2))[:, :, 2 + dy : 30 + dy, 2 + dx : 30 + dx]


@dataclass(frozen=True)
class TrainingRun:
    """What decides a shipped network beside its images: how it starts, how it learns, in which dtype its weights are stored."""

    network: Callable[[], nn.Module]
    config: TrainingConfig
    augment: Augment
    stored: torch.dtype = torch.float32


def trained(model: nn.Module, images: Tensor, labels: Tensor, config: TrainingConfig, augment: Augment) -> nn.Module:
    """The trained copy, its weights in plain memory order; prints the loss of each epoch."""
    model, losses = train(model, images, labels, config, augment)
    print("mean training loss of each epoch:", " ".join(f"{loss:.4f}" for loss in losses))
    return model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def ship(name: str, run: TrainingRun, images: Tensor, labels: Tensor, split: Split) -> None:
    """Train a network on these images, store it as `name`.safetensors, and count its hits as stored; prints the log."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{name}: {len(labels)} images, {run.config}", flush=True)
    model = trained(run.network(), images, labels, run.config, run.augment)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    stored = {key: value.to(run.stored) if value.is_floating_point() else value for key, value in state.items()}
    save_file(stored, FILES / f"{name}.safetensors")
    model.load_state_dict(stored)
    for part in REPORTED:
        data = getattr(split, part)
        hits = predict(model, data.images, 1000).argmax(1) == data.labels
        print(f"{part}: {int(hits.sum())} of {len(hits)} right = {hits.float().mean():.4f}")
