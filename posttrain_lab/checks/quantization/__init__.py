"""The exercises of unit 02, in the notebook's order. Their conventions stand in the modules: grid, codes, ranges, folding, integer, rounding."""

from posttrain_lab.checks.compare import close, near
from posttrain_lab.checks.exercise import Exercise
from posttrain_lab.checks.quantization import codes, folding, gradient, grid, linear, ranges, requantizing, rounding

UNIT = "02_quantization"

# 1e-6: float32 has 24 bits, and a scale takes two operations
affine_qparams = Exercise(
    "affine_qparams", UNIT, 3, 2, 12, grid.right_affine, grid.affine_cases, grid.AFFINE_MISTAKES, close(1e-6, 0.0)
)
quantize = Exercise("quantize", UNIT, 2, 1, 8, codes.right_quantize, codes.quantize_cases, codes.QUANTIZE_MISTAKES)
# q * scale - zero_point * scale is right too; its error is at most 2^-23 of the largest product
dequantize = Exercise(
    "dequantize",
    UNIT,
    1,
    1,
    4,
    codes.right_dequantize,
    codes.dequantize_cases,
    codes.DEQUANTIZE_MISTAKES,
    near(1e-6, strict_dtype=True),
)
channel_qparams = Exercise(
    "channel_qparams", UNIT, 2, 2, 10, grid.right_channel, grid.channel_cases, grid.CHANNEL_MISTAKES, close(1e-6, 0.0)
)
observe = Exercise(
    "observe",
    UNIT,
    3,
    3,
    15,
    ranges.right_observe,
    ranges.observe_cases,
    ranges.OBSERVE_MISTAKES,
    near(1e-4),
    (ranges.MSE_LAW,),
)
fold_batchnorm = Exercise(
    "fold_batchnorm", UNIT, 3, 3, 12, folding.right_fold, folding.fold_cases, folding.FOLD_MISTAKES, folding.fold_judge()
)
requantize = Exercise(
    "requantize",
    UNIT,
    3,
    4,
    15,
    requantizing.right_requantize,
    requantizing.requantize_cases,
    requantizing.REQUANTIZE_MISTAKES,
)
int8_linear = Exercise(
    "int8_linear", UNIT, 3, 4, 15, linear.right_linear, linear.linear_cases, linear.LINEAR_MISTAKES, linear.linear_judge()
)
fake_quantize = Exercise(
    "fake_quantize",
    UNIT,
    2,
    3,
    12,
    gradient.right_fake,
    gradient.fake_cases,
    gradient.FAKE_MISTAKES,
    close(1e-4, 1e-12),
    function="FakeQuantize",
    attribute="apply",
)
# 1e-3: float32 all the way (24 bits) loses more than float64, still far from the next point of the grid
optimal_rounding = Exercise(
    "optimal_rounding",
    UNIT,
    4,
    5,
    25,
    rounding.right_rounding,
    rounding.rounding_cases,
    rounding.ROUNDING_MISTAKES,
    close(1e-3, 1e-6),
    rounding.ROUNDING_LAWS,
)
