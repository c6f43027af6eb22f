"""Unit 08, exercises 7 to 15: right answers of another shape."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.deployment.c99 import array
from posttrain_lab.deployment.preprocess import MISTAKES

UNDO = {"right": lambda x: x, **{name: one.undo for name, one in MISTAKES.items()}}


# ---- pool_first
def pool_by_torch(sums, bias, multiplier, shift, size):
    """Doubles hold sums of 32 bits."""
    best = F.max_pool2d(sums.permute(2, 0, 1)[None].double(), size)[0].permute(1, 2, 0).to(torch.int64) + bias
    rounded = torch.bitwise_right_shift(best * multiplier + torch.ones_like(shift).bitwise_left_shift(shift - 1), shift)
    return torch.clip(rounded, -128, 127).char()


def pool_in_numpy(sums, bias, multiplier, shift, size):
    s, b, m, t = (one.numpy() for one in (sums, bias, multiplier, shift))
    h, w = s.shape[0] // size, s.shape[1] // size
    best = s[: h * size, : w * size].reshape(h, size, w, size, -1).max(axis=(1, 3)).astype(np.int64) + b
    return torch.from_numpy(np.clip((best * m + (np.int64(1) << (t - 1))) >> t, -128, 127).astype(np.int8))


def pool_by_loops(sums, bias, multiplier, shift, size):
    h, w, out = sums.shape[0] // size, sums.shape[1] // size, sums.shape[2]
    best = torch.stack(
        [
            sums[i * size : i * size + size, j * size : j * size + size].flatten(0, 1).max(0).values
            for i in range(h)
            for j in range(w)
        ]
    )
    total = best.long().add(bias)
    codes = torch.div(total * multiplier + 2 ** (shift - 1), 2**shift, rounding_mode="floor")
    return codes.clamp(-128, 127).to(torch.int8).reshape(h, w, out)


# ---- emit_dense
def dense_unrolled(name, weight, bias, multiplier, shift, limits):
    """All numbers stand in the code; there is no array."""
    zero, low, high = limits
    lines = []
    for o, row in enumerate(weight.tolist()):
        products = " + ".join(f"({w}) * x[{i}]" for i, w in enumerate(row))
        m, s = int(multiplier[o]), int(shift[o])
        lines.append(
            f"  int64_t c{o} = ({int(bias[o])} + {products}) * INT64_C({m}) + {1 << (s - 1)};".replace(f"INT64_C({m})", f"{m}LL")
        )
        lines.append(
            f"  c{o} = (c{o} >> {s}) + {zero}; if (c{o} < {low}) c{o} = {low}; else if (c{o} > {high}) c{o} = {high}; y[{o}] = c{o};"
        )
    return f"void {name}(const int8_t *x, int8_t *y) {{\n" + "\n".join(lines) + "\n}\n"


def dense_with_while(name, weight, bias, multiplier, shift, limits):
    out, k = weight.shape
    kinds = {"w": ("int8_t", weight), "b": ("int32_t", bias), "m": ("int64_t", multiplier), "s": ("uint8_t", shift)}
    head = "".join(array(f"const {kind}", key, values.numpy()) for key, (kind, values) in kinds.items())
    zero, low, high = limits
    return f"""#include <stdint.h>
/* {out} x {k} */
{head}
void {name}(const int8_t *in, int8_t *result) {{
    int o = 0, at = 0;
    while (o < {out}) {{
        int64_t acc = b[o];
        for (int i = 0; i != {k}; ++i, ++at) {{ acc += w[at] * in[i]; }}
        acc = acc * m[o];
        acc += (int64_t)1 << (s[o] - 1);
        acc >>= s[o];
        acc += ({zero});
        if (acc < {low}) {{ acc = {low}; }}
        if (acc > {high}) acc = {high};
        result[o++] = (int8_t)acc;
    }}
}}
"""


def dense_backwards(name, weight, bias, multiplier, shift, limits):
    out, k = weight.shape
    head = array("static const int8_t", f"{name}_columns", weight.T.contiguous().numpy())
    for key, values in (("bias", bias), ("multiplier", multiplier), ("shift", shift)):
        head += array("static const int32_t", f"{name}_{key}", values.numpy())
    zero, low, high = limits
    body = f"""    for (int32_t o = {out} - 1; o >= 0; o--) {{
        int32_t sum = 0; // the bias comes last
        for (int32_t i = {k} - 1; i >= 0; --i) {{
            if (x[i] == 0) continue;
            sum += {name}_columns[i * {out} + o] * (int32_t)x[i];
        }}
        const int64_t half = ((int64_t)1 << {name}_shift[o]) / 2;
        int64_t code = ((int64_t)(sum + {name}_bias[o]) * {name}_multiplier[o] + half >> {name}_shift[o]) + {zero};
        code = code > {high} ? {high} : code;
        y[o] = code < {low} ? {low} : code;
    }}
    return;
