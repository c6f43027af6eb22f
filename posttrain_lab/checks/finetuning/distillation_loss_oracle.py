"""The right answer to `distillation_loss`, in steps that the known mistakes change."""

from typing import Any

import torch
from torch import Tensor


def log_softmax(logits: Tensor, temperature: float) -> Tensor:
    return logits / temperature - torch.logsumexp(logits / temperature, dim=1, keepdim=True)


def divergence_of(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of each row; both are given as log-probabilities."""
    return (p.exp() * (p - q)).sum(1)


def mixed(divergence: Tensor | float, student: Tensor, labels: Tensor, weight: float) -> Any:
    picked = student.gather(1, labels[:, None]).squeeze(1) - torch.logsumexp(student, dim=1)
    return weight * divergence - (1 - weight) * picked.mean()


def right_loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Tensor:
    p, q = log_softmax(teacher.detach(), temperature), log_softmax(student, temperature)
    return mixed(temperature**2 * divergence_of(p, q).mean(), student, labels, weight)
