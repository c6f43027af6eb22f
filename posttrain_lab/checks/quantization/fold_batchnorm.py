"""Cases and known mistakes of `fold_batchnorm`: one convolution that computes the same as a convolution and a batch norm.

Conventions that the notebook states in the same words: the result is a new Conv2d with a bias, float32, with the stride, padding, dilation
and groups of `conv`; the running statistics are used in every mode of the batch norm; both arguments are not changed.

Whether the new parameters ask for a gradient is free: torch's own fuse_conv_bn_eval gives a bias without one.

The folded weight and bias are unique. Computed in float32 in any order they differ by a few 2^-24 of |weight| and of
(|bias| + |mean|) * |gamma| / sqrt(var + eps) + |beta|, all below 50 here: rtol 1e-4 and atol 2e-5.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def fold_judge() -> Judge:
    """The same kind of convolution, with the same options and the same weight and bias."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        if type(got.value) is not type(want.value):
            return f"expected a {type(want.value).__name__}, got {type(got.value).__name__}."
        if type(want.value) is not nn.Conv2d:
            return difference(want.value, got.value, 1e-4, 2e-5)
        for option in OPTIONS:
            first, second = getattr(want.value, option), getattr(got.value, option)
            if first != second:
                return f"the {option} of the new layer must be {first}, got {second}."
        return _difference_of_tensors(dict(want.value.state_dict()), dict(got.value.state_dict()))

    return judge


def _difference_of_tensors(want: dict[str, Tensor], got: dict[str, Tensor]) -> str | None:
    if "bias" in want and "bias" not in got:
        return "the new layer needs a bias: beta and the mean of the batch norm are folded into it."
    for name in want:
        if found := difference(want[name], got.get(name), 1e-4, 2e-5, strict_dtype=True):
            return f"{name}: {found}"
    return None if set(want) == set(got) else f"the new layer has {sorted(got)}, expected {sorted(want)}."


def _layers(draw: Draw, conv: nn.Conv2d, eps: float = 1e-5, training: bool = False) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """The two layers with random weights, statistics far from 0 and 1, and gammas of both signs."""
    n = conv.out_channels
    bn = nn.BatchNorm2d(n, eps=eps)
    conv.weight.data = draw.normal(*conv.weight.shape)
    if conv.bias is not None:
        conv.bias.data = draw.normal(n) + 0.5
    signs = 2.0 * draw.codes(0, 1, n) - 1
    bn.weight.data, bn.bias.data = draw.uniform(0.4, 2.0, n) * signs, draw.normal(n) + 0.7
    bn.running_mean, bn.running_var = draw.normal(n) - 1.2, draw.uniform(0.2, 3.0, n)
    bn.num_batches_tracked = torch.tensor(draw.whole(10, 90))
    return conv.train(training), bn.train(training)


def _extreme(draw: Draw) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A channel whose variance is 0, where only eps keeps the root above 0, and one whose gamma is 0."""
    conv, bn = _layers(draw, nn.Conv2d(2, 4, 3), eps=0.01)
    assert bn.running_var is not None
    bn.running_var[draw.whole(0, 1)] = 0.0
    bn.weight.data[draw.whole(2, 3)] = 0.0
    return conv, bn


def fold_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "fold_batchnorm")
    a, b = draw.whole(2, 5), draw.whole(3, 7)
    with torch.random.fork_rng(devices=[]):
        return [
            Case("as many inputs as outputs, a large eps", _layers(draw, nn.Conv2d(b, b, 3), eps=draw.real(0.1, 0.5))),
            Case("without a bias", _layers(draw, nn.Conv2d(a, b, 3, bias=False))),
            Case("a usual eps", _layers(draw, nn.Conv2d(a, b, 1))),
            Case("stride and padding", _layers(draw, nn.Conv2d(a, b, 3, stride=2, padding=1))),
            Case("a kernel of unequal sides, dilated", _layers(draw, nn.Conv2d(a, b, (1, 3), dilation=(1, 2), padding=(0, 2)))),
            Case("depthwise", _layers(draw, nn.Conv2d(b, b, 3, groups=b, bias=False))),
            Case("two groups", _layers(draw, nn.Conv2d(4, 6, 2, groups=2))),
            Case("one input, one output", _layers(draw, nn.Conv2d(1, 1, 1))),
            Case("a batch norm in training mode", _layers(draw, nn.Conv2d(a, b, 2, bias=False), training=True)),
            Case("a channel without variance and a gamma of zero", _extreme(draw)),
        ]


def fold_workload(seed: int) -> list[Case]:
    """A layer of the notebook's size and memory format, other ways of padding, and statistics far from 1."""
    draw = Draw(seed, "fold workload")
    with torch.random.fork_rng(devices=[]):
        large, bn = _layers(draw, nn.Conv2d(48, 96, 3, padding=1, bias=False))
        mode = draw.pick(("circular", "reflect", "replicate"))
        padded = _layers(draw, nn.Conv2d(3, 5, 3, padding=1, padding_mode=mode))
        same = _layers(draw, nn.Conv2d(2, 4, 3, padding="same", bias=False))
        quiet = _layers(draw, nn.Conv2d(3, 6, 3), eps=draw.pick((1e-12, 1e-8)))
    assert quiet[1].running_var is not None
    quiet[1].running_var.mul_(1e-6)  # roots of 0.0004 to 0.002, and gammas of their size
    quiet[1].weight.data.mul_(1e-3)
    return [
        Case("a layer of 96 channels in channels_last", (large.to(memory_format=torch.channels_last), bn)),
        Case(f'padding_mode="{mode}"', padded),
        Case('padding="same"', same),
        Case("small variances and gammas, a tiny eps", quiet),
    ]


