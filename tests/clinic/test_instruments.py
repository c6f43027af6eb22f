"""`clinic.instruments`: laws, and oracles that are written another way."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.clinic import (
    company,
    count_calls,
    gradient_report,
    grid_report,
    group_report,
    leak_check,
    overfit_one_batch,
    same_answers,
    state_difference,
)

stats = pytest.importorskip("scipy.stats")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def model():
    """A small network with a batch norm that has seen numbers, and a frozen bias."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
        model(2 * torch.randn(32, 4) + 1)
    model[0].bias.requires_grad_(False)
    return model.eval()


def snapshot(model):
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    return {name: value.clone() for name, value in model.state_dict().items()}, grads, [m.training for m in model.modules()]


def untouched(model, before):
    values, grads, modes = snapshot(model)
    same = lambda a, b: a is b is None or torch.equal(a, b)  # noqa: E731
    return modes == before[2] and all(
        same(old[name], new[name]) for old, new in ((before[0], values), (before[1], grads)) for name in old
    )


def loss_of(model, seed=1):
    return F.cross_entropy(model(drawn(12, 4, seed=seed)), torch.arange(12) % 3)


class TestGradientReport:
    def test_central_differences_give_the_same_norms(self, model):
        model.double()
        x, y, h = drawn(12, 4, seed=1).double(), torch.arange(12) % 3, 1e-5
        report = gradient_report(model, F.cross_entropy(model(x), y))
        for name, parameter in model.named_parameters():
            flat, slopes = parameter.data.view(-1), []
            for i in range(len(flat)):
                ends = []
                for sign in (1, -1):
                    flat[i] += sign * h
                    ends.append(F.cross_entropy(model(x), y).item())
                    flat[i] -= sign * h
                slopes.append((ends[0] - ends[1]) / (2 * h))
            relative = math.hypot(*slopes) / max(float(np.linalg.norm(flat.numpy())), 1e-12)
            assert report[name] == (pytest.approx(relative if name != "0.bias" else 0.0, rel=1e-4), name != "0.bias")

    def test_it_leaves_gradients_alone_and_the_loss_can_still_go_backward(self, model):
        loss_of(model, 2).backward()
        before = snapshot(model)
        loss = loss_of(model)
        first = gradient_report(model, loss)
        assert untouched(model, before)
        assert gradient_report(model, loss) == first
        loss.backward()

    def test_what_no_gradient_reaches_reports_0(self, model):
        everything = gradient_report(model, loss_of(model).detach())
        assert {size for size, _ in everything.values()} == {0.0}
        assert len(everything) == 6
        head = gradient_report(model, model[3].weight.square().sum())
        assert [name for name, (size, _) in head.items() if size] == ["3.weight"]
        assert head["3.weight"][0] == pytest.approx(2.0)  # of |w|^2 it is 2 w

    def test_a_weight_of_norm_0_counts_as_small(self):
        layer = nn.Linear(1, 1)
        nn.init.zeros_(layer.bias)
        assert gradient_report(layer, layer(torch.ones(1, 1)).sum())["bias"][0] == pytest.approx(1e12)

    def test_a_loss_after_its_backward_is_named(self, model):
        loss = loss_of(model)
        loss.backward()
        with pytest.raises(ValueError, match=r"before its backward"):
            gradient_report(model, loss)


class TestStateDifference:
    def test_by_numpy_buffers_and_counters_too(self, model):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.train()(drawn(20, 4, seed=3))
        model[3].weight.data[0] += 1
        found = state_difference(before, model.state_dict())
        assert found.keys() == before.keys()
        for name, value in model.state_dict().items():
            a, b = before[name].double().numpy(), value.double().numpy()
            assert found[name] == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a) if (a != b).any() else 0.0)
        assert found["1.num_batches_tracked"] == 1.0
        assert found["1.running_mean"] > 0 == found["0.weight"]

    def test_zeros(self):
        zero, one = torch.zeros(2), torch.ones(2)
        found = state_difference({"a": zero, "b": zero, "c": one}, {"a": zero.clone(), "b": one, "c": zero})
        assert found == {"a": 0.0, "b": math.inf, "c": 1.0}

    def test_a_scale_of_both_does_not_matter(self):
        a, b = drawn(5, seed=1), drawn(5, seed=2)
        assert state_difference({"w": 8 * a}, {"w": 8 * b})["w"] == pytest.approx(state_difference({"w": a}, {"w": b})["w"])


