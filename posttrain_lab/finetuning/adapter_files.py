"""An adapter's file: A and B of every layer, the checksum of their base, and one of the file's own content."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from posttrain_lab.content_checksum import content_checksum
from posttrain_lab.module_walks import exchange
from posttrain_lab.whole_files import save_whole

from .adapters import OwnStatistics, adapter_kind, checksum, freeze_all_but_factors, low_rank_layers, own_norms, without_adapter

FORMAT = "posttrain_lab adapter 1"
KEYS = {"format", "base", "layers", "norms", "content"}
STATISTICS = "statistics"  # the name of the one tensor with the statistics of all norms


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter's file says about itself: its base's checksum, rank and alpha of each layer, norms with own statistics."""

    base: str
    layers: dict[str, tuple[int, float]]
    norms: tuple[str, ...] = ()


def save_adapter(model: nn.Module, path: Path | str) -> Path:
    """Save A and B of every layer in a safetensors file, with the checksums of their base and of the file's content; written whole
    or not at all.

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
    save_whole("save_adapter", path, save(tensors, about | {"content": content_checksum(tensors.items(), about)}))
    return path


def _statistics(norm: OwnStatistics) -> list[Tensor]:
    """Running mean and variance."""
    assert norm.own.running_mean is not None
    assert norm.own.running_var is not None
    return [norm.own.running_mean, norm.own.running_var]


def read_adapter(path: Path | str) -> tuple[AdapterInfo, dict[str, Tensor]]:
    """What is in an adapter's file?

    Raises FileNotFoundError for a missing file; ValueError, naming the file and the tensor, for a truncated or damaged one (a missing
    part, another rank, NaN or infinity, a content that is not that of its checksum), or another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_adapter found no file {path}; write one with save_adapter.")
    try:
        with safe_open(str(path), "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, f"is truncated or damaged ({error})") from error
    if about.get("format") != FORMAT:
        raise ValueError(f"load_adapter wants a file of save_adapter, got {path}, which is another safetensors file.")
    if about.keys() - KEYS:
        raise _damaged(path, f"says {sorted(about.keys() - KEYS)[0]!r} of itself, which save_adapter does not write")
    try:
        ranks = {name: (int(rank), float(alpha)) for name, (rank, alpha) in json.loads(about["layers"]).items()}
        info = AdapterInfo(about["base"], ranks, tuple(json.loads(about["norms"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"has a list of layers or norms that cannot be read ({error})") from error
    _check_parts(path, info, tensors)
    content = about.pop("content", None)  # files of earlier versions have none
    if content is not None and content != content_checksum(tensors.items(), about):
        raise _damaged(path, "has another content than its checksum says")
    return info, tensors


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"load_adapter wants a whole file of save_adapter, got {path}, which {how}; save it again, or take a copy.")


def _check_parts(path: Path, info: AdapterInfo, tensors: dict[str, Tensor]) -> None:
    """Raise ValueError, naming the tensor, unless all are there, of the layers' ranks, and finite."""
    wanted = {f"{name}.{part}": (rank, "AB".index(part)) for name, (rank, _) in info.layers.items() for part in "AB"}
    for name in [*wanted, *([STATISTICS] if info.norms else [])]:
        if name not in tensors:
            raise _damaged(path, f"has no tensor '{name}'")
    for name, value in tensors.items():
        rank, axis = wanted.get(name, (0, 0))
        if name in wanted and (value.ndim != 2 or value.shape[axis] != rank):
            raise _damaged(path, f"has tensor '{name}' of shape {list(value.shape)} for rank {rank}")
        if not torch.isfinite(value).all():
            raise _damaged(path, f"has NaN or infinity in tensor '{name}'")


def load_adapter(base: nn.Module, path: Path | str) -> nn.Module:
    """A new network: the base with this adapter. The base is not changed, bit for bit.

    base: the network that the adapter was trained on, plain or with another adapter, which is then left out.
    Raises ValueError when the checksum is that of another base, and as `read_adapter` does.
    """
    info, tensors = read_adapter(path)
    path, plain = Path(path), without_adapter(base)
    if checksum(plain) != info.base:
        raise ValueError(
            f"load_adapter wants the base that {path} was trained on (checksum {info.base[:12]}...), got another one "
            f"({checksum(plain)[:12]}...); an adapter corrects the weights of its own base only."
        )
    for name, (rank, alpha) in info.layers.items():
        plain = _with_factors(plain, name, (rank, alpha), tensors, path)
    freeze_all_but_factors(plain)
    return _with_statistics(plain, info.norms, tensors, path).eval()


def _part(model: nn.Module, name: str, path: Path) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise _damaged(path, f"names a layer '{name}' that its base does not have") from error


def _with_factors(plain: nn.Module, name: str, about: tuple[int, float], tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """The network with A and B beside one layer."""
    layer: Any = _part(plain, name, path)
    adapter = adapter_kind(layer)(layer, *about, 0)
    for part, factor in (("A", adapter.A), ("B", adapter.B)):
        saved = tensors[f"{name}.{part}"]
        if saved.shape != factor.shape:
            raise _damaged(
                path, f"has tensor '{name}.{part}' of shape {list(saved.shape)} where its layer needs {list(factor.shape)}"
            )
        with torch.no_grad():
            factor.copy_(saved)
    return exchange(plain, layer, adapter)


def _with_statistics(plain: nn.Module, names: tuple[str, ...], tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """The network with the saved statistics in its norms."""
    norms = [OwnStatistics(_part(plain, name, path)) for name in names]  # type: ignore[arg-type]
    parts = [part for norm in norms for part in _statistics(norm)]
    saved = tensors.get(STATISTICS, torch.zeros(0))
    if saved.numel() != sum(part.numel() for part in parts):
        raise _damaged(path, f"has tensor '{STATISTICS}' of {saved.numel()} numbers for {sum(part.numel() for part in parts)}")
    for part, values in zip(parts, saved.split([part.numel() for part in parts]), strict=True):
        part.copy_(values)
    for name, norm in zip(names, norms, strict=True):
        plain = exchange(plain, plain.get_submodule(name), norm)
    return plain
