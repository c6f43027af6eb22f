"""Five ways to adapt: what moves, what is refused, and that a shown number can be repeated."""

import pytest
import torch

from posttrain_lab.data import Dataset
from posttrain_lab.finetuning import (
    METHODS,
    AdaptConfig,
    adapt,
    checksum,
    prepared,
    reinitialized,
    validation_accuracy,
    without_adapter,
)
from tests.finetuning.small_nets import kept, same_state, small_cnn, stripes

CONFIG = AdaptConfig(steps=40, learning_rate=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_repeats_itself_and_leaves_the_base(method):
    base, data = small_cnn(), stripes(30)
    before = kept(base)
    first, second = adapt(base, data, method, CONFIG), adapt(base, data, method, CONFIG)
    assert same_state(first, second)
    assert not first.training
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    moved = {name for name, value in first.state_dict().items() if name in before and not torch.equal(value, before[name])}
    wanted = {"head": {"9.weight", "9.bias"}, "lora": set()}.get(method)
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    if method == "norm":
        wanted = {"1.weight", "1.bias"} | statistics
    if wanted is not None:
        assert moved == wanted
    if method == "lora":
        assert checksum(without_adapter(first)) == checksum(base)
    if method in ("all", "scratch"):
        assert validation_accuracy(first, stripes(60, 2)) > 0.8


def test_scratch_forgets_the_base():
    one, other = prepared(small_cnn(0), "scratch", CONFIG), prepared(small_cnn(1), "scratch", CONFIG)
    assert same_state(one, other)
    assert not torch.equal(reinitialized(one, 1)[0].weight, one[0].weight)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    reinitialized(one, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_zero_labels_of_a_class_are_named_unless_allowed():
    data = stripes(30)
    some = data.labels != 1
    few = Dataset(data.images[some], data.labels[some], data.classes)
    base = small_cnn()
    before = kept(base)
    with pytest.raises(ValueError, match=r"label of every class, got none of 'middle'; .* missing_classes=True"):
        adapt(base, few, "head", CONFIG)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    adapt(base, few, "head", AdaptConfig(steps=2, missing_classes=True))


@pytest.mark.parametrize("wrong", [3, -1])
def test_labels_outside_the_range_are_named(wrong):
    data = stripes(30)
    labels = data.labels.clone()
    labels[4] = wrong
    with pytest.raises(ValueError, match=r"adapt wants labels in 0\.\.2"):
        adapt(small_cnn(), Dataset(data.images, labels, data.classes), "head", CONFIG)


def test_other_mistakes_are_named():
    data = stripes(30)
    with pytest.raises(ValueError, match="one of scratch, head, norm, lora, all, got 'prompt'"):
        adapt(small_cnn(), data, "prompt")
    with pytest.raises(ValueError, match="labelled examples, got none"):
        adapt(small_cnn(), Dataset(data.images[:0], data.labels[:0], data.classes), "head")
    with pytest.raises(ValueError, match="steps, batch_size, rank >= 1"):
        AdaptConfig(steps=0)
