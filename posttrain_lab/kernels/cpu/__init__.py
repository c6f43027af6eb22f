"""Kernels for the CPU, in Numba: same names and meanings as in `reference.py`, compiled when first called.

| file                                 | what it holds                                                                   |
|--------------------------------------|---------------------------------------------------------------------------------|
| `simd.py`, `simd_*.py`               | the vocabulary: words that stand for vector instructions                        |
| `compiling.py`                       | how kernels are compiled                                                        |
| `threads.py`                         | how their work is cut                                                           |
| `panels.py`                          | sums of a tile of packed int8 weights, for the three int8 ops                   |
| `excess.py`                          | what those sums lack where bytes would have saturated                           |
| `winograd.py`                        | int8_matmul of many rows: half the multiplications                              |
| `int8.py`, `linear.py`, `conv.py`    | int8_matmul, int8_linear, int8_conv2d                                           |
| `int4.py`, `nibbles.py`              | int4_linear, and the sums of its tiles                                          |
| `sparse.py`, `blocks.py`             | sparse_linear and nm_linear, block_sparse_linear                                |
| `rescale.py`                         | int32 sums to int8 codes in fixed point, for the integer network                |
| `notebook.py`                        | decorators for kernels that are written in a notebook (unit 05)                 |
| `peaks.py`                           | what one core can do at best: multiplications, bytes from memory                |
"""

from .blocks import block_sparse_linear
from .conv import int8_conv2d, int8_conv2d_at_once
from .int4 import int4_linear, int4_linear_at_once
from .int8 import int8_matmul
from .linear import int8_linear, int8_linear_at_once
from .sparse import nm_linear, sparse_linear

__all__ = [
    "block_sparse_linear",
    "int4_linear",
    "int4_linear_at_once",
    "int8_conv2d",
    "int8_conv2d_at_once",
    "int8_linear",
    "int8_linear_at_once",
    "int8_matmul",
    "nm_linear",
    "sparse_linear",
]
