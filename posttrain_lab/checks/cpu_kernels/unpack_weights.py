"""Cases and known mistakes of `unpack_weights`: panels of 16 outputs back to rows of weights [n, k].

Conventions that the notebook states in the same words: the element [p][s][c][i] is w[16 p + c, 2 s + i]; the padding is removed.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.pack_weights import drawn_weights, pack_workload, right_pack, right_unpack
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw


def unpack_cases(seed: int) -> list[Case]:
    """Panels whose padding has other numbers than 0: what is beyond n and k must not be returned."""
    draw, cases = Draw(seed, "unpack_weights"), []
    for words, w in drawn_weights(draw):
        panels, filling = right_pack(w), draw.codes(1, 9, 1)
        beyond = right_pack(torch.ones_like(w)) == 0
        cases.append(Case(words, (torch.where(beyond, filling, panels), *w.shape)))
    panels, n, k = cases[0].args
    return [*cases, Case("panels in another order in memory", (panels.mT.contiguous().mT, n, k))]


def unpack_workload(seed: int) -> list[Case]:
    """Panels of the notebook's sizes."""
    return [Case(case.words, (right_pack(case.args[0]), *case.args[0].shape)) for case in pack_workload(seed)]


def _unpack_of(change: Callable[[Tensor, int, int], Tensor]) -> Callable[..., Tensor]:
    return lambda panels, n, k: change(panels, n, k).contiguous()


def _all_rows(panels: Tensor) -> Tensor:
    return right_unpack(panels, 16 * len(panels), 2 * panels.shape[1])


UNPACK_MISTAKES = (
    Mistake(
        "padding kept",
        "Your result contains the padding; cut it to [n, k] at the end.",
        _unpack_of(lambda panels, n, k: _all_rows(panels)),
    ),
    Mistake(
        "columns not cut",
        "You cut off the padded outputs, but not the padded input: k may be odd, so take [:n, :k].",
        _unpack_of(lambda panels, n, k: _all_rows(panels)[:n]),
    ),
    Mistake(
        "rows not cut",
        "You cut off the padded input, but not the padded outputs: take [:n, :k].",
        _unpack_of(lambda panels, n, k: _all_rows(panels)[:, :k]),
    ),
    Mistake(
        "only reshaped",
        "You reshaped without moving an axis; first put the pairs of one output together: transpose the axes 1 and 2.",
        _unpack_of(lambda panels, n, k: panels.reshape(16 * len(panels), -1)[:n, :k]),
    ),
    Mistake(
        "transposed",
        "Your result is [inputs, outputs]; return [n, k], outputs first.",
        _unpack_of(lambda panels, n, k: right_unpack(panels, n, k).T),
    ),
    Mistake(
        "cut before",
        "You took the first n * k elements; the padding is between them, so cut rows and columns after the reshape.",
        _unpack_of(lambda panels, n, k: panels.transpose(1, 2).flatten()[: n * k].reshape(n, k)),
    ),
    Mistake(
        "pairs turned round",
        "You swapped the two inputs of a pair; input 2s comes first.",
        _unpack_of(lambda panels, n, k: right_unpack(panels.flip(3), n, k)),
    ),
    Mistake(
        "pairs as two halves",
        "You put all first inputs before all second ones; the two inputs of a pair must be neighbours.",
        _unpack_of(lambda panels, n, k: panels.permute(0, 2, 3, 1).reshape(16 * len(panels), -1)[:n, :k]),
    ),
    Mistake(
        "panels mixed",
        "Your outputs alternate between the panels; panel p has the outputs 16 p to 16 p + 15.",
        _unpack_of(lambda panels, n, k: panels.permute(2, 0, 1, 3).reshape(16 * len(panels), -1)[:n, :k]),
    ),
)


unpack_weights = Exercise(
    name="unpack_weights",
    unit="05_cpu_kernels",
    points=1,
    difficulty=2,
    minutes=6,
    oracle=right_unpack,
    cases=unpack_cases,
    workload=unpack_workload,
    mistakes=UNPACK_MISTAKES,
    judge=close(0.0, 0.0),
    legal={"not contiguous": "The result may be a view of the panels."},
    free={"returns memory of argument 1": "The result may be a view of the panels."},
    through="engine.authorship:own",
)
