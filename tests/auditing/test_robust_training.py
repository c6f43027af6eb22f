"""`auditing.robust_training`: it helps where it can be seen exactly, it is seeded, and it leaves the model."""

import pytest
import torch
from torch import nn

from posttrain_lab.auditing.attacks import fgsm, margins
from posttrain_lab.auditing.robust_training import TrainingAttack, adversarial_training, noisy
from posttrain_lab.training import TrainingConfig, train

CONFIG = TrainingConfig(epochs=60, batch_size=50, learning_rate=0.2, weight_decay=0.0)


def data():
    """One pixel that says the class by a wide margin, with errors; twenty that always say it, by less than the attack can change."""
    g = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (400,), generator=g)
    wide = torch.where(torch.rand(400, generator=g) < 0.9, y, 1 - y) * 0.8 + 0.1
    narrow = 0.5 + 0.08 * (2 * y - 1)[:, None] + 0.01 * torch.rand((400, 20), generator=g)
    return torch.cat([wide[:, None], narrow], 1), y


def test_it_leans_on_what_an_attack_cannot_change():
    x, y = data()
    model = nn.Linear(21, 2)
    model.weight.data.zero_()
    plain, _ = train(model, x, y, CONFIG, progress=False)
    robust, history = adversarial_training(model, x, y, TrainingAttack(0.2, 0.2, 2), CONFIG)
    accuracy = [[float((margins(m, moved, y) > 0).double().mean()) for moved in (x, fgsm(m, x, y, 0.2))] for m in (plain, robust)]
    assert accuracy[0][0] > 0.99  # clean: the narrow pixels are always right
    assert accuracy[0][1] < 0.5
    assert accuracy[1][1] > 0.85
    assert len(history) == 60
    assert not robust.training
    assert not model.weight.any()


def test_it_repeats_by_its_seed():
    x, y = data()
    short = TrainingConfig(epochs=1)
    first, again = (
        adversarial_training(nn.Linear(21, 2).requires_grad_(), x, y, TrainingAttack(0.1, 0.1), short)[1] for _ in range(2)
    )
    assert first != again  # other first weights
    model = nn.Linear(21, 2)
    first, again = (adversarial_training(model, x, y, TrainingAttack(0.1, 0.1), short)[1] for _ in range(2))
    assert first == again


def test_noise_has_the_stated_size():
    x = torch.full((50, 1, 20, 20), 0.5)
    change = noisy(0.3)(x, torch.Generator().manual_seed(0)) - x
    assert change.std().item() == pytest.approx(0.3, rel=0.02)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="eps"):
        TrainingAttack(-0.1, 0.1)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        adversarial_training(nn.Linear(2, 2), torch.full((2, 2), 3.0), torch.tensor([0, 1]), TrainingAttack(0.1, 0.1))
    with pytest.raises(ValueError, match="sigma"):
        noisy(-1)
