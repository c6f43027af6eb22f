"""Laws, cases and known mistakes of `optimal_rounding`: which points of the grid keep the layer's output nearest to what it was?

Conventions that the notebook states in the same words:
- the grid is the symmetric one of channel_qparams(weight, bits), fixed by the original weight; the result is dequantized, [out, in];
- H = inputs.T @ inputs, damped by 0.01 times the mean of its diagonal; columns are rounded from the first to the last.

A result is judged by laws, not by equality: another order of columns, another scaling of H or a search that does better are all right. The
bounds come from 400 seeds: the reference leaves 0.10 to 0.49 of the error of rounding to nearest on inputs it has not seen, the mildest
mistake at least 1.35 times the reference's own error. Float32 moves single codes at near-ties, which changes an error by less than 5 %.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from posttrain_lab.checks.compare import Judge, difference
from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Call, Case, Law, Mistake
from posttrain_lab.checks.submission import Outcome

Rounding = Callable[[Tensor, Tensor, int], Tensor]
WORSE = 1.2  # a right answer's error is at most this multiple of the reference's
OUT, FEATURES = 48, 20


def _scale(weight: Tensor, bits: int) -> Tensor:
    largest = weight.abs().amax(1, keepdim=True)
    return torch.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)


def _nearest(values: Tensor, scale: Tensor, bits: int) -> Tensor:
    top = 2 ** (bits - 1) - 1
    return (values / scale).round().clamp(-top, top) * scale


def _factor(inputs: Tensor, damping: float = 0.01) -> Tensor:
    hessian = inputs.double().T @ inputs.double()
    damped = hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)


def _walk(weight: Tensor, scale: Tensor, bits: int, factor: Tensor, share: Callable[[Tensor, int], Tensor] | None = None) -> Tensor:
    """Round column after column; `share(factor, j)` says how the error of column j moves the later ones."""
    rest, scale, result = weight.double().clone(), scale.double(), torch.zeros(weight.shape, dtype=torch.float64)
    share = share or (lambda u, j: u[j, j + 1 :] / u[j, j])
    for j in range(weight.shape[1]):
        result[:, j] = _nearest(rest[:, j : j + 1], scale, bits)[:, 0]
        rest[:, j + 1 :] -= (rest[:, j] - result[:, j])[:, None] * share(factor, j)
    return result.float()


def right_rounding(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return _walk(weight, _scale(weight, bits), bits, _factor(inputs))


def rounding_judge() -> Judge:
    """199 of 200 weights agree (of a few weights: all). Near-ties may fall either way in float32."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        found = difference(want.value, got.value, 0.0, float("inf"))  # shape and dtype
        if found or not isinstance(want.value, Tensor) or not isinstance(got.value, Tensor):
            return found
        agree = torch.isclose(want.value.double(), got.value.double(), rtol=1e-4, atol=1e-6)
        return None if agree.sum() * 200 >= 199 * agree.numel() else difference(want.value, got.value, 1e-4, 1e-6)

    return judge


def rounding_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "rounding")
    bits, weight = draw.pick((3, 4, 5)), draw.normal(2, 4)
    scale = _scale(weight, bits)
    on_grid = scale * draw.codes(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1, 2, 4)
    on_grid[:, 0] = scale[:, 0] * (2 ** (bits - 1) - 1)
    return [
        Case("inputs that are independent: rounding to nearest", (weight, torch.eye(4) * draw.real(0.5, 3.0), bits)),
        Case("a weight that is on the grid already", (on_grid, draw.normal(9, 4), bits)),
        Case("a channel of zeros", (torch.stack([torch.zeros(3), torch.tensor([0.7, -0.1, 0.2])]), torch.eye(3), 4)),
        Case("a single column", (draw.normal(5, 1), draw.normal(7, 1), bits)),
    ]


