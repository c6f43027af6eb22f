"""Adapters that ask how a result was made: what is the student's own passes, what others made is named."""

import sys

import numpy as np
import pytest
import torch

from posttrain_lab import kernels
from posttrain_lab.checks import own_work
from posttrain_lab.checks.gpu_kernels import workbench
from posttrain_lab.checks.own_work import NotTheTask
from posttrain_lab.checks.submission import LocalSubmission
from posttrain_lab.kernels.cpu.notebook import on_tensors

A = torch.arange(-60, 60).reshape(10, 12).to(torch.int8)
B = torch.arange(-54, 54).reshape(12, 9).to(torch.int8)


def test_the_librarys_own_kernel_is_named_at_any_depth():
    def helper(a, b):
        return kernels.int8_matmul(a, b)

    with pytest.raises(NotTheTask, match="the library's own int8_matmul made this; write it yourself"):
        own_work.own(lambda a, b: helper(a, b), A, B)
    with pytest.raises(NotTheTask, match="the library's own"):
        own_work.own(lambda a, b: torch.ops.posttrain_lab.int8_matmul(a, b), A, B)


def test_own_work_and_the_decorators_pass_and_the_profiler_is_put_back():
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        assert own_work.own(lambda a: int(a.long().sum()), A) == -60
        again = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert again is not None
    double = on_tensors(lambda x: x * 2)
    assert torch.equal(own_work.own(double, A[:1, :3]), A[:1, :3] * 2)


@pytest.mark.parametrize(
    ("function", "who"),
    [
        (lambda a, b, tile: a.int() @ b.int(), "torch"),
        (lambda a, b, tile: torch.einsum("ik,kj->ij", a.int(), b.int()), "torch"),
        (lambda a, b, tile: torch._int_mm(a, b), "torch"),
        (lambda a, b, tile: torch.from_numpy(a.numpy().astype(np.int32) @ np.asarray(b).astype(np.int32)), "numpy"),
        (lambda a, b, tile: torch.from_numpy(np.dot(a.numpy().astype(int), b.numpy().astype(int))), "numpy"),
    ],
)
def test_one_call_for_whole_matrices_is_no_product_by_blocks(function, who):
    with pytest.raises(NotTheTask, match=f"one call of {who} multiplied the whole matrices"):
        own_work.by_blocks(function, A, B, 4)


def test_blocks_pass_and_a_tile_that_is_never_used_does_not():
    def blocks(a, b, tile):
        return sum(x.int() @ y.int() for x, y in zip(a.split(tile, 1), b.split(tile), strict=True))

    assert torch.equal(own_work.by_blocks(blocks, A, B, 4), kernels.int8_matmul(A, B))
    with pytest.raises(NotTheTask, match="never looks at `tile`"):
        own_work.by_blocks(lambda a, b, tile: blocks(a, b, 5), A, B, 4)
    assert own_work.by_blocks(lambda *args: 3, A, B, 4) == 3


def test_a_blank_cell_stays_blank():
    @on_tensors
    def blank(a, b, tile):
        (m, k), n = a.shape, b.shape[1]  # noqa: F841  # as in the notebook
        raise NotImplementedError

    assert LocalSubmission(blank, through="own_work:by_blocks").call(A, B, 4).unsolved


def test_a_step_without_its_decorator():
    with pytest.raises(NotTheTask, match="leave the decorator @in_tiles above"):
        own_work.in_vectors(lambda x, panels, n: x, A, B, 3)


def test_a_result_that_no_kernel_made():
    with pytest.raises(NotTheTask, match="no kernel was launched"):
        own_work.launched(lambda x: torch.from_numpy(np.negative(x.numpy())), A)
    with pytest.raises(NotTheTask, match="torch's add computes here what the kernel should"):
        own_work.launched(lambda x: x + 1, A)
    with pytest.raises(NotTheTask, match="torch's mul computes here"):
        own_work.launched(lambda x: x.clone().mul_(2), A)


def test_what_a_launch_returns_passes(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(workbench, "_launch_on_gpu", lambda kernel, grid, args, meta: args[1].fill_(7))

    def answer(x):
        x, out = workbench.guarded(x), workbench.output(*x.shape, dtype=torch.int8)
        workbench.launch(None, (1,), x, out)
        return out.cpu()

    assert (own_work.launched(answer, A) == 7).all()


def test_answers_of_the_checks_themselves_are_not_watched():
    def oracle(a, b, tile):
        return kernels.int8_matmul(a, b)

    oracle.__module__ = "posttrain_lab.checks.cpu_kernels"
    for adapter in (own_work.own, own_work.by_blocks, own_work.in_vectors, own_work.launched):
        assert torch.equal(adapter(oracle, A, B, 4), kernels.int8_matmul(A, B))
