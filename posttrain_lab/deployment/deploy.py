"""From a network to an artefact: compared number by number before it is written, what it costs, and its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.calibration import apply_temperature, expected_calibration_error
from posttrain_lab.measure import device_name
from posttrain_lab.metrics import accuracy, wilson_interval
from posttrain_lab.quantization import to_onnx
from posttrain_lab.whole_files import check_target, save_whole

from .budget import energy, tail
from .c99 import to_c
from .card import card_of, write_card
from .compare import TARGETS, Progress, Way, compare
from .compiled import compiler
from .deployable import Deployable
from .engine import node
from .memory import plan_memory
from .runtime import sealed
from .web import PageText, to_html

SUFFIXES = {"web": ".html", "c": ".c", "onnx": ".onnx"}
EXAMPLES = 10
WARMUP = 10
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Deployed:
    """The files that were written, the artefact first, and what was measured: rows (what, value)."""

    files: tuple[Path, ...]
    rows: tuple[tuple[str, str], ...]


def deploy(
    made: Deployable,
    target: str,
    path: Path,
    budget: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Deployed:
    """Write the artefact of a program for a target of TARGETS, and its card beside it: path.card.md and path.card.html.

    Before anything is written, every number that the artefact's code gives on the images is compared with the network's own.
    path: the file; for "c" the .c file, its .h goes beside it. budget: the most bytes of RAM for the images between the layers.
    progress: called as progress(images done, of how many) while they are compared.
    Raises ValueError for another target, an arena over the budget, or ONNX of a program without its network; OSError for a path that
    cannot be written; RuntimeError, and writes nothing, where a number differs.
    """
    if target not in TARGETS:
        raise ValueError(f"deploy wants a target of {', '.join(TARGETS)}, got {target!r}.")
    if target == "onnx" and made.network is None:
        raise ValueError("deploy writes ONNX from a network, not from a saved program; give its name, or use to_onnx.")
    check_target("deploy", path, "--output")
    plan = plan_memory(made.program, budget)
    found, want = compare(made, target, progress)
    rows = [*_compared(found, target, want), *_quality(made, want)]
    files = {"web": _page, "c": _c, "onnx": _onnx}[target](made, path)
    rows += [("bytes", f"{file.name} {file.stat().st_size:,}") for file in files]
    program = made.program
    low, high = energy(program.macs, program.weight_bytes, sum(one.bytes for one in program.values), bits=8, dram=False)
    rows += [
        ("constants", f"{program.weight_bytes:,} bytes"),
        ("RAM for an image", f"{plan.arena:,} bytes; {plan.without_reuse:,} without reuse"),
        ("multiply-accumulates", f"{program.macs:,}"),
        ("energy, counted (Horowitz 2014)", f"{1e6 * low:.1f} to {1e6 * high:.1f} microjoules"),
    ]
    return Deployed((*files, *write_card(card_of(made, target, files, rows), path)), tuple(rows))


def _compared(found: list[Way], target: str, want: np.ndarray) -> Rows:
    """One row for every way that gives the same numbers, with its time. Raises RuntimeError for one that does not."""
    rows: Rows = []
    for way in found:
        if way.wrong:
            raise RuntimeError(
                f"{way.name} differs from the network on {way.wrong} of {way.images} images; nothing is written. Please report this."
            )
        rows.append((f"equal to {way.name}", f"{want.size:,} numbers of {len(want):,} images"))
    for way in found:
        if way.milliseconds:
            first, p50, p99 = tail(way.milliseconds, min(WARMUP, len(way.milliseconds) - 1))
            rows.append((f"ms of {way.name}", f"first {first:.2f}, p50 {p50:.2f}, p99 {p99:.2f}"))
    if any(way.milliseconds for way in found):
        rows.append(("processor time on", device_name(torch.device("cpu"))))
    if target == "web" and node() is None:
        rows.append(("not run here", "the page's engine: no Node.js"))
    if target == "c" and compiler() is None:
        rows.append(("not run here", "the C code: no compiler"))
    return rows


def _quality(made: Deployable, want: np.ndarray) -> Rows:
    """Accuracy with its 95 % interval, the worst class, and the calibration error of the page's confidences."""
    if made.labels is None:
        return []
    logits, labels = made.logits(want), made.labels
    right, n = accuracy(logits, labels), len(labels)
    low, high = wilson_interval(round(right * n), n)
    hits = logits.argmax(1) == labels
    by_class = {name: hits[labels == number].double().mean().item() for number, name in enumerate(made.classes)}
    worst = min((name for name in by_class if by_class[name] == by_class[name]), key=by_class.__getitem__)
    confidence = apply_temperature(logits, made.temperature).softmax(1).amax(1)
    return [
        ("accuracy", f"{right:.3f} ({low:.3f} to {high:.3f}, 95 %) of {n:,} images"),
        ("worst class", f"{worst} {by_class[worst]:.3f}"),
        (
            "calibration error",
            f"{expected_calibration_error(confidence.clamp(max=1), hits):.3f} at temperature {made.temperature:.2f}",
        ),
    ]


def _pixels(made: Deployable, count: int) -> Tensor:
    """Images as pixels, channels last: those whose codes they are."""
    low, high = (made.program.contract.low, made.program.contract.high) if made.program.contract else (0.0, 1.0)
    shape = made.program.values[0].shape
    pixels = ((made.images[:count] - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8)
    return pixels.reshape(-1, shape[2], *shape[:2]).permute(0, 2, 3, 1)


def _page(made: Deployable, path: Path) -> Sequence[Path]:
    facts = f"An int8 network, {made.program.macs / 1e6:.2f} million multiply-accumulates an image. No picture leaves this page."
    text = PageText(made.name, made.classes, facts, made.temperature)
    save_whole("deploy", path, to_html(made.program, text, _pixels(made, EXAMPLES if made.labels is not None else 0)))
    return [path]


def _c(made: Deployable, path: Path) -> Sequence[Path]:
    files = to_c(made.program, path.stem)
    header = path.with_suffix(".h")
    save_whole("deploy", header, files.header)
    save_whole("deploy", path, files.source)
    return [path, header]


def _onnx(made: Deployable, path: Path) -> Sequence[Path]:
    save_whole("deploy", path, sealed(to_onnx(made.network), made.program.contract))  # type: ignore[arg-type]
    return [path]
