"""Distillation against torch's KL; features; a student that learns from its teacher."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from posttrain_lab.finetuning import DistillationConfig, distill, distillation_loss, feature_loss, outputs_of, validation_accuracy
from posttrain_lab.training import TrainingConfig, train
from tests.finetuning.small_nets import kept, same_state, small_cnn, stripes


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), c=st.integers(1, 6), t=st.floats(0.5, 20), weight=st.floats(0, 1), seed=st.integers(0, 99))
def test_equals_torch_in_value_and_gradient(n, c, t, weight, seed):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(n, c, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(c, (n,), generator=generator)
    student.requires_grad_()
    teacher.requires_grad_()
    kl = F.kl_div(F.log_softmax(student / t, 1), F.softmax(teacher / t, 1), reduction="batchmean")
    want = weight * t**2 * kl + (1 - weight) * F.cross_entropy(student, labels)
    (want_gradient,) = torch.autograd.grad(want, student)
    got = distillation_loss(student, teacher, labels, t, weight)
    got.backward()
    assert torch.allclose(got, want, atol=1e-9)
    assert torch.allclose(student.grad, want_gradient, atol=1e-9)
    assert teacher.grad is None


def test_nothing_to_learn_from_an_equal_teacher_and_extremes_stay_finite():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert distillation_loss(logits, logits, torch.zeros(4, dtype=torch.int64), 2.0, 1.0).abs() < 1e-6
    sure = torch.tensor([[1e4, -1e4]])
    assert torch.isfinite(distillation_loss(-sure, sure, torch.tensor([0]), 1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": torch.zeros(2, 4)}, r"logits of one shape, got \[2, 3\] and \[2, 4\]"),
        ({"temperature": 0.0}, "temperature > 0"),
        ({"weight": 1.5}, r"weight in \[0, 1\]"),
        ({"labels": torch.tensor([0, 3])}, r"labels in 0\.\.2, .* got 0\.\.3"),
        ({"labels": torch.tensor([-1, 0])}, r"got -1\.\.0"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    given = {
        "student": torch.zeros(2, 3),
        "teacher": torch.zeros(2, 3),
        "labels": torch.tensor([0, 1]),
        "temperature": 2.0,
        "weight": 0.5,
    }
    with pytest.raises(ValueError, match=message):
        distillation_loss(**(given | change))


def test_feature_loss_is_the_mean_square_without_a_gradient_to_the_teacher():
    a, b = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    loss = feature_loss(a, b)
    assert torch.equal(loss, F.mse_loss(a, b))
    loss.backward()
    assert b.grad is None
    with pytest.raises(ValueError, match="features of one shape"):
        feature_loss(a, torch.zeros(2, 4))


def test_outputs_of_a_layer_and_unknown_layers():
    model, x = small_cnn().eval(), stripes(6).images
    logits, features = outputs_of(model, "6", x)
    assert torch.equal(logits, model(x))
    assert torch.equal(features, model[:7](x))
    assert not model[6]._forward_hooks
    with pytest.raises(ValueError, match=r"one of 0, 1, .* got 'deep'"):
        outputs_of(model, "deep", x)


def student() -> nn.Sequential:
    torch.manual_seed(7)
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 3)]
    return nn.Sequential(*layers)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [None, ("2", "3")])
def test_a_student_learns_from_its_teacher_alone(layers):
    """weight 1: the labels given are all wrong, and must not matter."""
    data = stripes(90)
    config = TrainingConfig(epochs=15, batch_size=15, learning_rate=0.02)
    teacher = train(small_cnn(), data.images, data.labels, config, progress=False)[0]
    given, before, own = student(), kept(teacher), kept(student())
    wrong = (data.labels + 1) % 3
    learned = distill(given, teacher, data.images, wrong, DistillationConfig(weight=1.0, layers=layers, training=config))
    assert validation_accuracy(teacher, stripes(60, 2)) > 0.9
    assert validation_accuracy(learned, stripes(60, 2)) > 0.9
    assert [type(m) for m in learned] == [type(m) for m in given]
    assert not learned.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(torch.equal(value, own[name]) for name, value in given.state_dict().items())
    again = distill(given, teacher, data.images, wrong, DistillationConfig(weight=1.0, layers=layers, training=config))
    assert same_state(learned, again)


def test_layers_of_other_sizes_are_named():
    data = stripes(6)
    with pytest.raises(ValueError, match="layers with images of one size"):
        distill(student(), small_cnn(), data.images, data.labels, DistillationConfig(layers=("0", "3")))
