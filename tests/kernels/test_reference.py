"""The meaning of each kernel, against Python's own integers."""

import torch

from posttrain_lab.kernels import reference


def test_int8_matmul_is_the_sum_of_products():
    a, b = [[-128, 127, 3], [0, -1, 127]], [[-128, 1], [127, -128], [5, 0]]
    want = [[sum(x * b[k][j] for k, x in enumerate(row)) for j in range(2)] for row in a]
    got = reference.int8_matmul(torch.tensor(a, dtype=torch.int8), torch.tensor(b, dtype=torch.int8))
    assert got.dtype == torch.int32
    assert got.tolist() == want
