"""Bytes between the grader and a student's process: what is sent arrives unchanged, and hostile bytes are an error, never code."""

import json
import pickle
import random

import pytest
import torch
from safetensors.torch import save
from torch import nn

from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.plain_values import identical
from posttrain_lab.checks.engine.serialize import LIMIT, WireError, decode, encode

TENSORS = [
    torch.arange(6).reshape(2, 3).T,
    torch.zeros(0, 3),
    torch.tensor(2.5),
    torch.tensor([True, False]),
    torch.tensor([1.5, float("nan"), float("inf")], dtype=torch.bfloat16),
    torch.tensor([-128, 127], dtype=torch.int8),
    torch.arange(10.0)[::2],
    torch.ones(3, 1).expand(3, 4),
    nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda t: f"{t.dtype} {tuple(t.shape)}")
def test_tensors_arrive_as_they_were(tensor):
    found = decode(encode(tensor))
    assert identical(found, tensor)
    assert (type(found), found.requires_grad) == (type(tensor), tensor.requires_grad)
    if all(stride > 0 for stride in tensor.stride()) and tensor.numel():
        assert found.stride() == tensor.stride()


@pytest.mark.parametrize(
    "value", [None, True, -3, 2**70, 0.1, float("inf"), "a\nb\u00e9", (), [], {}, (1, [2, {"a": (3,)}]), torch.float16]
)
def test_plain_values_arrive_as_they_were(value):
    found = decode(encode(value))
    assert found == value
    assert type(found) is type(value)


def test_nan_arrives():
    assert str(decode(encode(float("nan")))) == "nan"


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 2),
        nn.Linear(3, 2, bias=False).half(),
        nn.Conv2d(4, 6, (1, 3), stride=2, padding=(0, 1), dilation=2, groups=2).eval(),
        nn.Conv2d(1, 1, 3, padding="same", padding_mode="circular"),
        nn.BatchNorm2d(3, eps=0.1, momentum=None),
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.Sequential(nn.Flatten(0, 1), nn.Sequential(nn.MaxPool2d(2), nn.GELU()), nn.Identity()),
    ],
    ids=str,
)
def test_layers_arrive_as_they_were(layer):
    found = decode(encode(layer))
    assert repr(found) == repr(layer)
    assert identical(found, layer)
    assert found.training == layer.training


def test_a_shared_tensor_is_still_shared():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    found = decode(encode(model))
    assert found[0].weight is found[1].weight
    assert len(list(found.parameters())) == 3


def test_a_layer_used_twice_keeps_its_two_places():
    layer = nn.Linear(2, 2)
    found = decode(encode(nn.Sequential(layer, nn.ReLU(), layer)))
    assert len(found) == 3
    assert found[0].weight is found[2].weight


def test_outcomes_and_timed_calls_arrive():
    outcome = Outcome((1, torch.ones(2)), (None, torch.zeros(1)), ("mm",), (0,), "", False)
    found = decode(encode(outcome))
    assert torch.equal(found.value[1], torch.ones(2))
    assert found.gradients[0] is None
    assert (found.float_products, found.changed, found.error, found.unsolved) == (("mm",), (0,), "", False)
    assert decode(encode(TimedCall((0.5, 1.0)))).durations == (0.5, 1.0)


@pytest.mark.parametrize("value", [{1, 2}, b"raw", lambda: 0, nn.LSTM(1, 1), type("Mine", (nn.Linear,), {})(1, 1), object()])
def test_other_types_cannot_be_sent(value):
    with pytest.raises(WireError, match="cannot be sent"):
        encode(value)


# ---- hostile bytes
def raw(tree, **tensors):
    return save({"0": torch.zeros(2, 2), **tensors}, {"tree": json.dumps(tree)})


TENSOR = {"kind": "tensor", "name": "0", "strides": [2, 1], "parameter": None}
OUTCOME = {"value": 1, "gradients": {"kind": "tuple", "items": []}, "float_products": {"kind": "tuple", "items": []}}
OUTCOME = {**OUTCOME, "changed": {"kind": "tuple", "items": []}, "error": "", "unsolved": False}


