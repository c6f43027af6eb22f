"""Pruning of networks whose layers are not what their class says, stand in two places, or have other outputs and types."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.data import Dataset
from posttrain_lab.kernels.layers import SparseLinear
from posttrain_lab.metrics import macs
from posttrain_lab.pruning import (
    PruningConfig,
    WorkBudget,
    apply_masks,
    find_groups,
    load_pruned,
    mask_units,
    masks_of,
    prune_model,
    prune_units,
    remove_units,
    save_pruned,
    use_sparse_layers,
)
from posttrain_lab.pruning.masks import keep_largest
from posttrain_lab.pruning.structured import removed_positions, without_units
from posttrain_lab.pruning.work import MacCount
from tests.odd_layers import (
    HOOKED,
    PARAMETRIZED,
    Doubling,
    Leaky,
    Noting,
    PlainConv,
    PlainLinear,
    Residual,
    Standardized,
    StandardizedInside,
    encoder,
    mlp,
    torch_pruned,
)
from tests.pruning.graphs import random_network


def convs(kind: type[nn.Conv2d]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        kind(1, 8, 3), nn.ReLU(), kind(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), PlainLinear(8, 2)
    )


def test_subclasses_that_keep_forward_have_groups():
    x = torch.rand(2, 1, 9, 9)
    base, plain = convs(nn.Conv2d), convs(PlainConv)
    assert find_groups(plain, x) == find_groups(base, x)
    small = prune_units(plain, x)
    assert type(small[0]) is PlainConv
    assert torch.equal(small(x), prune_units(base, x)(x))


@pytest.mark.parametrize("kind", [Standardized, StandardizedInside])
def test_convolutions_with_a_forward_of_their_own_are_named_or_left_whole(kind):
    """Removing an input of a standardized convolution would change its mean: nothing around it may go."""
    model, x = convs(kind), torch.rand(2, 1, 9, 9)
    assert all(
        kind.__name__ not in type(model.get_submodule(layer)).__name__
        for group in find_groups(model, x)
        for layer in group.layers
    )
    with pytest.raises(ValueError, match=rf"got none: layers with a forward of their own, '0 \({kind.__name__}\)'"):
        prune_units(model, x)
    with pytest.raises(ValueError, match=rf"with torch's own forward, got '0 \({kind.__name__}\)', .* name them in skip"):
        prune_model(model)
    pruned = prune_model(model, PruningConfig(sparsity=0.5, skip=("0", "2")))
    assert torch.equal(pruned.model[0].weight, model[0].weight)
    assert pruned.masks.keys() == masks_of(model).keys() == {"6"}
    with pytest.raises(ValueError, match="names of Linear or Conv2d layers"):
        apply_masks(model, {"0": torch.ones(8, 1, 3, 3, dtype=torch.bool)})


class Mixed(nn.Module):
    """A residual container, a changed activation and a changed linear layer between plain ones."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b = nn.Linear(6, 8), Residual(nn.Linear(8, 8), Leaky())
        self.c, self.d = nn.Linear(8, 8), Doubling(8, 3)

    def forward(self, x):
        return self.d(torch.relu(self.c(self.b(self.a(x)))))


def test_own_forwards_are_followed_by_their_code():
    model, x = Mixed(), torch.randn(4, 6)
    groups = find_groups(model, x)
    assert [(group.name, len(group)) for group in groups] == [("a", 8)]  # what `d` reads must stay: its code is not a Linear's
    assert set(groups[0].layers) == {"a", "b.0", "c"}
    keep = {"a": torch.arange(8) < 3}
    assert torch.allclose(remove_units(model, groups, keep, x)(x), mask_units(model, groups, keep)(x), atol=1e-6)


