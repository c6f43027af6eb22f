"""Cases and known mistakes of `LoRALinear`: a frozen linear layer with a trainable low-rank correction.

Conventions that the notebook states in the same words: `LoRALinear(linear, rank, alpha)` is an nn.Module with two trainable parameters,
`self.A` [rank, in] and `self.B` [out, rank], and no other; `self.linear` is the given layer (or a copy); one of the two starts with
zeros, the other with random numbers of any kind; the output is linear(x) + alpha / rank * x A^T B^T for x [..., in], float32;
`merge()` returns an nn.Linear with the weight W + alpha / rank * B A and the bias of the given layer (its mode and whether it is
trained are free); a second `merge()` raises an error; the given layer's weight and bias are not changed, and the LoRALinear gives the
same outputs after `merge()` as before. A copy (copy.deepcopy) is a layer of its own.

The adapter finds A and B by their names, fills them with the values of the case and returns the observable results.
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
from posttrain_lab.checks.engine.random_cases import Draw, eighths, strided
from posttrain_lab.checks.finetuning.lora_linear_mistakes import LORA_MISTAKES
from posttrain_lab.checks.finetuning.lora_linear_oracle import LoRA

Factors = dict[str, nn.Parameter]
CALLS, BATCH = 100, 25  # the steps and the batch with which the notebook trains an adapter


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
    factors, found = _factors(layer), _named(layer)
    if found != _named_as(a, b, weight):
        return {"names and shapes": found}
    own = x @ weight.T + (0 if bias is None else bias)
    seen = {"names and shapes": found, "trainable": _trainable(layer, factors), **_start(layer, factors, x, own)}
    with torch.no_grad():
        for name, wanted in (("A", a), ("B", b)):
            factors[name].copy_(wanted)
    seen = {**seen, **_filled(layer, factors, x), **_copied(layer, x), **_merged(layer, x)}
    now = linear.weight, linear.bias
    kept = all(one is two or (one is not None and torch.equal(one, two)) for one, two in zip((weight, bias), now, strict=True))
    return {**seen, "given as it was": kept}


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight.clone()
    if bias is not None:
        linear.bias.data = bias.clone()
    return linear


def _factors(layer: nn.Module) -> Factors:
    return {name: p for name, p in layer._parameters.items() if name in ("A", "B") and p is not None}


def _named(layer: nn.Module) -> str:
    """Names and shapes of its parameters, and its inner layer."""
    own = [f"{name} {list(p.shape)}" for name, p in layer.named_parameters() if not name.startswith("linear.")]
    inner = layer._modules.get("linear")
    return (
        "; ".join(sorted(own) + ([f"linear, a Linear {list(inner.weight.shape)}"] if isinstance(inner, nn.Linear) else []))
        or "nothing"
    )


def _named_as(a: Tensor, b: Tensor, weight: Tensor) -> str:
    return f"A {list(a.shape)}; B {list(b.shape)}; linear, a Linear {list(weight.shape)}"


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


def _filled(layer: nn.Module, factors: Factors, x: Tensor) -> dict[str, Any]:
    """Outputs with A and B filled: of x, of one row, of none, in eval mode, and after as many calls as the notebook makes."""
    output, row = layer(x), x.reshape(-1, x.shape[-1])[0]
    of_a, of_b = _gradients(output, [factors["A"], factors["B"]])
    with torch.no_grad():
        for _ in range(CALLS if len(x) == BATCH else 0):
            layer(row)
    return {
        "output with A and B filled": output,
        "gradient of A": of_a,
        "gradient of B": of_b,
        "output of one x [in]": layer(row),
        "output of no x [0, in]": layer(x.reshape(-1, x.shape[-1])[:0]),
        "output in eval mode": layer.eval()(x),
    }


def _copied(layer: nn.Module, x: Tensor) -> dict[str, Any]:
    """A copy with other factors, as the notebook makes one before it merges; the layer itself must not notice."""
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        for factor in _factors(twin).values():
            factor.mul_(2)
    merged: Any = twin.merge()  # type: ignore[operator]
    return {"output of a copy with 2 A and 2 B": twin(x), "a copy, merged": merged(x), "output beside a copy": layer(x)}


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
            if key == "names and shapes" and found != wanted:
                return f"the layer's own parameters and its `linear` must be {wanted}; found {found}."
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


def lora_workload(seed: int) -> list[Case]:
    """The two linear layers of the notebook's network, rank 2, a batch of 25: eighths, whose sums are exact in any order."""
    draw = Draw(seed, "workload of LoRALinear")

    def case(words: str, inputs: int, outputs: int, rank: int, alpha: float) -> Case:
        sizes = ((outputs, inputs), (outputs,), (rank, inputs), (outputs, rank), (BATCH, inputs))
        weight, bias, a, b, x = (eighths(draw, *size, most=8) for size in sizes)
        return Case(words, (weight, bias, rank, alpha, a, b, x))

    return [case("the notebook's first linear layer", 576, 64, 2, 4.0), case("its last layer, rank 8", 64, 10, 8, 4.0)]


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
    workload=lora_workload,
    mistakes=LORA_MISTAKES,
    judge=lora_judge(),
    through="finetuning.lora_linear:adapted",
    library="finetuning:LoRALinear",
)
