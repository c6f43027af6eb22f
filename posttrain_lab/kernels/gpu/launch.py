"""One call of a kernel, written down before it is made: so it can run here, or be compiled for a chip that is not here.

Every kernel has one default tile, safe on all chips. For large work on a GPU a few tiles race once (triton.autotune), and the
winner is kept for sizes of the same power of two. Small work, and Triton's interpreter, take the default.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import triton
from torch import Tensor

RACE_FROM = 2**28  # multiply-adds; below, a launch costs more than a better tile saves


def tile(warps: int, stages: int, **sizes: int) -> triton.Config:
    """Sizes of a tile, by the names that the kernel gives them, with its warps and the loads in flight."""
    return triton.Config(sizes, num_warps=warps, num_stages=stages)


@dataclass(frozen=True)
class TiledKernel:
    """A @triton.jit function, its default tile, and the tiles that race against it on a GPU.

    half: the tile for chips before sm_80, where int8 products go through fp16; None for kernels without such products.
    fused: may a * b + c be rounded once? No, where results must equal torch's bit for bit.
    """

    function: Any
    default: triton.Config
    others: tuple[triton.Config, ...] = ()
    half: triton.Config | None = None
    fused: bool = True

    @property
    def interpreted(self) -> bool:
        """Does it run in Triton's interpreter?"""
        return not isinstance(self.function, triton.JITFunction)


@dataclass(frozen=True)
class Launch:
    """A kernel with all that one call of it needs.

    arguments: by the kernel's names; a Tensor, a whole number, or None for a tensor that is not wanted.
    constants: numbers and words known when it is compiled, without the sizes of the tile.
    grid: sizes of the tile -> how many programs along each axis.
    work: how many (rows, outputs, inputs) it multiplies.
    """

    kernel: TiledKernel
    arguments: dict[str, Any]
    constants: dict[str, Any]
    grid: Callable[[dict[str, int]], tuple[int, ...]]
    work: tuple[int, int, int]

    def with_default(self, **sizes: int) -> "Launch":
        """The same call with other sizes in its default tile, and no race."""
        config = triton.Config(
            {**self.kernel.default.kwargs, **sizes}, self.kernel.default.num_warps, self.kernel.default.num_stages
        )
        return replace(self, kernel=replace(self.kernel, default=config, others=()))

    def fitted(self, chip: int) -> "Launch":
        """The same call for a chip by its compute capability without the dot: before 80 products of int8 go through fp16."""
        if chip >= 80 or self.kernel.half is None:
            return self
        kernel = replace(self.kernel, default=self.kernel.half, others=())
        return replace(self, kernel=kernel, constants={**self.constants, "HALF": True})

    def run(self) -> None:
        """Run it on the device of its tensors. Raises NotImplementedError for tensors that no GPU holds."""
        where = next(part.device for part in self.arguments.values() if isinstance(part, Tensor))
        if self.kernel.interpreted:
            self.started()
        elif where.type == "cuda":
            with torch.cuda.device(where):
                self.fitted(capability(where)).started(where)
        else:
            raise NotImplementedError(
                f"Triton kernels want tensors on a GPU, got {where}; set TRITON_INTERPRET=1 before triton is imported to try "
                "them on the cpu."
            )

    def started(self, gpu: torch.device | None = None) -> None:
        """Run it on the current device; on a GPU, large work starts with a race of tiles."""
        function, chosen = self.kernel.function, self.kernel.default.all_kwargs()
        if gpu is not None and self.kernel.others and math.prod(self.work) >= RACE_FROM:
            key = (gpu, *(size.bit_length() for size in self.work), *self.constants.values())
            function, chosen = racing(self.kernel, key), {}
        function[self.grid](**self.arguments, **self.options(), **chosen)

    def options(self) -> dict[str, Any]:
        """The constants, and how to compile."""
        return self.constants if self.kernel.fused else {**self.constants, "enable_fp_fusion": False}


@functools.cache
def racing(kernel: TiledKernel, key: tuple) -> Any:
    """The kernel with its tiles in a race at the first call, one race for each `key`."""
    return triton.autotune([kernel.default, *kernel.others], key=[])(kernel.function)


@functools.cache
def capability(device: torch.device) -> int:
    """Compute capability without the dot: 75 for a T4."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def empty(like: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory for a result on the device of `like`."""
    return torch.empty(shape, dtype=dtype, device=like.device)


def rows_of(matrix: Tensor) -> Tensor:
    """The same matrix with neighbours along its last axis side by side; copied only when they are not."""
    return matrix if matrix.stride(-1) == 1 or matrix.shape[-1] == 1 else matrix.contiguous()


def power_of_two(size: int, least: int, most: int) -> int:
    """The smallest power of two that holds `size`, within limits that are powers of two."""
    return max(least, min(most, triton.next_power_of_2(max(size, 1))))
