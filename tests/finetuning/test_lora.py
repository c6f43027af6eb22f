"""LoRA against peft; adapters apart from their base."""

import copy
import os
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.finetuning import (
    LoRAConv2d,
    LoRALinear,
    QLoRALinear,
    adaptable,
    add_lora,
    add_qlora,
    checksum,
    load_adapter,
    merge_lora,
    own_statistics,
    read_adapter,
    save_adapter,
    trainable_names,
    without_adapter,
)
from posttrain_lab.kernels.packed import Int4Weight
from posttrain_lab.metrics import macs, model_bytes
from posttrain_lab.models import load_pretrained
from posttrain_lab.training import TrainingConfig, train
from tests.finetuning.small_nets import kept, same_state, small_cnn, stripes

CONFIG = TrainingConfig(epochs=2, batch_size=10, learning_rate=0.02)


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """B away from 0, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] == "B":
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def trained(seed: int = 0, labels: torch.Tensor | None = None) -> nn.Module:
    data = stripes(30, seed)
    adapted = add_lora(small_cnn(), rank=2, alpha=4, seed=seed)
    return train(adapted, data.images, data.labels if labels is None else labels, CONFIG, progress=False)[0]


@pytest.mark.slow
def test_outputs_gradients_and_merged_weights_equal_peft():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(0)
        linear, conv = nn.Linear(32, 16), nn.Conv2d(3, 8, 3, stride=2, padding=1)
        net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
        config = LoraConfig(r=3, lora_alpha=6, target_modules=["0", "3"], lora_dropout=0.0)
        theirs = get_peft_model(copy.deepcopy(net), config)
        ours = nn.Sequential(LoRAConv2d(conv, 3, 6), nn.ReLU(), nn.Flatten(), LoRALinear(linear, 3, 6))
        randomized(ours)
        wrapped = theirs.base_model.model
        for index in (0, 3):
            a, b = wrapped[index].lora_A["default"].weight, wrapped[index].lora_B["default"].weight
            a.data, b.data = ours[index].A.data.reshape(a.shape).clone(), ours[index].B.data.reshape(b.shape).clone()
        x = torch.randn(5, 3, 4, 4)
        want, got = theirs(x), ours(x)
        assert torch.allclose(got, want, atol=1e-5)
        want.square().sum().backward()
        got.square().sum().backward()
        for index in (0, 3):
            pairs = [(ours[index].A, wrapped[index].lora_A), (ours[index].B, wrapped[index].lora_B)]
            for mine, other in pairs:
                gradient = other["default"].weight.grad
                assert torch.allclose(mine.grad, gradient.reshape(mine.grad.shape), rtol=1e-3, atol=1e-4)
        merged = theirs.merge_and_unload()
        for index in (0, 3):
            assert torch.allclose(ours[index].merge().weight, merged[index].weight, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    out=st.integers(1, 12), inputs=st.integers(1, 12), rank=st.integers(1, 12), alpha=st.floats(0.1, 32), seed=st.integers(0, 9)
)
def test_identity_at_start_and_merge_keeps_the_function(out, inputs, rank, alpha, seed):
    linear = nn.Linear(inputs, out)
    if rank > min(out, inputs):
        with pytest.raises(ValueError, match=f"rank from 1 to {min(out, inputs)}, the smaller side of its {out} x {inputs}"):
            LoRALinear(linear, rank, alpha)
        return
    x = torch.randn(7, inputs, generator=torch.Generator().manual_seed(seed))
    layer = LoRALinear(linear, rank, alpha, seed)
    assert torch.equal(layer(x), linear(x))
    randomized(layer, seed)
    assert torch.linalg.matrix_rank(layer.delta()) <= rank
    before = layer(x)
    plain = layer.merge()
    scale = 1 + before.abs().max().item()
    assert torch.allclose(layer(x), before, atol=1e-5 * scale)
    assert torch.equal(plain(x), layer(x))


def test_only_a_and_b_get_gradients_and_the_given_layer_stays():
    linear = nn.Linear(6, 4)
    layer = randomized(LoRALinear(linear, 2, 4))
    layer(torch.ones(3, 6)).sum().backward()
    assert {name for name, parameter in layer.named_parameters() if parameter.grad is not None} == {"A", "B"}
    assert linear.weight.requires_grad
    before = linear.weight.detach().clone()
    layer.merge()
    assert torch.equal(linear.weight, before)
    with pytest.raises(RuntimeError, match="merged already"):
        layer.merge()


@pytest.mark.parametrize(
    "options", [{"groups": 2}, {"stride": 2, "padding": 2}, {"padding": 1, "padding_mode": "reflect"}, {"dilation": 2}]
)
def test_convolutions_of_every_kind_merge(options):
    conv = nn.Conv2d(4, 6, 3, **options)
    x = torch.randn(2, 4, 9, 9)
    layer = LoRAConv2d(conv, 2, 4)
    assert torch.equal(layer(x), conv(x))
    randomized(layer)
    before = layer(x)
    assert not torch.allclose(before, conv(x), atol=1e-2)
    assert torch.allclose(layer.merge()(x), before, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_wrong_alpha_and_wrong_layers_are_named(alpha):
    with pytest.raises(ValueError, match="positive, finite alpha"):
        LoRALinear(nn.Linear(2, 2), 1, alpha)
    with pytest.raises(TypeError, match=r"LoRALinear wants an nn.Linear, got Conv2d"):
        LoRALinear(nn.Conv2d(1, 1, 1), 1, 1)
    with pytest.raises(TypeError, match=r"LoRAConv2d wants an nn.Conv2d, got Linear"):
        LoRAConv2d(nn.Linear(2, 2), 1, 1)


def test_a_network_learns_beside_a_base_that_stays_bit_for_bit():
    base = small_cnn()
    adapted = trained()
    assert all(name.rpartition(".")[2] in ("A", "B") for name in trainable_names(adapted))
    assert same_state(without_adapter(adapted), base)
    data = stripes(30).images
    assert not torch.allclose(adapted(data), base.eval()(data), atol=1e-2)
    merged = merge_lora(adapted)
    assert torch.allclose(merged(data), adapted(data), atol=1e-4)
    assert [type(m) for m in merged] == [type(m) for m in base]
    assert torch.allclose(merge_lora(adapted)(data), merged(data))


def test_adapters_swap_without_touching_the_base(tmp_path):
    base, x = small_cnn().eval(), stripes(30).images
    before, first = kept(base), trained(0)
    second = trained(1, (stripes(30, 1).labels + 1) % 3)
    paths = [save_adapter(net, tmp_path / f"{i}.safetensors") for i, net in enumerate((first, second))]
    for _ in range(2):
        for path, net in zip(paths, (first, second), strict=True):
            assert torch.equal(load_adapter(base, path)(x), net(x))
    swapped = load_adapter(load_adapter(base, paths[0]), paths[1])
    assert torch.equal(swapped(x), second(x))
    assert same_state(without_adapter(swapped), base)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


def test_an_adapter_has_at_most_a_twentieth_of_the_bytes(tmp_path):
    base = load_pretrained("mnist_cnn")
    adapted = add_lora(base, rank=2, alpha=4)
    path = save_adapter(adapted, tmp_path / "adapter.safetensors")
    assert path.stat().st_size <= 0.05 * model_bytes(base)
    learn = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert learn <= 0.05 * sum(p.numel() for p in base.parameters())


def test_an_adapter_for_another_base_is_refused(tmp_path):
    path = save_adapter(trained(), tmp_path / "adapter.safetensors")
    other = small_cnn()
    with torch.no_grad():
        other[9].bias[0] += 1e-6
    before = kept(other)
    with pytest.raises(
        ValueError, match=r"wants the base that .* was trained on .* an adapter corrects the weights of its own base"
    ):
        load_adapter(other, path)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_adapter_is_refused(tmp_path, keep):
    path = save_adapter(trained(), tmp_path / "adapter.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"whole file of save_adapter, got .*adapter.safetensors, which is truncated"):
        load_adapter(small_cnn(), path)


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(FileNotFoundError, match=r"found no file .*; write one with save_adapter"):
        read_adapter(tmp_path / "none.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="another safetensors file"):
        read_adapter(tmp_path / "other.safetensors")


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = save_adapter(trained(), tmp_path / "adapter.safetensors")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"save_adapter cannot write .*adapter\.safetensors: No space left"):
        save_adapter(trained(1), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_merged_networks_have_no_adapter_to_save(tmp_path):
    adapted = trained()
    adapted[9].merge()
    for wrong in (adapted, small_cnn()):
        with pytest.raises(ValueError, match="LoRA layers that are not merged"):
            save_adapter(wrong, tmp_path / "x")
    with pytest.raises(ValueError, match="'9' is merged"):
        without_adapter(adapted)
    with pytest.raises(ValueError, match="with LoRA layers, got none"):
        merge_lora(small_cnn())


def test_checksum_sees_every_tensor_and_no_adapter():
    base = small_cnn()
    assert checksum(base) == checksum(add_lora(base, 1, 1)) == checksum(trained())
    found = {checksum(base)}
    for name, value in base.state_dict().items():
        changed = copy.deepcopy(base)
        with torch.no_grad():
            changed.state_dict()[name].add_(torch.ones_like(value))
        found.add(checksum(changed))
    assert len(found) == 1 + len(base.state_dict())


def test_layers_can_be_chosen_and_unknown_ones_are_named():
    assert adaptable(small_cnn()) == ["0", "4", "7", "9"]
    assert trainable_names(add_lora(small_cnn(), 2, 2, layers=["7"])) == ["7.A", "7.B"]
    with pytest.raises(ValueError, match=r"one of 0, 4, 7, 9, got \['1'\]"):
        add_lora(small_cnn(), 2, 2, layers=["7", "1"])
    with pytest.raises(ValueError, match="rank from 1 to 3"):
        add_lora(small_cnn(), 4, 2, layers=["9"])


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 5), seed=st.integers(0, 9), bias=st.booleans())
def test_qlora_equals_lora_over_the_weight_that_the_codes_stand_for(rows, seed, bias):
    torch.manual_seed(seed)
    linear = nn.Linear(64, 10, bias=bias)
    layer = randomized(QLoRALinear(linear, 3, 6, group=32, seed=seed))
    rounded = copy.deepcopy(linear)
    rounded.weight.data = Int4Weight.from_float(linear.weight, 32).dense()
    twin = LoRALinear(rounded, 3, 6)
    twin.A.data, twin.B.data = layer.A.data.clone(), layer.B.data.clone()
    results = []
    for net in (layer, twin):
        x = torch.randn(rows, 64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        y = net(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, net.A, net.B))))
    for got, want in zip(*results, strict=True):
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-3)
    assert torch.allclose(layer.dense()(torch.ones(2, 64)), layer(torch.ones(2, 64)), atol=1e-4)


@pytest.mark.slow
def test_qlora_trains_a_network_and_leaves_its_codes():
    data, base = stripes(30), small_cnn()
    adapted = add_qlora(base, 2, 4)
    before = kept(adapted)
    config = TrainingConfig(epochs=6, batch_size=10, learning_rate=0.02)
    learned, losses = train(adapted, data.images, data.labels, config, progress=False)
    assert losses[-1] < losses[0]
    moved = {name for name, value in learned.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"7.A", "7.B", "9.A", "9.B"}
    assert same_state(base, small_cnn())
    assert model_bytes(learned) < model_bytes(base)


def test_qlora_names_what_it_cannot_hold():
    with pytest.raises(TypeError, match="convolutions have no int4 kernel"):
        QLoRALinear(nn.Conv2d(1, 1, 1), 1, 1)
    with pytest.raises(ValueError, match="multiple of 8 divides, got 10"):
        QLoRALinear(nn.Linear(10, 2), 1, 1)
    with pytest.raises(ValueError, match="rank from 1 to 2"):
        QLoRALinear(nn.Linear(8, 2), 3, 1)
    with pytest.raises(ValueError, match="multiple of 8 inputs, got none"):
        add_qlora(nn.Sequential(nn.Linear(3, 2)), 1, 1)


def test_own_statistics_move_belong_to_the_adapter_and_leave_those_of_the_base(tmp_path):
    base, data = small_cnn().eval(), stripes(30)
    adapted = own_statistics(add_lora(base, 2, 4))
    assert torch.equal(adapted.eval()(data.images), base(data.images))
    learned = train(adapted, data.images, data.labels, CONFIG, progress=False)[0]
    assert not torch.equal(learned[1].own.running_mean, base[1].running_mean)
    assert torch.equal(learned[1].own.weight, base[1].weight)
    assert same_state(without_adapter(learned), base)
    assert checksum(learned) == checksum(base)
    again = load_adapter(base, save_adapter(learned, tmp_path / "adapter.safetensors"))
    assert torch.equal(again(data.images), learned(data.images))
    assert torch.equal(load_adapter(again, tmp_path / "adapter.safetensors")(data.images), learned(data.images))
    merged = merge_lora(learned)
    assert type(merged[1]) is nn.BatchNorm2d
    assert torch.allclose(merged(data.images), learned(data.images), atol=1e-4)
    big = own_statistics(add_lora(load_pretrained("mnist_cnn"), 2, 4))
    small = save_adapter(big, tmp_path / "big.safetensors").stat().st_size
    assert small <= 0.05 * model_bytes(load_pretrained("mnist_cnn"))


def test_the_work_of_layers_with_adapters_is_counted():
    linear, conv = nn.Linear(8, 4), nn.Conv2d(6, 8, 3, groups=2)
    x, images = torch.ones(1, 8), torch.ones(1, 6, 5, 5)
    lora = LoRALinear(linear, rank=2, alpha=2)
    assert macs(lora, x) == macs(linear, x) + 2 * 8 + 4 * 2
    lora.merge()
    assert macs(lora, x) == macs(linear, x)
    assert macs(LoRAConv2d(conv, rank=2, alpha=2), images) == macs(conv, images)


def test_the_frozen_layer_has_the_name_of_unit_03_and_old_weights_can_be_read():
    model = add_lora(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)), rank=1, alpha=1)
    assert list(model.state_dict()) == [
        "0.A",
        "0.B",
        "0.conv.weight",
        "0.conv.bias",
        "2.A",
        "2.B",
        "2.linear.weight",
        "2.linear.bias",
    ]
    assert (model[0].base, model[2].base) == (model[0].conv, model[2].linear)
    renamed = {"conv": "base", "linear": "base"}
    old = {".".join(renamed.get(part, part) for part in name.split(".")): value + 1 for name, value in model.state_dict().items()}
    model.load_state_dict(old)
    assert torch.equal(model[2].linear.weight, old["2.base.weight"])
    assert torch.equal(model[0].conv.bias, old["0.base.bias"])
