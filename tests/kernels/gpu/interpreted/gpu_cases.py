"""Operands for the Triton kernels, among poison: NaN or 127 in all the memory around them, so that a read too far is seen."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

SIZES = [(1, 1, 1), (3, 16, 17), (16, 33, 65), (17, 3, 16), (33, 65, 3), (65, 17, 130)]  # M, N, K


def poison(dtype: torch.dtype) -> float | int:
    return float("nan") if dtype.is_floating_point else 127


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def codes(*shape: int, seed: int = 0, low: int = -128, high: int = 127) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=generator(seed), dtype=torch.int8)


def among(part: Tensor, device: str) -> Tensor:
    """The same numbers on the device, as a window with poison before and after every row, at an odd offset."""
    rows = part.reshape(-1, part.shape[-1]) if part.ndim > 1 else part[None]
    around = torch.full((len(rows) + 2, rows.shape[1] + 8), poison(part.dtype), dtype=part.dtype)
    around[1:-1, 3:-5] = rows
    window = around.to(device)[1:-1, 3:-5]
    return window[0] if part.ndim == 1 else window.unflatten(0, part.shape[:-1])


def packed_among(part: Tensor, device: str) -> Tensor:
    """The same numbers without gaps, poison before and after: for arrays that must be contiguous."""
    return among(part.reshape(-1), device).view(part.shape)


@dataclass
class Results:
    """Memory for results, poison around it; `unharmed` says that nothing was written beside it."""

    given: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def empty(self, like: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        rows = 1
        for size in shape[:-1]:
            rows *= size
        around = torch.full((rows + 2, shape[-1] + 8), poison(dtype), dtype=dtype, device=like.device)
        window = around[1:-1, 3:-5]
        outside = torch.ones(around.shape, dtype=torch.bool)
        outside[1:-1, 3:-5] = False
        self.given.append((around, outside))
        return window[0] if len(shape) == 1 else window.unflatten(0, shape[:-1])

    def unharmed(self) -> bool:
        border = (around.cpu()[outside] for around, outside in self.given)
        return all(bool((part.isnan() if part.is_floating_point() else part == 127).all()) for part in border)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """All memory that the ops ask for comes with poison around it."""
    from posttrain_lab.kernels.gpu import block_sparse, conv, int4, int8, nm, quantize, sparse

    made = Results()
    for module in (block_sparse, conv, int4, int8, nm, quantize, sparse):
        monkeypatch.setattr(module, "empty", made.empty)
    return made


def close(got: Tensor, want: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Equal but for the order of K float32 additions: each may round by 2^-24 of the sum of |x| |w|, on both sides.

    gelu has a slope of at most 1.13, and its erf an error of some 2^-22.
    """
    size = x.abs() @ weight.abs().T + (0 if bias is None else bias.abs())
    allowed = 1.2 * (x.shape[1] + 4) * 2**-23 * size + 2**-21 * (1 + want.abs())
    return got.shape == want.shape and got.dtype == want.dtype and bool(((got.cpu() - want).abs() <= allowed).all())


def launched(monkeypatch: pytest.MonkeyPatch) -> list:
    """Every launch from now on, in order."""
    from posttrain_lab.kernels.gpu.launch import Launch

    seen, run = [], Launch.run
    monkeypatch.setattr(Launch, "run", lambda self: (seen.append(self), run(self))[1])
    return seen


def optional(function: Callable, value: Tensor | None, device: str) -> Tensor | None:
    return None if value is None else function(value, device)
