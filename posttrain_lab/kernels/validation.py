"""The checks of all kernels: each error names the op, the argument, what was given and what to do."""

import torch
from torch import Tensor

from .packed import Packed

ACTIVATIONS = ("none", "relu", "gelu")
IMPLEMENTED = ("cpu", "meta", "cuda")
LARGEST_K = 131_071  # (-128) * (-128) * K must stay below 2^31


def check_device(op: str, *tensors: Tensor | None) -> None:
    """All on one device that has an implementation."""
    for part in tensors:
        if part is not None and not part.is_cpu:
            break
    else:
        return
    given = [part.device for part in tensors if part is not None]
    device = given[0]
    if any(other != device for other in given):
        names = dict.fromkeys(str(part) for part in given)
        raise ValueError(f"{op} wants one device, got {' and '.join(names)}; move one with .to().")
    if device.type not in IMPLEMENTED:
        raise NotImplementedError(
            f"{op} wants tensors on the cpu or a cuda GPU, got {device}; there is no kernel for {device.type} yet, so move all with .cpu()."
        )


def check_activations(op: str, x: Tensor, features: int) -> None:
    """x: float32 [..., features]."""
    if not isinstance(x, Tensor) or x.dtype != torch.float32:
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{op} wants x in float32, got {got}; use x.float().")
    if x.ndim < 1 or x.shape[-1] != features:
        raise ValueError(f"{op} wants x [..., {features}] for this weight, got {tuple(x.shape)}.")


def check_packed(op: str, weight: object, wanted: type[Packed]) -> None:
    """A packed weight of the right class."""
    if not isinstance(weight, wanted):
        got = f"a {weight.dtype} tensor" if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"{op} wants weight as {wanted.__name__}, got {got}; make one with {wanted.__name__}.from_float(weight).")


def check_bias(op: str, bias: Tensor | None, n: int) -> None:
    """None or float32 [n]."""
    if bias is None:
        return
    if not isinstance(bias, Tensor) or bias.dtype != torch.float32:
        got = bias.dtype if isinstance(bias, Tensor) else type(bias).__name__
        raise TypeError(f"{op} wants bias in float32, got {got}; use bias.float().")
    if bias.shape != (n,):
        raise ValueError(f"{op} wants bias [{n}], got {tuple(bias.shape)}.")


def check_choice(op: str, name: str, value: str, allowed: tuple[str, ...]) -> None:
    """One of the allowed words."""
    if value not in allowed:
        raise ValueError(f"{op} wants {name} as one of {', '.join(allowed)}, got {value!r}.")


def check_whole(op: str, name: str, value: int, least: int, most: int | None = None) -> None:
    """A whole number in a range."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{op} wants {name} as a whole number {limits}, got {value!r}.")


def check_matrices(op: str, a: Tensor, b: Tensor) -> None:
    """int8 (M, K) and (K, N) whose sums fit int32."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise TypeError(f"{op} wants two tensors, got {type(a).__name__} and {type(b).__name__}.")
    if a.dtype != torch.int8 or b.dtype != torch.int8:
        raise TypeError(f"{op} wants two int8 matrices, got {a.dtype} and {b.dtype}; quantize first.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(
            f"{op} wants shapes (M, K) and (K, N), got {tuple(a.shape)} and {tuple(b.shape)}; "
            "flatten leading axes, or transpose one of the matrices."
        )
    check_device(op, a, b)
    check_sums(op, a.shape[1])


def check_sums(op: str, k: int) -> None:
    """int32 holds every sum of k products."""
    if k > LARGEST_K:
        raise ValueError(
            f"{op} wants K up to {LARGEST_K} so that int32 holds every sum, got {k}; "
            "multiply in slices of K and add the parts in int64."
        )


def as_rows(x: Tensor) -> Tensor:
    """[..., K] -> [M, K], without gradient."""
    rows = x.detach() if x.requires_grad else x
    return rows if x.ndim == 2 else rows.reshape(-1, x.shape[-1])


def as_batch(y: Tensor, x: Tensor) -> Tensor:
    """[M, N] -> [..., N], the leading axes of x."""
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[1])
