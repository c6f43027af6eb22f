"""nn.MultiheadAttention with quantized projections: the four linear maps from codes, the attention itself in float.

nn.MultiheadAttention keeps the projections of queries, keys and values in one parameter and hands all weights to a function, so
exchanging its layers would change nothing. `in_proj_bias` is None here, which also keeps nn.TransformerEncoderLayer from its
fused path, where the weights would be read as floats. Left out: bias_k, bias_v, add_zero_attn, nested tensors.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def projections(attention: nn.MultiheadAttention) -> dict[str, nn.Linear]:
    """The linear maps of queries, keys, values and the output, as layers that share the module's numbers.

    Raises ValueError for the options that are left out.
    """
    if attention.bias_k is not None or attention.bias_v is not None or attention.add_zero_attn:
        raise ValueError("quantize_model wants MultiheadAttention without add_bias_kv and add_zero_attn; build it without.")
    size, bias = attention.embed_dim, attention.in_proj_bias
    if attention.in_proj_weight is None:
        weights = [attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight]
    else:
        weights = list(attention.in_proj_weight.split(size))
    biases = [None] * 3 if bias is None else list(bias.split(size))
    made = {name: _linear(*pair) for name, pair in zip("qkv", zip(weights, biases, strict=True), strict=True)}
    return {**made, "out": _linear(attention.out_proj.weight, attention.out_proj.bias)}


def _linear(weight: Any, bias: Any) -> nn.Linear:
    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)  # type: ignore[assignment]
    return layer


class CodedAttention(nn.Module):
    """Takes the arguments of nn.MultiheadAttention and gives what it gives, in eval mode.

    >>> attention = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    >>> x = torch.rand(1, 3, 4)
    >>> torch.allclose(CodedAttention(attention, lambda layer: layer)(x, x, x)[0], attention(x, x, x)[0], atol=1e-6)
    True
    """

    out_proj: nn.Module
    in_proj_bias = None
    in_proj_weight = None
    _qkv_same_embed_dim = False

    def __init__(self, attention: nn.MultiheadAttention, coded: Callable[[nn.Linear], nn.Module]) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.batch_first = attention.embed_dim, attention.num_heads, attention.batch_first
        for name, layer in projections(attention).items():
            self.add_module(f"{name}_proj", coded(layer))

    def forward(
        self,
        query: Float[Tensor, "..."],
        key: Float[Tensor, "..."],
        value: Float[Tensor, "..."],
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        alone = query.ndim == 2
        tensors = [x.unsqueeze(0) if alone else x if self.batch_first else x.transpose(0, 1) for x in (query, key, value)]
        q, k, v = (self._heads(name, x) for name, x in zip("qkv", tensors, strict=True))
        mask = self._mask(attn_mask, key_padding_mask, q)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # [n, heads, queries, keys]
        weights = (scores if mask is None else scores + mask).softmax(-1)
        out = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        shown = (weights.mean(1) if average_attn_weights else weights) if need_weights else None
        if alone:
            return out.squeeze(0), None if shown is None else shown.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), shown

    def _heads(self, name: str, x: Tensor) -> Tensor:
        """[n, tokens, size] -> [n, heads, tokens, size / heads], projected."""
        return getattr(self, f"{name}_proj")(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor) -> Tensor | None:
        """What is added to the scores: -inf where a bool mask is True."""
        total = None
        if attn_mask is not None:
            added = _added(attn_mask, q)
            total = added.reshape(-1, self.num_heads, *added.shape[1:]) if added.ndim == 3 else added
        if padding is not None:
            added = _added(padding.reshape(-1, 1, 1, padding.shape[-1]), q)
            total = added if total is None else total + added
        return total


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))
