"""The optimizers written out against torch's; schedules and the rate finder."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.finetuning import AdamW, RateRange, adamw_step, constant, cosine, find_rate, following, linear_warmup, sgd_step
from posttrain_lab.finetuning import parameter_groups as groups_of
from posttrain_lab.training import Hooks, TrainingConfig, train
from tests.finetuning.small_nets import same_state, small_cnn, stripes

pytestmark = pytest.mark.portable


@settings(max_examples=30, deadline=None)
@given(
    lr=st.floats(1e-4, 0.1),
    b1=st.floats(0.0, 0.99),
    b2=st.floats(0.5, 0.9999),
    eps=st.sampled_from([1e-8, 1e-4, 1e-2]),
    decay=st.floats(0.0, 0.5),
    seed=st.integers(0, 99),
)
def test_adamw_equals_torch_for_twenty_steps(lr, b1, b2, eps, decay, seed):
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(5, 3, generator=generator)
    theirs = nn.Parameter(ours.clone())
    optimizer = torch.optim.AdamW([theirs], lr=lr, betas=(b1, b2), eps=eps, weight_decay=decay)
    state = {}
    for _ in range(20):
        grad = torch.randn(5, 3, generator=generator) * 10 ** torch.randint(-3, 2, (), generator=generator)
        theirs.grad = grad.clone()
        optimizer.step()
        adamw_step(ours, grad, state, lr, (b1, b2), eps, decay)
    assert torch.allclose(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    assert state["step"] == 20


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_torch(momentum):
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(4, generator=generator)
    theirs = nn.Parameter(ours.clone())
    optimizer = torch.optim.SGD([theirs], lr=0.1, momentum=momentum)
    state = {}
    for _ in range(10):
        theirs.grad = torch.randn(4, generator=generator)
        sgd_step(ours, theirs.grad.clone(), state, 0.1, momentum)
        optimizer.step()
    assert torch.allclose(ours, theirs.detach(), atol=1e-6)


def test_steps_leave_the_gradient_alone():
    grad = torch.ones(3)
    param, state = torch.ones(3), {}
    adamw_step(param, grad, state, 0.1, (0.9, 0.99), 1e-8, 0.1)
    sgd_step(param, grad, {}, 0.1, 0.9)
    assert torch.equal(grad, torch.ones(3))


def test_the_class_trains_a_network_as_torch_does_with_groups_and_schedule():
    data = stripes(30)
    config = TrainingConfig(epochs=3, batch_size=10)
    results = []
    for kind in (AdamW, torch.optim.AdamW):
        hooks = Hooks(
            optimizer=lambda model, kind=kind: kind(groups_of(model, 0.01, 0.7), weight_decay=0.1),
            schedule=following(lambda step, steps: cosine(step, steps, warmup=2)),
        )
        results.append(train(small_cnn(), data.images, data.labels, config, progress=False, hooks=hooks)[0])
    for ours, theirs in zip(results[0].parameters(), results[1].parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
    assert not torch.equal(results[0][9].weight, small_cnn()[9].weight)


def test_another_step_function_does_the_work():
    layer, calls = nn.Linear(2, 1), []
    optimizer = AdamW(layer.parameters(), step_function=lambda param, grad, state, **settings: calls.append(settings))
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert [set(call) for call in calls] == [{"lr", "betas", "eps", "weight_decay"}] * 2
    with pytest.raises(ValueError, match="takes no closure"):
        optimizer.step(lambda: 0.0)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"gradient for each weight, got \[2\] and \[3\]"):
        adamw_step(torch.ones(2), torch.ones(3), {}, 0.1, (0.9, 0.9), 1e-8, 0.0)
    with pytest.raises(ValueError, match=r"betas in \[0, 1\)"):
        adamw_step(torch.ones(2), torch.ones(2), {}, 0.1, (0.9, 1.0), 1e-8, 0.0)
    with pytest.raises(ValueError, match="learning rate of at least 0, got -1"):
        sgd_step(torch.ones(2), torch.ones(2), {}, -1.0)


@given(steps=st.integers(1, 500), part=st.floats(0, 1), place=st.floats(0, 1))
def test_schedules_stay_in_range_and_end_at_zero(steps, part, place):
    warmup, step = int(part * steps), int(place * steps)
    for schedule in (linear_warmup, cosine):
        assert -1e-12 <= schedule(step, steps, warmup) <= 1
        assert schedule(warmup, steps, warmup) == pytest.approx(1.0 if warmup < steps else schedule(steps, steps, warmup))
        if warmup < steps:
            assert schedule(steps, steps, warmup) == pytest.approx(0.0, abs=1e-12)
    assert constant(step, steps) == 1.0


def test_cosine_equals_torch():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    for step in range(40):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * cosine(step, 40), abs=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(("step", "steps", "warmup"), [(-1, 5, 0), (6, 5, 0), (1, 5, 6), (0, 0, 0)])
def test_wrong_steps_are_named(step, steps, warmup):
    with pytest.raises(ValueError, match="0 <= step <= steps and 0 <= warmup <= steps"):
        cosine(step, steps, warmup)


def test_the_rate_finder_stops_when_the_loss_leaves_and_suggests_a_rate_before():
    model, data = small_cnn(), stripes(60)
    found = find_rate(model, data.images, data.labels, TrainingConfig(batch_size=20), RateRange(1e-4, 100.0, 60))
    assert len(found.rates) == len(found.losses) < 60
    assert found.rates[0] == 1e-4
    assert all(
        second / first == pytest.approx(1e6 ** (1 / 59)) for first, second in zip(found.rates, found.rates[1:], strict=False)
    )
    assert 1e-4 < found.suggestion < found.rates[-1]
    assert same_state(model, small_cnn())
    again = find_rate(model, data.images, data.labels, TrainingConfig(batch_size=20), RateRange(1e-4, 100.0, 60))
    assert all(a == b or math.isnan(a) for a, b in zip(found.losses, again.losses, strict=True))


def test_a_wrong_range_is_named():
    with pytest.raises(ValueError, match="0 < low < high and steps >= 5"):
        RateRange(1.0, 0.1)
