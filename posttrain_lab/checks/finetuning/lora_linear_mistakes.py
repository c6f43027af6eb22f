"""The known mistakes of `LoRALinear`, each with its message."""

from collections.abc import Callable

from torch import nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.lora_linear_oracle import LoRA


class _Plain(LoRA):
    """Stores its factors as plain tensors."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(linear, rank, alpha)
        a, b = self.A.detach().requires_grad_(), self.B.detach().requires_grad_()
        del self.A, self.B
        self.A, self.B = a, b  # type: ignore[assignment]


class _Exchanged(LoRA):
    """The names of the two factors exchanged."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(linear, rank, alpha)
        self.A, self.B = self.B, self.A


class _Transposed(LoRA):
    """Both factors stored transposed."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(linear, rank, alpha)
        self.A, self.B = nn.Parameter(self.A.detach().T.clone()), nn.Parameter(self.B.detach().T.clone())


def _wrong(mistake: str) -> Callable[..., nn.Module]:
    return lambda linear, rank, alpha: LoRA(linear, rank, alpha, mistake)


LORA_MISTAKES = (
    Mistake("A and B exchanged", "Your A and B are exchanged: A is [rank, in] and B is [out, rank].", _Exchanged),
    Mistake(
        "stored transposed",
        "You store A and B transposed: A is [rank, in] and B is [out, rank], as in x A^T B^T and in the weight B A.",
        _Transposed,
    ),
    Mistake(
        "both factors random",
        "Your layer does not start as the given one: with A and B both random, B A is not 0; start one of them with zeros.",
        _wrong("both random"),
    ),
    Mistake(
        "both factors zero",
        "Both factors are 0, so the gradient of each is 0 and they never change; start one of them with random numbers.",
        _wrong("both zero"),
    ),
    Mistake(
        "rows alike",
        "All rows of your A are equal; they always get the same gradients, so the correction has rank 1: start with random numbers.",
        _wrong("alike"),
    ),
    Mistake("scale alpha * rank", "You multiply by alpha * rank; the factor is alpha / rank.", _wrong("times rank")),
    Mistake("no scale", "The factor alpha / rank is missing.", _wrong("missing")),
    Mistake("alpha missing", "Your factor is 1 / rank; it is alpha / rank.", _wrong("no alpha")),
    Mistake("rank missing", "Your factor is alpha; it is alpha / rank.", _wrong("no rank")),
    Mistake("root of the rank", "You divide by the root of the rank; the factor is alpha / rank.", _wrong("root")),
    Mistake(
        "base trained",
        "The given layer's own weight is trainable too; only A and B may be (requires_grad_(False) for the rest).",
        _wrong("base trained"),
    ),
    Mistake("A fixed", "Only B is trainable; A must be trainable too.", _wrong("a fixed")),
    Mistake(
        "not parameters",
        "A and B are not parameters of your module, so no optimizer finds them; wrap them in nn.Parameter.",
        _Plain,
    ),
    Mistake("base left out", "You return the correction alone; add the output of the given layer.", _wrong("base left out")),
    Mistake("bias twice", "The bias is added twice; the correction has no bias, so add it once.", _wrong("bias twice")),
    Mistake(
        "merge unscaled", "Your merge() adds B A without the factor; multiply B A by alpha / rank.", _wrong("merge unscaled")
    ),
    Mistake(
        "merge forgets",
        "Your merge() returns the given layer's weight without the correction; add alpha / rank * B A.",
        _wrong("merge forgets"),
    ),
    Mistake(
        "merge gives the correction only",
        "Your merge() returns the correction alone; add it to the given layer's weight.",
        _wrong("delta only"),
    ),
    Mistake(
        "merge without bias",
        "The bias is lost in merge(); give the new layer the bias of the given one.",
        _wrong("merge without bias"),
    ),
    Mistake(
        "merged in place",
        "Your merge() changes the given layer, and after it your own layer adds the correction twice; change a copy.",
        _wrong("merge in place"),
    ),
    Mistake(
        "merge twice",
        "A second merge() raises no error; store that the layer is merged, and raise an error the second time.",
        _wrong("merge twice"),
    ),
    Mistake("weight returned", "Your merge() returns a tensor; return an nn.Linear.", _wrong("weight returned")),
)
