"""Cases and known mistakes of `LoRALinear`: a frozen linear layer with a trainable low-rank correction.

Conventions that the notebook states in the same words: `LoRALinear(linear, rank, alpha)` is an nn.Module with two trainable parameters,
A [rank, in] and B [out, rank], and no other; one of them starts with zeros, the other with random numbers of any kind; the output is
linear(x) + alpha / rank * x A^T B^T; `merge()` returns an nn.Linear with the weight W + alpha / rank * B A and the bias of the given
layer; a second `merge()` raises an error; the given layer's weight and bias are not changed, and the LoRALinear gives the same
outputs after `merge()` as before.

The names of the two parameters and whether they are stored transposed are free: the adapter finds them by their shapes (in, out and
rank all differ), fills them with the values of the case and returns the observable results.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.finetuning.lora_linear_mistakes import LORA_MISTAKES
from posttrain_lab.checks.finetuning.lora_linear_oracle import LoRA

Factors = dict[str, nn.Parameter]


SENTENCES = {
    "starts as the given layer": "at the start the output must be that of the given layer.",
    "can learn": "at the start neither A nor B gets a gradient other than 0, so they can never change.",
    "full rank": "the rank of the random factor is too small: its rows are equal.",
    "merged is a Linear": "merge() must return an nn.Linear.",
    "second merge raises": "a second merge() must raise an error.",
    "given as it was": "the given layer's weight or bias was changed; copy it before you change it.",
}


@adapter
def adapted(
    function: Callable[..., nn.Module],
    weight: Tensor,
    bias: Tensor | None,
    rank: int,
    alpha: float,
    a: Tensor,
    b: Tensor,
    x: Tensor,
) -> dict[str, Any]:
    """The adapter: build the layer, test its initial state, fill A and B, return outputs and gradients, merge twice."""
    linear = _linear(weight, bias)
    layer = function(linear, rank, alpha)
    factors = _factors(layer, a, b)
    seen = {"trainable": _trainable(layer, factors), **_start(layer, factors, x, x @ weight.T + (0 if bias is None else bias))}
    with torch.no_grad():
        for name, wanted in (("A", a), ("B", b)):
            factor = factors[name]
            factor.copy_(wanted if factor.shape == wanted.shape else wanted.T)
    seen = {**seen, **_filled(layer, factors, a, x), **_merged(layer, x)}
    own = linear.weight, linear.bias
    kept = all(one is two or (one is not None and torch.equal(one, two)) for one, two in zip((weight, bias), own, strict=True))
    return {**seen, "given as it was": kept}


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight.clone()
    if bias is not None:
        linear.bias.data = bias.clone()
    return linear


def _factors(layer: nn.Module, a: Tensor, b: Tensor) -> Factors:
    """The parameters of the shapes of A and B, in either orientation."""
    found: Factors = {}
    for name, wanted in (("A", a), ("B", b)):
        fits = [p for p in layer.parameters() if sorted(p.shape) == sorted(wanted.shape)]
        if len(fits) != 1:
            shapes = ", ".join(str(list(p.shape)) for p in layer.parameters())
            raise ValueError(f"the parameters have the shapes {shapes}; one of them must be {name} {list(wanted.shape)}")
        found[name] = fits[0]
    return found


def _trainable(layer: nn.Module, factors: Factors) -> list[str]:
    names = {id(factor): name for name, factor in factors.items()}
    return sorted(names.get(id(p), f"another parameter {list(p.shape)}") for p in layer.parameters() if p.requires_grad)


def _start(layer: nn.Module, factors: Factors, x: Tensor, wanted: Tensor) -> dict[str, bool]:
    output = layer(x)
    gradients = _gradients(output, list(factors.values()))
    ranks = [int(torch.linalg.matrix_rank(f.detach())) for f in factors.values() if bool(f.detach().any())]
    return {
        "starts as the given layer": torch.allclose(output, wanted, rtol=1e-4, atol=1e-5),
        "can learn": any(bool(gradient.any()) for gradient in gradients),
        "full rank": all(rank == min(factors["A"].shape) for rank in ranks),
    }


def _gradients(output: Tensor, sources: list[nn.Parameter]) -> list[Tensor]:
    if not output.requires_grad:
        return [torch.zeros_like(p) for p in sources]
    weights = torch.linspace(0.5, 1.5, output.numel()).reshape(output.shape)
    asked = [p for p in sources if p.requires_grad]
    found = dict(zip(map(id, asked), torch.autograd.grad(output, asked, weights, allow_unused=True), strict=True))
    return [torch.zeros_like(p) if found.get(id(p)) is None else found[id(p)] for p in sources]


def _filled(layer: nn.Module, factors: Factors, a: Tensor, x: Tensor) -> dict[str, Any]:
    output = layer(x)
    of_a, of_b = _gradients(output, [factors["A"], factors["B"]])
    turned = factors["A"].shape != a.shape, factors["B"].shape[1] != a.shape[0]
    return {
        "output with A and B filled": output,
        "gradient of A": of_a.T if turned[0] else of_a,
        "gradient of B": of_b.T if turned[1] else of_b,
    }


def _merged(layer: Any, x: Tensor) -> dict[str, Any]:
    merged = layer.merge()
    is_linear = type(merged) is nn.Linear
    found = dict(copy.deepcopy(merged).state_dict()) if is_linear else {}
    after = layer(x)
    try:
        layer.merge()
        raised = False
    except NotImplementedError:
        raise
    except Exception:
        raised = True
    return {
        "merged is a Linear": is_linear,
        "merged": found,
        "output after merge()": after,
        "second merge raises": raised,
    }


def lora_judge() -> Judge:
    """Flags, each with its sentence; tensors within float32's rounding in any order (at most 9 products of numbers below 10: 1e-4)."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        for key, wanted in want.value.items():
            found = got.value[key]
            if key in SENTENCES and found is not wanted:
                return SENTENCES[key]
            if key == "trainable" and found != wanted:
                return f"only A and B must be trainable, found: {', '.join(found) or 'nothing'}."
            if problem := difference(wanted, found, 1e-4, 1e-4):
                return f"{key}: {problem}"
        return None

    return judge