class Twice(nn.Module):
    """One layer under two names, called from both, and once more."""

    def __init__(self, times: int = 2):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.shared, self.times = nn.Linear(6, 8), nn.Linear(8, 8), times
        self.again, self.last = self.shared, nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.shared(torch.relu(self.first(x))))
        for _ in range(self.times - 1):
            x = torch.relu(self.again(x))
        return self.last(x)


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_layer_under_two_names_loses_its_units_under_both(times):
    model, x = Twice(times), torch.randn(5, 6)
    groups = find_groups(model, x)
    keep = {group.name: torch.arange(len(group)) % 2 == 0 for group in groups}
    small = remove_units(model, groups, keep, x)
    assert small.shared is small.again
    assert small.shared.out_features == 4
    assert torch.allclose(small(x), mask_units(model, groups, keep)(x), atol=1e-6)
    assert macs(prune_units(model, x), x[:1]) <= 0.5 * macs(model, x[:1])
    assert (
        prune_units(
            model, x, kind="taylor", data=Dataset(x, torch.zeros(5, dtype=torch.int64), ("a", "b", "c"))
        ).shared.out_features
        < 8
    )


def test_a_shared_layer_in_a_sequential():
    shared, relu = nn.Linear(8, 8), nn.ReLU()
    model, x = nn.Sequential(nn.Linear(4, 8), relu, shared, relu, shared, relu, nn.Linear(8, 2)), torch.randn(3, 4)
    small = prune_units(model, x)
    assert small[2] is small[4]
    assert small[2].in_features == small[2].out_features < 8


def test_pruned_and_sparse_layers_under_two_names(tmp_path):
    model, x = Twice(), torch.randn(5, 6)
    pruned = prune_model(model, PruningConfig(sparsity=0.5))
    sparse = use_sparse_layers(pruned.model)
    assert isinstance(sparse.shared, SparseLinear)
    assert sparse.again is sparse.shared
    assert torch.allclose(sparse(x), pruned.model(x), atol=1e-5)
    small = prune_units(model, x)
    save_pruned(small, tmp_path / "small")
    loaded = load_pruned(tmp_path / "small", Twice())
    assert loaded.again is loaded.shared
    assert torch.equal(loaded(x), small.eval()(x))


def test_sparse_layers_where_a_weight_is_read():
    model, x = nn.Sequential(Noting(nn.Linear(8, 8)), nn.Linear(8, 2)), torch.randn(3, 8)
    with pytest.raises(ValueError, match=r"wants layers that are called, got '0.inner', whose weight is read; name them in skip"):
        use_sparse_layers(model)
    sparse = use_sparse_layers(model, skip=("0.inner",))
    assert torch.allclose(sparse(x), model(x), atol=1e-5)
    called = encoder()
    sparse, tokens = use_sparse_layers(called, skip=("0.self_attn.out_proj",)), torch.randn(2, 7, 32)
    with torch.no_grad():
        assert torch.allclose(sparse(tokens), called(tokens), atol=1e-5)


class Scaled(nn.Module):
    """Its width stands in its code; what it does to zeros does not show it."""

    def __init__(self, how: str):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.h, self.how = nn.Linear(6, 8, bias=False), nn.Linear(8, 4), how
        if how == "zero head":
            nn.init.zeros_(self.h.weight)

    def forward(self, x):
        y = self.a(x)
        return self.h(y / y.shape[-1] ** 0.5) if self.how != "mean" else self.h(y * y.mean(-1, keepdim=True))


EXAMPLES = {"zeros": torch.zeros(1, 6), "ones": torch.ones(1, 6), "drawn": torch.randn(1, 6), "half": torch.zeros(1, 6).half()}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("how", ["width", "zero head"])
def test_a_width_in_the_code_is_refused_with_any_example(how, example):
    model, x = Scaled(how), EXAMPLES[example]
    model = model.to(x.dtype)
    groups = find_groups(model, x)
    with pytest.raises(ValueError, match="wants a network that does not depend on its width"):
        remove_units(model, groups, {"a": torch.arange(8) < 3}, x)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_any_example_is_good_enough_for_networks_that_can_be_pruned(seed):
    """The comparison on drawn inputs refuses nothing that is right: zeros, constants, tiny and large numbers as examples."""
    model, groups = random_network(seed), None
    for scale in (0.0, 1e-6, 1e3):
        x = torch.full((1, 2, 6, 6), scale)
        groups = find_groups(model, x)
        keep = {group.name: torch.arange(len(group)) % 2 == 0 for group in groups}
        remove_units(model, groups, keep, x)


