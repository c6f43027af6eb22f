"""Accuracy with its interval, bytes, MACs and sparsity of a model: metrics that need no clock.

Left out: latency and the passport (measure.py), and the calibration of confidences (calibration/).
"""

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import SupportsIndex

import torch
from jaxtyping import Float, Integer, Shaped
from torch import Tensor, nn

from posttrain_lab.module_walks import computing_weights

COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _check_types(name: str, logits: Tensor, labels: Tensor) -> None:
    for argument, value in (("logits", logits), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} wants a Tensor for {argument}, got {type(value).__name__}; do torch.tensor(...).")
    if not logits.is_floating_point():
        raise TypeError(f"{name} wants floating-point logits, got {logits.dtype}; do logits.float().")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{name} wants integer labels, got {labels.dtype}; give class numbers, for example int64.")
    if logits.device != labels.device:
        raise ValueError(
            f"{name} wants logits and labels on one device, got {logits.device} and {labels.device}; do labels.to(...)."
        )


def _check(name: str, logits: Tensor, labels: Tensor) -> None:
    """Raise unless logits are [n, c] numbers and labels [n] class numbers in 0..c-1."""
    _check_types(name, logits, labels)
    if logits.ndim != 2 or labels.ndim != 1 or len(logits) != len(labels) or logits.numel() == 0:
        raise ValueError(
            f"{name} wants logits [n, c] and labels [n] with n, c >= 1, got shapes {list(logits.shape)} and "
            f"{list(labels.shape)}; give one row of logits per label."
        )
    if logits.isnan().any():
        raise ValueError(f"{name} wants logits that are numbers, got NaN; look for the layer that made it.")
    lowest, highest, classes = int(labels.min()), int(labels.max()), logits.shape[1]
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"{name} wants labels in 0..{classes - 1}, a column of logits each, got {lowest}..{highest}; "
            "check that the labels belong to this model."
        )


def check_model(name: str, model: nn.Module) -> None:
    """Raise TypeError, in the name of the function `name`, unless `model` is an nn.Module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{name} wants model to be an nn.Module, got {type(model).__name__}; give the network itself.")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Inside the block the model is in eval mode; afterwards every module has the mode it had before.

    >>> model = nn.Sequential(nn.Dropout())
    >>> with evaluating(model):
    ...     inside = model.training
    >>> inside, model.training
    (False, True)
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


def accuracy(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """Which fraction of the examples does the model get right?

    accuracy = (1/n) sum_i [argmax_c logits[i, c] = labels[i]], in [0, 1]; a tie goes to the lower class number.
    logits [n, c]; labels [n] class numbers in 0..c-1. Raises TypeError for other dtypes; ValueError for empty or
    mismatched shapes, NaN, or labels outside the classes.

    >>> accuracy(torch.tensor([[0.2, 0.8], [3.0, 1.0], [0.1, 0.3]]), torch.tensor([1, 0, 0])) == 2 / 3
    True
    """
    _check("accuracy", logits, labels)
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


def per_class_accuracy(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], classes: int) -> Float[Tensor, " {classes}"]:
    """How accurate is the model for each class? The fraction of the class's own examples that are hits (recall).

    logits [n, c], labels [n] in 0..classes-1 -> [classes] float64; NaN for a class without examples. Raises as
    `accuracy` does, and ValueError when a label is not below `classes`.

    >>> logits = torch.tensor([[0.2, 0.8], [3.0, 1.0], [0.1, 0.3]])
    >>> per_class_accuracy(logits, torch.tensor([1, 0, 0]), classes=2).tolist()
    [0.5, 1.0]
    """
    _check("per_class_accuracy", logits, labels)
    if classes <= int(labels.max()):
        raise ValueError(
            f"per_class_accuracy wants classes above every label, got classes={classes} and a label "
            f"{int(labels.max())}; give the number of classes."
        )
    examples = torch.bincount(labels, minlength=classes)
    hits = torch.bincount(labels[logits.argmax(dim=1) == labels], minlength=classes)
    return hits.double() / examples


def wilson_interval(hits: SupportsIndex, n: SupportsIndex, z: float = 1.96) -> tuple[float, float]:
    """In which interval does the true accuracy probably lie, when `hits` of `n` examples were right?

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with p = hits/n; z = 1.96 gives 95 %.
    Unlike p -+ z sqrt(p(1-p)/n) it stays inside [0, 1] and has a width at 0 and at n hits, where its low end is
    exactly 0 and its high end exactly 1. Raises TypeError unless hits and n are integers; ValueError unless
    0 <= hits <= n, n >= 1 and z > 0. Source: Wilson (1927).

    >>> [round(end, 3) for end in wilson_interval(10, 10)]
    [0.722, 1.0]
    """
    try:
        hits, n = operator.index(hits), operator.index(n)
    except TypeError:
        raise TypeError(
            f"wilson_interval wants whole numbers of hits and examples, got hits={hits!r}, n={n!r}; give counts, not a fraction."
        ) from None
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"wilson_interval wants n >= 1 and 0 <= hits <= n, got hits={hits}, n={n}; give counts.")
    if not (math.isfinite(z) and z > 0):
        raise ValueError(f"wilson_interval wants a finite z > 0, got {z}; use 1.96 for 95 %.")
    p = hits / n
    center = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (center - half) / (1 + z * z / n), (center + half) / (1 + z * z / n)
    return (max(low, 0.0) if hits else 0.0), (min(high, 1.0) if hits < n else 1.0)


def _tensor_sizes(module: nn.Module) -> Iterator[tuple[object, int]]:
    """Pairs (where the tensor lies, its bytes) below `module`; a module with `packed_bytes()` is one pair."""
    if callable(packed := getattr(module, "packed_bytes", None)):
        size = packed()
        if not isinstance(size, int) or size < 0:
            raise TypeError(
                f"model_bytes wants packed_bytes() of {type(module).__name__} to give a whole number >= 0, "
                f"got {size!r}; return a count of bytes."
            )
        yield id(module), size
        return
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    for tensor in tensors:
        if tensor.layout != torch.strided:
            raise TypeError(
                f"model_bytes wants dense tensors, got layout {tensor.layout} in {type(module).__name__}; "
                "keep values and indices as buffers of their own."
            )
        yield (tensor.device, tensor.data_ptr() or id(tensor)), tensor.numel() * tensor.element_size()
    for child in module.children():
        yield from _tensor_sizes(child)


def model_bytes(model: nn.Module) -> int:
    """How many bytes do the parameters and buffers of a model take, in memory or in a file?

    The sum over parameters and buffers of (count x width of the dtype): float32 4, float16 2, int8 1. Tensors that
    share their memory count once. Weights below 8 bits have no dtype of their own: a module whose stored form is
    smaller than its tensors defines `packed_bytes() -> int`, the bytes of all that it and its children store, and
    that number is used. Left out: the code of the model, and names and shapes in a file. Raises TypeError for
    anything but an nn.Module, and for sparse layouts.

    >>> model_bytes(nn.Linear(10, 3)), model_bytes(nn.Linear(10, 3).half())
    (132, 66)
    """
    check_model("model_bytes", model)
    sizes: dict[object, int] = {}
    for place, size in _tensor_sizes(model):
        sizes[place] = max(size, sizes.get(place, 0))
    return sum(sizes.values())


def _macs_per_output(layer: nn.Module) -> int:
    """Multiply-accumulates for one element of the layer's output; 0 for a layer that is not counted."""
    if isinstance(layer, COUNTED):
        return layer.weight.numel() // layer.weight.shape[0]
    own = getattr(layer, "macs_per_output", 0)
    return own if isinstance(own, int) else 0


