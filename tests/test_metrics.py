"""metrics.py against scipy, scikit-learn and torch's own FLOP counter, and on bad input."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy.stats import binomtest, norm
from sklearn.metrics import accuracy_score, recall_score
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posttrain_lab.metrics import (
    accuracy,
    evaluating,
    macs,
    model_bytes,
    per_class_accuracy,
    sparsity,
    wilson_interval,
)
from posttrain_lab.models import fashion_cnn

pytestmark = pytest.mark.portable

modest = settings(max_examples=50, deadline=None, derandomize=True)


def some(n: int = 50, classes: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)


def test_accuracy_and_per_class_accuracy_agree_with_scikit_learn():
    logits, labels = some()
    predicted = logits.argmax(1)
    assert accuracy(logits, labels) == accuracy_score(labels, predicted)
    assert per_class_accuracy(logits, labels, 5).tolist() == pytest.approx(
        recall_score(labels, predicted, average=None), abs=1e-15
    )


def test_accuracy_of_one_example_is_a_plain_float():
    assert type(accuracy(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))) is float
    assert accuracy(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == 0.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("label_dtype", [torch.int32, torch.uint8])
def test_accuracy_takes_other_widths_and_infinite_logits(dtype, label_dtype):
    logits = torch.tensor([[0.0, math.inf], [1.0, -math.inf], [0.0, 2.0]], dtype=dtype)
    assert accuracy(logits, torch.tensor([1, 0, 0], dtype=label_dtype)) == 2 / 3


def test_a_class_without_examples_has_no_accuracy():
    found = per_class_accuracy(torch.eye(3), torch.tensor([0, 1, 1]), classes=4)
    assert found[:2].tolist() == [1.0, 0.5]
    assert found[2:].isnan().all()


def test_one_class_only_is_right():
    assert accuracy(torch.zeros(4, 1), torch.zeros(4, dtype=torch.long)) == 1.0


BAD = {
    "not a tensor": ([[1.0, 2.0]], torch.tensor([0]), TypeError, "a Tensor for logits, got list"),
    "labels not a tensor": (torch.zeros(1, 2), [0], TypeError, "a Tensor for labels, got list"),
    "integer logits": (torch.zeros(1, 2, dtype=torch.int8), torch.tensor([0]), TypeError, "floating-point logits"),
    "float labels": (torch.zeros(1, 2), torch.tensor([0.0]), TypeError, "integer labels, got torch.float32"),
    "bool labels": (torch.zeros(1, 2), torch.tensor([True]), TypeError, "integer labels, got torch.bool"),
    "no examples": (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), ValueError, r"n, c >= 1, got shapes \[0, 2\]"),
    "no classes": (torch.zeros(2, 0), torch.zeros(2, dtype=torch.long), ValueError, r"got shapes \[2, 0\]"),
    "flat logits": (torch.zeros(2), torch.zeros(2, dtype=torch.long), ValueError, r"got shapes \[2\]"),
    "one-hot labels": (torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.long), ValueError, r"and \[2, 2\]"),
    "other length": (torch.zeros(2, 2), torch.zeros(3, dtype=torch.long), ValueError, r"and \[3\]"),
    "NaN": (torch.tensor([[0.0, math.nan]]), torch.tensor([0]), ValueError, "got NaN"),
    "label too large": (torch.zeros(2, 2), torch.tensor([0, 2]), ValueError, r"labels in 0..1, .* got 0..2"),
    "label negative": (torch.zeros(2, 2), torch.tensor([-1, 1]), ValueError, "got -1..1"),
    "two devices": (torch.zeros(2, 2, device="meta"), torch.tensor([0, 1]), ValueError, "one device, got meta and cpu"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_logits_and_labels_name_the_function_and_the_fault(case):
    logits, labels, error, message = BAD[case]
    with pytest.raises(error, match=f"^accuracy wants .*{message}"):
        accuracy(logits, labels)
    with pytest.raises(error, match=f"^per_class_accuracy wants .*{message}"):
        per_class_accuracy(logits, labels, classes=2)


def test_per_class_accuracy_wants_enough_classes():
    with pytest.raises(ValueError, match="classes above every label, got classes=2 and a label 2"):
        per_class_accuracy(torch.zeros(1, 3), torch.tensor([2]), classes=2)


@modest
@given(data=st.data(), n=st.integers(1, 20_000), z=st.floats(0.1, 5.0))
def test_wilson_interval_agrees_with_scipy(data, n, z):
    hits = data.draw(st.integers(0, n))
    low, high = wilson_interval(hits, n, z)
    oracle = binomtest(hits, n).proportion_ci(confidence_level=1 - 2 * norm.sf(z), method="wilson")
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=1e-10)
    assert 0 <= low <= hits / n <= high <= 1


@pytest.mark.parametrize("n", [1, 2, 3, 7, 49, 2000, 10_000])
def test_wilson_interval_is_exact_at_both_ends(n):
    z2 = Fraction(1.96) ** 2
    assert wilson_interval(0, n) == (0.0, pytest.approx(float(z2 / (n + z2)), rel=1e-14))
    assert wilson_interval(n, n) == (pytest.approx(float(n / (n + z2)), rel=1e-14), 1.0)
    assert wilson_interval(0, n)[0] == 0.0
    assert wilson_interval(n, n)[1] == 1.0


@pytest.mark.parametrize(
    ("hits", "n", "z", "error", "message"),
    [
        (0, 0, 1.96, ValueError, "n >= 1"),
        (-1, 5, 1.96, ValueError, "got hits=-1, n=5"),
        (6, 5, 1.96, ValueError, "got hits=6, n=5"),
        (0.9, 10, 1.96, TypeError, "whole numbers"),
        (9, "10", 1.96, TypeError, "n='10'"),
        (9, 10, 0.0, ValueError, "finite z > 0"),
        (9, 10, math.nan, ValueError, "finite z > 0"),
        (9, 10, math.inf, ValueError, "finite z > 0"),
    ],
)
def test_wilson_interval_refuses(hits, n, z, error, message):
    with pytest.raises(error, match=f"^wilson_interval wants .*{message}"):
        wilson_interval(hits, n, z)


def test_model_bytes_counts_each_dtype_and_the_buffers():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2).half())
    parameters = 4 * 3 * 9 * 4 + 2 * 4 * 4 + (16 * 2 + 2) * 2
    buffers = 2 * 4 * 4 + 8  # running mean and variance in float32, the batch counter in int64
    assert model_bytes(model) == parameters + buffers
    everything = model.state_dict().values()
    assert model_bytes(model) == sum(tensor.numel() * tensor.element_size() for tensor in everything)


def test_model_bytes_counts_shared_memory_once():
    a, b = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
    alone = model_bytes(a)
    b.weight = a.weight
    assert model_bytes(nn.Sequential(a, b, a)) == alone
    b.weight = nn.Parameter(a.weight.data)  # another Parameter over the same memory
    assert model_bytes(nn.Sequential(a, b)) == alone
    b.weight = nn.Parameter(a.weight.data.clone())
    assert model_bytes(nn.Sequential(a, b)) == alone + 8 * 8 * 4


def test_model_bytes_counts_the_parts_of_one_memory_apart():
    joined = torch.zeros(3, 5)
    model = nn.ParameterList([nn.Parameter(joined[0]), nn.Parameter(joined[1]), nn.Parameter(joined[2])])
    assert model_bytes(model) == joined.numel() * 4


class Codes(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.tensor([[0, 3, -8], [7, 0, 0]], dtype=torch.int8))
        self.register_buffer("scale", torch.ones(2))


class Packed(Codes):
    def packed_bytes(self):
        return 3 + 8


def test_model_bytes_of_integer_codes_and_of_packed_ones():
    assert model_bytes(Codes()) == 6 + 8
    assert model_bytes(nn.Sequential(Packed(), nn.Linear(1, 1), Codes())) == 3 + 8 + 8 + 14
    shared = Packed()
    assert model_bytes(nn.Sequential(shared, shared)) == 11


def test_model_bytes_without_tensors_and_on_the_meta_device():
    assert model_bytes(nn.ReLU()) == 0
    assert model_bytes(nn.Linear(10, 3, device="meta")) == 132


def test_model_bytes_refuses():
    with pytest.raises(TypeError, match=r"model_bytes wants model to be an nn.Module, got OrderedDict"):
        model_bytes(nn.Linear(1, 1).state_dict())
    wrong = Packed()
    wrong.packed_bytes = lambda: 5.5
    with pytest.raises(TypeError, match=r"packed_bytes.* of Packed .*got 5.5"):
        model_bytes(wrong)
    sparse = nn.Module()
    sparse.register_buffer("weight", torch.eye(3).to_sparse())
    with pytest.raises(TypeError, match=r"dense tensors, got layout torch.sparse_coo"):
        model_bytes(sparse)


NETWORKS = {
    "the course's": (fashion_cnn(), (1, 1, 28, 28)),
    "linear on a batch": (nn.Linear(7, 5), (6, 7)),
    "linear on a sequence": (nn.Linear(7, 5), (2, 3, 7)),
    "groups": (nn.Conv2d(8, 12, 3, groups=4, padding=1), (2, 8, 9, 7)),
    "depthwise, stride, dilation": (nn.Conv2d(6, 6, 3, stride=2, dilation=2, groups=6), (1, 6, 15, 15)),
    "one dimension": (nn.Conv1d(4, 6, 5, groups=2), (3, 4, 20)),
    "three dimensions": (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "nothing to multiply": (nn.ReLU(), (1, 4)),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_macs_are_half_of_torchs_flops(network):
    model, shape = NETWORKS[network]
    example = torch.zeros(shape)
    with FlopCounterMode(display=False) as counter, evaluating(model):
        model(example)
    assert 2 * macs(model, example) == counter.get_total_flops()


def test_macs_count_a_shared_layer_at_every_call():
    layer = nn.Linear(4, 4)
    assert macs(nn.Sequential(layer, layer), torch.zeros(1, 4)) == 32


def test_macs_of_a_layer_of_another_class():
    class Own(Codes):
        macs_per_output = 3

        def forward(self, x):
            return x @ self.codes.float().T

    assert macs(Own(), torch.zeros(5, 3)) == 5 * 2 * 3


def test_macs_leave_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    macs(model, torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="macs wants an example that the model takes"):
        macs(model, torch.zeros(1, 3, 8, 8))
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("model", "example", "error", "message"),
    [
        (torch.zeros(1), torch.zeros(1, 1), TypeError, "an nn.Module, got Tensor"),
        (nn.Linear(1, 1), [1.0], TypeError, "a Tensor, got list"),
        (nn.Linear(1, 1), torch.zeros(0, 1), ValueError, r"numbers in it, got shape \[0, 1\]"),
        (nn.Linear(3, 1), torch.zeros(1, 2), ValueError, r"that the model takes, got shape \[1, 2\]"),
        (nn.Linear(3, 1), torch.zeros(1, 3, dtype=torch.uint8), ValueError, "torch.uint8"),
    ],
)
def test_macs_refuse(model, example, error, message):
    with pytest.raises(error, match=f"^macs wants .*{message}"):
        macs(model, example)


def test_sparsity_counts_zero_weights_only():
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    nn.init.zeros_(model[0].bias)
    nn.init.ones_(model[2].weight)
    nn.init.ones_(model[0].weight)
    assert sparsity(model) == 0.0
    model[0].weight.data[0, :3] = torch.tensor([0.0, -0.0, 1e-30])
    assert sparsity(model) == 2 / 10


def test_sparsity_of_codes_of_shared_weights_and_of_none():
    assert sparsity(Codes()) == 3 / 6
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    a.weight.data = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    b.weight = a.weight
    assert sparsity(nn.Sequential(a, b)) == 1 / 4
    assert sparsity(nn.ReLU()) == 0.0
    with pytest.raises(TypeError, match=r"^sparsity wants model to be an nn.Module, got Tensor"):
        sparsity(torch.zeros(3, 3))


def test_evaluating_restores_every_mode_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout()).train()
    model[0].eval()

    def fail():
        with evaluating(model):
            assert not model[1].training
            raise RuntimeError("planned")

    with pytest.raises(RuntimeError, match="planned"):
        fail()
    assert [module.training for module in model.modules()] == [True, False, True]


def test_annotations_are_enforced_here_and_own_messages_come_first():
    with pytest.raises(TypeCheckError):
        wilson_interval(1, 2, z=Fraction(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^accuracy wants"):
        accuracy(torch.zeros(3), torch.zeros(3, dtype=torch.long))