class Ending(nn.Module):
    def __init__(self, end, width=1):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.h, self.end = nn.Linear(6, 8), nn.Linear(8, width), end

    def forward(self, x):
        return self.end(self.h(torch.relu(self.a(x))))


ENDS = {
    "squeeze": lambda y: y.squeeze(),
    "scalar": lambda y: y.sum(),
    "tuple": lambda y: (y, y + 1),
    "nested": lambda y: [{"out": y}, (y.abs(), None)],
    "dict": lambda y: {"out": y, "loss": None},
    "integer": lambda y: y.argmax(-1),
    "empty": lambda y: y[:0],
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("width", [1, 3])
def test_outputs_of_other_kinds(end, width):
    model, x = Ending(ENDS[end], width), torch.randn(4, 6)
    assert next((group.name, len(group)) for group in find_groups(model, x)) == ("a", 8)
    assert prune_units(model, x).a.out_features < 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_of_other_float_types(dtype):
    torch.manual_seed(0)
    model, x = convs(nn.Conv2d).to(dtype), torch.rand(2, 1, 9, 9).to(dtype)
    small = prune_units(model, x)
    assert small[0].weight.dtype == dtype
    assert small(x).dtype == dtype
    pruned = prune_model(model, PruningConfig(sparsity=0.5))
    zeros = sum(int((~mask).sum()) for mask in pruned.masks.values())
    assert zeros == round(0.5 * sum(mask.numel() for mask in pruned.masks.values()))


@pytest.mark.parametrize(("groups", "share"), [(2, 0.3), (4, 0.3), (2, 0.7), (4, 0.7), (8, 0.7)])
def test_grouped_convolutions_become_smaller_and_stay_grouped(groups, share):
    torch.manual_seed(0)
    body = [
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, groups=groups),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    model, x = nn.Sequential(*body, nn.Flatten(), nn.Linear(16 * 144, 4)).eval(), torch.rand(1, 3, 16, 16)
    small = prune_units(model, x, WorkBudget(share=share))
    assert small[3].groups == groups
    assert macs(small, x) <= share * macs(model, x)
    one = {group.name: torch.arange(len(group)) < 1 for group in find_groups(model, x)}
    assert remove_units(model, find_groups(model, x), one, x)[3].in_channels == groups


@pytest.mark.parametrize("name", [*HOOKED, *PARAMETRIZED])
def test_computed_weights_are_named_with_what_to_call(name, tmp_path):
    model, x = mlp((HOOKED | PARAMETRIZED)[name]), torch.randn(2, 8)
    calls = [
        lambda: prune_model(model),
        lambda: prune_units(model, x),
        lambda: find_groups(model, x),
        lambda: apply_masks(model, {}),
        lambda: masks_of(model),
        lambda: use_sparse_layers(model),
        lambda: save_pruned(model, tmp_path / "never"),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"wants weights that are parameters themselves, got layer '0' .*permanent first: torch.nn"
        ):
            call()


def test_what_the_sentence_says_helps():
    model = mlp(torch_pruned)
    torch.nn.utils.prune.remove(model[0], "weight")
    assert int((prune_model(model, PruningConfig(sparsity=0.25)).model[0].weight == 0).sum()) >= 64


def test_attention_is_said_to_stay_whole():
    model, x = encoder(), torch.randn(6, 7, 32)
    with pytest.warns(
        UserWarning, match=r"leaves whole: in_proj_weight of attention in '0.self_attn': .* not part of the share\.$"
    ):
        pruned = prune_model(model, PruningConfig(sparsity=0.5))
    assert pruned.masks.keys() == {"0.self_attn.out_proj", "0.linear1", "0.linear2", "1"}
    data = Dataset(x, torch.zeros(6, dtype=torch.int64), ("a",))
    for config in (PruningConfig(0.5, "row", "wanda"), PruningConfig(0.5, "layer", "sparsegpt")):
        with pytest.warns(UserWarning, match=r"in_proj_weight .*; '0.self_attn.out_proj': no calibration image reaches"):
            pruned = prune_model(model, config, data)
        assert torch.equal(pruned.model[0].self_attn.out_proj.weight, model[0].self_attn.out_proj.weight)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([0.0, -0.0, 0.5, 1.0, float("inf"), -1.0]), min_size=1, max_size=12), st.integers(0, 13))
