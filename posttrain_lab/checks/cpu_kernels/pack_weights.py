"""Cases and known mistakes of `pack_weights`: rows of weights to panels of 16 outputs.

Conventions that the notebook states in the same words: w int8 [n, k] becomes int8 [ceil(n / 16)][ceil(k / 2)][16][2]; the element [p][s][c][i]
is w[16 p + c, 2 s + i]; the edges are padded with 0.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_pack(w: Tensor) -> Tensor:
    n, k = w.shape
    padded = F.pad(w, (0, k % 2, 0, -n % 16))
    return padded.reshape(-1, 16, padded.shape[1] // 2, 2).transpose(1, 2).contiguous()


def right_unpack(panels: Tensor, n: int, k: int) -> Tensor:
    return panels.transpose(1, 2).reshape(16 * len(panels), 2 * panels.shape[1])[:n, :k].contiguous()


def drawn_weights(draw: Draw) -> list[tuple[str, Tensor]]:
    n, k = draw.whole(2, 4), draw.whole(3, 9)
    view, turned = strided(draw.codes(-128, 127, 5, 7)), draw.codes(-128, 127, 10, 19).T
    return [
        ("whole panels and pairs", draw.codes(-128, 127, 16 * n, 2 * k)),
        ("an odd number of inputs", draw.codes(-128, 127, 16, 2 * k + 1)),
        ("a last panel with one output", draw.codes(-128, 127, 16 * n + 1, 2 * k)),
        ("a last panel with 15 outputs", draw.codes(-128, 127, 16 * n - 1, 2 * k - 1)),
        ("as many outputs as inputs", draw.codes(-128, 127, 32, 32)),
        ("one input", draw.codes(-128, 127, 17, 1)),
        ("other weights of the same size", draw.codes(-128, 127, 17, 1)),  # a buffer that is used again would show
        ("one output", draw.codes(-128, 127, 1, 2 * k + 1)),
        ("a single weight", draw.codes(-128, -1, 1, 1)),
        ("only the lowest code", torch.full((19, 3), -128, dtype=torch.int8)),
        ("a view that is not contiguous", view),
        ("a transposed view", turned),
    ]


def pack_cases(seed: int) -> list[Case]:
    return [Case(words, (w,)) for words, w in drawn_weights(Draw(seed, "pack_weights"))]


def pack_workload(seed: int) -> list[Case]:
    """Many panels, wide rows, and sizes that no panel divides; small enough for an answer with loops."""
    draw = Draw(seed, "pack workload")
    return [
        Case("many panels", (draw.codes(-127, 127, 259 + draw.whole(0, 20), 5),)),
        Case("wide rows", (draw.codes(-127, 127, 18, 71),)),
    ]


def _interleaved(w: Tensor) -> Tensor:
    """[panel][pair][2][16]: all first inputs of a pair, then all second ones."""
    packed = right_pack(w)
    return packed.mT.reshape(packed.shape)


def _halves(w: Tensor) -> Tensor:
    """k and k + K / 2 side by side in place of k and k + 1."""
    packed = right_pack(w)
    rows = right_unpack(packed, 16 * len(packed), 2 * packed.shape[1])
    return right_pack(rows.unflatten(1, (2, -1)).mT.flatten(1))


def _not_transposed(w: Tensor) -> Tensor:
    packed = right_pack(w)
    return packed.transpose(1, 2).reshape(packed.shape)


def _strided_columns(w: Tensor) -> Tensor:
    """Column c of panel p is output c * panels + p."""
    packed = right_pack(w)
    rows = right_unpack(packed, 16 * len(packed), 2 * packed.shape[1])
    return right_pack(rows.unflatten(0, (16, -1)).transpose(0, 1).flatten(0, 1))


def _repeated(w: Tensor) -> Tensor:
    """The last row and column repeated in place of zeros."""
    n, k = w.shape
    rows = torch.cat([w, w[-1:].expand(-n % 16, k)])
    return right_pack(torch.cat([rows, rows[:, -1:].expand(-1, k % 2)], 1))


def _floor(w: Tensor) -> Tensor:
    n, k = w.shape
    return right_pack(w[: n // 16 * 16, : k // 2 * 2] if n >= 16 and k >= 2 else w)


PACK_MISTAKES = (
    Mistake(
        "pairs not interleaved",
        "You stored the first inputs of all 16 outputs before the second ones; the last axis must be the pair, [16][2].",
        _interleaved,
    ),
    Mistake(
        "rows inside a panel",
        "Within a panel you store the rows one after another; store all 16 outputs of a pair together: transpose the axes 1 and 2.",
        _not_transposed,
    ),
    Mistake(
        "pairs from two halves",
        "You pair input k with input k + K/2; a pair has the neighbours 2s and 2s + 1.",
        _halves,
    ),
    Mistake(
        "outputs strided",
        "You distributed neighbouring outputs over different panels; panel p has the outputs 16 p to 16 p + 15.",
        _strided_columns,
    ),
    Mistake("padding repeats", "You padded with the last weights; pad with 0.", _repeated),
    Mistake(
        "tails cut off",
        "You rounded the sizes down, so outputs or inputs are lost; round up and pad with 0.",
        _floor,
    ),
    Mistake(
        "transposed",
        "You packed w.T; pack w, which is [outputs, inputs]: a panel has 16 outputs.",
        lambda w: right_pack(w.T),
    ),
    Mistake(
        "pairs turned round",
        "You swapped the two inputs of a pair; input 2s comes first.",
        lambda w: right_pack(w).flip(3),
    ),
    Mistake(
        "another panel too many",
        "You have an extra panel of zeros; ceil(n / 16) panels are enough, so pad with -n % 16 rows.",
        lambda w: torch.cat([right_pack(w), right_pack(w[:1] * 0)]),
    ),
    Mistake(
        "padded in front",
        "You padded at the start; put the zeros after the last output and the last input.",
        lambda w: right_pack(F.pad(w, (w.shape[1] % 2, 0, -len(w) % 16, 0))),
    ),
)


pack_weights = Exercise(
    name="pack_weights",
    unit="05_cpu_kernels",
    points=3,
    difficulty=3,
    minutes=12,
    oracle=right_pack,
    cases=pack_cases,
    workload=pack_workload,
    mistakes=PACK_MISTAKES,
    judge=close(0.0, 0.0),
    strict={"(contiguous)": "The result is contiguous."},
    through="engine.authorship:own",
)
