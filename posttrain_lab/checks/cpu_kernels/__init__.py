"""The exercises of unit 05, in the notebook's order; each is in the module of its name, with its conventions."""

from posttrain_lab.checks.cpu_kernels.arithmetic_intensity import arithmetic_intensity
from posttrain_lab.checks.cpu_kernels.attainable import attainable
from posttrain_lab.checks.cpu_kernels.csr_matmul import csr_matmul
from posttrain_lab.checks.cpu_kernels.int8_dot import int8_dot
from posttrain_lab.checks.cpu_kernels.nm_matmul import nm_matmul
from posttrain_lab.checks.cpu_kernels.nm_pack import nm_pack
from posttrain_lab.checks.cpu_kernels.pack_int4 import pack_int4
from posttrain_lab.checks.cpu_kernels.pack_weights import pack_weights
from posttrain_lab.checks.cpu_kernels.simd_matmul import simd_matmul
from posttrain_lab.checks.cpu_kernels.tile_matmul import tile_matmul
from posttrain_lab.checks.cpu_kernels.unpack_int4 import unpack_int4
from posttrain_lab.checks.cpu_kernels.unpack_weights import unpack_weights

EXERCISES = (
    arithmetic_intensity,
    attainable,
    int8_dot,
    pack_weights,
    unpack_weights,
    tile_matmul,
    simd_matmul,
    pack_int4,
    unpack_int4,
    csr_matmul,
    nm_pack,
    nm_matmul,
)
