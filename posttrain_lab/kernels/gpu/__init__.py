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
| `ptx_report.py`   | the same kernels compiled for a chip that is not here                               |
| `interpreter.py`  | what the kernels of unit 06 run on: a GPU, or Triton's interpreter, watched         |
| `notebook.py`     | a kernel from a notebook compiled for a chip that is not here (unit 06)             |

With TRITON_INTERPRET=1, set before the first import of triton, the same functions run on CPU tensors, in numpy, for tests.
"""

import importlib
from typing import Any

# loaded when asked for: the interpreter and the notebook's compiler in this folder can be imported without Triton
_HOME = {
    "block_sparse_linear": "block_sparse",
    "int4_linear": "int4",
    "int8_conv2d": "conv",
    "int8_linear": "int8",
    "int8_matmul": "int8",
    "nm_linear": "nm",
    "sparse_linear": "sparse",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"kernels.gpu has no {name!r}; it has: {', '.join(_HOME)}.")
