"""A network as a chain of steps, and one sweep along it that chooses codes and ranges from calibration images.

The sweep carries the images through the layers that are quantized already, so each range and each rounding sees the
inputs that the quantized network will really have. A step is a Linear or Conv2d (batch norm folded in, ReLU
attached), a pooling, a Flatten.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.module_walks import computes_as, described

from .affine import affine_qparams, dequantize, dequantize_weight, quantize
from .config import QuantizationConfig
from .fold import fold_batchnorm
from .layer_math import apply_weight, pair
from .observers import observe
from .rounding import layer_granularity, quantize_layer

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
SKIPPED = (nn.Identity, nn.Dropout, nn.Dropout2d)
CALIBRATION_BATCH = 64
OBSERVED = 200_000


@dataclass(frozen=True)
class ActivationCodes:
    """Scale and zero point of the codes between two layers: value = (code - zero_point) * scale."""

    scale: float
    zero_point: int
    bits: int

    def fake(self, x: Tensor) -> Tensor:
        """x quantized and dequantized."""
        return dequantize(quantize(x, self.scale, self.zero_point, self.bits), self.scale, self.zero_point)


@dataclass(frozen=True, eq=False)
class Step:
    """One layer (an nn.Module) of the chain, with its name in the model; relu: a ReLU follows and is part of the step."""

    name: str
    layer: Any
    relu: bool = False


@dataclass(frozen=True, eq=False)
class QuantizedStep(Step):
    """A step with its weight's codes and scale (None without weights) and its output's codes.

    Output None: the same codes as the input; or, for a last step with weights, the result is not quantized.
    """

    codes: Tensor | None = None
    scale: Tensor | None = None
    output: ActivationCodes | None = None


@dataclass(frozen=True, eq=False)
class QuantizedChain:
    """The codes of the input, the quantized steps, and the shape of one input."""

    input: ActivationCodes
    steps: tuple[QuantizedStep, ...]
    input_shape: tuple[int, ...]


def _leaves(model: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, module in model._modules.items():  # named_children would leave out a layer that stands here a second time
        assert module is not None
        if computes_as(module, nn.Sequential):
            yield from _leaves(module, f"{prefix}{name}.")
        elif not computes_as(module, *SKIPPED):
            yield prefix + name, module


def is_chain(model: nn.Module) -> bool:
    """Can the model run as a chain of steps? Sequentials of the chain's layers; anything else is traced as a graph.

    A layer with a forward of its own, a parametrized weight and a hook are no chain. A layer in two places is two steps.

    >>> is_chain(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), is_chain(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    (True, False)
    """
    if not computes_as(model, nn.Sequential):
        return False
    modules = [module for _, module in model.named_modules(remove_duplicate=False)]
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return False
    steps: list[nn.Module] = []
    for module in modules:
        if not isinstance(module, nn.Sequential):
            steps.append(module)
        elif not computes_as(module, nn.Sequential):
            return False
    after = [None, *(step for step in steps if not computes_as(step, *SKIPPED))]
    return all(_in_chain(step, before) for before, step in pairwise(after)) and len(steps) > 0


def _in_chain(layer: nn.Module | None, before: nn.Module | None) -> bool:
    if isinstance(layer, nn.BatchNorm2d):
        return computes_as(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.BatchNorm2d)
    exact = computes_as(layer, nn.ReLU, nn.Flatten, *POOLS)
    plain = computes_as(layer, nn.Linear, nn.Conv2d) and not hasattr(layer, "parametrizations")
    return (exact or plain) and _problem(layer) == ""


def chain(model: nn.Module, caller: str) -> list[Step]:
    """The steps of an nn.Sequential (nested ones are flattened); Dropout and Identity are left out.

    A layer that stands in two places is two steps; a class with a `forward` of its own is not taken for its base class.

    Raises TypeError for another model, ValueError naming the first layer that a chain does not support.
    """
    if not computes_as(model, nn.Sequential):
        raise TypeError(
            f"{caller} wants an nn.Sequential for this mode, got {described(model, nn.Sequential)}; "
            "use mode 'dynamic' or 'weight_only', or write the model as a Sequential."
        )
    steps: list[Step] = []
    for name, layer in _leaves(model):
        last = steps[-1] if steps else None
        if computes_as(layer, nn.BatchNorm2d) and last and computes_as(last.layer, nn.Conv2d) and not last.relu:
            steps[-1] = Step(last.name, fold_batchnorm(last.layer, layer))
        elif computes_as(layer, nn.ReLU) and last and computes_as(last.layer, nn.Linear, nn.Conv2d):
            steps[-1] = Step(last.name, last.layer, relu=True)
        else:
            _check_layer(name, layer, caller)
            steps.append(Step(name, layer))
    if not any(isinstance(step.layer, nn.Linear | nn.Conv2d) for step in steps):
        raise ValueError(f"{caller} wants a model with Linear or Conv2d layers, got none: nothing to quantize.")
    return steps


def _check_layer(name: str, layer: nn.Module, caller: str) -> None:
    wants = "Conv2d, BatchNorm2d behind a Conv2d, ReLU, MaxPool2d, AvgPool2d, Flatten, Linear, Dropout and Identity"
    kinds = (nn.Linear, nn.Conv2d, nn.ReLU, nn.Flatten, *POOLS)
    if not computes_as(layer, *kinds):
        got = described(layer, *kinds, *SKIPPED, nn.Sequential, nn.BatchNorm2d)
        raise ValueError(
            f"{caller} wants only {wants} for this mode, got {got} at '{name}'; "
            "replace it, or use mode 'dynamic' or 'weight_only'."
        )
    if problem := _problem(layer):
        raise ValueError(f"{caller} wants plain layers, got {type(layer).__name__} at '{name}' with {problem}.")


def _problem(layer: Any) -> str:
    """What a chain cannot do with this layer; empty when nothing."""
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return f"padding_mode {layer.padding_mode!r}; use 'zeros'"
    if isinstance(layer, POOLS) and layer.ceil_mode:
        return "ceil_mode; use ceil_mode=False"
    if isinstance(layer, nn.AvgPool2d) and (pair(layer.padding) != (0, 0) or layer.divisor_override):
        return "padding or a divisor of its own; use padding=0"
    return ""


def activation_codes(x: Tensor, config: QuantizationConfig) -> ActivationCodes:
    """Codes for activations like x, by the observer of the config."""
    low, high = observed_range(x, config)
    return ActivationCodes(*affine_qparams(low, high, config.activation_bits), config.activation_bits)


def observed_range(x: Tensor, config: QuantizationConfig) -> tuple[float, float]:
    """The observer's range: minmax uses every value, the slower ones about OBSERVED of them, evenly spaced in memory."""
    x = x.detach().flatten()
    if config.observer != "minmax":
        x = x[:: max(1, x.numel() // OBSERVED)]
    return observe(x, config.observer, config.activation_bits)


@torch.no_grad()
def sweep(steps: list[Step], images: Tensor, config: QuantizationConfig) -> QuantizedChain:
    """Choose the codes of the input, then for each step the weight codes and the output range, on quantized inputs."""
    first = now = activation_codes(images, config)
    x, done = _fake(first, images), []
    for number, step in enumerate(steps):
        weighted = isinstance(step.layer, nn.Linear | nn.Conv2d)
        codes, scale = quantize_layer(step.layer, x, config) if weighted else (None, None)
        quantized = QuantizedStep(step.name, step.layer, step.relu, codes, scale)
        x = in_batches(quantized, x, config)
        if weighted and number < len(steps) - 1:
            quantized = replace(quantized, output=activation_codes(x, config))
        elif isinstance(step.layer, nn.AvgPool2d):
            quantized = replace(quantized, output=now)
        done.append(quantized)
        now = quantized.output or now
        x = _fake(quantized.output, x) if quantized.output else x
    return QuantizedChain(first, tuple(done), tuple(images.shape[1:]))


def _fake(codes: ActivationCodes, x: Tensor) -> Tensor:
    return torch.cat([codes.fake(part) for part in x.split(CALIBRATION_BATCH)])


def in_batches(step: QuantizedStep, x: Tensor, config: QuantizationConfig) -> Tensor:
    """The step in float, with its dequantized weights, some images at a time to save memory."""
    if step.codes is None or step.scale is None:
        return torch.cat([step.layer(part) for part in x.split(CALIBRATION_BATCH)])
    granularity = layer_granularity(step.layer.weight, config.granularity)
    weight = dequantize_weight(step.codes, step.scale, granularity)
    y = torch.cat([apply_weight(step.layer, part, weight) for part in x.split(CALIBRATION_BATCH)])
    return F.relu_(y) if step.relu else y
