"""The exercises of unit 01, in the order of the notebook; their conventions stand in the modules beside this one."""

from posttrain_lab.checks.compare import close, near
from posttrain_lab.checks.exercise import Exercise
from posttrain_lab.checks.pruning import allocating, magnitude, patterns, scanning, stepping, storage, together
from posttrain_lab.checks.pruning.channel_mistakes import CHANNEL_MISTAKES
from posttrain_lab.checks.pruning.channels import channel_cases, channels_judge, right_channels

UNIT = "01_pruning"
EQUAL = close(0.0, 0.0)
EQUAL_WIDTH = close(0.0, 0.0, strict_dtype=True)  # bytes are the point of it

magnitude_mask = Exercise(
    "magnitude_mask",
    UNIT,
    2,
    1,
    8,
    magnitude.right_magnitude,
    magnitude.magnitude_cases,
    magnitude.MAGNITUDE_MISTAKES,
    EQUAL,
    magnitude.MAGNITUDE_LAWS,
)
global_masks = Exercise(
    "global_masks",
    UNIT,
    2,
    2,
    10,
    together.right_global,
    together.global_cases,
    together.GLOBAL_MISTAKES,
    EQUAL,
    together.GLOBAL_LAWS,
)
# an accuracy is a count over a count
sensitivity_scan = Exercise(
    "sensitivity_scan",
    UNIT,
    3,
    3,
    15,
    scanning.right_scan,
    scanning.scan_cases,
    scanning.SCAN_MISTAKES,
    close(1e-6, 1e-6),
    through="pruning.scanning:on_split",
)
allocate_sparsity = Exercise(
    "allocate_sparsity",
    UNIT,
    3,
    4,
    18,
    allocating.right_allocate,
    allocating.allocate_cases,
    allocating.ALLOCATE_MISTAKES,
    close(0.0, 0.011),
    allocating.ALLOCATE_LAWS,
)
masked_step = Exercise(
    "masked_step",
    UNIT,
    2,
    2,
    10,
    stepping.right_step,
    stepping.step_cases,
    stepping.STEP_MISTAKES,
    close(1e-5, 1e-6),
    through="pruning.stepping:stepped",
)
nm_mask = Exercise("nm_mask", UNIT, 2, 2, 10, patterns.right_nm, patterns.nm_cases, patterns.NM_MISTAKES, EQUAL, patterns.NM_LAWS)
# 1e-5: a sum of squares and a root in float32
wanda_scores = Exercise(
    "wanda_scores", UNIT, 1, 1, 6, patterns.right_wanda, patterns.wanda_cases, patterns.WANDA_MISTAKES, near(1e-7, 1e-5)
)
to_csr = Exercise("to_csr", UNIT, 2, 3, 10, storage.right_csr, storage.csr_cases, storage.CSR_MISTAKES, EQUAL_WIDTH)
csr_matmul = Exercise("csr_matmul", UNIT, 2, 3, 10, storage.right_product, storage.product_cases, storage.PRODUCT_MISTAKES, EQUAL)
prune_channels = Exercise(
    "prune_channels",
    UNIT,
    4,
    4,
    20,
    right_channels,
    channel_cases,
    CHANNEL_MISTAKES,
    channels_judge(),
    through="pruning.channels:cut",
)
