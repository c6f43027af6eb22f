"""How fast is a model on this machine? And, with metrics.py and calibration/, everything that its `Passport` contains.

Percentiles are order statistics by the nearest rank: of n sorted times, the p-th percentile is the one at rank
ceil(p n / 100). It is always a time that was measured; of two times the 50th percentile is the shorter.
Left out: transfers to and from a GPU.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from posttrain_lab import __version__
from posttrain_lab.arguments import check_count
from posttrain_lab.calibration.errors import expected_calibration_error
from posttrain_lab.data import Dataset, Split
from posttrain_lab.metrics import (
    accuracy,
    check_model,
    evaluating,
    macs,
    model_bytes,
    per_class_accuracy,
    wilson_interval,
)
from posttrain_lab.passport import Comparison, Measurement, Passport, compare

__all__ = [
    "Comparison",
    "Measurement",
    "Passport",
    "compare",
    "latencies",
    "latency",
    "passport",
    "passports",
    "predict",
    "using_threads",
]

BATCHES = (1, 64)
PARTS = ("validation", "test")


def latency(
    fn: Callable[[], object], repeats: int = 50, warmup: int = 5, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float, float]:
    """How long does a call of `fn()` take? (p20, p50, p80) in seconds: the median, and how much the times vary.

    fn is called `warmup` times unmeasured (caches, compilation), then `repeats` times; percentiles by the nearest rank
    (ceil(p n / 100)). On a GPU fn must wait for its result. clock: gives seconds; tests pass their own.
    Raises TypeError when fn cannot be called; ValueError unless repeats >= 1 and warmup >= 0.

    >>> ticks = iter([0.0, 9.0, 10.0, 12.0, 20.0, 23.0, 30.0, 31.0, 40.0, 44.0])  # calls of 9, 2, 3, 1 and 4 seconds
    >>> latency(lambda: None, repeats=5, warmup=0, clock=lambda: next(ticks))
    (1.0, 3.0, 4.0)
    """
    if not callable(fn):
        raise TypeError(f"latency wants fn to be a function without arguments, got {type(fn).__name__}; do lambda: model(x).")
    check_count("latency", "repeats", repeats, 1)
    check_count("latency", "warmup", warmup, 0)
    for _ in range(warmup):
        fn()
    return _percentiles([_seconds(fn, clock) for _ in range(repeats)])


def _seconds(fn: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    fn()
    return clock() - start


def _percentiles(times: list[float]) -> tuple[float, float, float]:
    times.sort()
    p20, p50, p80 = (times[-(-p * len(times) // 100) - 1] for p in (20, 50, 80))
    return p20, p50, p80


def latencies(
    functions: Mapping[str, Callable[[], object]],
    repeats: int = 50,
    warmup: int = 5,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[float, float, float]]:
    """`latency` of several functions that are to be compared: they take turns, so a busy moment of the machine meets all of them.

    In each of the `repeats` rounds every function is called twice, and the second call is timed: the others have emptied the caches
    before. The round's first is another one each time. Raises as `latency` does.

    >>> ticks = iter([0.0, 2.0, 10.0, 13.0, 20.0, 24.0, 30.0, 31.0])  # a, b; b, a
    >>> latencies({"a": lambda: None, "b": lambda: None}, repeats=2, clock=lambda: next(ticks))
    {'a': (1.0, 1.0, 2.0), 'b': (3.0, 3.0, 4.0)}
    """
    names, times = list(functions), {name: [] for name in functions}
    check_count("latencies", "repeats", repeats, 1)
    for fn in functions.values():
        latency(fn, 1, warmup, clock=lambda: 0.0)  # checks, and warms up
    for turn in range(repeats):
        first = turn % max(1, len(names))
        for name in names[first:] + names[:first]:
            functions[name]()
            times[name].append(_seconds(functions[name], clock))
    return {name: _percentiles(found) for name, found in times.items()}


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Inside the block torch computes on `threads` CPU threads; afterwards on as many as before.

    Raises TypeError or ValueError unless threads is a whole number >= 1.

    >>> with using_threads(1):
    ...     torch.get_num_threads()
    1
    """
    check_count("using_threads", "threads", threads, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(model: nn.Module) -> torch.device:
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def predict(model: nn.Module, images: Shaped[Tensor, "n ..."], batch_size: int = 128) -> Float[Tensor, "n c"]:
    """The model's logits for each image.

    images [n, ...] -> logits [n, c], without gradients, in eval mode (each module's mode is restored afterwards),
    `batch_size` images at a time to bound the memory. A batch is computed on the model's device, its logits are copied
    to that of `images`. Raises TypeError for uint8 pixels or another type; ValueError for no images, NaN or infinity, or
    an output that is not [n, c].

    >>> predict(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.zeros(5, 2, 2)).shape
    torch.Size([5, 3])
    """
    check_model("predict", model)
    check_count("predict", "batch_size", batch_size, 1)
    _check_images(images, batch_size)
    device, logits = _device(model), torch.empty(0)
    with evaluating(model), torch.no_grad():
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            out = model(batch.to(device))
            if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(batch):
                got = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
                raise ValueError(f"predict wants a model that gives logits [{len(batch)}, c], got {got}; add nn.Flatten().")
            if not start:  # one tensor for all logits: separate results of each batch would fragment the memory
                logits = out.new_empty(len(images), out.shape[1], device=images.device)
            logits[start : start + len(batch)] = out
    return logits


def _check_images(images: Tensor, batch_size: int) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"predict wants images to be a Tensor, got {type(images).__name__}; do torch.as_tensor(images).")
    if images.dtype == torch.uint8:
        raise TypeError("predict wants float images in [0, 1], got torch.uint8; do images.float() / 255.")
    if images.ndim == 0 or images.numel() == 0:
        raise ValueError(f"predict wants images [n, ...] with n >= 1, got shape {list(images.shape)}; give some images.")
    if not all(batch.isfinite().all() for batch in images.split(batch_size)):  # all at once would need as much memory again
        raise ValueError("predict wants finite images, got NaN or infinity; clean the data first.")