class TestOverfitOneBatch:
    def test_a_batch_that_contradicts_itself_has_the_entropy_as_its_floor(self):
        """The same input with labels 0, 0, 1: no function has less than the entropy of (2/3, 1/3)."""
        x, y = torch.ones(3, 4), torch.tensor([0, 0, 1])
        floor = float(stats.entropy([2 / 3, 1 / 3]))
        assert overfit_one_batch(nn.Linear(4, 2), F.cross_entropy, x, y, 80, 0.1) == pytest.approx(floor, abs=1e-3)

    def test_softmax_twice_has_a_floor(self):
        x, y = torch.eye(10), torch.arange(10)
        twice = overfit_one_batch(nn.Linear(10, 10), lambda z, t: F.cross_entropy(z.softmax(1), t), x, y, 100, 1.0)
        assert twice == pytest.approx(math.log(math.e + 9) - 1, abs=0.01)
        assert overfit_one_batch(nn.Linear(10, 10), F.cross_entropy, x, y, 100, 1.0) < 0.01

    def test_it_is_the_smallest_loss_and_not_the_last(self):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(layer.weight)
        x, y = torch.ones(1, 1), torch.tensor([0])
        seen = []

        def square(z, t):
            seen.append((z.detach() - 0.9).square().sum().item())
            return (z - 0.9).square().sum()

        assert overfit_one_batch(layer, square, x, y, 5, 0.5) == min(seen) < seen[-1]
        assert len(seen) == 5

    def test_the_network_and_the_random_numbers_stay(self, model):
        model[2] = nn.Dropout(0.5).eval()
        before, random = snapshot(model), torch.get_rng_state()
        overfit_one_batch(model, F.cross_entropy, drawn(12, 4), torch.arange(12) % 3, 3)
        assert untouched(model, before)
        assert torch.equal(torch.get_rng_state(), random)

    def test_a_frozen_layer_stays_and_train_mode_is_used(self, model):
        modes, weights = [], []

        def watching(z, y):
            modes.append(z.std() > 0)
            return F.cross_entropy(z, y)

        model[3].requires_grad_(False)
        hook = model[1].register_forward_hook(lambda m, i, o: weights.append(m.training))
        overfit_one_batch(model, watching, drawn(12, 4), torch.arange(12) % 3, 2)
        hook.remove()
        assert weights == [True, True]
        first = overfit_one_batch(model[3:].requires_grad_(True), F.cross_entropy, drawn(6, 6), torch.arange(6) % 3, 40, 0.1)
        model[3].weight.requires_grad_(False)  # the bias alone learns less
        assert overfit_one_batch(model[3:], F.cross_entropy, drawn(6, 6), torch.arange(6) % 3, 40, 0.1) > first


class TestLeakCheck:
    def test_copies_are_counted_whatever_their_place_shift_or_size(self):
        train, other = torch.rand(40, 1, 7, 7, generator=torch.Generator().manual_seed(0)), drawn(20, 1, 7, 7).abs()
        assert leak_check(train, other) == 0.0
        other[:3] = train[20:23]
        other[3:7] = train[5:9].roll((2, -1), (2, 3))
        other[7] = train[0].roll(3, 2)  # too far
        assert leak_check(train, other) == 7 / 20
        assert leak_check(train / 50, other / 50) == leak_check(train * 50, other * 50) == 7 / 20
        assert leak_check(train.flip(0), other.flip(0)) == 7 / 20

    def test_the_tolerance_is_relative_to_the_image(self):
        image = drawn(1, 1, 5, 5)
        noise = drawn(1, 1, 5, 5, seed=1)
        near = image + noise * (0.1 * image.norm() / noise.norm())
        share = 0.1 * float(image.norm() / near.norm())
        assert leak_check(image, near, share * 1.01) == 1.0
        assert leak_check(image, near, share * 0.99) == 0.0


