"""Adapters on networks that read weights, use layers twice or compute them; adapters' files that are damaged inside."""

import json

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from posttrain_lab.data import Dataset
from posttrain_lab.finetuning import (
    AdaptConfig,
    LoRALinear,
    QLoRALinear,
    adapt,
    adaptable,
    add_lora,
    add_qlora,
    checksum,
    distill,
    load_adapter,
    merge_lora,
    outputs_of,
    own_statistics,
    read_adapter,
    recover,
    reinitialized,
    round_to_grid,
    save_adapter,
    without_adapter,
)
from posttrain_lab.models import fashion_vit
from tests.odd_layers import HOOKED, PARAMETRIZED, Doubling, Noting, PlainConv, PlainLinear, encoder, mlp


def learned(model: nn.Module) -> nn.Module:
    """B away from 0, as after training."""
    rng = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] == "B":
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=rng)
    return model


class Shared(nn.Module):
    """One linear layer and one batch norm under two names each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)
        self.b, self.again, self.c = self.a, self.norm, nn.Linear(8, 2)

    def forward(self, x):
        return self.c(self.again(self.b(torch.relu(self.norm(self.a(x))))))


NETS = {
    "transformer": (encoder, lambda: torch.randn(2, 7, 32)),
    "weight read": (lambda: nn.Sequential(Noting(nn.Linear(8, 8)), nn.Linear(8, 2)), lambda: torch.randn(3, 8)),
    "two names": (lambda: Shared().eval(), lambda: torch.randn(3, 8)),
    "a layer alone": (lambda: nn.Linear(8, 2), lambda: torch.randn(3, 8)),
    "subclasses": (lambda: nn.Sequential(PlainConv(1, 2, 3), nn.Flatten(), PlainLinear(18, 2)), lambda: torch.randn(3, 1, 5, 5)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("training", [True, False])
def test_adapters_start_learn_merge_save_and_leave(net, training, tmp_path):
    """In eval and train mode, with and without gradients (torch's fast path runs without them only)."""
    make, inputs = NETS[net]
    base, x = make(), inputs()
    adapted = add_lora(base, 2, 4).train(training and net != "two names")
    with torch.no_grad():
        assert torch.allclose(adapted(x), base(x), atol=1e-5)
    adapted(x).square().sum().backward()
    assert all(p.grad is not None for name, p in adapted.named_parameters() if name.endswith("B"))
    learned(adapted)
    with torch.no_grad():
        changed = adapted.eval()(x)
        assert not torch.allclose(changed, base.eval()(x), atol=1e-2)
        assert torch.allclose(changed, adapted.train(net != "two names")(x), atol=1e-5)
        assert torch.allclose(merge_lora(adapted).eval()(x), changed, atol=1e-4)
        loaded = load_adapter(base, save_adapter(adapted, tmp_path / "a"))
        assert torch.equal(loaded.eval()(x), changed)
        assert torch.equal(without_adapter(loaded).eval()(x), base.eval()(x))
    assert checksum(adapted) == checksum(base) == checksum(without_adapter(adapted))


def test_a_layer_under_two_names_is_one_adapter():
    base = Shared()
    assert adaptable(base) == ["a", "c"]
    for layers in (None, ["a"], ["b"]):
        adapted = add_lora(base, 1, 1, layers)
        assert isinstance(adapted.a, LoRALinear)
        assert adapted.b is adapted.a
    merged, adapted = merge_lora(adapted), own_statistics(add_lora(base, 1, 1))
    assert merged.b is merged.a
    assert type(merged.a) is nn.Linear
    assert adapted.again is adapted.norm
    assert type(without_adapter(adapted).again) is nn.BatchNorm1d
    with pytest.raises(ValueError, match=r"wants each layer once, got 'a' twice in \['a', 'b'\]"):
        add_lora(base, 1, 1, ["a", "b"])


def test_statistics_of_a_shared_norm_are_saved_and_loaded(tmp_path):
    base, x = Shared().eval(), torch.randn(16, 8)
    adapted = learned(own_statistics(add_lora(base, 1, 1)))
    adapted.train()(x)
    loaded = load_adapter(base, save_adapter(adapted, tmp_path / "a"))
    assert torch.equal(loaded(x), adapted.eval()(x))
    assert loaded.again is loaded.norm


def test_qlora_under_two_names_and_where_a_weight_is_read():
    torch.manual_seed(0)
    shared = nn.Linear(64, 64)
    model = add_qlora(nn.Sequential(shared, nn.ReLU(), shared, Noting(nn.Linear(64, 64))), rank=1, alpha=1)
    assert isinstance(model[0], QLoRALinear)
    assert model[2] is model[0]
    assert type(model[3].inner) is nn.Linear
    with pytest.raises(ValueError, match="add_qlora wants rank to be a whole number >= 1, got 0"):
        add_qlora(nn.Sequential(shared), rank=0, alpha=1)
    tokens = nn.Sequential(nn.TransformerEncoderLayer(64, 4, 64, dropout=0.0, batch_first=True)).eval()
    adapted, x = add_qlora(tokens, rank=1, alpha=1).eval(), torch.randn(2, 3, 64)
    with torch.no_grad():
        assert float((adapted(x) - tokens(x)).norm() / tokens(x).norm()) < 0.2


BAD = {
    "rank": (lambda m: add_lora(m, 0, 1), ValueError, "add_lora wants rank to be a whole number >= 1, got 0"),
    "kind": (lambda m: add_lora(m, 2.0, 1), TypeError, "add_lora wants rank to be a whole number >= 1, got 2.0"),
    "twice": (lambda m: add_lora(m, 1, 1, ["0", "0"]), ValueError, "add_lora wants each layer once, got '0' twice"),
    "unknown": (lambda m: add_lora(m, 1, 1, ["1"]), ValueError, r"one of 0, 2, got \['1'\]"),
    "again": (lambda m: add_lora(add_lora(m, 1, 1), 1, 1), ValueError, "network without adapters, .* merge_lora"),
    "other": (lambda m: add_lora(nn.Sequential(Doubling(2, 2)), 1, 1), ValueError, "got a model without"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_adapters(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call(mlp())


@pytest.mark.parametrize("name", [*HOOKED, *PARAMETRIZED])
def test_computed_weights_are_named_with_what_to_call(name):
    model = mlp((HOOKED | PARAMETRIZED)[name])
    for call in (
        lambda: add_lora(model, 1, 1),
        lambda: add_qlora(model, 1, 1),
        lambda: round_to_grid(model, 4),
        lambda: reinitialized(model, 0),
    ):
        with pytest.raises(
            ValueError, match=r"weights that are parameters themselves, got layer '0' .*permanent first: torch.nn"
        ):
            call()


@pytest.mark.parametrize("name", HOOKED)
def test_what_cannot_be_copied_is_said_before_training(name):
    model, data = mlp(HOOKED[name]), Dataset(torch.randn(8, 8), torch.arange(8) % 4, tuple("abcd"))
    calls = [
        lambda: own_statistics(model),
        lambda: recover(model, {}, None, 1),
        lambda: adapt(model, data, "all", AdaptConfig(steps=1)),
        lambda: distill(mlp(), model, data.images, data.labels),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="weights that are parameters themselves, got layer '0'"):
            call()


def test_attention_is_reinitialized_too():
    model = encoder()
    fresh = reinitialized(model, 1)
    assert not torch.equal(fresh[0].self_attn.in_proj_weight, model[0].self_attn.in_proj_weight)


def test_outputs_of_another_name_and_of_a_layer_that_is_not_called():
    net, x = Shared().eval(), torch.randn(3, 8)
    assert torch.equal(outputs_of(net, "b", x)[1], outputs_of(net, "a", x)[1])
    with pytest.raises(ValueError, match=r"wants a layer that is called, got '0.inner'"):
        outputs_of(nn.Sequential(Noting(nn.Linear(8, 8))), "0.inner", x)


@pytest.fixture
def saved(tmp_path):
    """(base, path, tensors, what the file says about itself)."""
    base = mlp()
    path = save_adapter(learned(add_lora(base, 2, 4)), tmp_path / "a")
    with safe_open(str(path), "pt") as file:
        return base, path, read_adapter(path)[1], file.metadata()


def lost(tensors, about):
    return {name: value for name, value in tensors.items() if name != "2.B"}, about


def with_value(value):
    def change(tensors, about):
        return {**tensors, "0.A": torch.full_like(tensors["0.A"], value)}, about

    return change


def said(**other):
    return lambda tensors, about: (tensors, {**about, **other})


DAMAGE = {
    "lost": (lost, "has no tensor '2.B'"),
    "shape": (lambda t, a: ({**t, "0.A": torch.zeros(3, 8)}, a), r"has tensor '0.A' of shape \[3, 8\] for rank 2"),
    "width": (
        lambda t, a: ({**t, "0.A": torch.zeros(2, 9)}, {k: v for k, v in a.items() if k != "content"}),
        r"\[2, 9\] where its layer needs \[2, 8\]",
    ),
    "NaN": (with_value(float("nan")), "has NaN or infinity in tensor '0.A'"),
    "infinity": (with_value(float("inf")), "has NaN or infinity in tensor '0.A'"),
    "number": (with_value(0.5), "has another content than its checksum says"),
    "json": (said(layers="x"), "has a list of layers or norms that cannot be read"),
    "list": (said(layers="[1]"), "has a list of layers or norms that cannot be read"),
    "pair": (said(layers='{"0": 1}'), "has a list of layers or norms that cannot be read"),
    "alpha": (said(layers='{"0": [2, 5.0], "2": [2, 4.0]}'), "has another content than its checksum says"),
    "norms": (said(norms='["1"]'), "has no tensor 'statistics'"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_adapter_names_the_file_and_the_tensor(saved, how):
    base, path, tensors, about = saved
    change, message = DAMAGE[how]
    safetensors.torch.save_file(*change(dict(tensors), dict(about))[:1], str(path), change(dict(tensors), dict(about))[1])
    with pytest.raises(
        ValueError, match=rf"load_adapter wants a whole file of save_adapter, got .*{path.name}, which .*{message}"
    ):
        load_adapter(base, path)


def test_a_layer_that_the_base_does_not_have(saved):
    base, path, tensors, about = saved
    del about["content"]
    ranks = json.loads(about["layers"])
    about["layers"] = json.dumps({"9": ranks.pop("2"), **ranks})
    safetensors.torch.save_file({name.replace("2.", "9."): value for name, value in tensors.items()}, str(path), about)
    with pytest.raises(ValueError, match="names a layer '9' that its base does not have"):
        load_adapter(base, path)


def test_a_file_without_a_checksum_of_its_content_still_loads(saved):
    """Files of earlier versions have none."""
    base, path, tensors, about = saved
    want = load_adapter(base, path)(torch.ones(1, 8))
    del about["content"]
    safetensors.torch.save_file(tensors, str(path), about)
    assert torch.equal(load_adapter(base, path)(torch.ones(1, 8)), want)


def test_any_flipped_bit_is_noticed(saved):
    """Every byte of what the file says of itself, also the names under which it says it, and every fifth of the tensors."""
    base, path, tensors, _ = saved
    whole = path.read_bytes()
    header = len(whole) - sum(value.numel() * 4 for value in tensors.values())
    for place in [*range(header), *range(header, len(whole), 5)]:
        raw = bytearray(whole)
        raw[place] ^= 1 << place % 8
        path.write_bytes(raw)
        with pytest.raises(ValueError, match="load_adapter wants"):
            load_adapter(base, path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_float_types(dtype, tmp_path):
    base, x = mlp().to(dtype), torch.randn(3, 8).to(dtype)
    adapted = learned(add_lora(base, 2, 4)).to(dtype)
    want = adapted(x)
    assert want.dtype == dtype
    assert torch.equal(load_adapter(base, save_adapter(adapted, tmp_path / "a"))(x), want)
    with pytest.raises(ValueError, match=rf"^add_qlora wants a float32 model, got {dtype} in '0.weight'"):
        add_qlora(base, 1, 1)


def test_parameters_of_a_module_without_reset_are_drawn_anew():
    """A position's embedding kept its trained values in "scratch"."""
    model = fashion_vit()
    fresh, again, other = reinitialized(model, 1), reinitialized(model, 1), reinitialized(model, 2)
    for (name, old), new, same, third in zip(
        model.named_parameters(), fresh.parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(new, same)
        if old.ndim > 1:
            assert not torch.equal(new, old), name
            assert not torch.equal(new, third), name
            assert float(new.detach().std()) == pytest.approx(float(old.detach().std()), rel=0.2)
