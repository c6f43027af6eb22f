"""Costs against an independent count: torch's own network of the same graph, its outputs seen by hooks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.projects.edge import BUDGET, Costs, Refused, check_budget, costs, shapes


@st.composite
def graphs(draw):
    """(layers, the same network in torch)."""
    layers, modules, channels, side = [], [], 1, 28
    for _ in range(draw(st.integers(0, 3))):
        groups = draw(st.sampled_from([one for one in (1, 2, 3) if channels % one == 0]))
        out, kernel, stride = groups * draw(st.integers(1, 4)), draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 3))
        size = {"in": channels, "out": out, "kernel": kernel, "stride": stride, "groups": groups}
        layers += [{"operator": "conv", "bits": draw(st.sampled_from([4, 8])), **size}, {"operator": "relu"}]
        modules += [nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups), nn.ReLU()]
        channels, side = out, (side - 1) // stride + 1
        if side >= 4 and draw(st.booleans()):
            layers, modules, side = [*layers, {"operator": "pool", "size": 2}], [*modules, nn.MaxPool2d(2)], side // 2
    features = channels * side * side
    layers += [{"operator": "flatten"}, {"operator": "dense", "bits": draw(st.sampled_from([4, 8])), "in": features, "out": 10}]
    return layers, nn.Sequential(*modules, nn.Flatten(), nn.Linear(features, 10))


def seen(network):
    """(module, numbers in, numbers out) of every module, from one run of torch."""
    rows = []
    for module in network:
        module.register_forward_hook(lambda m, x, y: rows.append((m, x[0].numel(), y.numel())))
    with torch.no_grad():
        network(torch.zeros(1, 1, 28, 28))
    return rows


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_counts_are_those_of_the_network_in_torch(drawn):
    layers, network = drawn
    rows = seen(network)
    held = [(m, out) for m, _, out in rows if hasattr(m, "weight")]
    bits = [one["bits"] for one in layers if "bits" in one]
    flash = sum((m.weight.numel() * b + 7) // 8 + 8 * m.bias.numel() for (m, _), b in zip(held, bits, strict=True))
    macs = sum(out * m.weight[0].numel() for m, out in held)
    ram = max(before + after for m, before, after in rows if not isinstance(m, nn.ReLU | nn.Flatten))
    assert costs(layers) == Costs(flash, ram, macs)
    assert [torch.Size(one).numel() for one in shapes(layers)[1:]] == [out for _, _, out in rows]


def test_equal_counts_as_inside_and_every_excess_is_named():
    check_budget(BUDGET)
    with pytest.raises(Refused, match=r"flash 12,001 of 12,000 bytes; macs 1,500,001 of 1,500,000 multiply-accumulates"):
        check_budget(Costs(12_001, 8_000, 1_500_001))
    with pytest.raises(Refused, match=r"over the budget: ram 8,001 of 8,000 bytes; make"):
        check_budget(Costs(0, 8_001, 0))
