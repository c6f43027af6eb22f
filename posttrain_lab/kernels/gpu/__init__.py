"""Kernels for GPUs, in Triton: same names and meanings as in `reference.py`, compiled when first called.

| file              | what it holds                                                                       |
|-------------------|-------------------------------------------------------------------------------------|
| `launch.py`       | one call of a kernel, written down; tiles, and the race for them on a GPU           |
| `epilogue.py`     | what kernels have in common: tiles in order, exact products, scales and activations |
| `quantize.py`     | rows of floats to int8 codes                                                        |
| `int8.py`         | int8_matmul, int8_linear                                                            |
| `int4.py`         | int4_linear                                                                         |
| `conv.py`         | int8_conv2d                                                                         |
| `sparse.py`       | sparse_linear                                                                       |
| `block_sparse.py` | block_sparse_linear                                                                 |
| `nm.py`           | nm_linear                                                                           |
| `ptx_report.py`   | the same kernels compiled for a chip that is not here; loaded only when imported    |

With TRITON_INTERPRET=1, set before the first import of triton, the same functions run on CPU tensors, in numpy, for tests.
"""

from .block_sparse import block_sparse_linear
from .conv import int8_conv2d
from .int4 import int4_linear
from .int8 import int8_linear, int8_matmul
from .nm import nm_linear
from .sparse import sparse_linear

__all__ = ["block_sparse_linear", "int4_linear", "int8_conv2d", "int8_linear", "int8_matmul", "nm_linear", "sparse_linear"]
