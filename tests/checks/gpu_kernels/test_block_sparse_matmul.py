"""`block_sparse_matmul`: what every exercise must do, and an independent right answer."""

import numpy as np
import torch
from scipy.sparse import bsr_matrix

from posttrain_lab.checks.gpu_kernels import block_sparse_matmul
from tests.checks.exercise_tests import ExerciseTests


def scipys_blocks(x, blocks, columns, starts, block_m=16):
    side = blocks.shape[1]
    shape = ((len(starts) - 1) * side, x.shape[1])
    weight = bsr_matrix((blocks.numpy().astype(np.int64), columns.numpy(), starts.numpy()), shape=shape)
    return torch.from_numpy((weight @ x.numpy().astype(np.int64).T).T.astype(np.int32))


class TestBlockSparseMatmul(ExerciseTests):
    exercise = block_sparse_matmul
    independent = staticmethod(scipys_blocks)
