"""Adapters: LoRA for a whole network, and the checksum of the base that an adapter belongs to.

`add_lora` -> train -> `save_adapter`; later `load_adapter(base, path)` (adapter_files.py), or `merge_lora` for a plain network. The
base is never changed, so that adapters of several tasks can be exchanged over one copy of it.
"""

import copy
from collections import Counter
from collections.abc import Iterator

from torch import Tensor, nn

from posttrain_lab.arguments import check_count
from posttrain_lab.content_checksum import content_checksum
from posttrain_lab.module_walks import check_copyable, check_own_weights, computes_as, exchange

from .freeze import freeze
from .lora import LoRAConv2d, LoRALinear, LowRank

BatchNorm = nn.modules.batchnorm._BatchNorm
KINDS: dict[type[nn.Module], type[LowRank]] = {nn.Linear: LoRALinear, nn.Conv2d: LoRAConv2d}


class OwnStatistics(nn.Module):
    """A batch norm whose running mean and variance belong to the new task; scale, shift and those of the base stay.

    Nothing is learned by a gradient: in train mode the statistics follow the new images. See `own_statistics`.
    """

    base: BatchNorm
    own: BatchNorm

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__()
        self.base, self.own = freeze_copy(norm), copy.deepcopy(norm).requires_grad_(False)
        vars(self.own).pop("train", None)
        self.own.train(True)

    def forward(self, x: Tensor) -> Tensor:
        return self.own(x)


def freeze_copy(norm: BatchNorm) -> BatchNorm:
    """A copy that keeps its statistics, also in train mode."""
    twin = copy.deepcopy(norm)
    freeze(twin, [])
    return twin


def own_norms(model: nn.Module) -> dict[str, OwnStatistics]:
    """The network's norms with statistics of their own, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, OwnStatistics)}


def own_statistics(model: nn.Module) -> nn.Module:
    """Adapt to inputs of another distribution (another camera): a new network whose batch norms have statistics of their own.

    They follow the new images in train mode, beside those of the base, and are saved with the adapter; in eval mode the outputs
    are at first those of `model`. Scale and shift stay. Source: Li et al. 2017, "Revisiting batch normalization for practical
    domain adaptation".

    >>> own_statistics(nn.Sequential(nn.BatchNorm1d(2)))[0].own
    BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """
    check_copyable("own_statistics", model)
    adapted = copy.deepcopy(model)
    for norm in [m for m in adapted.modules() if isinstance(m, BatchNorm) and m.running_mean is not None]:
        adapted = exchange(adapted, norm, OwnStatistics(norm))
    return adapted


def low_rank_layers(model: nn.Module) -> dict[str, LowRank]:
    """The network's LoRA layers by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}


def adaptable(model: nn.Module) -> list[str]:
    """The layers that can be given an adapter: every Linear and Conv2d that computes what torch's does, under its first name.

    >>> adaptable(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    ['0', '3']
    """
    inside = {id(part) for layer in low_rank_layers(model).values() for part in layer.modules()}
    return [name for name, m in model.named_modules() if computes_as(m, *KINDS) and id(m) not in inside]


def adapter_kind(layer: nn.Module) -> type[LowRank]:
    """The LoRA layer for this layer, one of `adaptable`."""
    return next(lora for kind, lora in KINDS.items() if isinstance(layer, kind))


def add_lora(model: nn.Module, rank: int, alpha: float, layers: list[str] | None = None, seed: int = 0) -> nn.Module:
    """A new network with a low-rank correction beside each layer; everything else is frozen.

    layers: names, see `adaptable`; None means all of them, each with the given rank or its smaller side, if that is less.
    Everything but A and B is frozen; batch norms keep their statistics, unless they get others by `own_statistics`. It gives the
    same outputs as `model` until trained.
    Raises ValueError for names without such a layer, one layer twice, a rank below 1 or above the size of a layer that was named, a
    network that has adapters already, weights that are computed from others (torch's prune, weight_norm); TypeError for a rank
    that is no whole number.
    Source: Hu et al. 2022.

    >>> base = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> sum(p.numel() for p in add_lora(base, rank=1, alpha=1).parameters() if p.requires_grad)
    26
    """
    check_count("add_lora", "rank", rank)
    check_own_weights("add_lora", model)
    wanted = _layers_to_adapt(model, layers)
    adapted = copy.deepcopy(model)
    for number, layer in enumerate([adapted.get_submodule(name) for name in wanted]):
        smaller = min(len(layer.weight), layer.weight[0].numel())  # type: ignore[arg-type, index, union-attr]
        own = min(rank, smaller) if layers is None else rank
        adapted = exchange(adapted, layer, adapter_kind(layer)(layer, own, alpha * own / rank, seed + number))  # type: ignore[arg-type]
    freeze_all_but_factors(adapted)
    return adapted


