"""Detects float arithmetic where a check requires integers: products and sums of codes that are made with floating tensors.

A product of floats that come from sums made in integers is no mistake: a layer may be scaled by a product with a diagonal matrix. So the
spy follows what comes from the codes, and what comes from their integer products and sums.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.checks.engine.numpy_spy import PRODUCTS as NUMPY_PRODUCTS
from posttrain_lab.checks.engine.numpy_spy import watching

# float multiplications for each element of the result: scales need a few, a product of matrices one for every input
MULTIPLIED_OFTEN = 8
ONE_BY_ONE = {"mul", "addcmul", "pow", "square"}
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot", "linear", "convolution", "_convolution"}
SPARSE = {"_sparse_mm", "_sparse_addmm", "_sparse_sparse_matmul", "sspaddmm", "hspmm", "_sparse_mm_reduce_impl"}
RARE = {"_cdist_forward", "_euclidean_dist", "_trilinear", "addr", "_fft_r2c", "_scaled_dot_product_flash_attention_for_cpu"}
FLOAT_PRODUCTS = PRODUCTS | SPARSE | RARE
SUMS = {"sum", "mean", "cumsum", "nansum"}
NOTED = FLOAT_PRODUCTS | SUMS | {"mul"} | {f"numpy {name}" for name in NUMPY_PRODUCTS}  # every name that `products` may give
CODES, SUMMED = "codes", "summed"


class ProductSpy(TorchDispatchMode):
    """Records every matrix product, convolution or sum of floats that stand for codes, and counts their elementwise multiplications."""

    def __init__(self, args: Iterable[Any] = ()) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.multiplied = 0
        self.known: dict[int, tuple[str, Tensor]] = {}  # by memory; the tensor is held, so that its memory is not used again
        for arg in args:
            if isinstance(arg, Tensor) and not arg.is_floating_point():
                self._know(arg, CODES)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch torch, and the numpy arrays to which tensors are converted."""
        with self, watching(self._note_array):
            yield

    def _note_array(self, name: str, numbers: int) -> None:
        self.multiplied += numbers
        self.seen.extend([f"numpy {name}"] if name else [])

    def products(self, result: Any) -> tuple[str, ...]:
        """What was recorded; "mul" when the products were made one by one."""
        often = MULTIPLIED_OFTEN * (max(1, result.numel()) if type(result) is Tensor else 1)
        return (*self.seen, "mul") if self.multiplied > often else tuple(self.seen)

    def _know(self, tensor: Tensor, kind: str) -> None:
        if place := _place(tensor):
            self.known[place] = (kind, tensor)

    def kinds(self, tensors: Iterable[Tensor]) -> set[str]:
        """Where the numbers come from: CODES, SUMMED (integer products and sums of codes), or neither."""
        return {self.known[place][0] for tensor in tensors if (place := _place(tensor)) in self.known}

    def note(self, name: str, tensors: list[Tensor], result: Any) -> None:
        """An operation of torch: what it is, and what its result comes from."""
        found = self.kinds(tensors)
        real = any(tensor.is_floating_point() for tensor in tensors)
        if name in FLOAT_PRODUCTS and real and found != {SUMMED}:
            self.seen.append(name)
        if name in SUMS and real and CODES in found:
            self.seen.append(name)
        if not isinstance(result, Tensor):
            return
        if name in ONE_BY_ONE and result.is_floating_point():
            self.multiplied += result.numel()
        in_integers = not real and (name in FLOAT_PRODUCTS | SUMS or (name in ONE_BY_ONE and len(tensors) > 1))
        if found:
            self._know(result, SUMMED if in_integers or CODES not in found else CODES)


def _place(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a sparse tensor has no memory of its own
        return id(tensor)


def _note_product(self: ProductSpy, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    result = func(*args, **(kwargs or {}))
    given = [item for arg in args for item in (arg if isinstance(arg, list | tuple) else [arg])]
    self.note(func.name().split("::")[-1].split(".")[0].rstrip("_"), [item for item in given if isinstance(item, Tensor)], result)
    return result


# Set from outside: torch wraps a method defined inside the class, and that imports its compiler (900 modules, seconds).
ProductSpy.__torch_dispatch__ = _note_product  # type: ignore[method-assign]