def lora_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "LoRALinear")

    def case(words: str, inputs: int, outputs: int, rank: int, alpha: float, bias: bool = True, *rows: int) -> Case:
        weight, shift = draw.normal(outputs, inputs), draw.normal(outputs) + 1 if bias else None
        a, b = draw.normal(rank, inputs), draw.normal(outputs, rank)
        return Case(words, (weight, shift, rank, alpha, a, b, draw.normal(*(rows or (5,)), inputs)))

    first = case("alpha other than rank", draw.whole(7, 9), draw.whole(4, 6), draw.whole(2, 3), draw.real(4.5, 7.0))
    wide = case("", 9, 6, 3, draw.real(1.2, 2.5))
    return [
        first,
        case("more outputs than inputs", draw.whole(4, 5), draw.whole(7, 9), draw.whole(2, 3), draw.real(0.4, 1.5)),
        case("without a bias", 8, 5, draw.whole(2, 4), draw.real(5.0, 9.0), False),
        case("alpha equal to rank", 6, 8, 2, 2.0),
        case("rank 1", draw.whole(5, 8), 4, 1, draw.real(2.0, 3.0)),
        case("inputs [2, 3, in]", 7, 5, 2, 8.0, True, 2, 3),
        Case("an input that is not contiguous", (*wide.args[:-1], strided(wide.args[-1]))),
    ]


def right_lora(linear: nn.Linear, rank: int, alpha: float) -> nn.Module:
    return LoRA(linear, rank, alpha)


LoRALinear = Exercise(
    name="LoRALinear",
    unit="03_fine_tuning",
    points=4,
    difficulty=4,
    minutes=20,
    oracle=right_lora,
    cases=lora_cases,
    mistakes=LORA_MISTAKES,
    judge=lora_judge(),
    through="finetuning.lora_linear:adapted",
    library="finetuning:LoRALinear",
)
