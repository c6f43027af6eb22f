"""When is a pruned layer faster? Measure dense, torch's CSR and our sparse kernel over sparsity, batch and size, on this machine."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from posttrain_lab.kernels import SparseWeight, sparse_linear
from posttrain_lab.measure import latency, using_threads

from .arguments import check_sparsity
from .masks import magnitude_mask


@dataclass(frozen=True)
class BreakEvenGrid:
    """Which layers [out, in], batches and sparsities to measure; `repeats` calls of each, of which the median is taken."""

    sizes: tuple[tuple[int, int], ...] = ((256, 256), (1024, 1024))
    batches: tuple[int, ...] = (1, 8, 64)
    sparsities: tuple[float, ...] = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
    repeats: int = 9
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for sparsity in self.sparsities:
            check_sparsity("BreakEvenGrid", sparsity)
        if (
            not (self.sizes and self.batches and self.sparsities)
            or min(min(size) for size in self.sizes) < 1
            or min(self.batches) < 1
        ):
            raise ValueError(f"BreakEvenGrid wants sizes, batches and sparsities, each of 1 or more, got {self}.")


@dataclass(frozen=True)
class BreakEvenRow:
    """Median seconds of one layer [out, in] on one batch, in float32: dense, torch's CSR, our kernel."""

    out: int
    inputs: int
    batch: int
    sparsity: float
    threads: int
    dense: float
    torch_csr: float
    ours: float

    @property
    def speedup(self) -> float:
        """How many times faster than dense our kernel is; below 1 pruning made the layer slower."""
        return self.dense / self.ours


def measure_break_even(grid: BreakEvenGrid | None = None, progress: bool = True) -> list[BreakEvenRow]:
    """For which sizes and sparsities does leaving out zeros save time, and for which does it cost time?

    For each size and sparsity a random normal weight is magnitude-pruned; for each batch the three ways are compared (they must agree)
    and timed. One row for each point, in the order of the grid. Takes some seconds; the kernel is compiled before timing.
    """
    grid = grid or BreakEvenGrid()
    points = list(product(grid.sizes, grid.sparsities, grid.batches))
    with using_threads(grid.threads), torch.no_grad():
        bar = tqdm(points, desc="break-even map", unit="point", disable=not progress)
        return [_row(size, sparsity, batch, grid) for size, sparsity, batch in bar]


def _row(size: tuple[int, int], sparsity: float, batch: int, grid: BreakEvenGrid) -> BreakEvenRow:
    ways = _methods(size, sparsity, batch, grid.seed)
    want = ways["dense"]()
    for name, way in ways.items():
        if not torch.allclose(way(), want, rtol=1e-4, atol=1e-3):
            raise RuntimeError(f"{name} does not agree with dense for {size} at {sparsity}, batch {batch}: nothing was timed.")
    seconds = {name: latency(way, grid.repeats, 2)[1] for name, way in ways.items()}
    return BreakEvenRow(*size, batch, sparsity, grid.threads, **seconds)


def _methods(size: tuple[int, int], sparsity: float, batch: int, seed: int) -> dict[str, Callable[[], Tensor]]:
    """The three ways to compute x @ weight.T for one pruned weight."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(size, generator=generator)
    weight = weight * magnitude_mask(weight, sparsity)
    x = torch.randn(batch, size[1], generator=generator)
    ours = SparseWeight.from_float(weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        csr = weight.to_sparse_csr()
    columns = x.T.contiguous()
    return {
        "dense": lambda: F.linear(x, weight),
        "torch_csr": lambda: (csr @ columns).T,
        "ours": lambda: sparse_linear(x, ours),
    }
