"""`experiments.digit_populations`: seeded, small, and of the stated sparsity."""

import torch

from posttrain_lab.data import load_small_digits
from posttrain_lab.experiments import digit_populations as populations
from posttrain_lab.metrics import sparsity


def test_a_rare_class_keeps_its_first_examples_and_the_others_all():
    train = load_small_digits().train
    some = populations.with_rare_class(train, label=8, kept=15)
    assert torch.bincount(some.labels).tolist() == [90] * 8 + [15, 90]
    assert torch.equal(some.images[some.labels == 8], train.images[train.labels == 8][:15])


def test_populations_repeat_by_their_seeds_and_are_pruned_as_stated(monkeypatch):
    monkeypatch.setattr(populations, "TRAINING", populations.TrainingConfig(epochs=2))
    data = load_small_digits()
    dense, again = (populations.trained_population(data.train, (0, 1)) for _ in range(2))
    answers = populations.answers(dense, data.validation.images)
    assert answers.shape == (2, 200)
    assert torch.equal(answers, populations.answers(again, data.validation.images))
    assert not torch.equal(answers[0], answers[1])
    for model in populations.pruned_population(dense, 0.7, data.train):
        assert abs(sparsity(model) - 0.7) < 0.01
