"""Kernels for the CPU, in Numba: same names and meanings as in `reference.py`, compiled when first called.

| file                              | what it holds                                                           |
|-----------------------------------|-------------------------------------------------------------------------|
| `simd.py`, `simd_*.py`            | the SIMD words: each stands for one or two vector instructions          |
| `jit_cache.py`                    | how kernels are compiled, once for each machine                         |
| `threads.py`                      | how work is split over threads                                          |
| `int8_microkernel.py`             | the micro-kernel of the three int8 ops, and their epilogue              |
| `saturation_outliers.py`          | the weights that 16-bit saturation forbids in a panel, added separately |
| `winograd.py`                     | int8_matmul of many rows: half the multiplications                      |
| `int8.py`, `linear.py`, `conv.py` | int8_matmul, int8_linear, int8_conv2d                                   |
| `int4.py`, `int4_microkernel.py`  | int4_linear, and its micro-kernel                                       |
| `sparse.py`, `block_sparse.py`    | sparse_linear and nm_linear, block_sparse_linear                        |
| `network.py`, `network_*.py`      | a whole integer network in one call, from codes to codes                |
| `requantize.py`                   | int32 sums to int8 codes in fixed point, where layers are called singly |
| `notebook.py`                     | decorators for kernels that are written in a notebook (unit 05)         |
| `roofline_probe.py`               | what one core can do at best: multiplications, bytes from memory        |
"""

from .block_sparse import block_sparse_linear
from .conv import int8_conv2d, int8_conv2d_fast_path
from .int4 import int4_linear, int4_linear_fast_path
from .int8 import int8_matmul
from .linear import int8_linear, int8_linear_fast_path
from .sparse import nm_linear, sparse_linear

__all__ = [
    "block_sparse_linear",
    "int4_linear",
    "int4_linear_fast_path",
    "int8_conv2d",
    "int8_conv2d_fast_path",
    "int8_linear",
    "int8_linear_fast_path",
    "int8_matmul",
    "nm_linear",
    "sparse_linear",
]