def outcome(**fields):
    return {"kind": "Outcome", "fields": {"kind": "dict", "items": [[k, v] for k, v in {**OUTCOME, **fields}.items()]}}


PARAMETER = {**TENSOR, "parameter": True}


def linear(**changes):
    options = {"in_features": 2, "out_features": 2}
    tree = {
        "kind": "layer",
        "name": "Linear",
        "training": True,
        "options": options,
        "tensors": {"weight": PARAMETER},
        "children": [],
    }
    return {**tree, **changes}


def test_the_trees_above_are_sound_before_they_are_damaged():
    assert decode(raw(outcome())).value == 1
    assert decode(raw(linear())).weight.shape == (2, 2)


class Exploding:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was opened')",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        pickle.dumps(Exploding()),
        raw({"kind": "nothing"}),
        raw({"no kind": 1}),
        raw({"kind": "dtype", "value": "os.system"}),
        raw({"kind": "float", "value": "import os"}),
        raw({"kind": "dict", "items": [[[], 1]]}),
        raw({"kind": "tensor", "name": "7", "strides": [], "parameter": None}),
        raw({**TENSOR, "strides": [2**60, 1]}),
        raw({**TENSOR, "strides": ["a", 1]}),
        raw({**TENSOR, "strides": [1]}),
        raw({"kind": "layer", "name": "LSTM"}),
        raw(linear(options={"in_features": 10**12, "out_features": 10**12})),
        raw(linear(options={"in_features": 3, "out_features": 2})),
        raw(linear(tensors={"weight": PARAMETER, "forward": TENSOR})),
        raw(linear(tensors={"weight": PARAMETER, "state_dict": TENSOR})),
        raw(linear(tensors={})),
        raw(linear(tensors={"weight": 3})),
        raw(linear(children=[["a.b", {"kind": "layer", "name": "ReLU"}]])),
        raw(linear(children=[["forward", linear()]])),
        raw(outcome(changed=3)),
        raw(outcome(changed={"kind": "tuple", "items": ["x"]})),
        raw(outcome(changed={"kind": "tuple", "items": [True]})),
        raw(outcome(error=None)),
        raw(outcome(error={"kind": "list", "items": []})),
        raw(outcome(unsolved=0)),
        raw(outcome(float_products={"kind": "tuple", "items": [1]})),
        raw(outcome(gradients={"kind": "list", "items": []})),
        raw(outcome(gradients={"kind": "tuple", "items": [1.0]})),
        raw(outcome(extra=1)),
        save({"0": torch.zeros(1)}, {"tree": "[" * 100_000}),
        save({"0": torch.zeros(1)}, {"leaf": "1"}),
    ],
)
def test_hostile_bytes_are_an_error(data):
    with pytest.raises(WireError):
        decode(data)


def test_too_many_bytes_are_an_error():
    with pytest.raises(WireError, match="are allowed"):
        decode(b"\x00" * (LIMIT + 1))


def test_damaged_bytes_are_an_error_or_another_value_but_never_a_crash():
    good, dice = encode({"x": torch.arange(6), "layer": nn.Linear(2, 2), "outcome": Outcome(1.5)}), random.Random(0)
    refused = 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            decode(bytes(data[: dice.choice([len(data), dice.randrange(len(data))])]))
        except WireError:
            refused += 1
    assert refused > 150


def test_a_buffer_that_is_not_saved_stays_so():
    layer = nn.BatchNorm2d(3)
    layer._non_persistent_buffers_set = {"running_var"}
    back = decode(encode(layer))
    assert "running_var" not in back.state_dict()
    assert {name for name, _ in back.named_buffers()} == {"running_mean", "running_var", "num_batches_tracked"}


def test_every_module_keeps_its_own_mode():
    """A frozen batch norm inside a network in training mode, and the other way round."""
    network = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), nn.Dropout()).train()
    network[0][1].eval()
    inside_out = nn.Sequential(nn.Sequential(nn.Dropout()).train(), nn.ReLU())
    inside_out.training = False
    for model in (network, inside_out):
        modes = [module.training for module in model.modules()]
        assert [module.training for module in decode(encode(model)).modules()] == modes
