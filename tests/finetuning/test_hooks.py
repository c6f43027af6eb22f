"""The hooks of the one training loop: called when they say, with what they say."""

import pytest
import torch
from torch import nn

from posttrain_lab.training import Hooks, TrainingConfig, TrainingState, train
from tests.finetuning.small_nets import same_state, small_cnn, stripes

pytestmark = pytest.mark.portable

CONFIG = TrainingConfig(epochs=2, batch_size=10)


def test_after_step_follows_every_step_of_the_optimizer():
    data, calls = stripes(25), []

    def after_step(state: TrainingState) -> None:
        calls.append((state.steps, int(next(iter(state.optimizer.state.values()))["step"])))
        state.model[0].weight.data.zero_()

    model, _ = train(small_cnn(), data.images, data.labels, CONFIG, progress=False, after_step=after_step)
    assert calls == [(step, step) for step in range(1, 7)]
    assert not model[0].weight.any()


def test_no_hooks_are_the_loop_as_it_was():
    """Written out once more: AdamW under one cycle."""
    data, twin = stripes(30), small_cnn().train()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=CONFIG.learning_rate, weight_decay=CONFIG.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, CONFIG.learning_rate, total_steps=6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for index in torch.randperm(30, generator=generator).split(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(data.images[index]), data.labels[index]).backward()
            optimizer.step()
            schedule.step()
    assert same_state(train(small_cnn(), data.images, data.labels, CONFIG, progress=False)[0], twin)


def test_hooks_see_the_state_and_can_end_the_run():
    data, seen = stripes(20), []

    def watch(state: TrainingState) -> None:
        seen.append((state.epoch, state.model.training, state.config.epochs))
        state.finished = state.epoch == 2

    config = TrainingConfig(epochs=9, batch_size=10)
    _, losses = train(
        small_cnn(), data.images, data.labels, config, progress=False, hooks=Hooks(before=(watch,), after_epoch=(watch,))
    )
    assert seen == [(0, True, 9), (1, True, 9), (2, True, 9)]
    assert len(losses) == 2


def test_another_loss_is_the_one_that_is_minimized():
    data = stripes(20)
    hooks = Hooks(loss=lambda model, x, y: model(x).square().mean())
    _, losses = train(small_cnn(), data.images, data.labels + 99, CONFIG, progress=False, hooks=hooks)
    assert losses[1] < losses[0]
    with pytest.raises(ValueError, match=r"train wants labels in 0\.\.2"):
        train(small_cnn(), data.images, data.labels + 99, CONFIG, progress=False)