def device_name(device: torch.device) -> str:
    """The name of the GPU, or of the CPU as the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()} {device.type}"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name")]
    return next(filter(None, [*names[:1], platform.processor(), platform.machine()]), "unknown CPU")


def _measure_batch(models: Mapping[str, nn.Module], images: Tensor, batch: int, repeats: int) -> dict[str, Measurement]:
    """Latency of `batch` images a call (fewer are repeated in turn), already on each model's device; several models take turns."""
    taken = images[torch.arange(batch) % len(images)]
    calls = {name: _caller(model, taken.to(_device(model))) for name, model in models.items()}
    with ExitStack() as stack, torch.no_grad():
        for model in models.values():
            stack.enter_context(evaluating(model))
        found = latencies(calls, repeats) if len(calls) > 1 else {name: latency(call, repeats) for name, call in calls.items()}
    return {name: Measurement(*times, batch, torch.get_num_threads()) for name, times in found.items()}


def _caller(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """One call of a model, to its end also on a GPU."""

    def call() -> None:
        model(x)
        if x.device.type != "cpu":
            torch.accelerator.synchronize(x.device)

    return call


def _quality(logits: Tensor, data: Dataset) -> dict:
    """The fields of a Passport that follow from logits and labels."""
    if not logits.isfinite().all():
        raise ValueError("passport wants a model with finite logits, got NaN or infinity; look for the layer that made it.")
    share, n = accuracy(logits, data.labels), len(data)
    low, high = wilson_interval(round(share * n), n)
    by_class = per_class_accuracy(logits, data.labels, len(data.classes)).nan_to_num(nan=2.0)
    worst = int(by_class.argmin())
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    return {
        "n": n,
        "accuracy": share,
        "accuracy_low": low,
        "accuracy_high": high,
        "worst_class": data.classes[worst],
        "worst_class_accuracy": by_class[worst].item(),
        "ece": expected_calibration_error(confidence.clamp(max=1.0), predicted == data.labels),
    }


def passport(
    model: nn.Module, split: Split, name: str, part: str = "validation", threads: int = 1, repeats: int = 30
) -> Passport:
    """How accurate, large, calibrated and fast is this model, on this machine, now?

    part: "validation" while you choose, "test" for the last number. Accuracy with its 95 % Wilson interval, the worst
    class (of those with examples), bytes, MACs for one image, ECE with 15 bins, and the latency of batches of 1 and 64
    images on `threads` CPU threads, `repeats` times after 5 warm-up calls. The model, its modes and torch's threads
    are not changed. Raises ValueError for another part, an empty part or logits that are not finite; TypeError unless
    it gets an nn.Module and a Split.

    >>> from posttrain_lab.data import load_fashion
    >>> from posttrain_lab.models import load_pretrained
    >>> found = passport(load_pretrained("fashion_cnn"), load_fashion(), "fp32", repeats=3)
    >>> found.n, found.bytes, found.accuracy_low < found.accuracy < found.accuracy_high
    (2000, 434976, True)
    """
    return passports({name: model}, split, part, threads, repeats)[0]


def passports(
    models: Mapping[str, nn.Module], split: Split, part: str = "validation", threads: int = 1, repeats: int = 30
) -> list[Passport]:
    """The passports of several models that are to be compared, in their order: their calls take turns while they are timed.

    models: name -> model. Else as `passport`, whose errors these are.

    >>> from posttrain_lab.data import load_fashion
    >>> networks = {name: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)) for name in ("a", "b")}
    >>> [(one.name, one.bytes) for one in passports(networks, load_fashion(), repeats=1)]
    [('a', 31400), ('b', 31400)]
    """
    for model in models.values():
        check_model("passport", model)
    if not isinstance(split, Split):
        raise TypeError(f"passport wants a Split, got {type(split).__name__}; do load_fashion().")
    if part not in PARTS:
        raise ValueError(f"passport wants part to be one of {PARTS}, got {part!r}; other parts were used for fitting.")
    check_count("passport", "repeats", repeats, 1)
    data: Dataset = getattr(split, part)
    with using_threads(threads):
        quality = {name: _quality(predict(model, data.images), data) for name, model in models.items()}
        timing = [_measure_batch(models, data.images, batch, repeats) for batch in BATCHES]
    return [
        Passport(
            name=name,
            task=split.name,
            part=part,
            bytes=model_bytes(model),
            macs=macs(model, data.images[:1].to(_device(model))),
            latency=tuple(found[name] for found in timing),
            device=device_name(_device(model)),
            threads=threads,
            versions={"python": platform.python_version(), "torch": str(torch.__version__), "posttrain_lab": __version__},
            **quality[name],
        )
        for name, model in models.items()
    ]
