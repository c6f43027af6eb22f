"""Quantize a whole network: `quantize_model(model, calibration, config)` gives a new one; the old one is not changed."""

import copy
import warnings
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from posttrain_lab.data import Dataset
from posttrain_lab.module_walks import (
    baked,
    check_copyable,
    check_float32,
    computes_as,
    every_name,
    exchange,
    name_some,
    own_forward,
    weights_read,
    without_fast_path,
)

from .attention import CodedAttention
from .chain import ActivationCodes, QuantizedChain, chain, is_chain, sweep
from .config import QuantizationConfig
from .fake_quantize import RangeFollower
from .graphs.integer import integer_graph
from .graphs.network import GraphNetwork, float_network, static_network
from .graphs.sweep import calibrate
from .integer_network import IntegerNetwork, integer_network
from .layers import coded_layer
from .rounding import quantize_layer

__all__ = ["IntegerNetwork", "QuantizationConfig", "assemble", "quantize_model"]


def quantize_model(
    model: nn.Module, calibration: Dataset | Shaped[Tensor, "n ..."], config: QuantizationConfig | None = None
) -> nn.Module:
    """A quantized copy of the network, in eval mode; see `QuantizationConfig`.

    calibration: images [n, ...] float, or a Dataset of them (labels are not used). They determine the ranges of
    "static" and "integer" and the rounding of "gptq"; "dynamic" and "weight_only" with rounding to nearest need none.
    "static" and "integer": a chain (an nn.Sequential of Conv2d, BatchNorm2d behind Conv2d, ReLU, MaxPool2d, AvgPool2d, Flatten, Linear,
    Dropout and Identity) keeps its layers; "integer" gives an `IntegerNetwork`. Batch norm is folded, ReLU joins the layer before it, the
    last layer's output is not quantized. Any other network is traced with the calibration data (torch.export) and becomes a
    `GraphNetwork`, whose `report` says what is integer, what float and why; it takes inputs of the size of the calibration data.
    "dynamic" and "weight_only" replace every Linear, Conv2d and MultiheadAttention of any model, subclasses too unless they have a
    forward of their own. Where a layer has one, or other code reads its weight, the network is traced instead when there are
    images; without them such layers stay in float, and a warning names them. Embedding tables
    stay in float; a network with one may be calibrated with int64 tokens.

    Raises TypeError for a model or calibration of another type; ValueError for a model without such layers, for one that cannot be
    traced (by the line), for a layer that the mode does not support (by name), one that is not float32, weights that torch's prune or the old
    weight_norm computes, and for empty, NaN or infinite images.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> quantize_model(model, torch.rand(16, 4), QuantizationConfig(mode="integer"))(torch.rand(3, 4)).shape
    torch.Size([3, 2])
    """
    config = QuantizationConfig() if config is None else config
    if not isinstance(config, QuantizationConfig):
        raise TypeError(f"quantize_model wants a QuantizationConfig, got {type(config).__name__}; build one.")
    if not isinstance(model, nn.Module):
        raise TypeError(f"quantize_model wants an nn.Module, got {type(model).__name__}; give the network itself.")
    new = plain_copy(model, "quantize_model").eval()
    tokens = any(isinstance(module, nn.Embedding) for module in model.modules())
    images = calibration_images(calibration, config, "quantize_model", tokens)
    with torch.no_grad():
        if config.mode in ("static", "integer"):
            if not is_chain(new):
                calibrated = calibrate(new, images, config, "quantize_model")
                return (integer_graph if config.mode == "integer" else static_network)(calibrated, config)
            return assemble(sweep(chain(new, "quantize_model"), images, config), config).eval()
        return _exchange_layers(new, images, config).eval()


def plain_copy(model: nn.Module, caller: str) -> nn.Module:
    """A copy whose weights are parameters, in float32. Raises ValueError, naming the layer, for other dtypes, hooks, quantized parts."""
    for name, module in model.named_modules():
        if isinstance(module, GraphNetwork | IntegerNetwork | ActivationQuantizer | RangeFollower):
            raise ValueError(
                f"{caller} wants a float network, got one with {type(module).__name__} at '{name}': it is quantized already; "
                "begin with the network that it was made from."
            )
    check_copyable(caller, model)
    check_float32(caller, model)
    return baked(copy.deepcopy(model))


def calibration_images(calibration: Dataset | Tensor, config: QuantizationConfig, caller: str, tokens: bool = False) -> Tensor:
    """The images of a Dataset or Tensor, checked; they may be empty where the config does not need them. tokens: int64 is right too."""
    images = calibration.images if isinstance(calibration, Dataset) else calibration
    numbers = isinstance(images, Tensor) and tokens and images.dtype == torch.int64
    if not isinstance(images, Tensor) or not (images.is_floating_point() or numbers):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{caller} wants calibration images as a float tensor or Dataset, got {kind}; use .float().")
    needed = config.mode in ("static", "integer") or config.rounding == "gptq"
    if needed and images.dtype != torch.float32 and not numbers:
        raise ValueError(f"{caller} wants float32 calibration images, as its codes are made, got {images.dtype}; use .float().")
    if needed and images.numel() == 0:
        raise ValueError(f"{caller} wants at least one calibration image, got shape {list(images.shape)}.")
    if not torch.isfinite(images).all():
        raise ValueError(f"{caller} wants finite calibration images, got NaN or infinity; clean them first.")
    return images.detach()


