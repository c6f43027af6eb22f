"""Quantization: store and multiply small integers instead of floats, and measure what it costs."""

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
from .config import QuantizationConfig
from .fold import fold_batchnorm
from .folded_network import fold_model
from .granularity import Granularity, PerChannel, PerGroup, PerTensor
from .graphs.network import GraphNetwork
from .graphs.report import GraphReport
from .integer import Int8Conv2d, Int8Linear, fixed_point, int8_conv2d, int8_linear, requantize
from .integer_network import IntegerNetwork
from .layer_math import ConvShape, conv_shape
from .low_bit import optimal_rounding
from .network import quantize_model
from .observers import MSE_GRID, PERCENTILE, observe, squared_error
from .onnx import to_onnx
from .qat import FakeQuantize, convert_qat, prepare_qat
from .scaling import awq_scale, smoothquant

__all__ = [
    "MSE_GRID",
    "PERCENTILE",
    "ConvShape",
    "FakeQuantize",
    "Granularity",
    "GraphNetwork",
    "GraphReport",
    "Int8Conv2d",
    "Int8Linear",
    "IntegerNetwork",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "QuantizationConfig",
    "affine_qparams",
    "awq_scale",
    "channel_qparams",
    "code_range",
    "conv_shape",
    "convert_qat",
    "dequantize",
    "dequantize_weight",
    "fake_quantize_weight",
    "fixed_point",
    "fold_batchnorm",
    "fold_model",
    "int8_conv2d",
    "int8_linear",
    "observe",
    "optimal_rounding",
    "prepare_qat",
    "quantize",
    "quantize_model",
    "quantize_weight",
    "requantize",
    "smoothquant",
    "squared_error",
    "to_onnx",
]
