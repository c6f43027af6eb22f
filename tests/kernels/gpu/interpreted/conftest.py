"""These tests run in Triton's interpreter, on the cpu, when TRITON_INTERPRET=1 was set; else on a CUDA GPU; else not at all.

`test_interpreted.py` beside this folder starts them with the flag, so that none is left out anywhere that has Triton.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from watch import Watch

# Decided while tests are collected: later another test of this process may set the flag.
collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" or torch.cuda.is_available() else ["test_*.py"]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the operands go; in the interpreter every access to memory is watched."""
    triton = pytest.importorskip("triton")
    if not isinstance(triton.jit(device_probe), triton.JITFunction):
        with np.errstate(all="ignore"):  # 127 / 0 is wanted; a GPU does not warn
            Watch(monkeypatch)
            yield "cpu"
    elif torch.cuda.is_available():
        yield "cuda"
    else:
        pytest.skip("no CUDA GPU; TRITON_INTERPRET=1 before the start runs these on the cpu")


def device_probe():
    """A function to show which kind of kernel @triton.jit makes."""
