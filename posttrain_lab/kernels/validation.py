"""The rules for the arguments of all ops, each written once: an error names the op, the argument, what was given and what to do."""

from typing import Any

import torch
from torch import Tensor

from .geometry import conv_size
from .packed import Int8ConvWeight, Packed

CHOICES = {"activation": ("none", "relu", "gelu"), "activations": ("int8", "float32")}
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


def check_choice(op: str, name: str, value: str) -> None:
    """One of the words that CHOICES allows for this argument."""
    if value not in CHOICES[name]:
        raise ValueError(f"{op} wants {name} as one of {', '.join(CHOICES[name])}, got {value!r}.")


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


def check_linear(op: str, x: Tensor, weight: Any, wanted: type[Packed], bias: Tensor | None, **choices: str) -> None:
    """The rules of all linear ops: classes, dtypes and shapes, the words in `choices`, one device, sums that int32 holds."""
    check_packed(op, weight, wanted)
    check_activations(op, x, weight.in_features)
    check_bias(op, bias, weight.out_features)
    for name, value in choices.items():
        check_choice(op, name, value)
    check_device(op, x, weight.tensors()[0], bias)
    if not weight.tensors()[0].is_floating_point():
        check_sums(op, weight.in_features)


def check_conv(
    x: Tensor, weight: Any, steps: tuple[int, int, int], scale: Tensor | None, bias: Tensor | None, activation: str
) -> None:
    """The rules of int8_conv2d; steps: stride, padding, pad_value."""
    op, limits = "int8_conv2d", ((1, None), (0, None), (-128, 127))
    check_packed(op, weight, Int8ConvWeight)
    _check_images(op, x, weight.channels * weight.groups)
    for name, value, (least, most) in zip(("stride", "padding", "pad_value"), steps, limits, strict=True):
        check_whole(op, name, value, least, most)
    check_choice(op, "activation", activation)
    check_bias(op, bias, weight.out_features)
    kh, kw = weight.kernel
    check_sums(op, kh * kw * weight.channels)
    if min(conv_size(x.shape[1], kh, steps[0], steps[1]), conv_size(x.shape[2], kw, steps[0], steps[1])) < 1:
        raise ValueError(f"{op} wants an image that holds the {kh} x {kw} filter, got {tuple(x.shape)}; add padding.")
    if scale is None and (bias is not None or activation != "none"):
        raise ValueError(f"{op} wants a scale with bias or activation: without it the plain sums are returned.")
    if scale is not None and weight.scale is None:
        raise ValueError(f"{op} wants a weight with scales for scaled results, got one without; see Int8ConvWeight.")
    if scale is not None and (scale.shape != x.shape[:1] or scale.dtype != torch.float32):
        raise ValueError(f"{op} wants scale float32 [{len(x)}], got {scale.dtype} {tuple(scale.shape)}.")
    check_device(op, x, weight.codes, scale, bias)


def _check_images(op: str, x: Tensor, channels: int) -> None:
    """int8 [n, h, w, channels]."""
    if not isinstance(x, Tensor) or x.dtype != torch.int8:
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{op} wants x in int8, got {got}; quantize first.")
    if x.ndim != 4 or x.shape[3] != channels:
        raise ValueError(f"{op} wants x [n, h, w, {channels}], channels last, got {tuple(x.shape)}; permute the axes.")


def as_rows(x: Tensor) -> Tensor:
    """[..., K] -> [M, K], without gradient."""
    rows = x.detach() if x.requires_grad else x
    return rows if x.ndim == 2 else rows.reshape(-1, x.shape[-1])


def as_batch(y: Tensor, x: Tensor) -> Tensor:
    """[M, N] -> [..., N], the leading axes of x."""
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[1])
