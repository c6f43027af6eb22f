"""Cases and known mistakes of `pack_weights`: rows of weights to panels of 16 outputs.

Conventions that the notebook states in the same words: w int8 [n, k] becomes int8 [ceil(n / 16)][ceil(k / 2)][16][2]; the place [p][s][c][i]
holds w[16 p + c, 2 s + i]; what is missing is 0.
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
        ("a last panel without one output", draw.codes(-128, 127, 16 * n - 1, 2 * k - 1)),
        ("as many outputs as inputs", draw.codes(-128, 127, 32, 32)),
        ("one input", draw.codes(-128, 127, 17, 1)),
        ("one output", draw.codes(-128, 127, 1, 2 * k + 1)),
        ("one number", draw.codes(-128, -1, 1, 1)),
        ("all at the lowest code", torch.full((19, 3), -128, dtype=torch.int8)),
        ("a view that is not contiguous", view),
        ("a transposed view", turned),
    ]


def pack_cases(seed: int) -> list[Case]:
    return [Case(words, (w,)) for words, w in drawn_weights(Draw(seed, "pack_weights"))]


def _interleaved(w: Tensor) -> Tensor:
    """[panel][pair][2][16]: all first ones, then all second ones."""
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
    """The last row and column again in place of zeros."""
    n, k = w.shape
    rows = torch.cat([w, w[-1:].expand(-n % 16, k)])
    return right_pack(torch.cat([rows, rows[:, -1:].expand(-1, k % 2)], 1))


def _floor(w: Tensor) -> Tensor:
    n, k = w.shape
    return right_pack(w[: n // 16 * 16, : k // 2 * 2] if n >= 16 and k >= 2 else w)


PACK_MISTAKES = (
    Mistake(
        "pairs not interleaved",
        "You put the first inputs of all 16 outputs before the second ones; the last axis is the pair, [16][2].",
        _interleaved,
    ),
    Mistake(
        "rows inside a panel",
        "Inside a panel you keep the rows one after another; all 16 outputs of a pair stand together: transpose the axes 1 and 2.",
        _not_transposed,
    ),
    Mistake(
        "pairs from two halves",
        "You pair input k with input k + K/2; a pair holds neighbours, 2s and 2s + 1.",
        _halves,
    ),
    Mistake(
        "outputs strided",
        "You dealt the outputs out to the panels like cards; panel p holds the outputs 16 p to 16 p + 15.",
        _strided_columns,
    ),
    Mistake("padding repeats", "You filled up with the last weights again; what is missing is 0.", _repeated),
    Mistake(
        "tails cut off",
        "You rounded the sizes down, so outputs or inputs are lost; round up and fill with 0.",
        _floor,
    ),
    Mistake(
        "transposed",
        "You packed w.T; w is [outputs, inputs], and a panel holds 16 outputs.",
        lambda w: right_pack(w.T),
    ),
    Mistake(
        "pairs turned round",
        "The two inputs of a pair are swapped; input 2s comes first.",
        lambda w: right_pack(w).flip(3),
    ),
    Mistake(
        "another panel too many",
        "There is a panel of zeros too many; ceil(n / 16) panels are enough, so -n % 16 rows are missing.",
        lambda w: torch.cat([right_pack(w), right_pack(w[:1] * 0)]),
    ),
    Mistake(
        "padded in front",
        "You filled up in front; zeros go behind the last output and the last input.",
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
    mistakes=PACK_MISTAKES,
    judge=close(0.0, 0.0),
    through="engine.authorship:own",
)