class TestCompany:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_a_batch_norm_in_train_mode_by_hand(self, seed):
        x = drawn(16, 3, seed=seed) * torch.linspace(0.2, 6, 16)[:, None]
        model = nn.BatchNorm1d(3, affine=False).train()

        def normed(part):
            return (part - part.mean(0)) / np.sqrt(part.var(0) + 1e-5)

        rows = x.numpy()
        wanted = np.abs(normed(rows) - np.concatenate([normed(part) for part in np.split(rows, 4)])).max()
        before = snapshot(model)
        assert company(model, x) == pytest.approx(float(wanted), rel=1e-5)
        assert untouched(model, before)
        assert company(model.eval(), x) < 1e-6

    def test_what_is_random_is_found_though_the_company_is_the_same(self):
        assert company(nn.Dropout(0.5).train(), torch.ones(8, 2)) == 2.0
        calls = iter(range(99))
        assert company(lambda x: x + next(calls), torch.ones(8, 2)) >= 1.0
        assert company(lambda x: 2 * x, torch.ones(8, 2)) == 0.0


class TestGridReport:
    def test_counted_in_python(self):
        weight = drawn(4, 30).mul(1.5).round() * torch.tensor([1.0, 0.1, 2.0, 0.5])[:, None]
        rows = weight.tolist()
        zeros = sum(v == 0 for row in rows for v in row) / 120
        top = sum(abs(v) == max(map(abs, row)) for row in rows for v in row) / 120
        assert grid_report(weight) == (zeros, max(len(set(row)) for row in rows), top)
        assert grid_report(weight.T.contiguous(), axis=1) == grid_report(weight) == grid_report(weight.T, axis=-1)
        assert grid_report(weight.reshape(4, 5, 3, 2)) == grid_report(weight)

    def test_a_row_of_zeros_has_nothing_at_the_top_and_small_is_not_zero(self):
        assert grid_report(torch.zeros(2, 3)) == (1.0, 1, 0.0)
        assert grid_report(torch.full((2, 3), -1e-30)) == (0.0, 1, 1.0)


class TestCountCalls:
    def test_examples_not_calls_and_no_hook_is_left(self, model):
        assert count_calls(model, lambda: (model(drawn(5, 4)), model(drawn(7, 4)), model[0](drawn(3, 4)))) == 12
        assert count_calls(model, lambda: None) == 0

        def fails():
            model(drawn(2, 4))
            raise KeyError

        with pytest.raises(KeyError):
            count_calls(model, fails)
        assert not any(m._forward_hooks for m in model.modules())

    def test_the_work_is_done_once(self, model):
        done = []
        count_calls(model, lambda: done.append(1))
        assert done == [1]


class TestGroupReport:
    def test_by_scipy_for_groups_that_are_no_classes(self):
        logits, labels = drawn(60, 4), torch.arange(60) % 4
        groups = torch.where(torch.arange(60) < 2, 7, torch.arange(60) % 3 * 2)
        found = group_report(logits, labels, groups)
        assert list(found) == [0, 2, 4, 7]
        for group, (hits, n, low, high) in found.items():
            right = [int(logits[i].argmax() == labels[i]) for i in range(60) if groups[i] == group]
            ends = stats.binomtest(sum(right), len(right)).proportion_ci(method="wilson")
            assert (hits, n) == (sum(right), len(right))
            assert (low, high) == pytest.approx((ends.low, ends.high), abs=2e-5)
        assert sum(n for _, n, *_ in found.values()) == 60

    def test_the_order_of_the_examples_does_not_matter(self):
        logits, labels, groups = drawn(30, 3), torch.arange(30) % 3, torch.arange(30) % 5
        order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
        assert group_report(logits[order], labels[order], groups[order]) == group_report(logits, labels, groups)


