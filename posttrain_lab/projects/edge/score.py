"""How good are an artefact's probabilities on photographs that nobody has seen? The Brier score with its interval; accuracy and ECE."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posttrain_lab.calibration import expected_calibration_error
from posttrain_lab.comparisons import paired_difference
from posttrain_lab.data.split import Dataset
from posttrain_lab.deployment.program import IntegerProgram

from ..instances import instance_seed
from .camera import camera
from .interpret import logits

PROJECT = "12_project_edge"
DRAWS, PHOTOGRAPHS = 5, 2000


@dataclass(frozen=True, eq=False)
class Score:
    """brier, hits [photographs]: of each photograph in the order of the instances, so that two entries can be compared pair by pair."""

    brier: Float[Tensor, " n"]
    hits: Bool[Tensor, " n"]
    ece: float

    @property
    def mean(self) -> float:
        """The mean Brier score: 0 is perfect, 0.9 says 10 % to each class, 2 is sure and wrong."""
        return self.brier.mean().item()

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        found = paired_difference(self.brier, torch.zeros_like(self.brier), resamples=1000)
        return found.low, found.high


def photographs(clothes: Dataset, seed: int, count: int = PHOTOGRAPHS) -> Dataset:
    """Photographs of `count` of the clothes, drawn and taken with one seed. Raises ValueError for fewer clothes than that."""
    if len(clothes) < count:
        raise ValueError(f"photographs wants at least {count} clothes, got {len(clothes)}; give more, or ask for fewer.")
    chosen = torch.randperm(len(clothes), generator=torch.Generator().manual_seed(seed))[:count]
    return Dataset(camera(clothes.images[chosen], seed), clothes.labels[chosen], clothes.classes)


def evaluate(program: IntegerProgram, clothes: Dataset, secret: str, draws: int = DRAWS, count: int = PHOTOGRAPHS) -> Score:
    """The score on `draws` instances of `count` photographs each, whose seeds come from the secret."""
    brier, confidences, hits = [], [], []
    for number in range(draws):
        part = photographs(clothes, instance_seed(secret, PROJECT, number), count)
        p = logits(program, part.images).softmax(1)
        truth = torch.nn.functional.one_hot(part.labels, p.shape[1])
        brier.append((p - truth).square().sum(1))
        confidences.append(p.amax(1))
        hits.append(p.argmax(1) == part.labels)
    right = torch.cat(hits)
    return Score(torch.cat(brier), right, expected_calibration_error(torch.cat(confidences).clamp(max=1).float(), right))
