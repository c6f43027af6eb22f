"""Populations of small networks on 8 x 8 digits, trained while you wait: what does pruning forget, and what does an attack find?

Each network has 2.4 thousand weights and trains in about a second. One class can be made rare, as rare classes are what compression
forgets first (Hooker et al. 2019, 2020).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posttrain_lab.data import Dataset
from posttrain_lab.pruning import PruningConfig, prune_model, train_masked
from posttrain_lab.training import TrainingConfig, train

TRAINING = TrainingConfig(epochs=40, batch_size=64, learning_rate=1e-2, weight_decay=0.0)
RECOVERY = TrainingConfig(epochs=3, batch_size=64, learning_rate=3e-3, weight_decay=0.0)


def small_network(seed: int, hidden: int = 32) -> nn.Sequential:
    """A network of two linear layers for 1 x 8 x 8 images, with the first weights of this seed.

    >>> small_network(0)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def seeded(config: TrainingConfig, seed: int) -> TrainingConfig:
    """The same configuration with another seed."""
    return TrainingConfig(**{**vars(config), "seed": seed})


def with_rare_class(data: Dataset, label: int, kept: int) -> Dataset:
    """The same examples, of one class only the first `kept`.

    >>> data = Dataset(torch.zeros(4, 1), torch.tensor([0, 1, 1, 1]), ("a", "b"))
    >>> with_rare_class(data, label=1, kept=1).labels
    tensor([0, 1])
    """
    members = (data.labels == label).nonzero().flatten()
    stay = torch.ones(len(data), dtype=torch.bool)
    stay[members[kept:]] = False
    return Dataset(data.images[stay], data.labels[stay], data.classes)


def trained_population(data: Dataset, seeds: Sequence[int]) -> list[nn.Module]:
    """One network for each seed, trained on the same examples."""
    return [train(small_network(seed), data.images, data.labels, seeded(TRAINING, seed), progress=False)[0] for seed in seeds]


def pruned_population(dense: Sequence[nn.Module], sparsity: float, data: Dataset) -> list[nn.Module]:
    """Each network without its smallest weights, then trained for three epochs more."""
    found = []
    for seed, model in enumerate(dense):
        pruned = prune_model(model, PruningConfig(sparsity=sparsity))
        network, _ = train_masked(pruned.model, pruned.masks, data, seeded(RECOVERY, seed), progress=False)
        found.append(network)
    return found


def answers(models: Sequence[nn.Module], images: Tensor) -> Tensor:
    """The class numbers [k, n] that k models give to n images."""
    with torch.no_grad():
        return torch.stack([model(images).argmax(1) for model in models])
