"""What to quantize and how: one frozen object that every function of the kit reads."""

from dataclasses import dataclass, field
from typing import Literal

from .affine import code_range
from .granularity import Granularity, PerChannel, PerGroup, PerTensor

MODES = ("static", "dynamic", "weight_only", "integer")
OBSERVERS = ("minmax", "percentile", "mse", "kl")
ROUNDINGS = ("nearest", "gptq")


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"QuantizationConfig wants {name} to be one of {', '.join(allowed)}, got {value!r}.")


@dataclass(frozen=True)
class QuantizationConfig:
    """How many bits, which scales, which arithmetic?

    bits: of the weights, 2..8; activation_bits: of the activations between layers, 2..8.
    granularity: how many weights share a scale; a layer whose inputs a PerGroup does not divide takes the next smaller
    divisor. observer: how activation ranges are chosen (see `observe`).
    rounding: "nearest", or "gptq": each rounding error is compensated by the weights that follow (Frantar et al. 2022).

    | mode          | weights | activations                  | arithmetic | models                     |
    |---------------|---------|------------------------------|------------|----------------------------|
    | "weight_only" | codes   | float                        | float      | any with Linear or Conv2d  |
    | "dynamic"     | codes   | codes, range of each batch   | int8/int32 | any with Linear or Conv2d  |
    | "static"      | codes   | fake-quantized, fixed ranges | float      | chains; others are traced  |
    | "integer"     | codes   | codes, fixed ranges          | integers   | chains; others are traced  |

    Raises TypeError or ValueError for anything outside these.

    >>> QuantizationConfig(bits=4, rounding="gptq").granularity
    PerChannel(axis=0)
    """

    bits: int = 8
    activation_bits: int = 8
    granularity: Granularity = field(default_factory=PerChannel)
    observer: Literal["minmax", "percentile", "mse", "kl"] = "minmax"
    mode: Literal["static", "dynamic", "weight_only", "integer"] = "static"
    rounding: Literal["nearest", "gptq"] = "nearest"

    def __post_init__(self) -> None:
        code_range(self.bits, caller="QuantizationConfig")
        code_range(self.activation_bits, caller="QuantizationConfig (activation_bits)")
        _one_of("mode", self.mode, MODES)
        _one_of("observer", self.observer, OBSERVERS)
        _one_of("rounding", self.rounding, ROUNDINGS)
        if not isinstance(self.granularity, PerTensor | PerChannel | PerGroup):
            raise TypeError(
                f"QuantizationConfig wants PerTensor(), PerChannel() or PerGroup(size) as granularity, "
                f"got {self.granularity!r}; give an instance."
            )
        if isinstance(self.granularity, PerChannel) and self.granularity.axis != 0:
            raise ValueError(
                f"QuantizationConfig wants PerChannel(axis=0), the output channels, got axis {self.granularity.axis}; "
                "other axes cannot be taken out of the sum of a layer."
            )
        if isinstance(self.granularity, PerGroup) and self.mode in ("dynamic", "integer"):
            raise ValueError(
                f"QuantizationConfig wants a scale per output channel for mode {self.mode!r}, got {self.granularity}; "
                "use PerChannel(), or mode 'weight_only' or 'static'."
            )
