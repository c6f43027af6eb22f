"""Cases and known mistakes of `fgsm`: one step of size eps, for every pixel in the direction that increases the loss.

Conventions that the notebook states in the same words:
- clamp(x + eps sign(d loss / d x), 0, 1), loss: the cross entropy of the true labels; x float [n, ...] in [0, 1], y int64 [n]; like x;
- where the gradient is 0 the pixel stays;
- the model (whose weights may hold gradients already) is asked in eval mode and is left as it was: its mode, its weights, their gradients; so is x.

Only the sign of a gradient counts. The cases have gradients that are exactly 0, or too large for rounding to change their sign.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.auditing.gradients import CLEAR, loss_gradient, until_clear
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, doubled, images, labels, linear, weight_of

Arguments = tuple[nn.Module, Tensor, Tensor, float]


def right_fgsm(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    gradient = loss_gradient(doubled(model), x.double(), y)
    return (x.double() + eps * gradient.sign()).clamp(0, 1).to(x.dtype)


def _gradients(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> list[Tensor]:
    """Also 1 - p of the true labels, beside a 1: below a thousandth, a gradient in float32 has few right digits, and perhaps another sign."""
    left = 1 - doubled(model)(x.double()).softmax(1).gather(1, y[:, None]).detach()
    return [loss_gradient(doubled(model), x.double(), y), torch.cat([1000 * CLEAR * left, torch.ones_like(left)], dim=1)]


def _clear(make: Callable[[], Arguments]) -> Arguments:
    return until_clear(make, _gradients)


def _blind(draw: Draw) -> Arguments:
    """A model that does not look at some pixels: their gradient is exactly 0."""
    model = linear(draw, 12, 3)
    weight_of(model)[:, draw.whole(0, 4) :: 4] = 0
    return model, images(draw, 5, 1, 3, 4, inside=0.3), labels(draw, 5, 3), 0.25


def fgsm_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "fgsm")
    n, eps = draw.whole(4, 7), round(draw.real(0.05, 0.15), 3)
    strided_case = _clear(lambda: (deep(draw, 24, 9, 4), images(draw, n, 1, 4, 6), labels(draw, n, 4), eps))
    trained = _clear(lambda: (convolutional(draw, 2, 6, 4, 3, 0.5).train(), images(draw, n, 2, 6, 4), labels(draw, n, 3), eps))
    named = _clear(lambda: (deep(draw, 20, 7, 5), images(draw, 3, 1, 4, 5), labels(draw, 3, 5), eps))
    sure = _clear(lambda: (linear(draw, 30, 4, 9.0), images(draw, n, 1, 5, 6), labels(draw, n, 4), eps))
    return [
        Case(
            "a network with a hidden layer",
            _clear(lambda: (deep(draw, 24, 9, 4), images(draw, n, 1, 4, 6), labels(draw, n, 4), eps)),
        ),
        Case("a linear model", _clear(lambda: (linear(draw, 15, 3), images(draw, n, 1, 3, 5), labels(draw, n, 3), eps))),
        Case(
            "a convolutional network",
            _clear(lambda: (convolutional(draw, 1, 6, 8, 4), images(draw, n, 1, 6, 8), labels(draw, n, 4), eps)),
        ),
        Case("a network in train mode, with batch norm and dropout", trained),
        Case("a view that is not contiguous", (strided_case[0], strided(strided_case[1]), *strided_case[2:])),
        Case("a sure model, some of whose answers are wrong", sure),
        Case("pixels that the model does not use", _blind(draw)),
        Case("a large eps", _clear(lambda: (linear(draw, 15, 3), images(draw, n, 1, 3, 5), labels(draw, n, 3), 0.75))),
        Case("eps is 0", (linear(draw, 15, 3), images(draw, n, 1, 3, 5), labels(draw, n, 3), 0.0)),
        Case("one image, by name", (), dict(zip(("model", "x", "y", "eps"), named, strict=True))),
        Case("rows of features", _clear(lambda: (deep(draw, 9, 6, 2), images(draw, n, 9), labels(draw, n, 2), eps))),
    ]


def fgsm_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "fgsm at work")
    frozen = _clear(lambda: (deep(draw, 64, 32, 10), images(draw, 9, 1, 8, 8), labels(draw, 9, 10), 8 / 255))
    for parameter in frozen[0].parameters():
        parameter.requires_grad_(False)
    large = _clear(lambda: (linear(draw, 784, 10), images(draw, 6, 1, 28, 28), labels(draw, 6, 10), 0.1))
    many = _clear(lambda: (linear(draw, 6, 3), images(draw, 1100, 6), labels(draw, 1100, 3), 0.1))
    precise = _clear(lambda: (doubled(deep(draw, 12, 5, 3)), images(draw, 5, 12).double(), labels(draw, 5, 3), 0.07))
    return [
        Case("images of 28 x 28 pixels, ten classes", large),
        Case("8 x 8 pixels, weights that are frozen", frozen),
        Case("1,100 rows", many),
        Case("float64", precise),
    ]


def _never_less_loss_on_a_linear_model(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "fgsm law")
    model, x, y, eps = linear(draw, 10, 2), images(draw, 6, 1, 2, 5), labels(draw, 6, 2), 0.1
    before, after = (F.cross_entropy(model(z), y, reduction="none") for z in (x, call(model, x, y, eps)))
    return None if (after >= before - 1e-6).all() else "the loss of a linear model must not fall."


def _from(step: Callable[[Tensor, float], Tensor], clamped: bool = True) -> Callable[..., Tensor]:
    """Another step from the gradient."""

    def mistaken(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        moved = x + step(loss_gradient(doubled(model), x.double(), y), eps).to(x.dtype)
        return moved.clamp(0, 1) if clamped else moved

    return mistaken


def _in_its_own_mode(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return (x + eps * loss_gradient(copy.deepcopy(model), x, y).sign()).clamp(0, 1)


def _left_in_eval(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    model.eval()
    return right_fgsm(model, x, y, eps)


def _left_in_train(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    model.train()
    return right_fgsm(model, x, y, eps)


def _of_the_prediction(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return right_fgsm(model, x, doubled(model)(x.double()).argmax(1), eps)


def _of_a_logit(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    z = x.double().detach().clone().requires_grad_(True)
    chosen = doubled(model)(z).gather(1, y[:, None]).sum()
    return (x - eps * torch.autograd.grad(chosen, z)[0].sign().to(x.dtype)).clamp(0, 1)


def _of_probabilities(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return right_fgsm(nn.Sequential(copy.deepcopy(model).double(), nn.Softmax(1)).train(model.training), x, y, eps)


def _longest(gradient: Tensor, eps: float) -> Tensor:
    size = gradient.flatten(1).abs().amax(1).clamp_min(1e-300).reshape(-1, *[1] * (gradient.ndim - 1))
    return eps * gradient / size


def _labels_of_the_first(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return right_fgsm(model, x, y[:1].expand_as(y), eps)


FGSM_MISTAKES = (
    Mistake(
        "minus sign",
        "You go against the gradient, which decreases the loss, as in training; an attack increases it: x + eps sign.",
        _from(lambda g, eps: -eps * g.sign()),
    ),
    Mistake(
        "no clamp",
        "Your pixels leave [0, 1], so they are no image any more; clamp them to [0, 1].",
        _from(lambda g, eps: eps * g.sign(), clamped=False),
    ),
    Mistake(
        "train mode",
        "You ask the model in train mode, where dropout is random and batch norm uses the batch; ask it in eval mode.",
        _in_its_own_mode,
    ),
    Mistake(
        "left in eval mode",
        "You leave a model that was in train mode in eval mode; put the mode back (with evaluating(model): ...).",
        _left_in_eval,
    ),
    Mistake(
        "left in train mode",
        "You leave a model that was in eval mode in train mode; put back the mode it had (with evaluating(model): ...).",
        _left_in_train,
    ),
    Mistake(
        "predicted class as label",
        "You use the predicted class; use the true labels y, or images that are wrong already are moved to the right class.",
        _of_the_prediction,
    ),
    Mistake(
        "gradient without sign",
        "You add the gradient itself, whose numbers are tiny; add eps times its sign, so that every pixel changes by eps.",
        _from(lambda g, eps: eps * g),
    ),
    Mistake(
        "divided by the largest",
        "You scale the gradient, so only one pixel changes by eps; take its sign.",
        _from(_longest),
    ),
    Mistake(
        "eps forgotten",
        "Your step has size 1; multiply the sign by eps.",
        _from(lambda g, eps: g.sign()),
    ),
    Mistake(
        "eps of 255",
        "You divide eps by 255; pixels and eps are both in units of [0, 1] already.",
        _from(lambda g, eps: eps / 255 * g.sign()),
    ),
    Mistake(
        "the true class's logit",
        "You lower the logit of the true class only; the cross entropy also raises the others: use its gradient.",
        _of_a_logit,
    ),
    Mistake(
        "softmax before the cross entropy",
        "You give probabilities to cross_entropy, which takes the softmax itself; give it the logits.",
        _of_probabilities,
    ),
    Mistake(
        "zero counts as positive",
        "You move pixels whose gradient is 0; torch.sign(0) is 0, so they stay.",
        _from(lambda g, eps: torch.where(g < 0, -eps, eps)),
    ),
    Mistake(
        "one label for all",
        "You use the first label for every image; each image has its own label in y.",
        _labels_of_the_first,
    ),
)


fgsm = Exercise(
    name="fgsm",
    unit="07_auditing",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_fgsm,
    cases=fgsm_cases,
    workload=fgsm_workload,
    mistakes=FGSM_MISTAKES,
    judge=close(1e-6, 1e-6, strict_dtype=True),
    laws=(Law("the loss grows", _never_less_loss_on_a_linear_model),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)."},
    through="auditing.gradients:in_training",
    library="auditing:fgsm",
)
