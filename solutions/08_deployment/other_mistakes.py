"""Unit 08, exercises 7 to 15: wrong answers that no message names."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch

from posttrain_lab.metrics import evaluating

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("other_alternatives.py"))))


def changed(answer, after):
    """A right answer with another result."""
    return lambda *args, **kwargs: after(answer(*args, **kwargs))


def constant(value):
    return lambda *args, **kwargs: value


def text_with(old, new):
    """Right C with one piece exchanged."""
    return changed(right.dense_with_while, lambda text: text.replace(old, new))


def halved(image):
    return (image.float() / 2).round().to(torch.uint8)


def export_few(model, example):
    """For 64 images at most."""
    with evaluating(model):
        return torch.export.export(model, (torch.cat([example] * 2),), dynamic_shapes=({0: torch.export.Dim("n", max=64)},))


def most_accurate(*less):
    """Of those inside the first most accurate one, or of equal ones that with less of something."""

    def chosen(candidates, **limits):
        inside = [one for one in candidates if all(getattr(one, name) <= limit for name, limit in limits.items())]
        return max(inside, key=lambda one: (one.accuracy, *(-getattr(one, name) for name in less)), default=None)

    return lambda candidates, flash, ram, ms, joules: chosen(candidates, flash=flash, ram=ram, ms=ms, joules=joules)


WRONG = {
    "pool_first": (
        lambda sums, bias, multiplier, shift, size: right.pool_by_torch(sums, bias, multiplier, shift, 2),
        lambda sums, bias, multiplier, shift, size: right.pool_by_torch(sums.clamp(min=0), bias, multiplier, shift, size),
        lambda sums, bias, multiplier, shift, size: right.pool_by_torch(sums, bias, multiplier, shift.clamp(max=40), size),
        changed(right.pool_in_numpy, lambda codes: codes.flip(0)),
        lambda sums, *rest: right.pool_by_torch(sums.float().int(), *rest),
    ),
    "emit_dense": (
        text_with("o < ", "o + 1 < "),
        text_with("w[at]", "(w[at] >> 1)"),
        text_with("acc >>= s[o]", "acc >>= s[0]"),
        text_with("acc >>= s[o];", "acc >>= s[o]; acc = (int16_t)acc;"),
        text_with("acc >>= s[o];", "acc >>= s[o]; acc = (int32_t)acc;"),
        text_with("result[o++]", "result[0]; o++"),
        text_with("void", "int"),
        text_with("while (o <", "while (o >= 0 || o <"),
        constant(""),
        constant("void layer(const int8_t *x, int8_t *y) {}"),
    ),
    "first_difference": (
        constant(None),
        changed(right.difference_by_equal, lambda found: found and (found[0], round(found[1], 2), found[2])),
        changed(right.difference_by_equal, lambda found: found and found[:2]),
        lambda ours, theirs: right.difference_by_equal(dict(reversed(ours.items())), theirs),
    ),
    "export": (
        lambda model, example: model,
        lambda model, example: torch.export.export(model.eval(), (example,)),
        export_few,
        lambda model, example: right.export_a_copy(torch.nn.Sequential(model, torch.nn.ReLU()), example),
    ),
    "prepare": (
        changed(right.prepare_in_numpy, lambda image: image.flip(1)),
        changed(right.prepare_in_numpy, halved),
        lambda photo, contract: photo[: contract.size[0], : contract.size[1], 0],
        changed(right.prepare_in_numpy, lambda image: image.clamp(max=254)),
    ),
    "diagnose": (
        constant("right"),
        constant("pixels 0..255"),
        lambda model, images, labels: right.diagnose_by_module(model, images[: len(images) // 4], labels[: len(images) // 4]),
    ),
    "energy": (
        changed(right.energy_by_parts, lambda bounds: (bounds[0], 2 * bounds[0])),
        changed(right.energy_by_parts, lambda bounds: tuple(round(one, 6) for one in bounds)),
        lambda macs, weight_bytes, activation_bytes, bits, dram: right.energy_by_parts(
            macs, weight_bytes, weight_bytes, bits, dram
        ),
    ),
    "tail": (
        lambda times, warmup: right.tail_in_torch(times, min(warmup, 3)),
        lambda times, warmup: (
            (times[0], *right.tail_in_torch(times[:100], warmup)[1:]) if len(times) > 100 + warmup else (0.0, 0.0, 0.0)
        ),
        changed(right.tail_in_torch, lambda found: tuple(round(one, 2) for one in found)),
    ),
    "fits": (
        lambda candidates, flash, ram, ms, joules: right.fits_by_loop(candidates[:5], flash, ram, ms, joules),
        lambda candidates, flash, ram, ms, joules: right.fits_by_loop(candidates, ram, flash, ms, joules),
        constant(None),
        most_accurate(),
        most_accurate("ms"),
        most_accurate("joules"),
    ),
}
