"""The shipped answers of unit 07: complete, of the stated kind, and as accurate as such networks are."""

import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.data.fashion_populations import DENSE, load_fashion_populations
from posttrain_lab.making.fashion_populations import BITS, SEEDS, SPARSITIES

POPULATIONS = load_fashion_populations()


def test_every_population_is_there_and_complete():
    names = [f"{100 * s:.0f} % pruned" for s in SPARSITIES] + [f"{bits} bits" for bits in BITS]
    assert list(POPULATIONS) == [DENSE, *names]
    for labels in POPULATIONS.values():
        assert labels.shape == (len(SEEDS), 10_000)
        assert labels.dtype == torch.int64
        assert 0 <= labels.min() <= labels.max() <= 9


def test_the_networks_are_different_and_know_something():
    truth = load_fashion().test.labels
    for name, labels in POPULATIONS.items():
        accuracy = (labels == truth).double().mean(1)
        assert accuracy.min() > 0.7, name
        assert not any(torch.equal(labels[0], other) for other in labels[1:])


def test_eight_bits_change_hardly_any_answer_and_three_bits_change_more():
    changed = {bits: (POPULATIONS[f"{bits} bits"] != POPULATIONS[DENSE]).double().mean().item() for bits in BITS}
    assert 0 < changed[8] < 0.01 < changed[3]
