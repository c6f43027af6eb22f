"""The exercises of unit 05, in the notebook's order. Their conventions stand in the modules: roofline, dot, packing, products, int4, sparse, nm."""

from posttrain_lab.checks.compare import close
from posttrain_lab.checks.cpu_kernels import dot, int4, nm, packing, products, roofline, sparse
from posttrain_lab.checks.cpu_kernels.whole import whole_judge
from posttrain_lab.checks.exercise import Exercise

UNIT = "05_cpu_kernels"
EQUAL = close(0.0, 0.0)
OWN = "own_work:own"  # not the library's

# 1e-9: float64 keeps 16 digits, and a few operations are made
arithmetic_intensity = Exercise(
    "arithmetic_intensity",
    UNIT,
    2,
    1,
    8,
    roofline.right_intensity,
    roofline.intensity_cases,
    roofline.INTENSITY_MISTAKES,
    close(1e-9, 0.0),
)
attainable = Exercise(
    "attainable",
    UNIT,
    1,
    1,
    5,
    roofline.right_attainable,
    roofline.attainable_cases,
    roofline.ATTAINABLE_MISTAKES,
    close(1e-9, 0.0),
)
int8_dot = Exercise("int8_dot", UNIT, 2, 1, 8, dot.right_dot, dot.dot_cases, dot.DOT_MISTAKES, whole_judge(), through=OWN)
pack_weights = Exercise(
    "pack_weights", UNIT, 3, 3, 12, packing.right_pack, packing.pack_cases, packing.PACK_MISTAKES, EQUAL, through=OWN
)
unpack_weights = Exercise(
    "unpack_weights", UNIT, 1, 2, 6, packing.right_unpack, packing.unpack_cases, packing.UNPACK_MISTAKES, EQUAL, through=OWN
)
tile_matmul = Exercise(
    "tile_matmul",
    UNIT,
    3,
    3,
    14,
    products.right_tile,
    products.tile_cases,
    products.TILE_MISTAKES,
    whole_judge(),
    through="own_work:by_blocks",
)
simd_matmul = Exercise(
    "simd_matmul",
    UNIT,
    4,
    4,
    18,
    products.right_simd,
    products.simd_cases,
    products.SIMD_MISTAKES,
    products.simd_judge(),
    through="own_work:in_vectors",
)
pack_int4 = Exercise("pack_int4", UNIT, 2, 2, 8, int4.right_pack4, int4.pack4_cases, int4.PACK4_MISTAKES, EQUAL, through=OWN)
unpack_int4 = Exercise(
    "unpack_int4", UNIT, 2, 3, 8, int4.right_unpack4, int4.unpack4_cases, int4.UNPACK4_MISTAKES, EQUAL, through=OWN
)
csr_matmul = Exercise("csr_matmul", UNIT, 3, 3, 12, sparse.right_csr, sparse.csr_cases, sparse.CSR_MISTAKES, EQUAL, through=OWN)
nm_pack = Exercise("nm_pack", UNIT, 2, 3, 10, nm.right_nm_pack, nm.nm_pack_cases, nm.NM_PACK_MISTAKES, EQUAL, through=OWN)
nm_matmul = Exercise("nm_matmul", UNIT, 2, 3, 8, nm.right_nm, nm.nm_cases, nm.NM_MISTAKES, EQUAL, through=OWN)
