"""Predictions with known properties, drawn from a seed."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

modest = settings(max_examples=50, deadline=None, derandomize=True)


def drawn_labels(probabilities: Tensor, seed: int = 0) -> Tensor:
    """Labels drawn from the rows: these probabilities are right by construction."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(len(probabilities), 1, generator=generator, dtype=torch.float64)
    return (probabilities.double().cumsum(1) < u).sum(1).clamp(max=probabilities.shape[1] - 1)


def honest(n: int, classes: int, spread: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits [n, classes] float64 and labels drawn from their softmax."""
    logits = spread * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits, drawn_labels(logits.softmax(1), seed + 1)


def honest_yes(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Probabilities p [n] and answers drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(n, generator=generator, dtype=torch.float64)
    return p, (torch.rand(n, generator=generator, dtype=torch.float64) < p).long()


@st.composite
def yes_or_no(draw, least: int = 1, most: int = 30):
    """Probabilities, many of them equal, and answers."""
    rows = draw(st.lists(st.tuples(st.integers(0, 8) | st.floats(0, 8), st.booleans()), min_size=least, max_size=most))
    return torch.tensor([p / 8 for p, _ in rows]).double(), torch.tensor([hit for _, hit in rows]).long()


def as_numpy(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in tensors]
