"""prune_channels: three smaller layers that compute what the masked ones compute."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.pruning import prune_channels
from tests.pruning.graphs import shaken

pytestmark = pytest.mark.portable


def trio(out: int, area: int, bias: bool, linear: bool, seed: int = 0) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module]:
    torch.manual_seed(seed)
    after = nn.Linear(out * area * area, 3) if linear else nn.Conv2d(out, 5, 3, padding=1)
    model = shaken(nn.Sequential(nn.Conv2d(2, out, 3, padding=1, bias=bias), nn.BatchNorm2d(out), after))
    return model[0], model[1], model[2]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_smaller_layers_equal_the_masked_ones(out, area, bias, linear, seed):
    """The next layer sees 0 in the channels that go, whatever the activation makes of them."""
    conv, bn, after = trio(out, area, bias, linear, seed)
    keep = torch.rand(out, generator=torch.Generator().manual_seed(seed)) < 0.6
    keep[seed % out] = True
    x = torch.rand(2, 2, area, area)
    with torch.no_grad():
        hidden = torch.sigmoid(bn(conv(x))) * keep[:, None, None]
        want = after(hidden.flatten(1) if linear else hidden)
        new_conv, new_bn, new_after = prune_channels(conv, bn, after, keep)
        hidden = torch.sigmoid(new_bn(new_conv(x)))
        got = new_after(hidden.flatten(1) if linear else hidden)
    assert torch.allclose(got, want, atol=1e-5)
    assert new_conv.out_channels == new_bn.num_features == int(keep.sum()) == hidden.shape[1]


def test_what_came_in_stays_and_modes_follow():
    conv, bn, after = trio(4, 2, True, True)
    bn.train()
    before = [value.clone() for layer in (conv, bn, after) for value in layer.state_dict().values()]
    new = prune_channels(conv, bn, after, torch.tensor([True, False, True, False]))
    new[0].weight.data.fill_(0)
    assert all(
        torch.equal(a, b) for a, b in zip(before, (v for m in (conv, bn, after) for v in m.state_dict().values()), strict=True)
    )
    assert [layer.training for layer in new] == [False, True, False]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"keep": torch.ones(3, dtype=torch.bool)}, ValueError, r"bool tensor \[4\]"),
        ({"keep": torch.ones(4)}, ValueError, r"bool tensor \[4\]"),
        ({"keep": torch.zeros(4, dtype=torch.bool)}, ValueError, "at least one channel to stay"),
        ({"bn": nn.BatchNorm2d(5)}, ValueError, "a bn of 4 channels"),
        ({"next_layer": nn.Linear(7, 2)}, ValueError, "takes 4 channels, got 7"),
        ({"next_layer": nn.Conv2d(8, 2, 3)}, ValueError, "takes 4 channels, got 8"),
        ({"next_layer": nn.Conv2d(4, 4, 3, groups=2)}, ValueError, "without groups"),
        ({"next_layer": nn.ReLU()}, TypeError, "got Conv2d, BatchNorm2d, ReLU"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    conv, bn, after = trio(4, 2, True, True)
    arguments = {"conv": conv, "bn": bn, "next_layer": after, "keep": torch.ones(4, dtype=torch.bool)} | change
    with pytest.raises(error, match=message):
        prune_channels(**arguments)


def test_nan_is_named():
    conv, bn, after = trio(4, 2, True, True)
    bn.running_var[0] = float("nan")
    with pytest.raises(ValueError, match="finite numbers in bn"):
        prune_channels(conv, bn, after, torch.ones(4, dtype=torch.bool))
