"""Quantization-aware training: train with rounded weights and activations, so that the network adapts to the rounding.

Rounding has a gradient of zero almost everywhere. The straight-through estimator uses the gradient of the identity
inside the range and of a constant outside. Batch norm is folded before training. Left out: learned scales (LSQ), frozen
batch norm statistics.

Sources: Bengio, Leonard, Courville 2013 (straight-through); Jacob et al. 2018 (training with fake quantization).
"""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data import Dataset

from .affine import quantize_weight
from .chain import QuantizedChain, QuantizedStep, Step, chain, is_chain
from .config import QuantizationConfig
from .fake_quantize import AVERAGING, FakeQuantize, RangeFollower, rounded_weight
from .graphs.training import GraphQAT, converted_graph, prepared_graph
from .layer_math import apply_weight
from .network import assemble, calibration_images, plain_copy
from .rounding import layer_granularity

__all__ = ["AVERAGING", "FakeQuantize", "QATNetwork", "RangeFollower", "convert_qat", "prepare_qat"]


class QATStep(nn.Module):
    """A Linear or Conv2d whose weight is rounded in the forward pass; its ReLU; the rounding of its output."""

    layer: Any
    output: RangeFollower | None

    def __init__(self, step: Step, config: QuantizationConfig, last: bool) -> None:
        super().__init__()
        self.layer, self.relu, self.name = step.layer, step.relu, step.name
        self.bits, self.granularity = config.bits, layer_granularity(step.layer.weight, config.granularity)
        self.output = None if last else RangeFollower(config, step.name)
        self.macs_per_output = step.layer.weight[0].numel()

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        y = apply_weight(self.layer, x, rounded_weight(self.layer.weight, self.bits, self.granularity))
        y = F.relu(y) if self.relu else y
        return y if self.output is None else self.output(y)

    def converted(self) -> QuantizedStep:
        """The present codes, scales and range."""
        codes, scale = quantize_weight(self.layer.weight, self.bits, self.granularity)
        output = self.output.codes("convert_qat") if self.output else None
        return QuantizedStep(self.name, copy.deepcopy(self.layer), self.relu, codes, scale, output)


class QATPlain(nn.Module):
    """A layer without weights; an average is rounded again to the codes it came from (`codes`)."""

    again: RangeFollower | None

    def __init__(self, step: Step, codes: RangeFollower) -> None:
        super().__init__()
        self.layer, self.name = step.layer, step.name
        self.again = codes if isinstance(step.layer, nn.AvgPool2d) else None

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        y = self.layer(x)
        return y if self.again is None else self.again.fake(y)

    def converted(self) -> QuantizedStep:
        """The layer as it is."""
        output = self.again.codes("convert_qat") if self.again else None
        return QuantizedStep(self.name, copy.deepcopy(self.layer), output=output)


class QATNetwork(nn.Module):
    """The network that `prepare_qat` returns; train it like any other, then `convert_qat`."""

    def __init__(self, steps: list[Step], config: QuantizationConfig) -> None:
        super().__init__()
        self.config, self.input_shape = config, ()
        self.input = RangeFollower(config, "the input")
        self.steps = nn.ModuleList()
        codes = self.input
        for number, step in enumerate(steps):
            if not isinstance(step.layer, nn.Linear | nn.Conv2d):
                self.steps.append(QATPlain(step, codes))
                continue
            quantized = QATStep(step, config, last=number == len(steps) - 1)
            self.steps.append(quantized)
            codes = quantized.output or codes

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        self.input_shape = tuple(x.shape[1:])
        x = self.input(x)
        for step in self.steps:
            x = step(x)
        return x


def prepare_qat(
    model: nn.Module,
    config: QuantizationConfig | None = None,
    calibration: Dataset | Float[Tensor, "n ..."] | None = None,
) -> QATNetwork | GraphQAT:
    """A new network for quantization-aware training: it rounds weights and activations in every forward pass.

    model: as `quantize_model` takes for mode "static"; what is no chain is traced, which needs calibration images.
    config: mode "static" or "integer", rounding "nearest".
    Batch norm is folded into the convolutions. Ranges follow the training batches; with calibration images they start
    from these. Train the result in train mode, with a small learning rate, then `convert_qat` it.

    Raises ValueError for another mode or rounding, and as `quantize_model` does for the model and the images.
    Source: Jacob et al. 2018.

    >>> qat = prepare_qat(nn.Sequential(nn.Linear(2, 2)), QuantizationConfig(bits=3), torch.rand(8, 2))
    >>> convert_qat(qat)(torch.rand(1, 2)).shape
    torch.Size([1, 2])
    """
    config = QuantizationConfig() if config is None else config
    if config.mode not in ("static", "integer") or config.rounding != "nearest":
        raise ValueError(
            f"prepare_qat wants mode 'static' or 'integer' and rounding 'nearest', got {config.mode!r} and "
            f"{config.rounding!r}; training replaces the other kinds of rounding."
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"prepare_qat wants an nn.Module, got {type(model).__name__}; give the network itself.")
    plain = plain_copy(model, "prepare_qat")
    if not is_chain(plain):
        return _prepared_graph(plain, config, calibration)
    network = QATNetwork(chain(plain, "prepare_qat"), config).train()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    if calibration is not None:
        with torch.no_grad():
            network(calibration_images(calibration, config, "prepare_qat"))
    return network


def _prepared_graph(model: nn.Module, config: QuantizationConfig, calibration: Dataset | Tensor | None) -> GraphQAT:
    if calibration is None:
        raise ValueError(
            f"prepare_qat wants calibration images for {type(model).__name__}, which is no chain of layers: it is traced with them."
        )
    return prepared_graph(model, calibration_images(calibration, config, "prepare_qat"), config)


@torch.no_grad()
def convert_qat(model: QATNetwork | GraphQAT) -> nn.Module:
    """The quantized network after training: of the config's mode, with the codes and ranges of training.

    The same as `quantize_model` gives for the trained weights when both see the same ranges. Raises TypeError for a
    model that `prepare_qat` did not make, ValueError when no batch has gone through it.
    """
    if isinstance(model, GraphQAT):
        return converted_graph(model)
    if not isinstance(model, QATNetwork):
        raise TypeError(f"convert_qat wants a network from prepare_qat, got {type(model).__name__}; prepare it first.")
    first = model.input.codes("convert_qat")
    steps = tuple(step.converted() for step in model.steps if isinstance(step, QATStep | QATPlain))
    return assemble(QuantizedChain(first, steps, model.input_shape), model.config).eval()
