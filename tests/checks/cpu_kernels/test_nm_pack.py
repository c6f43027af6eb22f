"""`nm_pack`: what every exercise must do, and an independent right answer."""

import itertools

import numpy as np
import torch

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import nm_pack
from tests.checks.exercise_tests import ExerciseTests


def nm_pack_by_search(weight):
    """Of the six pairs of places the first with the largest magnitudes; the bytes are the library's, where it keeps these places."""
    groups = weight.unflatten(1, (-1, 4)).abs().double().numpy()
    pairs = list(itertools.combinations(range(4), 2))
    best = np.argmax([sum(groups[..., place] for place in pair) for pair in pairs], axis=0)
    places = torch.tensor(pairs)[torch.from_numpy(best)]
    values = torch.take_along_dim(weight.unflatten(1, (-1, 4)), places, 2)
    packed = kernels.NMWeight(values, (places * torch.tensor([1, 4])).sum(2).to(torch.uint8))
    kept = torch.zeros(*places.shape[:2], 4).scatter(2, places, values).flatten(1)
    again = kernels.NMWeight.from_float(kept)  # where a kept weight is 0, it may keep another place
    assert torch.equal(again.dense(), kept)
    assert torch.equal(packed.dense(), kept)
    whole = (values != 0).all(2)
    assert torch.equal(again.positions[whole], packed.positions[whole])
    return packed.values, packed.positions


class TestNmPack(ExerciseTests):
    exercise = nm_pack
    independent = staticmethod(nm_pack_by_search)
