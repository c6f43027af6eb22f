"""Adapters that ask how a result was made: what is the student's own passes, what others made is named."""

import sys

import numpy as np
import pytest
import torch

from posttrain_lab import kernels
from posttrain_lab.checks.engine import authorship, launches
from posttrain_lab.checks.engine.authorship import NotTheTask
from posttrain_lab.checks.engine.stand_ins import stand_in
from posttrain_lab.checks.engine.submission import LocalSubmission
from posttrain_lab.kernels.cpu.notebook import add_block, on_tensors
from posttrain_lab.kernels.gpu import interpreter

A = torch.arange(-60, 60).reshape(10, 12).to(torch.int8)
B = torch.arange(-54, 54).reshape(12, 9).to(torch.int8)


def test_the_librarys_own_kernel_is_named_at_any_depth():
    def helper(a, b):
        return kernels.int8_matmul(a, b)

    with pytest.raises(NotTheTask, match="the library's own int8_matmul made this; write it yourself"):
        authorship.own(lambda a, b: helper(a, b), A, B)
    with pytest.raises(NotTheTask, match="the library's own"):
        authorship.own(lambda a, b: torch.ops.posttrain_lab.int8_matmul(a, b), A, B)


def test_own_work_and_the_decorators_pass_and_the_profiler_is_put_back():
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        assert authorship.own(lambda a: int(a.long().sum()), A) == -60
        again = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert again is not None
    double = on_tensors(lambda x: x * 2)
    assert torch.equal(authorship.own(double, A[:1, :3]), A[:1, :3] * 2)


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
        authorship.by_blocks(function, A, B, 4)


def test_blocks_pass_and_a_tile_that_is_never_used_does_not():
    def blocks(a, b, tile):
        return sum(x.int() @ y.int() for x, y in zip(a.split(tile, 1), b.split(tile), strict=True))

    assert torch.equal(authorship.by_blocks(blocks, A, B, 4), kernels.int8_matmul(A, B))
    with pytest.raises(NotTheTask, match="never uses `tile`"):
        authorship.by_blocks(lambda a, b, tile: blocks(a, b, 5), A, B, 4)
    assert authorship.by_blocks(lambda *args: 3, A, B, 4) == 3


def test_blocks_smaller_than_the_tile_are_only_at_the_edges():
    @on_tensors
    def halves(a, b, tile):
        out = np.zeros((a.shape[0], b.shape[1]), np.int32)
        for p in range(0, a.shape[1], tile):
            end = min(p + tile, a.shape[1])
            for i in range(0, a.shape[0], tile):
                for j in range(0, b.shape[1], tile):
                    last = (min(i + tile, a.shape[0]), min(j + tile, b.shape[1]))
                    add_block(out, a, b, (i, j, p), (last[0], last[1], (p + end) // 2))
                    add_block(out, a, b, (i, j, (p + end) // 2), (last[0], last[1], end))
        return out

    outcome = LocalSubmission(halves, through="engine.authorship:by_blocks").call(A, B, 4)
    assert torch.equal(outcome.value, kernels.int8_matmul(A, B))
    assert outcome.notes == ("calls add_block with blocks smaller than `tile`; only those at the edges are smaller",)


def test_a_number_of_numpy_is_no_plain_int():
    submission = LocalSubmission(lambda a: a.numpy().astype(np.int64).sum(), through="engine.authorship:whole")
    assert submission.call(A).notes == ("returns a number of numpy (int64); return a plain int: int(...) or .item()",)
    plain = LocalSubmission(lambda a: int(a.numpy().astype(np.int64).sum()), through="engine.authorship:whole")
    assert plain.call(A).notes == ()


def test_a_blank_cell_stays_blank():
    @on_tensors
    def blank(a, b, tile):
        (m, k), n = a.shape, b.shape[1]  # noqa: F841  # as in the notebook
        raise NotImplementedError

    assert LocalSubmission(blank, through="engine.authorship:by_blocks").call(A, B, 4).unsolved


def test_a_step_without_its_decorator():
    with pytest.raises(NotTheTask, match="leave the decorator @in_tiles above"):
        authorship.in_vectors(lambda x, panels, n: x, A, B, 3)


def test_a_result_that_no_kernel_made():
    with pytest.raises(NotTheTask, match="no kernel was launched"):
        launches.launched(lambda x: torch.from_numpy(np.negative(x.numpy())), A)
    with pytest.raises(NotTheTask, match="torch's add computes here what the kernel should"):
        launches.launched(lambda x: x + 1, A)
    with pytest.raises(NotTheTask, match="torch's mul computes here"):
        launches.launched(lambda x: x.clone().mul_(2), A)


def test_what_a_launch_returns_passes(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(interpreter, "_launch_on_gpu", lambda kernel, grid, args, meta: args[1].fill_(7))

    def answer(x):
        x, out = interpreter.guarded(x), interpreter.output(*x.shape, dtype=torch.int8)
        interpreter.launch(None, (1,), x, out)
        return out.cpu()

    assert (launches.launched(answer, A) == 7).all()


def test_a_stand_in_is_not_watched_at_any_depth():
    known = stand_in(lambda a, b, *rest: kernels.int8_matmul(a, b))
    for watcher in (authorship.own, authorship.by_blocks, authorship.in_vectors, launches.launched):
        assert torch.equal(watcher(known, A, B, 4), kernels.int8_matmul(A, B))
    assert torch.equal(authorship.own(lambda a, b: known(a, b), A, B), kernels.int8_matmul(A, B))
    product = stand_in(lambda a, b: a.int() @ b.int())
    assert torch.equal(launches.launched(lambda a, b: product(a, b), A, B), kernels.int8_matmul(A, B))


def test_a_name_of_a_module_makes_no_stand_in():
    def answer(a, b, tile):
        return kernels.int8_matmul(a, b)

    answer.__module__ = "posttrain_lab.checks.cpu_kernels"
    for watcher in (authorship.own, authorship.by_blocks, authorship.in_vectors, launches.launched):
        with pytest.raises(NotTheTask):
            watcher(answer, A, B, 4)
