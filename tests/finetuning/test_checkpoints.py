"""Checkpoints and early stopping: a resumed run equals an uninterrupted one, bit for bit; damage is refused and harms nothing."""

import os

import pytest
import torch
from torch import nn

from posttrain_lab.data import Dataset
from posttrain_lab.finetuning import AdamW, Checkpoints, EarlyStopping, following, linear_warmup, validation_accuracy
from posttrain_lab.finetuning.checkpoints import load_checkpoint, save_checkpoint
from posttrain_lab.training import Hooks, NotFiniteError, TrainingConfig, TrainingState, train
from tests.finetuning.small_nets import kept, same_state, small_cnn, stripes

pytestmark = pytest.mark.portable

CONFIG = TrainingConfig(epochs=5, batch_size=8, learning_rate=0.01)


class Interrupted(Exception):
    """The power went off."""


def interrupt_after(epochs: int):
    def hook(state: TrainingState) -> None:
        if state.epoch == epochs:
            raise Interrupted

    return hook


def network() -> nn.Module:
    """With dropout, whose random numbers must go on too."""
    return nn.Sequential(*small_cnn()[:-1], nn.Dropout(0.5), small_cnn()[-1])


def jitter(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images + 0.1 * torch.randn(images.shape, generator=generator)


def hooks(*more, before=(), **own) -> Hooks:
    stop = EarlyStopping(stripes(30, 2), patience=9)
    return Hooks(before=(stop, *before), after_epoch=(stop, *more), **own)


VARIANTS = {
    "one cycle, torch's AdamW": {},
    "warmup, our AdamW": {
        "optimizer": lambda model: AdamW(model.parameters(), lr=0.02),
        "schedule": following(lambda step, steps: linear_warmup(step, steps, warmup=3)),
    },
    "momentum": {"optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("at", [1, 3])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(tmp_path, variant, at):
    data, keep, own = stripes(30), Checkpoints(tmp_path / "run.ckpt"), VARIANTS[variant]
    whole, losses = train(network(), data.images, data.labels, CONFIG, jitter, progress=False, hooks=hooks(**own))
    first = hooks(keep.save, interrupt_after(at), before=(keep.resume,), **own)
    with pytest.raises(Interrupted):
        train(network(), data.images, data.labels, CONFIG, jitter, progress=False, hooks=first)
    torch.manual_seed(99)
    again = hooks(keep.save, before=(keep.resume,), **own)
    resumed, resumed_losses = train(network(), data.images, data.labels, CONFIG, jitter, progress=False, hooks=again)
    assert resumed_losses == losses
    assert same_state(whole, resumed)
    finished, same = train(network(), data.images, data.labels, CONFIG, jitter, progress=False, hooks=again)
    assert same == losses
    assert same_state(finished, whole)


def test_training_is_seeded_and_leaves_torchs_random_numbers_alone():
    data, model = stripes(12), network()
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    first, _ = train(model, data.images, data.labels, CONFIG, progress=False)
    assert torch.equal(torch.rand(1), want)
    second, _ = train(model, data.images, data.labels, CONFIG, progress=False)
    assert same_state(first, second)


@pytest.mark.parametrize("keep", [0, 10, 60, 500, -1])
def test_a_truncated_checkpoint_is_refused_and_changes_nothing(tmp_path, keep):
    data, path = stripes(30), tmp_path / "run.ckpt"
    checkpoints = Checkpoints(path)
    train(small_cnn(), data.images, data.labels, CONFIG, progress=False, hooks=Hooks(after_epoch=(checkpoints.save,)))
    path.write_bytes(path.read_bytes()[:keep])
    raw = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.ckpt \(\d+ bytes\), which is (truncated or|none or) damaged"):
        train(small_cnn(), data.images, data.labels, CONFIG, progress=False, hooks=Hooks(before=(checkpoints.resume,)))
    assert path.read_bytes() == raw


def a_state(model: nn.Module, config: TrainingConfig = CONFIG) -> TrainingState:
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
    return TrainingState(model, optimizer, schedule, torch.Generator(), config)


def test_damage_other_settings_other_models_and_missing_files_are_named(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(FileNotFoundError, match=r"found no file .*run\.ckpt"):
        load_checkpoint(path, a_state(small_cnn()))
    save_checkpoint(path, a_state(small_cnn()))
    with pytest.raises(ValueError, match=r"epochs=5 instead of 6; take these, or choose another file"):
        load_checkpoint(path, a_state(small_cnn(), TrainingConfig(epochs=6, batch_size=8, learning_rate=0.01)))
    other = network()
    before = kept(other)
    with pytest.raises(ValueError, match="got one with other 10"):
        load_checkpoint(path, a_state(other))
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_checkpoint(path, a_state(small_cnn()))


def test_a_crash_while_saving_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, a_state(small_cnn()))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"save_checkpoint cannot write .*run\.ckpt: No space left"):
        save_checkpoint(path, a_state(small_cnn(1)))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]


def test_a_loss_that_is_not_finite_says_where_and_keeps_the_last_good_weights():
    data, model = stripes(40), small_cnn()
    images = data.images.clone()
    images[33] = torch.inf
    before = kept(model)
    config = TrainingConfig(epochs=3, batch_size=10, seed=1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    batch = int((order == 33).nonzero()) // 10
    with pytest.raises(NotFiniteError, match=rf"loss became nan in epoch 0: .* look at batch {batch} ") as caught:
        train(model, images, data.labels, config, progress=False)
    assert (caught.value.epoch, caught.value.batch) == (0, batch)
    good = caught.value.model
    assert all(torch.isfinite(value).all() for value in good.state_dict().values())
    assert torch.isfinite(good(data.images)).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_that_breaks_keeps_its_checkpoint(tmp_path):
    data, keep = stripes(30), Checkpoints(tmp_path / "run.ckpt")
    calls = []

    def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        calls.append(len(images))
        return images * (torch.nan if len(calls) == 9 else 1.0)

    with pytest.raises(NotFiniteError, match="in epoch 2"):
        train(small_cnn(), data.images, data.labels, CONFIG, augment, False, hooks=Hooks(after_epoch=(keep.save,)))
    state = a_state(small_cnn())
    load_checkpoint(keep.path, state)
    assert state.epoch == 2


def test_early_stopping_returns_the_best_weights_and_stops():
    data, validation = stripes(60), stripes(30, 2)
    stop = EarlyStopping(validation, patience=2)
    seen = []

    def spoil(state: TrainingState) -> None:
        """From epoch 3 on, ever worse."""
        seen.append(validation_accuracy(state.model, validation))
        if state.epoch >= 3 and not state.finished:
            with torch.no_grad():
                state.model[9].weight.neg_()

    config = TrainingConfig(epochs=20, batch_size=10, learning_rate=0.02)
    watching = Hooks(before=(stop,), after_epoch=(stop, spoil))
    model, losses = train(small_cnn(), data.images, data.labels, config, progress=False, hooks=watching)
    assert len(losses) < 20
    assert validation_accuracy(model, validation) == max(seen)


def test_early_stopping_wants_examples():
    empty = Dataset(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64), ("a",))
    with pytest.raises(ValueError, match="examples and patience >= 1, got 0 examples"):
        EarlyStopping(empty)
