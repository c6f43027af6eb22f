"""The watch sees what it should see."""

import pytest
import torch
from watch import addresses

pytest.importorskip("triton")
import triton
import triton.language as tl

from posttrain_lab.kernels.gpu.launch import Launch, TiledKernel, tile


@triton.jit
def copy(x, out, size, WIDTH: tl.constexpr, BK: tl.constexpr):
    """out[k] = x[k] below `size`; programs WIDTH apart."""
    k = tl.program_id(0) * WIDTH + tl.arange(0, BK)
    tl.store(out + k, tl.load(x + k, mask=k < size, other=0.0), mask=k < size)


def launch(size: int, given: int, width: int) -> Launch:
    memory = torch.zeros(64)
    arguments = {"x": memory[:given], "out": torch.zeros(64)[:16], "size": size}
    return Launch(TiledKernel(copy, tile(1, 1, BK=8)), arguments, {"WIDTH": width}, lambda sizes: (2,), (1, 1, 1))


@pytest.mark.parametrize(
    ("size", "given", "width", "message"),
    [(16, 15, 8, "reads 1 values outside"), (17, 32, 9, "writes 1 values outside"), (16, 16, 7, "two programs write")],
)
def test_what_goes_wrong_is_named(size, given, width, message, device):
    if device != "cpu":
        pytest.skip("the watch is the interpreter's")
    with pytest.raises(triton.runtime.interpreter.InterpreterError, match=message):
        launch(size, given, width).run()


def test_what_is_right_passes(device):
    if device == "cpu":
        launch(16, 16, 8).run()


def test_addresses_follow_the_strides():
    view = torch.zeros(5, 7, dtype=torch.int32)[1::2, ::3]
    assert addresses(view).tolist() == [view[i, j].data_ptr() for i in range(2) for j in range(3)]
