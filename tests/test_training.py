"""The training loop learns, repeats itself, and leaves what it was given alone."""

import pytest
import torch
from torch import nn

from posttrain_lab.training import TrainingConfig, shuffled_batches, train


def two_clouds(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    return torch.randn(n, 4, generator=generator) + 3.0 * labels[:, None], labels


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


CONFIG = TrainingConfig(epochs=8, batch_size=32, learning_rate=0.05)


def test_learns_and_returns_eval_mode():
    x, y = two_clouds()
    trained, losses = train(model(), x, y, CONFIG, progress=False)
    assert losses[-1] < 0.5 * losses[0]
    assert (trained(x).argmax(1) == y).float().mean() > 0.95
    assert not trained.training


def test_same_seed_same_weights_other_seed_others():
    x, y = two_clouds()
    runs = [train(model(), x, y, TrainingConfig(epochs=2, seed=s), progress=False)[0] for s in (3, 3, 4)]
    weights = [run[0].weight for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_input_model_is_untouched():
    x, y = two_clouds()
    given = model()
    before = {key: value.clone() for key, value in given.state_dict().items()}
    train(given, x, y, CONFIG, progress=False)
    assert all(torch.equal(before[key], value) for key, value in given.state_dict().items())


def test_batches_hold_every_example_once():
    x = torch.arange(10)
    seen = torch.cat([batch for batch, _ in shuffled_batches(x, x, 3, torch.Generator().manual_seed(0))])
    assert sorted(seen.tolist()) == list(range(10))
    assert seen.tolist() != list(range(10))


def test_zero_epochs_change_nothing():
    x, y = two_clouds()
    trained, losses = train(model(), x, y, TrainingConfig(epochs=0), progress=False)
    assert losses == []
    assert torch.equal(trained[0].weight, model()[0].weight)


def test_a_loss_that_is_not_finite_stops():
    x, y = two_clouds()
    x[5] = float("nan")
    with pytest.raises(ValueError, match=r"loss became nan in epoch 0: try a smaller"):
        train(model(), x, y, CONFIG, progress=False)


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        TrainingConfig(**wrong)