def _parts(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """gamma, beta, mean, var and the convolution's bias (zeros when there is none)."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.data
    return bn.weight.data, bn.bias.data, bn.running_mean, bn.running_var, bias


def _with(conv: nn.Conv2d, scale: Tensor, bias: Tensor) -> nn.Conv2d:
    """A copy of the convolution with its weight scaled and another bias."""
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(conv.weight.data * scale.reshape(-1, 1, 1, 1))
    folded.bias = nn.Parameter(bias)
    return folded


def right_fold(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    gamma, beta, mean, var, bias = _parts(conv, bn)
    scale = gamma / (var + bn.eps).sqrt()
    return _with(conv, scale, beta + (bias - mean) * scale)


def _wrong(mistake: str) -> Any:
    """The right answer with one step changed."""

    def fold_batchnorm(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
        gamma, beta, mean, var, bias = _parts(conv, bn)
        roots = {
            "no eps": var.sqrt(),
            "fixed eps": (var + 1e-5).sqrt(),
            "eps outside": var.sqrt() + bn.eps,
            "variance": var + bn.eps,
        }
        root = roots.get(mistake, (var + bn.eps).sqrt())
        scale = 1 / root if mistake == "no gamma" else gamma / root
        biases = {
            "no mean": beta + bias * scale,
            "no beta": (bias - mean) * scale,
            "bias not scaled": bias + beta - mean * scale,
            "bias dropped": beta - mean * scale,
            "mean not scaled": beta + bias * scale - mean,
            "mean added": beta + (bias + mean) * scale,
        }
        return _with(conv, scale, biases.get(mistake, beta + (bias - mean) * scale))

    return fold_batchnorm


def _dropped(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    return _with(conv, torch.ones(conv.out_channels), _parts(conv, bn)[4])


def _along_inputs(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    folded = right_fold(conv, bn)
    scale = bn.weight.data / (_parts(conv, bn)[3] + bn.eps).sqrt()
    if conv.in_channels == conv.out_channels and conv.groups == 1:
        folded.weight = nn.Parameter(conv.weight.data * scale.reshape(1, -1, 1, 1))
    return folded


def _last_axis(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    folded, (gamma, _, _, var, _) = right_fold(conv, bn), _parts(conv, bn)
    folded.weight = nn.Parameter(conv.weight.data * (gamma / (var + bn.eps).sqrt()))
    return folded


def _options_lost(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    right = right_fold(conv, bn)
    lost = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, groups=conv.groups)  # type: ignore[arg-type]
    lost.load_state_dict(right.state_dict())
    return lost


FOLD_MISTAKES = (
    Mistake(
        "batch norm dropped",
        "Your layer is the convolution alone; fold the batch norm into its weight and bias.",
        _dropped,
    ),
    Mistake(
        "eps forgotten",
        "eps is missing under the root; without it channels with a small variance become too large.",
        _wrong("no eps"),
    ),
    Mistake("eps fixed", "You use eps = 1e-5; every batch norm has its own (bn.eps).", _wrong("fixed eps")),
    Mistake("eps outside the root", "eps belongs under the root: sqrt(var + eps), not sqrt(var) + eps.", _wrong("eps outside")),
    Mistake(
        "variance for deviation",
        "You divided by the variance; divide by its square root, the standard deviation.",
        _wrong("variance"),
    ),
    Mistake("gamma forgotten", "gamma (bn.weight) is missing: multiply every channel by it.", _wrong("no gamma")),
    Mistake("mean forgotten", "The running mean is missing from the bias; subtract it before scaling.", _wrong("no mean")),
    Mistake("mean added", "You added the running mean; subtract it, as the batch norm does.", _wrong("mean added")),
    Mistake(
        "mean not scaled",
        "The mean is subtracted before the channel is scaled, so in the new bias it is scaled too.",
        _wrong("mean not scaled"),
    ),
    Mistake("beta forgotten", "beta (bn.bias) is missing from the new bias; add it.", _wrong("no beta")),
    Mistake(
        "bias not scaled",
        "The convolution's own bias passes through the batch norm too, so scale it like the weight.",
        _wrong("bias not scaled"),
    ),
    Mistake(
        "bias dropped",
        "The convolution's own bias is lost; where there is one, it is part of the new bias.",
        _wrong("bias dropped"),
    ),
    Mistake(
        "scaled along the inputs",
        "You scaled the input channels; a batch norm after a convolution scales its outputs, axis 0 of the weight.",
        _along_inputs,
    ),
    Mistake(
        "scale without axes",
        "The scale has one number for each output; reshape it to [out, 1, 1, 1], or it is broadcast along the last axis.",
        _last_axis,
    ),
    Mistake(
        "options lost",
        "Your new layer lost the stride, padding or dilation of the old one; pass them on (or deepcopy the convolution).",
        _options_lost,
    ),
)


fold_batchnorm = Exercise(
    name="fold_batchnorm",
    unit="02_quantization",
    points=3,
    difficulty=3,
    minutes=12,
    oracle=right_fold,
    cases=fold_cases,
    mistakes=FOLD_MISTAKES,
    judge=fold_judge(),
    workload=fold_workload,
    free={
        "returns a parameter that cannot be trained": "The new layer is only used, so its parameters may have `requires_grad` or not."
    },
    library="quantization:fold_batchnorm",
)
