"""The networks of the course and their confidences: what pruning, quantization and corrupted images do to them.

Source: Guo et al. (2017); Ovadia et al. (2019) for confidences under shift.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from posttrain_lab.calibration.corruptions import add_noise, blur, rotate
from posttrain_lab.calibration.protocol import Fitting, Predictions, softmax, top_ece
from posttrain_lab.calibration.temperature import apply_temperature, fit_temperature
from posttrain_lab.data import Dataset, Split
from posttrain_lab.measure import predict
from posttrain_lab.pruning import PruningConfig, prune_model
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from posttrain_lab.quantization.layers import CodedLayer

FLOAT = 32  # bits of weights that are left as they are
SPARSITIES = (0.0, 0.5, 0.7, 0.8)
BITS = (FLOAT, 8, 4, 3, 2)
SHIFTS = {
    "rotation in degrees": (rotate, (0.0, 10.0, 20.0, 30.0, 45.0, 60.0)),
    "blur in pixels": (blur, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)),
    "noise, standard deviation": (add_noise, (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)),
}


def fitting_predictions(model: nn.Module, split: Split) -> Fitting:
    """The model's predictions for the two parts that are used for fitting and choosing."""
    parts = (split.calibration, split.validation)
    return Fitting(*(Predictions(predict(model, part.images), part.labels) for part in parts))


def final_predictions(model: nn.Module, split: Split) -> Predictions:
    """The model's predictions for the test part: for `report`, once, at the end."""
    return Predictions(predict(model, split.test.images), split.test.labels)


def compress(model: nn.Module, calibration: Dataset, sparsity: float, bits: int) -> nn.Module:
    """What does the model compute when its smallest weights are 0 and the others have `bits` bits (32: left as floats)?

    Pruned by one threshold for all layers, without recovery. One scale per channel, as `quantize_model` in mode "weight_only" does it;
    but the codes are decoded here once instead of in every call, and stored in channels-last order, which halves the time. So the
    outputs are those of the compressed network, the bytes are not: for these use `quantize_model`. A new model in eval mode. Raises
    as `prune_model` and `quantize_model`.

    >>> layer = nn.Sequential(nn.Linear(2, 1, bias=False))
    >>> layer[0].weight.data = torch.tensor([[1.0, 0.4]])
    >>> compress(layer, Dataset(torch.zeros(1, 2), torch.tensor([0]), ("a",)), sparsity=0, bits=2)[0].weight.tolist()
    [[1.0, 0.0]]
    """
    small = prune_model(model, PruningConfig(sparsity=sparsity)).model.eval()
    if bits != FLOAT:
        coded = quantize_model(small, calibration, QuantizationConfig(bits=bits, mode="weight_only"))
        for name, layer in small.named_modules():
            replacement: Any = coded.get_submodule(name)
            if isinstance(replacement, CodedLayer):
                layer.weight = nn.Parameter(replacement.weight.detach(), requires_grad=False)
    return small.to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class GridCell:
    """Results of one compressed network on n test images: ECE of its softmax, with the temperature that was fitted to the
    network before compression, and with a temperature fitted to itself (infinite where no finite one is best)."""

    sparsity: float
    bits: int
    accuracy: float
    ece: float
    ece_old_temperature: float
    ece_refitted: float
    temperature: float
    n: int


def temperature_or_limit(part: Predictions) -> float:
    """fit_temperature, or infinity for a network whose logits are no better than a guess: then all classes are equally likely."""
    try:
        return fit_temperature(part.logits, part.labels)
    except ValueError as error:
        if "no better than a guess" in str(error):
            return math.inf
        raise


def scaled(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature); at infinity every class has the same probability, and the predicted class is still the first."""
    if math.isinf(temperature):
        return torch.full_like(logits, 1 / logits.shape[1], dtype=torch.float64)
    return softmax(apply_temperature(logits, temperature))


def ece_grid(
    model: nn.Module,
    split: Split,
    sparsities: Sequence[float] = SPARSITIES,
    bits: Sequence[int] = BITS,
    n: int = 2000,
) -> list[GridCell]:
    """What do pruning and few bits do to the confidences, and does fitting the temperature again correct it?

    For every sparsity and width: compress, fit the temperature on the calibration part, report ECE on the first n test images. Nothing is
    chosen here. In order of sparsity, then bits. Takes about half a second per network for 2,000 test images.
    """
    dense = temperature_or_limit(_calibration(model, split))
    test = split.test.first(n)
    cells = []
    for sparsity, width in tqdm([(s, b) for s in sparsities for b in bits], desc="compressed networks", unit="network"):
        small = compress(model, split.calibration, sparsity, width)
        temperature = temperature_or_limit(_calibration(small, split))
        logits = predict(small, test.images)
        errors = [top_ece(scaled(logits, t), test.labels) for t in (1.0, dense, temperature)]
        accuracy = (logits.argmax(1) == test.labels).double().mean().item()
        cells.append(GridCell(sparsity, width, accuracy, *errors, temperature=temperature, n=len(test)))
    return cells


def _calibration(model: nn.Module, split: Split) -> Predictions:
    return Predictions(predict(model, split.calibration.images), split.calibration.labels)


@dataclass(frozen=True)
class ShiftRow:
    """One kind and strength of shift: accuracy, mean confidence and ECE of the network, before and after temperature scaling."""

    kind: str
    strength: float
    accuracy: float
    confidence: float
    ece: float
    confidence_scaled: float
    ece_scaled: float


def shift_table(model: nn.Module, data: Dataset, temperature: float, shifts: dict | None = None) -> list[ShiftRow]:
    """Do the confidences fall as fast as the accuracy, when the images are more corrupted than the calibration images?

    temperature: fitted on clean calibration images. data: images to report on. shifts: kind -> (function, strengths), as SHIFTS, where
    function(images, strength) gives images. One row for each kind and strength.
    """
    fast = copy.deepcopy(model).to(memory_format=torch.channels_last)
    wanted: dict[str, tuple[Callable[[Tensor, float], Tensor], Sequence[float]]] = SHIFTS if shifts is None else shifts
    rows = []
    pairs = [(kind, change, strength) for kind, (change, strengths) in wanted.items() for strength in strengths]
    for kind, change, strength in tqdm(pairs, desc="shifted pictures", unit="shift"):
        logits = predict(fast, change(data.images, strength))
        raw, mended = softmax(logits), scaled(logits, temperature)
        accuracy = (logits.argmax(1) == data.labels).double().mean().item()
        numbers = [v for p in (raw, mended) for v in (p.amax(1).mean().item(), top_ece(p, data.labels))]
        rows.append(ShiftRow(kind, strength, accuracy, *numbers))
    return rows
