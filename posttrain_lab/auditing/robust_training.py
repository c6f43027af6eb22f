"""Train a network to withstand changes: on attacked images, or on noisy ones. Both run in the course's own training loop.

Adversarial training minimizes the loss at the worst image that a few steps of PGD find; noise is what randomized smoothing needs. Both cost
accuracy on clean images, and adversarial training one more forward and backward pass for every step of the attack.

Source: Madry et al. 2018 (adversarial training); Wong, Rice, Kolter 2020 (one step from a random start is enough for small eps).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.training import Hooks, TrainingConfig, train

from .arguments import check_images, check_radius
from .attacks import pgd, uniform_start


@dataclass(frozen=True)
class TrainingAttack:
    """The attack on every training batch: `steps` of size `step` in the L-inf ball of radius eps, from a uniform start."""

    eps: float
    step: float
    steps: int = 1

    def __post_init__(self) -> None:
        check_radius("TrainingAttack", "eps", self.eps)
        check_radius("TrainingAttack", "step", self.step)


def attacked_loss(attack: TrainingAttack, seed: int) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """The cross entropy at attacked images, as a loss for `training.Hooks`. The attack sees the model in eval mode."""
    generator = torch.Generator().manual_seed(seed)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        start = uniform_start(x, attack.eps, generator)
        return F.cross_entropy(model(pgd(model, x, y, attack.eps, attack.step, attack.steps, start)), y)

    return loss


def adversarial_training(
    model: nn.Module,
    images: Float[Tensor, "n ..."],
    labels: Int[Tensor, " n"],
    attack: TrainingAttack,
    config: TrainingConfig | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a copy of the model on attacked images; it is returned in eval mode, with the mean loss of each epoch.

    Seeded by the config. images [n, ...] in [0, 1], labels [n]. Raises as `train` and `fgsm`. Source: Madry et al. (2018).

    >>> images, labels = torch.rand(32, 4), torch.tensor([0, 1] * 16)
    >>> trained, history = adversarial_training(nn.Linear(4, 2), images, labels, TrainingAttack(0.1, 0.1), TrainingConfig(epochs=2))
    >>> len(history)
    2
    """
    config = config or TrainingConfig()
    check_images("adversarial_training", images)
    return train(model, images, labels, config, progress=False, hooks=Hooks(loss=attacked_loss(attack, config.seed)))


def noisy(sigma: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    """For `train(augment=...)`: normal noise of standard deviation sigma on every training image, as randomized smoothing needs it."""
    check_radius("noisy", "sigma", sigma)
    return lambda x, generator: x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
