"""What a layer computes, where it stands, and who reads its weight."""

import copy

import pytest
import torch
from torch import nn

from posttrain_lab.finetuning import LoRAConv2d, LoRALinear, QLoRALinear
from posttrain_lab.kernels.layers import PackedInt4Linear, PackedInt8Conv2d, PackedInt8Linear, SparseLinear
from posttrain_lab.metrics import macs, sparsity
from posttrain_lab.module_walks import (
    baked,
    check_copyable,
    check_own_weights,
    computes_as,
    every_name,
    exchange,
    own_forward,
    weights_read,
    without_fast_path,
)
from posttrain_lab.pruning import prune_channels
from posttrain_lab.quantization import Int8Conv2d, Int8Linear, fold_batchnorm
from posttrain_lab.quantization.layers import Int4Linear
from posttrain_lab.training import TrainingConfig, train
from tests.odd_layers import (
    HOOKED,
    PARAMETRIZED,
    Doubling,
    Leaky,
    Noting,
    PlainConv,
    PlainLinear,
    PlainSequential,
    Residual,
    Standardized,
    StandardizedInside,
    encoder,
    mlp,
    patched,
    torch_pruned,
)

SAME = [
    (PlainConv(1, 2, 3), nn.Conv2d),
    (PlainLinear(2, 2), nn.Linear),
    (PlainSequential(), nn.Sequential),
    (nn.ReLU6(), nn.Hardtanh),
]
OTHER = [
    *[(Standardized(1, 2, 3), nn.Conv2d), (StandardizedInside(1, 2, 3), nn.Conv2d), (Doubling(2, 2), nn.Linear)],
    *[(Leaky(), nn.ReLU), (Residual(), nn.Sequential), (patched(nn.Linear(2, 2)), nn.Linear), (nn.Linear(2, 2), nn.Conv2d)],
    *[(normed(nn.Linear(4, 4)), nn.Linear) for normed in PARAMETRIZED.values()],
]


@pytest.mark.parametrize(("layer", "kind"), SAME)
def test_a_subclass_that_keeps_forward_is_its_base(layer, kind):
    assert computes_as(layer, kind)
    assert computes_as(layer, nn.Bilinear, kind)
    assert own_forward(nn.ModuleList([layer]), kind) == {}


@pytest.mark.parametrize(("layer", "kind"), OTHER)
def test_another_forward_is_another_layer(layer, kind):
    assert not computes_as(layer, kind)


def test_a_layer_is_exchanged_under_all_its_names():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.Sequential(nn.ReLU(), shared))
    assert every_name(model, shared) == ["0", "1.1"]
    new = nn.Identity()
    assert exchange(model, shared, new) is model
    assert model[0] is new
    assert model[1][1] is new
    assert exchange(shared, shared, new) is new


class Typed(Noting):
    """Asks for the dtype only."""

    def forward(self, x):
        return self.inner(x.to(self.inner.weight.dtype))


class Indirect(Noting):
    """Reads in a method."""

    def forward(self, x):
        return self.product(x)

    def product(self, x):
        return x @ self.inner.weight.T


def test_layers_whose_weight_is_read_are_found_at_any_depth():
    net = nn.Sequential(Noting(nn.Linear(2, 2)), nn.Sequential(Indirect(nn.Linear(2, 2))), Typed(nn.Linear(2, 2)), encoder())
    assert weights_read(net) == {"0.inner": "Noting", "1.0.inner": "Indirect", "3.0.self_attn.out_proj": "MultiheadAttention"}


def test_without_the_fast_path_a_transformer_layer_computes_the_same_and_calls_its_parts():
    model, x = encoder(), torch.randn(2, 7, 32)
    slow, called = without_fast_path(copy.deepcopy(model)), []

    class Calling(PlainLinear):
        def forward(self, input):
            called.append(1)
            return super().forward(input)

    slow[0].linear1.__class__ = Calling
    with torch.no_grad():
        assert torch.allclose(slow(x), model(x), atol=1e-5)
    assert called


@pytest.mark.parametrize("name", HOOKED)
def test_hooks_that_compute_a_weight_are_named_with_what_to_call(name):
    model = mlp(HOOKED[name])
    remedies = {
        "torch's prune": "prune.remove",
        "old weight_norm": "remove_weight_norm",
        "old spectral_norm": "remove_spectral_norm",
    }
    for check in (check_copyable, check_own_weights):
        with pytest.raises(ValueError, match=rf"^f wants .* layer '0' .*{remedies[name]}\(layer, 'weight'\)"):
            check("f", model)
    with pytest.raises(ValueError, match=r"^train wants .* layer '0'"):
        train(model, torch.zeros(2, 8), torch.zeros(2, dtype=torch.int64), TrainingConfig(epochs=1), progress=False)


@pytest.mark.parametrize("name", PARAMETRIZED)
def test_parametrizations_can_be_copied_and_made_permanent(name):
    model, x = mlp(PARAMETRIZED[name]), torch.randn(3, 8)
    check_copyable("f", model)
    with pytest.raises(ValueError, match=r"layer '0' .*remove_parametrizations\(layer, 'weight'\)"):
        check_own_weights("f", model)
    want = model(x)
    plain = baked(copy.deepcopy(model))
    assert torch.equal(plain(x), want)
    assert torch.equal(model(x), want)  # torch's own function would break the network that was copied
    check_own_weights("f", plain)


def test_sparsity_counts_the_weights_that_are_used():
    """Sixteen of 32, by torch's prune; nothing by norms; and a spectral norm in train mode does not move."""
    half = nn.Sequential(torch_pruned(nn.Linear(8, 4)))
    assert sparsity(half) == 0.5
    two = nn.Sequential(half[0], half[0], nn.Linear(8, 4))
    assert sparsity(two) == 0.25  # the shared one counts once
    for normed in PARAMETRIZED.values():
        model = mlp(normed).train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert sparsity(model) == 0.0
        macs(model, torch.zeros(1, 8))
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, x, y):
        return self.a(x) + self.b(y)


def test_macs_of_two_inputs():
    assert macs(Pair(), (torch.zeros(1, 3), torch.zeros(1, 2))) == 3 * 4 + 2 * 4
    with pytest.raises(ValueError, match=r"^macs wants an example that the model takes, got shape \[1, 3\] .* give a tuple"):
        macs(Pair(), torch.zeros(1, 3))
    with pytest.raises(TypeError, match="got NoneType"):
        macs(Pair(), (torch.zeros(1, 3), None))


def test_layers_made_by_hand_refuse_another_forward():
    """Each of these takes the weight of one layer, and would lose what the layer does with it."""
    linear, conv = Doubling(8, 8), Standardized(1, 2, 3)
    calls = [
        *[lambda: LoRALinear(linear, 1, 1), lambda: QLoRALinear(linear, 1, 1), lambda: Int4Linear.from_linear(linear, 0.1, 0)],
        *[lambda: Int8Linear.from_linear(linear, 0.1, 0), lambda: PackedInt8Linear.from_linear(linear)],
        *[lambda: SparseLinear.from_linear(linear), lambda: PackedInt4Linear.from_linear(linear)],
        *[
            lambda: LoRAConv2d(conv, 1, 1),
            lambda: Int8Conv2d.from_conv2d(conv, 0.1, 0),
            lambda: PackedInt8Conv2d.from_conv2d(conv),
        ],
        lambda: fold_batchnorm(conv, nn.BatchNorm2d(2)),
        lambda: prune_channels(conv, nn.BatchNorm2d(2), nn.Linear(2, 2), torch.tensor([True, False])),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"(Doubling|Standardized) with a forward of its own"):
            call()