def _layers_to_adapt(model: nn.Module, layers: list[str] | None) -> list[str]:
    """The names, checked: each is one of `adaptable`, or another name of such a layer, and no layer comes twice."""
    if low_rank_layers(model):
        raise ValueError("add_lora wants a network without adapters, got one with; merge them first with merge_lora.")
    known = adaptable(model)
    firsts = {id(model.get_submodule(name)): name for name in known}
    modules = dict(model.named_modules(remove_duplicate=False))
    unknown = [name for name in layers or [] if id(modules.get(name)) not in firsts]
    if unknown or not known:
        raise ValueError(
            f"add_lora wants names of Linear or Conv2d layers, one of {', '.join(known)}, got {unknown or 'a model without'}."
        )
    wanted = known if layers is None else [firsts[id(modules[name])] for name in layers]
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise ValueError(f"add_lora wants each layer once, got '{twice[0]}' twice in {layers}; leave one of them out.")
    return wanted


def freeze_all_but_factors(model: nn.Module) -> None:
    """Only A and B of the adapters learn."""
    freeze(model, [name for name, _ in model.named_parameters() if name.rpartition(".")[2] in ("A", "B")])


def merge_lora(model: nn.Module) -> nn.Module:
    """A new plain network in which each adapter is merged into its layer, as fast as the base; `model` keeps its adapters.

    Raises ValueError for a network without LoRA layers.

    >>> base = nn.Sequential(nn.Linear(8, 2))
    >>> merge_lora(add_lora(base, rank=1, alpha=1))
    Sequential(
      (0): Linear(in_features=8, out_features=2, bias=True)
    )
    """
    merged = copy.deepcopy(model)
    layers = low_rank_layers(merged)
    if not layers:
        raise ValueError("merge_lora wants a network with LoRA layers, got none; see add_lora.")
    for layer in layers.values():
        merged = exchange(merged, layer, layer.base if layer.merged else layer.merge())
    for norm in own_norms(merged).values():
        merged = exchange(merged, norm, norm.own)
    return merged


def base_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the network without its adapters, under the names they have in the base."""
    wrapped = {name for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, LowRank | OwnStatistics)}
    for name, value in model.state_dict().items():
        prefix, _, own = name.rpartition(".")
        outer, _, inner = prefix.rpartition(".")
        if (prefix in wrapped and own in ("A", "B")) or (outer in wrapped and inner == "own"):
            continue
        if outer in wrapped and inner in ("base", "linear", "conv"):
            name = f"{outer}.{own}" if outer else own
        yield name, value


def checksum(model: nn.Module) -> str:
    """Which base is it? SHA-256 over names, dtypes, shapes and bytes of all tensors, adapters left out.

    >>> base = nn.Sequential(nn.Linear(8, 2))
    >>> checksum(add_lora(base, rank=1, alpha=1)) == checksum(base)
    True
    """
    return content_checksum(base_state(model))


def without_adapter(model: nn.Module) -> nn.Module:
    """The base again: a new plain network, with tensors bit for bit equal to the base's. Raises ValueError when merged.

    >>> base = nn.Sequential(nn.Linear(8, 2))
    >>> bool((without_adapter(add_lora(base, rank=1, alpha=1))[0].weight == base[0].weight).all())
    True
    """
    plain = copy.deepcopy(model)
    for name, layer in low_rank_layers(plain).items():
        if layer.merged:
            raise ValueError(f"without_adapter wants adapters apart from their base, '{name}' is merged; load the base again.")
        plain = exchange(plain, layer, layer.base)
    for norm in own_norms(plain).values():
        plain = exchange(plain, norm, norm.base)
    return plain
