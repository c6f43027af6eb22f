"""What each kernel means, in plain torch: exact, slow, short. Every implementation must give the same numbers.

Names and shapes are those of `posttrain_lab.kernels`, which checks the arguments.
"""

import torch
from torch import Tensor


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) int8, b (K, N) int8 -> a @ b (M, N) int32, summed in int64 and narrowed at the end.

    >>> int8_matmul(torch.tensor([[-128, 3]], dtype=torch.int8), torch.tensor([[-128], [5]], dtype=torch.int8))
    tensor([[16399]], dtype=torch.int32)
    """
    return (a.to(torch.int64) @ b.to(torch.int64)).to(torch.int32)
