"""From an integer network to an artefact: the codes as they are, so that the interpreter gives the network's own integers."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from posttrain_lab.quantization import IntegerNetwork
from posttrain_lab.quantization.integer_network import IntegerConv2d, IntegerLayer, IntegerMaxPool2d, IntegerReLU
from posttrain_lab.whole_files import save_whole

from .artefact import FORMAT, GRAPH, WEIGHTS, Artefact, checked
from .costs import Costs, costs


def save_artefact(network: IntegerNetwork, folder: str | Path, temperature: float = 1.0) -> Costs:
    """Write graph.json and weights.safetensors of an integer network into a folder, and return what it costs on the chip.

    network: `quantize_model(..., QuantizationConfig(mode="integer"))` of a chain of Conv2d, ReLU, MaxPool2d, Flatten and Linear; bits 4 or 8.
    temperature: the logits are divided by it; it goes into the last layer's scales, and costs nothing.
    Raises TypeError for another network, ValueError for layers that the chip does not have, Refused where it breaks the format; a network
    over the budget is written all the same: look at the costs.
    """
    if not isinstance(network, IntegerNetwork):
        raise TypeError(
            f"save_artefact wants an IntegerNetwork, got {type(network).__name__}; use quantize_model, mode 'integer'."
        )
    if not (isinstance(temperature, int | float) and 0 < temperature < float("inf")):
        raise ValueError(f"save_artefact wants a positive temperature, got {temperature!r}; fit_temperature gives one.")
    artefact = _artefact(network, float(temperature))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_whole("save_artefact", folder / WEIGHTS, save(artefact.tensors))
    save_whole("save_artefact", folder / GRAPH, json.dumps(artefact.graph, indent=1) + "\n")
    return costs(artefact.layers)


def _artefact(network: IntegerNetwork, temperature: float) -> Artefact:
    layers: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for name, layer in network.layers.named_children():
        if isinstance(layer, IntegerLayer):
            last = layer.y is None
            tensors |= {f"{len(layers)}.{kind}": one for kind, one in _arrays(layer, temperature if last else 1.0).items()}
            layers.append(_product(name, layer))
            if layer.relu:
                layers.append({"operator": "relu"})
        else:
            layers.append(_other(name, layer))
    graph = {"format": FORMAT, "scale": network.input.scale, "zero_point": network.input.zero_point, "layers": layers}
    return checked(graph, tensors)


def _arrays(layer: IntegerLayer, temperature: float) -> dict[str, Tensor]:
    codes = layer.weight_codes().contiguous()
    scale = torch.tensor(layer.sum_scale, dtype=torch.float64) / layer.x.scale / temperature
    bias = layer.bias.long() + layer.x.zero_point * codes.flatten(1).sum(1, dtype=torch.int64)  # without the zero point's part
    return {"codes": codes, "scale": scale.float(), "bias": bias.to(torch.int32)}


def _product(name: str, layer: IntegerLayer) -> dict[str, Any]:
    out, bits = layer.shape[0], layer.bits
    output = {} if layer.y is None else {"scale": layer.y.scale, "zero_point": layer.y.zero_point}
    if not isinstance(layer, IntegerConv2d):
        return {"operator": "dense", "bits": bits, "in": layer.shape[1], "out": out, **output}
    conv, kernel = layer.conv, layer.shape[2]
    plain = conv.stride[0] == conv.stride[1] and conv.dilation == (1, 1) and layer.shape[2] == layer.shape[3]
    if not plain or conv.pads != (kernel // 2,) * 4:
        raise ValueError(
            f"save_artefact wants square convolutions padded by kernel // 2, without dilation, got {conv} at '{name}'; "
            "write nn.Conv2d(..., kernel, stride, padding=kernel // 2)."
        )
    size = {"kernel": kernel, "stride": conv.stride[0], "groups": conv.groups}
    return {"operator": "conv", "bits": bits, "in": layer.shape[1] * conv.groups, "out": out, **size, **output}


def _other(name: str, layer: nn.Module) -> dict[str, Any]:
    if isinstance(layer, IntegerReLU):
        return {"operator": "relu"}
    if isinstance(layer, nn.Flatten):
        return {"operator": "flatten"}
    if isinstance(layer, IntegerMaxPool2d) and (*layer.step, *layer.size) == (layer.size[0],) * 4 and not any(layer.pad):
        if layer.spread != (1, 1):
            raise ValueError(f"save_artefact wants a pooling without dilation at '{name}', the chip has no other.")
        return {"operator": "pool", "size": layer.size[0]}
    raise ValueError(
        f"save_artefact has no operator for '{name}', {type(layer).__name__}; the chip has conv, relu, pool, flatten and dense."
    )