def assemble(quantized: QuantizedChain, config: QuantizationConfig) -> nn.Module:
    """The network of mode "integer", or for "static" its float simulation, built from quantized steps."""
    if config.mode == "integer":
        return integer_network(quantized, config.bits)
    layers = nn.Sequential()
    layers.add_module("input_codes", ActivationQuantizer(quantized.input))
    for step in quantized.steps:
        name = step.name.replace(".", "_")
        if step.codes is None or step.scale is None:
            layers.add_module(name, step.layer)
        else:
            layers.add_module(name, coded_layer(step.layer, step.codes, step.scale, config, "weight_only"))
        if step.relu:
            layers.add_module(f"{name}_relu", nn.ReLU())
        if step.output:
            layers.add_module(f"{name}_codes", ActivationQuantizer(step.output))
    return layers


class ActivationQuantizer(nn.Module):
    """x quantized and dequantized: float in, float out, at most 2^bits different values."""

    def __init__(self, codes: ActivationCodes) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return self.codes.fake(x)

    def extra_repr(self) -> str:
        return f"scale={self.codes.scale:.6g}, zero_point={self.codes.zero_point}, bits={self.codes.bits}"


def _exchange_layers(model: nn.Module, images: Tensor, config: QuantizationConfig) -> nn.Module:
    """Replace every Linear, Conv2d and attention of the model by its coded layer; trace it where one would be passed by."""
    coded = _with_coded_attention(copy.deepcopy(model))
    if len(images) and (own_forward(coded, nn.Linear, nn.Conv2d) or _weights_read(coded)):
        return float_network(model, images, config, "quantize_model")
    return without_fast_path(_exchanged(coded, images, config))


def _with_coded_attention(model: nn.Module) -> nn.Module:
    """torch's attention reads its weights and calls no layer: put one that does in its place."""
    for attention in [m for m in model.modules() if type(m).forward is nn.MultiheadAttention.forward]:
        model = exchange(model, attention, CodedAttention(attention, lambda layer: layer).eval())  # type: ignore[arg-type]
    return model


def _weights_read(model: nn.Module) -> set[str]:
    """The Linear and Conv2d layers, by name, whose weight another module reads."""
    found = {name for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, nn.Linear | nn.Conv2d)}
    return found & weights_read(model).keys()


def _exchanged(model: nn.Module, images: Tensor, config: QuantizationConfig) -> nn.Module:
    names = _exchangeable(model)
    for name, layer in names.items():
        if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
            raise ValueError(
                f"quantize_model wants plain layers, got Conv2d at '{name}' with padding_mode {layer.padding_mode!r}; "
                "use 'zeros'."
            )
    gptq = config.rounding == "gptq"
    for layer in _in_order_of_execution(model, names, images) if gptq else names.values():
        inputs = _inputs_of(model, layer, images) if gptq else None
        try:
            replacement = coded_layer(layer, *quantize_layer(layer, inputs, config), config, config.mode)
        except ValueError as error:
            name = next(name for name, candidate in names.items() if candidate is layer)
            raise ValueError(f"quantize_model cannot quantize layer '{name}': {error}") from error
        model = exchange(model, layer, replacement)
    return model


def _exchangeable(model: nn.Module) -> dict[str, Any]:
    """The layers to replace, by name; a warning names those that stay as they are."""
    read = weights_read(model)
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    names = {
        n: m for n, m in found.items() if computes_as(m, nn.Linear, nn.Conv2d) and not read.keys() & set(every_name(model, m))
    }
    left = [f"{name} ({type(m).__name__})" for name, m in found.items() if name not in names]
    if not names:
        got = f"only {name_some(left)}, which compute something else" if left else "none"
        raise ValueError(f"quantize_model wants a model with a Linear or Conv2d layers, got {got}.")
    if left:
        warnings.warn(
            f"quantize_model leaves {name_some(left)} in float: a forward of its own, or its weight is read without a call.",
            stacklevel=4,
        )
    return names


def _in_order_of_execution(model: nn.Module, names: dict[str, Any], images: Tensor) -> list[Any]:
    seen: list[Any] = []
    hooks = [layer.register_forward_pre_hook(lambda module, _: seen.append(module)) for layer in names.values()]
    try:
        model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    unused = [name for name, layer in names.items() if layer not in seen]
    if unused:
        raise ValueError(
            f"quantize_model wants every layer to run for rounding 'gptq', but '{unused[0]}' does not; use rounding 'nearest'."
        )
    return list(dict.fromkeys(seen))


def _inputs_of(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """The inputs of the layer when the model, as far as it is quantized, runs on the images."""
    caught: list[Tensor] = []
    width = (-1, layer.in_features) if isinstance(layer, nn.Linear) else None

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught.append(inputs[0].detach().reshape(width) if width else inputs[0].detach())

    hook = layer.register_forward_pre_hook(catch)
    try:
        for part in images.split(250):
            model(part)
    finally:
        hook.remove()
    return torch.cat(caught)
