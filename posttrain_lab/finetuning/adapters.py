"""Adapters: LoRA for a whole network, saved separately from it, in a small file that fits one base only.

`add_lora` -> train -> `save_adapter`; later `load_adapter(base, path)`, or `merge_lora` for a plain network. The base is never
changed, so that adapters of several tasks can be exchanged over one copy of it.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from posttrain_lab.whole_files import save_whole

from .freeze import freeze
from .lora import LoRAConv2d, LoRALinear, LowRank

FORMAT = "posttrain_lab adapter 1"
STATISTICS = "statistics"  # the name of the one tensor with the statistics of all norms
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
    adapted = copy.deepcopy(model)
    norms = [(name, m) for name, m in adapted.named_modules() if isinstance(m, BatchNorm) and m.running_mean is not None]
    for name, norm in norms:
        exchange(adapted, name, OwnStatistics(norm))
    return adapted


def low_rank_layers(model: nn.Module) -> dict[str, LowRank]:
    """The network's LoRA layers by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}


def adaptable(model: nn.Module) -> list[str]:
    """The layers that can be given an adapter: every plain Linear and Conv2d.

    >>> adaptable(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    ['0', '3']
    """
    return [name for name, module in model.named_modules() if type(module) in KINDS]


def exchange(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` where the layer of this name is."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)


def add_lora(model: nn.Module, rank: int, alpha: float, layers: list[str] | None = None, seed: int = 0) -> nn.Module:
    """A new network with a low-rank correction beside each layer; everything else is frozen.

    layers: names, see `adaptable`; None means all of them, each with the given rank or its smaller side, if that is less.
    Everything but A and B is frozen; batch norms keep their statistics, unless they get others by `own_statistics`. It gives the
    same outputs as `model` until trained.
    Raises ValueError for names without such a layer, or a rank above the size of a layer that was named.
    Source: Hu et al. 2022.

    >>> base = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> sum(p.numel() for p in add_lora(base, rank=1, alpha=1).parameters() if p.requires_grad)
    26
    """
    known = adaptable(model)
    unknown = [name for name in layers or [] if name not in known]
    if unknown or not known:
        raise ValueError(
            f"add_lora wants names of Linear or Conv2d layers, one of {', '.join(known)}, got {unknown or 'a model without'}."
        )
    adapted = copy.deepcopy(model)
    for number, name in enumerate(known if layers is None else layers):
        layer: Any = adapted.get_submodule(name)
        smaller = min(len(layer.weight), layer.weight[0].numel())
        own = min(rank, smaller) if layers is None else rank
        exchange(adapted, name, KINDS[type(layer)](layer, own, alpha * own / rank, seed + number))  # type: ignore[arg-type]
    _freeze_all_but_factors(adapted)
    return adapted


def _freeze_all_but_factors(model: nn.Module) -> None:
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
    for name, layer in layers.items():
        exchange(merged, name, layer.base if layer.merged else layer.merge())
    for name, norm in own_norms(merged).items():
        exchange(merged, name, norm.own)
    return merged


def base_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the network without its adapters, under the names they have in the base."""
    wrapped = low_rank_layers(model).keys() | own_norms(model).keys()
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
    digest = hashlib.sha256()
    for name, value in sorted(base_state(model)):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter's file says about itself: its base's checksum, rank and alpha of each layer, norms with own statistics."""

    base: str
    layers: dict[str, tuple[int, float]]
    norms: tuple[str, ...] = ()


def save_adapter(model: nn.Module, path: Path | str) -> Path:
    """Save A and B of every layer in a safetensors file, with the checksum of their base; written whole or not at all.

    Raises ValueError for a network without adapters, or one whose adapters are merged: its base has changed.
    """
    path, layers = Path(path), low_rank_layers(model)
    if not layers or any(layer.merged for layer in layers.values()):
        raise ValueError("save_adapter wants a network with LoRA layers that are not merged; save before merge_lora.")
    tensors = {f"{name}.{part}": getattr(layer, part).detach().contiguous() for name, layer in layers.items() for part in "AB"}
    norms = own_norms(model)
    if norms:
        tensors[STATISTICS] = torch.cat([torch.stack(_statistics(norm)).flatten() for norm in norms.values()])
    ranks = {name: [layer.rank, layer.alpha] for name, layer in layers.items()}
    about = {"format": FORMAT, "base": checksum(model), "layers": json.dumps(ranks), "norms": json.dumps(list(norms))}
    save_whole("save_adapter", path, save(tensors, about))
    return path


def _statistics(norm: OwnStatistics) -> list[Tensor]:
    """Running mean and variance."""
    assert norm.own.running_mean is not None
    assert norm.own.running_var is not None
    return [norm.own.running_mean, norm.own.running_var]


def read_adapter(path: Path | str) -> tuple[AdapterInfo, dict[str, Tensor]]:
    """What is in an adapter's file?

    Raises FileNotFoundError for a missing file, ValueError for a truncated or damaged one, or another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_adapter found no file {path}; write one with save_adapter.")
    try:
        with safe_open(str(path), "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"load_adapter wants a whole file of save_adapter, got {path}, which is truncated or damaged ({error})."
        ) from error
    if about.get("format") != FORMAT:
        raise ValueError(f"load_adapter wants a file of save_adapter, got {path}, which is another safetensors file.")
    ranks = {name: (int(rank), float(alpha)) for name, (rank, alpha) in json.loads(about["layers"]).items()}
    return AdapterInfo(about["base"], ranks, tuple(json.loads(about["norms"]))), tensors


def load_adapter(base: nn.Module, path: Path | str) -> nn.Module:
    """A new network: the base with this adapter. The base is not changed, bit for bit.

    base: the network that the adapter was trained on, plain or with another adapter, which is then left out.
    Raises ValueError when the checksum is that of another base, and as `read_adapter` does.
    """
    info, tensors = read_adapter(path)
    plain = without_adapter(base)
    if checksum(plain) != info.base:
        raise ValueError(
            f"load_adapter wants the base that {path} was trained on (checksum {info.base[:12]}...), got another one "
            f"({checksum(plain)[:12]}...); an adapter corrects the weights of its own base only."
        )
    for name, (rank, alpha) in info.layers.items():
        layer: Any = plain.get_submodule(name)
        adapter = KINDS[type(layer)](layer, rank, alpha, 0)  # type: ignore[arg-type]
        with torch.no_grad():
            adapter.A.copy_(tensors[f"{name}.A"])
            adapter.B.copy_(tensors[f"{name}.B"])
        exchange(plain, name, adapter)
    _freeze_all_but_factors(plain)
    start = 0
    for name in info.norms:
        norm = OwnStatistics(plain.get_submodule(name))  # type: ignore[arg-type]
        for part in _statistics(norm):
            part.copy_(tensors[STATISTICS][start : start + part.numel()])
            start += part.numel()
        exchange(plain, name, norm)
    return plain.eval()


def without_adapter(model: nn.Module) -> nn.Module:
    """The base again: a new plain network, with tensors bit for bit equal to the base's. Raises ValueError when merged.

    >>> base = nn.Sequential(nn.Linear(8, 2))
    >>> torch.equal(without_adapter(add_lora(base, rank=1, alpha=1))[0].weight, base[0].weight)
    True
    """
    plain = copy.deepcopy(model)
    for name, layer in low_rank_layers(plain).items():
        if layer.merged:
            raise ValueError(f"without_adapter wants adapters apart from their base, '{name}' is merged; load the base again.")
        exchange(plain, name, layer.base)
    for name, norm in own_norms(plain).items():
        exchange(plain, name, norm.base)
    return plain
