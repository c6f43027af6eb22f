"""Small files for pruned networks: safetensors, with zeros left out.

| in the file                     | what it is                                                                         |
|---------------------------------|------------------------------------------------------------------------------------|
| `<name>`                        | a tensor with few zeros, as it is                                                  |
| `<name>.values`, `<name>.bits`  | the nonzero values, and one bit for each element (1: a value, first element in the lowest bit) |
| metadata "pruned"               | JSON: the format, the shapes of the packed tensors, the groups of convolutions     |

Removed channels need no entry: `load_pruned` slices a dense network of the same kind to the shapes in the file.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.content_checksum import content_checksum
from posttrain_lab.metrics import check_model
from posttrain_lab.module_walks import check_own_weights, exchange
from posttrain_lab.whole_files import save_whole

from .channels import slice_inputs, slice_norm, slice_outputs

FORMAT = "posttrain_lab pruned 1"
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def save_pruned(model: nn.Module, path: str | Path) -> Path:
    """Write a pruned network, whole or not at all; zeros cost a bit each instead of four bytes.

    A tensor is packed when that makes it smaller. Raises TypeError for no model; OSError, naming the file, when it cannot be written.
    """
    check_model("save_pruned", model)
    check_own_weights("save_pruned", model)
    path, tensors, shapes = Path(path), {}, {}
    for name, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        packed = _pack(value)
        if sum(part.numel() * part.element_size() for part in packed) < value.numel() * value.element_size():
            tensors |= {f"{name}.values": packed[0], f"{name}.bits": packed[1]}
            shapes[name] = list(value.shape)
        else:
            tensors[name] = value.clone()
    groups = {name: layer.groups for name, layer in model.named_modules() if isinstance(layer, CONVS)}
    about = json.dumps({"format": FORMAT, "shapes": shapes, "groups": groups})
    content = content_checksum(tensors.items(), {"pruned": about})
    save_whole("save_pruned", path, save(tensors, metadata={"pruned": about, "content": content}))
    return path


def load_pruned(path: str | Path, dense: nn.Module) -> nn.Module:
    """Read a network that `save_pruned` wrote: `dense` gives the kind of network, the file its widths and its tensors.

    dense: the network before pruning (its weights do not matter, it is not changed), for example `fashion_cnn()`. Returns a new model
    in eval mode. Raises FileNotFoundError for a missing file; ValueError for a damaged one, or one of another kind of network, naming
    the layer.
    """
    check_model("load_pruned", dense)
    check_own_weights("load_pruned", dense)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_pruned found no file {path}; write one with save_pruned(model, path).")
    state, groups = _read(path)
    model = copy.deepcopy(dense)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, (nn.Linear, *CONVS, *NORMS)) and f"{name}.weight" in state and name:
            exchange(model, layer, _fitted(name, layer, state[f"{name}.weight"], groups.get(name, 1)))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"load_pruned wants {path} to hold a network like the one given, got another: {error}") from error
    return model.eval()


def _pack(value: Tensor) -> tuple[Tensor, Tensor]:
    """(values that are not 0, bits). The sign of a zero is lost."""
    kept = (value != 0).flatten()
    bits = F.pad(kept.to(torch.uint8), (0, -len(kept) % 8)).reshape(-1, 8)
    return value.flatten()[kept].clone(), (bits << torch.arange(8, dtype=torch.uint8)).sum(1).to(torch.uint8)


def _unpack(values: Tensor, bits: Tensor, shape: list[int]) -> Tensor:
    """The tensor with its zeros. Raises ValueError when values and bits do not fit together."""
    count = torch.Size(shape).numel()
    kept = ((bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1).flatten()[:count].bool()
    if int(kept.sum()) != len(values) or len(kept) != count:
        raise ValueError(f"{len(values)} values for {int(kept.sum())} places")
    return values.new_zeros(count).masked_scatter_(kept, values).reshape(shape)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """(state dict, groups of convolutions) of a file."""
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            about = json.loads(said.get("pruned", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if about.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        if said.keys() - {"pruned", "content"}:
            raise ValueError(f"it says {sorted(said)} of itself")
        if "content" in said and said["content"] != content_checksum(tensors.items(), {"pruned": said["pruned"]}):
            raise ValueError("its content is not that of its checksum")
        for name, shape in about["shapes"].items():
            tensors[name] = _unpack(tensors.pop(f"{name}.values"), tensors.pop(f"{name}.bits"), shape)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"load_pruned wants a file that save_pruned wrote, got {path}, which is damaged or another ({error})."
        ) from error
    return tensors, about["groups"]


def _fitted(name: str, layer: Any, weight: Tensor, groups: int) -> Any:
    """The layer sliced to the shape of the saved weight."""
    if weight.ndim != layer.weight.ndim or any(new > old for new, old in zip(weight.shape, layer.weight.shape, strict=True)):
        raise ValueError(
            f"load_pruned wants a network at least as wide as the saved one, got {tuple(layer.weight.shape)} for layer '{name}', "
            f"where the file has {tuple(weight.shape)}."
        )
    if isinstance(layer, NORMS):
        return slice_norm(layer, torch.arange(len(weight)))
    layer = slice_outputs(layer, torch.arange(len(weight)))
    if not isinstance(layer, nn.Linear):
        layer.groups = groups
    return slice_inputs(layer, torch.arange(weight.shape[1]))
