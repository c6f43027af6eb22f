"""Unit 08: right answers of another shape. They prove the grader; students do not get them."""

from pathlib import Path
from runpy import run_path

import numpy as np
import torch
from torch.nn import functional as F


# ---- pixel_table
def table_in_python(scale, zero_point, bits=8):
    codes = []
    for v in range(256):
        code = round(v / 255 / scale) + zero_point
        codes.append(max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, code)))
    return torch.tensor(codes, dtype=torch.int8)


def table_in_numpy(scale, zero_point, bits=8):
    half = 1 << (bits - 1)
    return torch.from_numpy(np.clip(np.rint(np.linspace(0, 1, 256) / scale) + zero_point, -half, half - 1).astype(np.int8))


def table_by_floor(scale, zero_point, bits=8):
    steps = torch.floor(torch.arange(256) / (255 * scale) + 0.5).int() + zero_point
    return torch.minimum(torch.maximum(steps, torch.tensor(-(2**bits) // 2)), torch.tensor(2**bits // 2 - 1)).char()


# ---- channels_last
def rows_by_loops(weight):
    out, c, kh, kw = weight.shape
    rows = torch.empty(out, kh * kw * c, dtype=weight.dtype)
    for i in range(kh):
        for j in range(kw):
            for channel in range(c):
                rows[:, (i * kw + j) * c + channel] = weight[:, channel, i, j]
    return rows


def rows_by_movedim(weight):
    return torch.movedim(weight, 1, -1).contiguous().view(weight.shape[0], -1)


def rows_by_transposing(weight):
    return weight.flatten(2).transpose(1, 2).reshape(len(weight), -1).clone()


def rows_in_numpy(weight):
    return torch.from_numpy(np.moveaxis(weight.numpy(), 1, 3).reshape(len(weight), -1).copy())


# ---- multiply_shift
def halves_in_doubles(sums, multiplier, shift):
    """As JavaScript does it: numbers are doubles."""
    s, m, t = sums.double(), multiplier.double(), shift.double()
    high, low = torch.floor(m / 65536), m.remainder(65536)
    total = s * high + torch.floor(s * low / 65536) + 2.0 ** (t - 17)
    return torch.floor(total / 2.0 ** (t - 16)).long()


def halves_in_an_empty_tensor(sums, multiplier, shift):
    """Filled row by row, with Python's numbers: what the memory held before may be any number."""
    found, scales = torch.empty(sums.shape, dtype=torch.int64), list(zip(multiplier.tolist(), shift.tolist(), strict=True))
    for row, numbers in enumerate(sums.tolist()):
        scaled = [
            (s * (m >> 16) + (s * (m & 65535) >> 16) + (1 << (t - 17))) >> (t - 16)
            for s, (m, t) in zip(numbers, scales, strict=True)
        ]
        found[row] = torch.tensor(scaled, dtype=torch.int64)
    return found


def halves_in_numpy(sums, multiplier, shift):
    s, m, t = (one.numpy().astype(np.int64) for one in (sums, multiplier, shift))
    upper, lower = np.divmod(m, 1 << 16)
    return torch.from_numpy(np.right_shift(s * upper + np.right_shift(s * lower, 16) + np.left_shift(1, t - 17), t - 16))


def halves_channel_by_channel(sums, multiplier, shift):
    columns = []
    for o in range(sums.shape[1]):
        m, t, s = int(multiplier[o]), int(shift[o]), sums[:, o].to(torch.int64)
        whole = s * (m // 65536) + torch.div(s * (m % 65536), 65536, rounding_mode="floor")
        columns.append((whole + 2 ** (t - 17)) // 2 ** (t - 16))
    return torch.stack(columns, dim=1)


def halves_rounded_at_the_end(sums, multiplier, shift):
    """The half by the bit below: (x >> t) + the last bit that was cut off."""
    x, t = sums.long(), shift.long() - 16
    m = multiplier.long()
    total = x * (m >> 16) + (x * (m & 0xFFFF) >> 16)
    return (total >> t) + (total >> (t - 1) & 1)


# ---- double_is_exact
def exact_in_python(weight, bias, multiplier, shift):
    found = []
    for row, b, m, s in zip(weight.tolist(), bias.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        farthest = 128 * sum(abs(w) for w in row) + abs(b)
        found.append(s < 44 or farthest * m + 2**s // 2 <= 2**53)
    return torch.tensor(found)


def exact_in_numpy(weight, bias, multiplier, shift):
    w, b, m, s = (one.numpy().astype(np.int64) for one in (weight, bias, multiplier, shift))
    room = (1 << 53) - (1 << (s - 1))
    return torch.from_numpy((s <= 43) | ((np.abs(w).sum(axis=1) * 128 + np.abs(b)) * m <= room))


def exact_by_division(weight, bias, multiplier, shift):
    reach = weight.int().abs().sum(dim=1) * 128 + bias.abs()
    farthest = torch.div(2**53 - 2 ** (shift.long() - 1), multiplier.long(), rounding_mode="floor")
    return torch.where(shift > 43, reach <= farthest, torch.ones_like(reach, dtype=torch.bool))


# ---- lifetimes
def lives_by_lists(steps):
    """Shared lists: a Flatten has the list of what it reads."""
    buffers, named = [], []
    for t, (size, reads, _scratch) in enumerate(steps):
        for one in reads:
            named[one][2] = t
        if size:
            buffers.append([size, t, t])
            named.append(buffers[-1])
        else:
            named.append(named[reads[0]])
    named[-1][2] = len(steps) - 1
    for t, (_, _, scratch) in enumerate(steps):
        if scratch:
            buffers.append([scratch, t, t])
    return [tuple(buffer) for buffer in buffers]


def lives_backwards(steps):
    owner = {}
    for t, (size, reads, _) in enumerate(steps):
        owner[t] = owner[reads[0]] if size == 0 else t
    last = {owner[len(steps) - 1]: len(steps) - 1}
    for t in reversed(range(len(steps))):
        for one in steps[t][1]:
            last.setdefault(owner[one], t)
    results = [(size, t, last.get(t, t)) for t, (size, _, _) in enumerate(steps) if size]
    return results + [(step[2], t, t) for t, step in enumerate(steps) if step[2]]


def lives_by_asking(steps):
    def owner(t):
        while steps[t][0] == 0:
            t = steps[t][1][0]
        return t

    def end(t):
        users = [later for later in range(t, len(steps)) if t in map(owner, steps[later][1])]
        if t == owner(len(steps) - 1):
            users.append(len(steps) - 1)
        return max(users, default=t)

    found = []
    for t in range(len(steps)):
        if steps[t][0] > 0:
            found.append((steps[t][0], t, end(t)))
    for t in range(len(steps)):
        if steps[t][2] > 0:
            found.append((steps[t][2], t, t))
    return found


# ---- place
def place_by_gaps(buffers, alignment):
    """From the lowest neighbour upwards."""
    offsets = [None] * len(buffers)
    for number in np.argsort([-size for size, _, _ in buffers], kind="stable").tolist():
        size, first, last = buffers[number]
        taken = []
        for other, at in enumerate(offsets):
            if at is not None and not (buffers[other][2] < first or last < buffers[other][1]):
                taken.append((at, at + buffers[other][0]))
        at = 0
        for start, end in sorted(taken):
            if at + size <= start:
                break
            at = max(at, (end + alignment - 1) // alignment * alignment)
        offsets[number] = at
    return offsets


def place_by_steps(buffers, alignment):
    """Move up by one alignment as long as something is in the way."""
    placed, offsets = [], {}
    order = sorted(((size, number) for number, (size, _, _) in enumerate(buffers)), key=lambda one: one[0], reverse=True)
    for size, number in order:
        _, first, last = buffers[number]
        near = [(at, end) for at, end, begin, until in placed if begin <= last and until >= first]
        at = 0
        while not all(at >= end or at + size <= start for start, end in near):
            at += alignment
        placed.append((at, at + size, first, last))
        offsets[number] = at
    return [offsets[number] for number in range(len(buffers))]


def place_in_arrays(buffers, alignment):
    """A boolean picture of the arena: rows are steps."""
    if not buffers:
        return []
    height = max(last for _, _, last in buffers) + 1
    arena = torch.zeros(height, sum(size + alignment for size, _, _ in buffers), dtype=torch.bool)
    offsets = [0] * len(buffers)
    for number, (size, first, last) in sorted(enumerate(buffers), key=lambda one: -one[1][0]):
        before = F.pad(arena[first : last + 1].any(0).long().cumsum(0), (1, 0))  # how many bytes are taken below each
        free = before[size:] == before[:-size]
        offsets[number] = int(free[::alignment].int().argmax()) * alignment
        arena[first : last + 1, offsets[number] : offsets[number] + size] = True
    return offsets


OTHERS = run_path(str(Path(__file__).with_name("other_alternatives.py")))  # of exercises 7 to 15
ALTERNATIVES = OTHERS["ALTERNATIVES"] | {
    "pixel_table": (table_in_python, table_in_numpy, table_by_floor),
    "channels_last": (rows_by_loops, rows_by_movedim, rows_by_transposing, rows_in_numpy),
    "multiply_shift": (
        halves_in_doubles,
        halves_in_numpy,
        halves_channel_by_channel,
        halves_rounded_at_the_end,
        halves_in_an_empty_tensor,
    ),
    "double_is_exact": (exact_in_python, exact_in_numpy, exact_by_division),
    "lifetimes": (lives_by_lists, lives_backwards, lives_by_asking),
    "place": (place_by_gaps, place_by_steps, place_in_arrays),
}
