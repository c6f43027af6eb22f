"""Batch norm folding: in eval mode it is a multiplication and an addition per channel, which the convolution can include.

So there are fewer layers to run, and no layer between the convolution and its quantized output. Left out: convolutions in
one or three dimensions, transposed ones, batch norm after a linear layer.
"""

import copy

import torch
from torch import nn

from posttrain_lab.module_walks import computes_as, described


def fold_batchnorm(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """Which single convolution computes the same as `conv` followed by `bn` in eval mode?

    weight'[o] = weight[o] * gamma[o] / sqrt(var[o] + eps)
    bias'[o]   = (bias[o] - mean[o]) * gamma[o] / sqrt(var[o] + eps) + beta[o]

    weight [out, in / groups, height, width]; bias, gamma, beta, mean, var [out]. A missing bias counts as 0; without
    affine parameters gamma is 1 and beta 0. Computed in float64, stored in conv's dtype. A new module; the two given
    modules are not changed.

    Raises TypeError for other layers; ValueError for different channel counts or a batch norm without running
    statistics.
    Source: Jacob et al. 2018, section 3.2.

    >>> conv, bn = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4).eval()
    >>> x = torch.ones(1, 3, 5, 5)
    >>> torch.allclose(fold_batchnorm(conv, bn)(x), bn(conv(x)), atol=1e-5)
    True
    """
    if not computes_as(conv, nn.Conv2d) or not computes_as(bn, nn.BatchNorm2d):
        got = f"{described(conv, nn.Conv2d)} and {described(bn, nn.BatchNorm2d)}"
        raise TypeError(f"fold_batchnorm wants a Conv2d and a BatchNorm2d, got {got}; pick the pair.")
    if conv.out_channels != bn.num_features:
        raise ValueError(
            f"fold_batchnorm wants equally many channels, got {conv.out_channels} and {bn.num_features}; pick the "
            "batch norm that follows this convolution."
        )
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("fold_batchnorm wants running statistics, got none; train with track_running_stats=True.")
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        gain = (bn.running_var.double() + bn.eps).rsqrt()
        gain = gain if bn.weight is None else gain * bn.weight.double()
        bias = -bn.running_mean.double() if conv.bias is None else conv.bias.double() - bn.running_mean.double()
        bias = bias * gain if bn.bias is None else bias * gain + bn.bias.double()
        folded.weight = nn.Parameter((conv.weight.double() * gain[:, None, None, None]).to(conv.weight.dtype))
        folded.bias = nn.Parameter(bias.to(conv.weight.dtype))
    return folded
