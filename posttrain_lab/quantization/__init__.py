"""Quantization: store and multiply small integers instead of floats, and know what it costs."""

from .affine import (
    affine_qparams,
    channel_qparams,
    code_range,
    dequantize,
    dequantize_weight,
    fake_quantize_weight,
    quantize,
    quantize_weight,
)
from .granularity import Granularity, PerChannel, PerGroup, PerTensor

__all__ = [
    "Granularity",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "affine_qparams",
    "channel_qparams",
    "code_range",
    "dequantize",
    "dequantize_weight",
    "fake_quantize_weight",
    "quantize",
    "quantize_weight",
]
