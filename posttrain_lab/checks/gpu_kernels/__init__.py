"""The exercises of unit 06, in the notebook's order; each is in the module of its name, with its conventions.

Importing this needs no Triton: the oracles and known mistakes are plain torch. The notebook's kernels run on `kernels.gpu.interpreter`.
"""

from posttrain_lab.checks.gpu_kernels.block_sparse_matmul import block_sparse_matmul
from posttrain_lab.checks.gpu_kernels.fused_linear import fused_linear
from posttrain_lab.checks.gpu_kernels.int8_matmul import int8_matmul
from posttrain_lab.checks.gpu_kernels.masked_add import masked_add
from posttrain_lab.checks.gpu_kernels.read_ptx import read_ptx
from posttrain_lab.checks.gpu_kernels.row_quantize import row_quantize
from posttrain_lab.checks.gpu_kernels.unpack_int4 import unpack_int4

EXERCISES = (
    masked_add,
    row_quantize,
    int8_matmul,
    fused_linear,
    unpack_int4,
    block_sparse_matmul,
    read_ptx,
)
