"""The exercises of unit 02, in the notebook's order; each is in the module of its name, with its conventions."""

from posttrain_lab.checks.quantization.affine_qparams import affine_qparams
from posttrain_lab.checks.quantization.channel_qparams import channel_qparams
from posttrain_lab.checks.quantization.dequantize import dequantize
from posttrain_lab.checks.quantization.fake_quantize import fake_quantize
from posttrain_lab.checks.quantization.fold_batchnorm import fold_batchnorm
from posttrain_lab.checks.quantization.int8_linear import int8_linear
from posttrain_lab.checks.quantization.observe import observe
from posttrain_lab.checks.quantization.optimal_rounding import optimal_rounding
from posttrain_lab.checks.quantization.quantize import quantize
from posttrain_lab.checks.quantization.requantize import requantize

EXERCISES = (
    affine_qparams,
    quantize,
    dequantize,
    channel_qparams,
    observe,
    fold_batchnorm,
    requantize,
    int8_linear,
    fake_quantize,
    optimal_rounding,
)