@lru_cache(maxsize=64)
def _layer(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A weight and two sets of inputs from one source: strongly related features of different sizes."""
    draw = Draw(seed, "layer")
    mixing, size = draw.normal(6, FEATURES), draw.uniform(0.5, 1.5, FEATURES)
    seen, fresh = ((draw.normal(400, 6) @ mixing + 0.15 * draw.normal(400, FEATURES)) * size for _ in range(2))
    return draw.normal(OUT, FEATURES) * draw.uniform(0.2, 3.0, OUT, 1), seen / 20, fresh


def _error(rounded: Tensor, weight: Tensor, inputs: Tensor) -> float:
    """Squared error of the output, each channel relative to its own size."""
    channel = weight.double().square().mean(1)
    return float(((inputs.double() @ (rounded.double() - weight.double()).T).square().mean(0) / channel).mean())


def _off_grid(found: Tensor, weight: Tensor, bits: int) -> str | None:
    """Why a result is not [out, in] floats on the symmetric per-channel grid, or None."""
    if wrong := difference(weight, found, 0.0, float("inf")):
        return wrong
    codes = found.double() / _scale(weight, bits).double()
    if not codes.isfinite().all():
        return "the result holds NaN or infinity; damp H so that it can be inverted."
    if (codes - codes.round()).abs().max() > 1e-3:
        return "a weight is not on the grid of channel_qparams(weight, bits)."
    top = 2 ** (bits - 1) - 1
    return f"a code lies outside -{top} to {top}; clamp when you round." if codes.abs().max() > top + 1e-3 else None


def output_complaint(call: Call, seed: int) -> str | None:
    """On the grid, and nearly as good as the reference on inputs that were not used, at 4 and at 3 bits."""
    weight, seen, fresh = _layer(seed)
    for bits in (4, 3):
        found = call(weight, seen, bits)
        if wrong := _off_grid(found, weight, bits):
            return f"{bits} bits: {wrong}"
        got = _error(found, weight, fresh)
        best, plain = (_error(r, weight, fresh) for r in (right_rounding(weight, seen, bits), _nearest(weight, _scale(weight, bits), bits)))
        if got > WORSE * best:
            return f"{bits} bits: the error of the output on new inputs is {got:.3g}; GPTQ reaches {best:.3g}, rounding to nearest {plain:.3g}."
    return None


def singular_complaint(call: Call, seed: int) -> str | None:
    """Fewer inputs than features, one feature always 0, a view that is not contiguous: finite, on the grid, better than nearest."""
    weight, seen, _ = _layer(seed)
    few = strided(seen[:8].clone())
    few[:, 3] = 0.0
    found = call(weight, few, 4)
    if wrong := _off_grid(found, weight, 4):
        return wrong
    got, plain = _error(found, weight, few), _error(_nearest(weight, _scale(weight, 4), 4), weight, few)
    return None if got < 0.5 * plain else f"the error of the output is {got:.3g}, rounding to nearest leaves {plain:.3g}."


def related_complaint(call: Call, seed: int) -> str | None:
    """Small layers whose answer is plain: a sum that must be kept, and a weight that would be pushed over the end of the grid."""
    draw = Draw(seed, "related")
    small = (
        ("two inputs that are always equal", [[0.4, 0.4, 1.0], [-0.4, -0.4, -1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 2),
        ("an error that pushes a weight over the end of the grid", [[2.45, 3.0, 1.0]], [[4.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 3),
    )
    for words, rows, features, bits in small:
        weight, inputs = torch.tensor(rows) * draw.real(0.2, 5.0), torch.tensor(features) * draw.real(0.5, 4.0)
        found = call(weight, inputs, bits)
        if wrong := _off_grid(found, weight, bits):
            return f"{words}: {wrong}"
        got, best = (_error(r, weight, inputs) for r in (found, right_rounding(weight, inputs, bits)))
        if got > 1.01 * best + 1e-9:
            return f"{words}: the squared error of the output is {got:.3g}, {best:.3g} can be reached."
    return None


ROUNDING_LAWS = (
    Law("a layer with related inputs", output_complaint),
    Law("fewer inputs than features", singular_complaint),
    Law("small layers", related_complaint),
)


def _with(share: Callable[[Tensor, int], Tensor]) -> Rounding:
    return lambda weight, inputs, bits: _walk(weight, _scale(weight, bits), bits, _factor(inputs), share)


def _per_tensor(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return _walk(weight, _scale(weight.reshape(1, -1), bits).expand(len(weight), 1), bits, _factor(inputs))


def _moving_grid(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    """The scale is taken anew from what is left."""
    factor, rest, result = _factor(inputs), weight.double().clone(), torch.zeros(weight.shape, dtype=torch.float64)
    for j in range(weight.shape[1]):
        result[:, j] = _nearest(rest[:, j : j + 1], _scale(rest, bits), bits)[:, 0]
        rest[:, j + 1 :] -= (rest[:, j] - result[:, j])[:, None] * factor[j, j + 1 :] / factor[j, j]
    return result.float()


def _own_hessian(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    hessian = inputs.double().T @ inputs.double()
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    return _walk(weight, _scale(weight, bits), bits, torch.linalg.cholesky(damped, upper=True))


def _no_clamp(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    rest, scale, result, factor = weight.double().clone(), _scale(weight, bits).double(), torch.zeros_like(weight).double(), _factor(inputs)
    for j in range(weight.shape[1]):
        result[:, j] = (rest[:, j] / scale[:, 0]).round() * scale[:, 0]
        rest[:, j + 1 :] -= (rest[:, j] - result[:, j])[:, None] * factor[j, j + 1 :] / factor[j, j]
    return result.float()


ROUNDING_MISTAKES = (
    Mistake(
        "rounded to nearest",
        "Each weight is rounded for itself; let the later columns make up for the error: rest[:, k] -= error * U[j, k].",
        lambda weight, inputs, bits: _nearest(weight, _scale(weight, bits), bits),
    ),
    Mistake(
        "no damping",
        "H cannot be inverted here: fewer inputs than features; add 0.01 times the mean of its diagonal to the diagonal first.",
        lambda weight, inputs, bits: _walk(weight, _scale(weight, bits), bits, _factor(inputs, 0.0)),
    ),
    Mistake(
        "wrong sign",
        "The error is added to the later columns; it must be subtracted, so that they make up for it.",
        _with(lambda u, j: -u[j, j + 1 :] / u[j, j]),
    ),
    Mistake(
        "error not divided",
        "Divide the error by U[j, j] before it is spread over the later columns.",
        _with(lambda u, j: u[j, j + 1 :]),
    ),
    Mistake(
        "factor of H",
        "U is the factor of H itself; the factor of the inverse of H is wanted (torch.cholesky_inverse).",
        _own_hessian,
    ),
    Mistake(
        "next column only",
        "Only the next column makes up for the error; spread it over all later columns, k > j.",
        _with(lambda u, j: torch.where(torch.arange(len(u) - j - 1) == 0, u[j, j + 1 :] / u[j, j], 0.0)),
    ),
    Mistake(
        "one grid for all channels",
        "The grid has one scale for the whole tensor; take channel_qparams(weight, bits), one scale for each output.",
        _per_tensor,
    ),
    Mistake(
        "a grid that moves",
        "The scales are taken anew from the changed weights; they belong to the original weight and stay fixed.",
        _moving_grid,
    ),
    Mistake("no clamp", "A moved weight may lie beyond the last code; clamp to the grid when you round it.", _no_clamp),
    Mistake(
        "bits ignored",
        "You round to 8 bits whatever `bits` says.",
        lambda weight, inputs, bits: right_rounding(weight, inputs, 8),
    ),
    Mistake(
        "damped by the whole diagonal",
        "The damping is 0.01 times the mean of the diagonal; with the whole mean H looks independent and little is made up for.",
        lambda weight, inputs, bits: _walk(weight, _scale(weight, bits), bits, _factor(inputs, 1.0)),
    ),
)