def test_selecting_is_sorting(scores, removed):
    """Against a stable sort: the lowest go, of equal ones the earlier."""
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    want = [i not in order[:removed] for i in range(len(scores))]
    assert keep_largest(torch.tensor(scores), removed).tolist() == want


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_counted_macs_are_those_of_the_network_that_is_built(seed):
    model, x = random_network(seed), torch.rand(1, 2, 6, 6)
    groups = find_groups(model, x)
    rng = torch.Generator().manual_seed(seed)
    keep = {group.name: torch.rand(len(group), generator=rng) < 0.5 for group in groups}
    for mask in keep.values():
        mask[0] = True
    assert MacCount(model, x)(removed_positions(groups, keep)) == macs(without_units(model, groups, keep), x)


class AlongUnits(nn.Module):
    """A linear layer that runs along the axis of the units: how often depends on how many there are."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.mix, self.h = nn.Conv1d(2, 8, 1), nn.Linear(5, 5), nn.Conv1d(8, 3, 1)

    def forward(self, x):
        return self.h(self.mix(torch.relu(self.a(x))))


def test_where_counting_is_not_exact_the_network_is_built():
    model, x = AlongUnits(), torch.randn(1, 2, 5)
    small = prune_units(model, x, WorkBudget(share=0.5))
    assert macs(small, x) <= 0.5 * macs(model, x)
    assert small.a.out_channels == 4  # each unit costs the same: half of them, not fewer


class Deep(nn.Sequential):
    """Counts its calls."""

    calls = 0

    def forward(self, x):
        type(self).calls += 1
        return super().forward(x)


@pytest.mark.parametrize("depth", [4, 40])
def test_the_work_of_choosing_does_not_grow_with_the_groups(depth):
    """Twelve steps and one question for each group: none of them may run the network."""
    torch.manual_seed(0)
    model = Deep(*[layer for _ in range(depth) for layer in (nn.Linear(4, 4), nn.ReLU())], nn.Linear(4, 2))
    Deep.calls = 0
    prune_units(model, torch.randn(1, 4), WorkBudget(share=0.6))
    assert Deep.calls <= 16


def test_any_flipped_bit_of_a_file_is_noticed(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight.data[:3] = 0
    path = save_pruned(model, tmp_path / "net")
    whole = path.read_bytes()
    for place in range(len(whole)):
        raw = bytearray(whole)
        raw[place] ^= 1 << place % 8
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"^load_pruned wants"):
            load_pruned(path, model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_scores_from_inputs_of_other_float_types(dtype):
    """Sums of products in 16 bits are not positive definite: OBS and SparseGPT could not invert them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).to(dtype)
    data = Dataset(torch.rand(8, 1, 6, 6).to(dtype), torch.arange(8) % 4, tuple("abcd"))
    for score, pattern in (("obs", "global"), ("wanda", "row"), ("taylor", "global"), ("sparsegpt", "layer")):
        pruned = prune_model(model, PruningConfig(0.5, pattern, score), data)
        assert {layer.weight.dtype for layer in (pruned.model[0], pruned.model[3])} == {dtype}
        assert sum(int((~mask).sum()) for mask in pruned.masks.values()) == {"global": 292, "layer": 292, "row": 288}[pattern]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_sparse_kernels_want_float32(dtype):
    with pytest.raises(
        ValueError, match=rf"^use_sparse_layers wants a float32 model, got {dtype} in '0.weight'; do model.float\(\)"
    ):
        use_sparse_layers(mlp().to(dtype))