class TestSameAnswers:
    def test_a_distance_of_networks(self, model):
        """0 for itself, symmetric, and never more than by way of a third."""
        a, b, c = model, copy.deepcopy(model), copy.deepcopy(model)
        b[3].bias.data += torch.tensor([0.5, -2.0, 0.0])
        c[0].weight.data *= 1.1
        x = drawn(9, 4)
        assert same_answers(a, copy.deepcopy(a), x) == 0.0
        assert same_answers(a, b, x) == pytest.approx(2.0, rel=1e-5) == same_answers(b, a, x)
        assert same_answers(a, b, x) <= same_answers(a, c, x) + same_answers(c, b, x)

    def test_one_example_is_enough_and_more_find_no_less(self, model):
        other, x = copy.deepcopy(model), drawn(9, 4)
        other[0].weight.data *= 1.3
        each = [same_answers(model, other, x[i : i + 1]) for i in range(9)]
        assert same_answers(model, other, x) == pytest.approx(max(each), rel=1e-5)

    def test_both_answer_in_eval_mode_and_keep_theirs(self, model):
        other = copy.deepcopy(model).train()
        before, others = snapshot(model), snapshot(other)
        assert same_answers(model, other, drawn(9, 4)) == 0.0
        assert untouched(model, before)
        assert untouched(other, others)

    def test_no_number_is_near_nan(self, model):
        assert same_answers(model, lambda x: model(x) * math.nan, drawn(2, 4)) == math.inf


ONES = torch.ones(8, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: gradient_report(len, torch.ones(())), TypeError, "nn.Module"),
        (lambda: gradient_report(nn.ReLU(), 0.5), TypeError, "got float; leave .item"),
        (lambda: gradient_report(nn.ReLU(), ONES), ValueError, r"one number, got shape \[8, 2\]"),
        (lambda: state_difference({"a": ONES}, {"b": ONES}), ValueError, r"got \['a', 'b'\]"),
        (lambda: state_difference({"a": ONES}, {"a": ONES[0]}), ValueError, r"\[8, 2\] and \[2\] as 'a'"),
        (lambda: state_difference({"a": 1.0}, {"a": 1.0}), TypeError, "got float as 'a'"),
        (lambda: overfit_one_batch(nn.ReLU(), F.cross_entropy, ONES, torch.ones(8).long()), ValueError, "frozen"),
        (lambda: overfit_one_batch(nn.Linear(2, 2), F.cross_entropy, ONES, torch.ones(7).long()), ValueError, "8 examples and 7"),
        (lambda: overfit_one_batch(nn.Linear(2, 2), F.cross_entropy, ONES, torch.ones(8).long(), 0), ValueError, "steps"),
        (lambda: overfit_one_batch(nn.Linear(2, 2), F.cross_entropy, ONES, torch.ones(8).long(), 1, -1.0), ValueError, "lr=-1"),
        (
            lambda: overfit_one_batch(nn.Linear(2, 2), lambda z, y: z.sum() / 0, ONES, torch.ones(8).long()),
            ValueError,
            "a number",
        ),
        (lambda: leak_check(ONES, ONES), ValueError, r"\[n, c, h, w\], n >= 1, without NaN, got shape \[8, 2\]"),
        (lambda: leak_check(ONES.long(), ONES), TypeError, "int64"),
        (lambda: leak_check(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 4)), ValueError, "one size"),
        (lambda: leak_check(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), 0.0), ValueError, "got 0.0; 0.15 means"),
        (lambda: company(3, ONES), TypeError, "got int"),
        (lambda: company(nn.ReLU(), ONES[:7]), ValueError, "at least 8 examples, .* got 7"),
        (lambda: grid_report(ONES.int()), TypeError, "int32"),
        (lambda: grid_report(ONES[0]), ValueError, r"two or more axes, without NaN, got shape \[2\]"),
        (lambda: grid_report(ONES, 2), ValueError, "from 0 to 1, got 2"),
        (lambda: count_calls(nn.ReLU(), 3), TypeError, "got int; write lambda"),
        (lambda: group_report(ONES, torch.ones(8).long(), torch.ones(8)), TypeError, "groups to be .* got torch.float32"),
        (lambda: group_report(ONES, torch.ones(8).long(), torch.ones(7).long()), ValueError, r"\[8, 2\], \[8\] and \[7\]"),
        (lambda: group_report(ONES / 0 * 0, torch.ones(8).long(), torch.ones(8).long()), ValueError, "got NaN"),
        (lambda: same_answers(nn.ReLU(), 3, ONES), TypeError, "b to be a network or a function, got int"),
        (lambda: same_answers(nn.ReLU(), nn.Linear(2, 1), ONES), ValueError, r"\[8, 2\] and \[8, 1\]"),
        (lambda: same_answers(nn.ReLU(), nn.ReLU(), ONES[:0]), ValueError, "at least one example"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