"""
    return head + f"void {name}(const int8_t *x, int8_t *y)\n{{\n{body}}}\n"


# ---- first_difference
def difference_by_equal(ours, theirs):
    for name, mine in ours.items():
        same = mine.eq(theirs[name])
        if not same.all():
            images = [i for i in range(len(mine)) if not bool(same[i].all())]
            return name, 1 - same.sum().item() / same.numel(), images[0]
    return None


def difference_in_numpy(ours, theirs):
    parts = {name: ours[name].numpy() != theirs[name].numpy() for name in ours}
    first = next((name for name, wrong in parts.items() if wrong.any()), None)
    if first is None:
        return None
    return first, float(parts[first].mean()), int(np.argwhere(parts[first])[0][0])


def difference_by_counting(ours, theirs):
    for name in ours:
        counts = (ours[name] != theirs[name]).flatten(1).sum(1) if ours[name].ndim > 1 else (ours[name] != theirs[name]).long()
        if counts.sum() > 0:
            return (name, int(counts.sum()) / ours[name].numel(), int(counts.nonzero().flatten().min()))
    return None


# ---- export
def export_a_copy(model, example):
    twin = copy.deepcopy(model)
    twin.eval()
    shape = {0: torch.export.Dim("batch", min=1)}
    return torch.export.export(twin, (example.repeat(3, *[1] * (example.ndim - 1)),), dynamic_shapes=(shape,))


def export_and_put_back(model, example):
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        some = torch.zeros(4, *example.shape[1:], dtype=example.dtype)
        return torch.export.export(model, (some,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    finally:
        for layer, mode in modes.items():
            layer.training = mode


# ---- prepare
def prepare_in_numpy(photo, contract):
    image = np.rot90(photo.numpy(), -contract.turns)
    if contract.order == "BGR":
        image = image[:, :, ::-1]
    (height, width), (a, b) = image.shape[:2], contract.size
    h, w = max(1, min(height, width * a // b)), max(1, min(width, height * b // a))
    top, left = (height - h) // 2, (width - w) // 2
    image = image[top : top + h, left : left + w].astype(np.int64)
    grey = (image @ np.array([299, 587, 114]) + 500) // 1000
    result = np.empty((a, b), dtype=np.uint8)
    for i in range(a):
        for j in range(b):
            area = grey[i * h // a : -(-(i + 1) * h // a), j * w // b : -(-(j + 1) * w // b)]
            mean = (2 * int(area.sum()) + area.size) // (2 * area.size)
            result[i, j] = 255 - mean if contract.inverted else mean
    return torch.from_numpy(result)


def prepare_by_prefix_sums(photo, contract):
    upright = photo.long()
    for _ in range(contract.turns):
        upright = upright.transpose(0, 1).flip(1)
    a, b = contract.size
    height, width, _ = upright.shape
    h, w = max(1, min(height, width * a // b)), max(1, min(width, height * b // a))
    part = upright.narrow(0, (height - h) // 2, h).narrow(1, (width - w) // 2, w)
    weights = [299, 587, 114] if contract.order == "RGB" else [114, 587, 299]
    grey = (sum(k * part[..., c] for c, k in enumerate(weights)) + 500).div(1000, rounding_mode="floor")
    above = F.pad(grey.cumsum(0).cumsum(1), (1, 0, 1, 0))
    top, left = torch.arange(a) * h // a, torch.arange(b) * w // b
    bottom, right = -(-(torch.arange(a) + 1) * h // a), -(-(torch.arange(b) + 1) * w // b)
    total = above[bottom][:, right] - above[top][:, right] - above[bottom][:, left] + above[top][:, left]
    count = (bottom - top)[:, None] * (right - left)
    mean = (total * 2 + count) // (count * 2)
    return (mean if not contract.inverted else 255 - mean).to(torch.uint8)


# ---- diagnose
def diagnose_by_log_softmax(model, images, labels):
    best, found = math.inf, ""
    for name in UNDO:
        with torch.no_grad():
            surprise = -model(UNDO[name](images.clone())).log_softmax(1)[torch.arange(len(labels)), labels].mean().item()
        if surprise < best:
            best, found = surprise, name
    return found


def diagnose_by_module(model, images, labels):
    loss = nn.CrossEntropyLoss(reduction="sum")
    with torch.inference_mode():
        losses = torch.stack([loss(model(undo(images)), labels) for undo in UNDO.values()])
    return list(UNDO)[int(losses.argmin())]


# ---- energy, tail, fits
def energy_by_parts(macs, weight_bytes, activation_bytes, bits, dram):
    each = {8: 0.2 + 0.1, 16: 1.1 + 0.4, 32: 3.7 + 0.9}[bits]
    pico = [macs * each + activation_bytes * 5 + weight_bytes * one for one in ((162.5, 325.0) if dram else (2.5, 12.5))]
    return pico[0] / 1e12, pico[1] / 1e12


def energy_in_numpy(macs, weight_bytes, activation_bytes, bits, dram):
    costs = np.array([{8: 0.3, 16: 1.5, 32: 4.6}[bits], 20.0, 0.0]) * 1e-12
    bounds = []
    for access in (1300, 2600) if dram else (20, 100):
        costs[2] = access * 1e-12
        bounds.append(float(costs @ np.array([macs, activation_bytes / 4, weight_bytes / 8])))
    return tuple(bounds)


def tail_by_heap(times, warmup):
    import heapq

    rest = times[warmup:]
    n = len(rest)
    return times[0], heapq.nsmallest(math.ceil(n / 2), rest)[-1], heapq.nlargest(n - math.ceil(99 * n / 100) + 1, rest)[-1]


def tail_in_torch(times, warmup):
    ranked = torch.tensor(times[warmup:], dtype=torch.float64).sort().values
    n = len(ranked)
    return float(times[0]), ranked[(n + 1) // 2 - 1].item(), ranked[(99 * n + 99) // 100 - 1].item()


def fits_by_sorting(candidates, flash, ram, ms, joules):
    limits = (flash, ram, ms, joules)
    for one in sorted(candidates, key=lambda c: (-c.accuracy, c.flash)):
        if all(cost <= limit for cost, limit in zip((one.flash, one.ram, one.ms, one.joules), limits, strict=True)):
            return one
    return None


def fits_by_loop(candidates, flash, ram, ms, joules):
    best = None
    for one in candidates:
        if one.flash > flash or one.ram > ram or one.ms > ms or one.joules > joules:
            continue
        if best is None or one.accuracy > best.accuracy or (one.accuracy == best.accuracy and one.flash < best.flash):
            best = one
    return best


ALTERNATIVES = {
    "pool_first": (pool_by_torch, pool_in_numpy, pool_by_loops),
    "emit_dense": (dense_unrolled, dense_with_while, dense_backwards),
    "first_difference": (difference_by_equal, difference_in_numpy, difference_by_counting),
    "export": (export_a_copy, export_and_put_back),
    "prepare": (prepare_in_numpy, prepare_by_prefix_sums),
    "diagnose": (diagnose_by_log_softmax, diagnose_by_module),
    "energy": (energy_by_parts, energy_in_numpy),
    "tail": (tail_by_heap, tail_in_torch),
    "fits": (fits_by_sorting, fits_by_loop),
}
