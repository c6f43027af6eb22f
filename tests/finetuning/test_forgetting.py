"""EWC, L2-SP, the Fisher information and replay: by hand, by autograd, and by what they are for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import Dataset
from posttrain_lab.finetuning import (
    AdaptConfig,
    adapt,
    anchor_of,
    ewc_penalty,
    fisher_information,
    l2_sp_penalty,
    penalized,
    validation_accuracy,
    with_replay,
)
from posttrain_lab.training import Hooks, TrainingConfig, train
from tests.finetuning.small_nets import kept, small_cnn, stripes


@given(strength=st.floats(0, 100), seed=st.integers(0, 99))
def test_penalty_and_gradient_by_hand(strength, seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Linear(3, 2)
    anchor = {name: torch.randn(p.shape, generator=generator) for name, p in model.named_parameters()}
    fisher = {name: torch.rand(p.shape, generator=generator) for name, p in model.named_parameters()}
    penalty = ewc_penalty(model, anchor, fisher, strength)
    penalty.backward()
    total = 0.0
    for name, parameter in model.named_parameters():
        move = parameter.detach() - anchor[name]
        total += 0.5 * strength * float((fisher[name] * move * move).sum())
        assert torch.allclose(parameter.grad, strength * fisher[name] * move, atol=1e-4)
    assert penalty.item() == pytest.approx(total, rel=1e-4, abs=1e-6)


def test_nothing_at_the_anchor_and_l2_sp_is_ewc_with_ones():
    model = small_cnn()
    anchor = anchor_of(model)
    ones = {name: torch.ones_like(value) for name, value in anchor.items()}
    assert ewc_penalty(model, anchor, ones, 5.0).item() == 0
    with torch.no_grad():
        model[9].bias.add_(1.0)
    assert l2_sp_penalty(model, anchor, 2.0).item() == pytest.approx(3.0)
    assert torch.equal(l2_sp_penalty(model, anchor, 2.0), ewc_penalty(model, anchor, ones, 2.0))
    assert ewc_penalty(model, anchor, {"0.weight": ones["0.weight"]}, 2.0).item() == 0


def test_fisher_information_equals_one_gradient_after_the_other():
    model, x = small_cnn().train(), stripes(60).images
    before = kept(model)
    got = fisher_information(model, x, seed=3)
    model.eval()
    generator = torch.Generator().manual_seed(3)
    drawn = torch.cat([torch.multinomial(model(part).softmax(1), 1, generator=generator).squeeze(1) for part in x.split(50)])
    want = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for image, label in zip(x, drawn, strict=True):
        model.zero_grad()
        F.cross_entropy(model(image[None]), label[None]).backward()
        for name, parameter in model.named_parameters():
            want[name] += parameter.grad.square() / len(x)
    for name in want:
        assert torch.allclose(got[name], want[name], rtol=1e-3, atol=1e-7), name
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="at least one image"):
        fisher_information(model, x[:0])


def test_other_models_are_named():
    model = nn.Linear(2, 2)
    anchor = anchor_of(model)
    with pytest.raises(ValueError, match=r"fisher by the names of the model's parameters, got \['w'\]"):
        ewc_penalty(model, anchor, {"w": torch.ones(1)}, 1.0)
    with pytest.raises(ValueError, match=r"got \[3\] for 'bias' \[2\]; it belongs to another model"):
        ewc_penalty(model, anchor, {"bias": torch.ones(3)}, 1.0)
    with pytest.raises(ValueError, match=r"none for \['bias'\]"):
        ewc_penalty(model, {}, {"bias": torch.ones(2)}, 1.0)


def tasks() -> tuple[Dataset, Dataset]:
    """The old task, and the same images with the classes in another order: what is learned must push out what was known."""
    old = stripes(90, noise=0.8)
    return old, Dataset(old.images, (old.labels + 1) % 3, old.classes)


@pytest.mark.slow
def test_each_remedy_forgets_less_than_plain_training():
    old, new = tasks()
    config = TrainingConfig(epochs=12, batch_size=15, learning_rate=0.02)
    base = train(small_cnn(), old.images, old.labels, config, progress=False)[0]
    anchor, fisher = anchor_of(base), fisher_information(base, old.images)
    settings = AdaptConfig(steps=60, learning_rate=5e-3)
    plain = adapt(base, new, "all", settings)
    remedies = {
        "ewc": adapt(base, new, "all", settings, Hooks(loss=penalized(lambda m: ewc_penalty(m, anchor, fisher, 1e5)))),
        "l2-sp": adapt(base, new, "all", settings, Hooks(loss=penalized(lambda m: l2_sp_penalty(m, anchor, 1.0)))),
        "replay": adapt(base, with_replay(new, old, 45), "all", settings),
    }
    test = stripes(90, 5, noise=0.8)

    def forgotten(model: nn.Module) -> float:
        """How much worse the old task's loss became."""
        with torch.no_grad():
            return (F.cross_entropy(model(test.images), test.labels) - F.cross_entropy(base(test.images), test.labels)).item()

    assert validation_accuracy(base, test) > 0.8
    assert forgotten(plain) > 0
    for name, model in remedies.items():
        assert forgotten(model) < 0.85 * forgotten(plain), name


@given(count=st.integers(0, 12), seed=st.integers(0, 9))
def test_replay_keeps_all_new_and_draws_different_old(count, seed):
    new = Dataset(torch.arange(5.0).reshape(5, 1, 1, 1), torch.arange(5) % 2, ("a", "b"))
    old = Dataset(torch.arange(100.0, 112.0).reshape(12, 1, 1, 1), torch.arange(12) % 2, ("a", "b"))
    mixed = with_replay(new, old, count, seed)
    values = mixed.images.flatten().tolist()
    assert len(set(values)) == len(values) == 5 + count
    assert set(range(5)) <= set(values)
    assert all(label == value % 2 for value, label in zip(values, mixed.labels.tolist(), strict=True))


def test_replay_names_what_does_not_fit():
    data = stripes(6)
    with pytest.raises(ValueError, match="count from 0 to 6, the number of old examples, got 7"):
        with_replay(data, data, 7)
    with pytest.raises(ValueError, match="of one kind"):
        with_replay(data, Dataset(data.images, data.labels, ("a", "b", "c")), 2)