def _inputs(example: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The example as the tensors of one call, checked."""
    inputs = example if isinstance(example, tuple) else (example,)
    for one in inputs:
        if not isinstance(one, Tensor):
            raise TypeError(f"macs wants example to be a Tensor, got {type(one).__name__}; give one image, or a tuple of inputs.")
        if one.numel() == 0:
            raise ValueError(f"macs wants an example with numbers in it, got shape {list(one.shape)}; give one image.")
    return inputs


def macs(model: nn.Module, example: Shaped[Tensor, "batch ..."] | tuple[Tensor, ...]) -> int:
    """How much arithmetic does one call take, in multiply-accumulates (a * b + c)?

    Linear: outputs x in_features. Convolution: outputs x (in_channels / groups) x kernel size. example [batch, ...]:
    give one example for the work per example; a model of several inputs takes a tuple of tensors.
    A layer of another class is counted by its attribute `macs_per_output: int`.
    Left out: biases, norms, activations, pooling, and functions called without a layer. FLOPs are twice this number.
    The model is not changed. Raises TypeError for anything but an nn.Module and a Tensor; ValueError for an
    empty example or one that the model does not accept.

    >>> macs(nn.Conv2d(8, 6, kernel_size=3, groups=2), torch.zeros(1, 8, 5, 5)) == (6 * 3 * 3) * (8 // 2 * 3 * 3)
    True
    """
    check_model("macs", model)
    inputs = _inputs(example)
    counts: list[int] = []

    def counter(each: int) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda layer, inputs, output: counts.append(each * output.numel())

    with evaluating(model), torch.no_grad():
        layers = [(layer, per_output) for layer in model.modules() if (per_output := _macs_per_output(layer))]
        hooks = [layer.register_forward_hook(counter(each)) for layer, each in layers]
        try:
            model(*inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            got = ", ".join(f"{list(one.shape)} {one.dtype}" for one in inputs)
            raise ValueError(
                f"macs wants an example that the model takes, got shape {got}; check its shape, dtype, device and, for several "
                f"inputs, give a tuple. The model said: {error}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
    return sum(counts)


def sparsity(model: nn.Module) -> float:
    """Which fraction of the weights is exactly zero?

    Counted are parameters with two dimensions or more (matrices and kernels) and int8 buffers of such shapes
    (symmetric codes, where 0 means 0.0); not biases, not norms; shared parameters once. Masks of torch's own prune and
    parametrizations are applied. 0.0 for a model without any.
    Raises TypeError for anything but an nn.Module.

    >>> layer = nn.Linear(4, 2)
    >>> _ = layer.weight.data[0].zero_()
    >>> sparsity(layer)
    0.5
    """
    check_model("sparsity", model)
    codes = [buffer for buffer in model.buffers() if buffer.dtype == torch.int8]
    with evaluating(model), torch.no_grad():  # in train mode spectral_norm changes its state when it is read
        weights = [weight for weight in [*computing_weights(model), *codes] if weight.ndim >= 2]
    total = sum(weight.numel() for weight in weights)
    return sum(weight.numel() - int(weight.count_nonzero()) for weight in weights) / total if total else 0.0
