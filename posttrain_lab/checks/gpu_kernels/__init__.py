"""The exercises of unit 06, in the notebook's order. Their conventions stand in the modules rows, products, packed and reading.

Importing this needs no Triton: the oracles and known mistakes are plain torch. `workbench` is what the notebook's kernels run on.
"""

from posttrain_lab.checks.compare import close, near
from posttrain_lab.checks.exercise import Exercise
from posttrain_lab.checks.gpu_kernels import packed, products, reading, rows

UNIT = "06_gpu_kernels"

LAUNCHED = "own_work:launched"  # by a kernel, and not beside it

masked_add = Exercise("masked_add", UNIT, 2, 1, 12, rows.right_add, rows.add_cases, rows.ADD_MISTAKES, through=LAUNCHED)
row_quantize = Exercise(
    "row_quantize", UNIT, 3, 2, 16, rows.right_rows, rows.rows_cases, rows.ROWS_MISTAKES, close(1e-6, 0.0), through=LAUNCHED
)
int8_matmul = Exercise(
    "int8_matmul", UNIT, 4, 4, 25, products.right_matmul, products.matmul_cases, products.MATMUL_MISTAKES, through=LAUNCHED
)
fused_linear = Exercise(
    "fused_linear",
    UNIT,
    3,
    3,
    18,
    products.right_fused,
    products.fused_cases,
    products.FUSED_MISTAKES,
    near(2e-6, rtol=1e-5),
    through=LAUNCHED,
)
unpack_int4 = Exercise(
    "unpack_int4", UNIT, 3, 3, 18, packed.right_unpack, packed.unpack_cases, packed.UNPACK_MISTAKES, through=LAUNCHED
)
block_sparse_matmul = Exercise(
    "block_sparse_matmul", UNIT, 3, 4, 20, packed.right_sparse, packed.sparse_cases, packed.SPARSE_MISTAKES, through=LAUNCHED
)
read_ptx = Exercise("read_ptx", UNIT, 2, 2, 10, reading.right_read, reading.reading_cases, reading.READING_MISTAKES)
