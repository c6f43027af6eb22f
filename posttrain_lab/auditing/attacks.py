"""Is there a small change that makes the model wrong? Attacks: the changed image stays in a ball around the image, and in [0, 1].

| attack | needs | ball |
|---|---|---|
| `fgsm` | one gradient | L-inf: every pixel changes by at most eps |
| `pgd`, `pgd_l2` | a gradient a step, a start | L-inf; L2: the change has at most the length eps |
| `square_attack` | the logits only | L-inf |

An attack that fails proves nothing: it may be weak, or the model may hide its gradients (rounding, saturation). So report the
worst case over several, one of them without gradients. All act on pixels, with the model in eval mode, and leave it as it was.
Left out: targeted attacks, L0, patches.

Source: Goodfellow et al. 2015 (FGSM); Madry et al. 2018 (PGD); Andriushchenko et al. 2020 (Square); Athalye et al. 2018 (hidden gradients).
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from posttrain_lab.arguments import check_count

from .arguments import check_images, check_radius, check_targets, loss_gradient, undisturbed

Images = Float[Tensor, "n ..."]
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _checked(name: str, x: Tensor, eps: float) -> None:
    check_images(name, x)
    check_radius(name, "eps", eps)


def _lengths(change: Tensor) -> Tensor:
    """The L2 length of each image's change, [n, 1, ...]."""
    return change.flatten(1).norm(dim=1).reshape(-1, *[1] * (change.ndim - 1))


def into_ball(moved: Images, x: Images, eps: float) -> Images:
    """The nearest images whose pixels differ from x by at most eps and lie in [0, 1].

    >>> into_ball(torch.tensor([[0.9, -0.3]]), torch.tensor([[0.5, 0.1]]), 0.2)
    tensor([[0.7000, 0.0000]])
    """
    return torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)


def into_l2_ball(moved: Images, x: Images, eps: float) -> Images:
    """The change shortened to the length eps where it is longer, then clamped to [0, 1], which shortens it further."""
    change = moved - x
    return (x + change * (eps / _lengths(change).clamp_min(1e-12)).clamp(max=1)).clamp(0, 1)


def uniform_start(x: Images, eps: float, generator: torch.Generator) -> Images:
    """A random point of the L-inf ball around each image, in [0, 1]: where `pgd` starts."""
    _checked("uniform_start", x, eps)
    return into_ball(x + eps * (2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1), x, eps)


def fgsm(model: nn.Module, x: Images, y: Integer[Tensor, " n"], eps: float) -> Images:
    """One step of size eps, for every pixel in the direction that increases the loss.

    clamp(x + eps sign(d loss / d x), 0, 1), loss: cross entropy of the true labels y. x [n, ...] in [0, 1] -> like x. A pixel without
    gradient stays. Raises TypeError or ValueError for images outside [0, 1], eps below 0, labels outside the classes, or a model
    without gradients. Source: Goodfellow et al. (2015).

    >>> layer = nn.Linear(2, 2, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> fgsm(layer, torch.tensor([[0.75, 0.5]]), torch.tensor([0]), eps=0.25)
    tensor([[0.5000, 0.7500]])
    """
    _checked("fgsm", x, eps)
    with undisturbed("fgsm", model):
        return into_ball(x + eps * loss_gradient("fgsm", model, x, y).sign(), x, eps)


def pgd(model: nn.Module, x: Images, y: Integer[Tensor, " n"], eps: float, step: float, steps: int, start: Images) -> Images:
    """Many small steps; after each one the image is brought back into the ball around x and into [0, 1].

    x_0 = project(start); x_{t+1} = project(x_t + step sign(d loss / d x_t)). project: clamp to [x - eps, x + eps], then to [0, 1].
    start like x: x itself, or `uniform_start`. -> like x. Raises as `fgsm`, and ValueError for step below 0, steps below 1, or a start of
    another shape. Source: Madry et al. (2018).

    >>> layer = nn.Linear(2, 2, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x = torch.tensor([[0.75, 0.5]])
    >>> pgd(layer, x, torch.tensor([0]), eps=0.25, step=0.125, steps=3, start=x)
    tensor([[0.5000, 0.7500]])
    """
    return _walk("pgd", model, x, y, (eps, step, steps, start), lambda g: g.sign(), into_ball)


def pgd_l2(model: nn.Module, x: Images, y: Integer[Tensor, " n"], eps: float, step: float, steps: int, start: Images) -> Images:
    """As `pgd` in the L2 ball: steps of length `step` along the gradient; the whole change has at most the length eps."""
    return _walk("pgd_l2", model, x, y, (eps, step, steps, start), lambda g: g / _lengths(g).clamp_min(1e-30), into_l2_ball)


Walk = tuple[float, float, int, Tensor]


def _walk(
    name: str,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    walk: Walk,
    direction: Callable[[Tensor], Tensor],
    project: Callable[..., Tensor],
) -> Tensor:
    eps, step, steps, start = walk
    _checked(name, x, eps)
    check_radius(name, "step", step)
    check_count(name, "steps", steps)
    if start.shape != x.shape:
        raise ValueError(
            f"{name} wants a start like x, {list(x.shape)}, got {list(start.shape)}; give x itself, or uniform_start."
        )
    moved = project(start, x, eps)
    with undisturbed(name, model):
        for _ in range(steps):
            moved = project(moved + step * direction(loss_gradient(name, model, moved, y)), x, eps)
    return moved.detach()


def margins(model: nn.Module, x: Images, y: Integer[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The true class's logit minus the largest other one: below 0 the image is misclassified. No gradients are needed."""
    with undisturbed("margins", model), torch.no_grad():
        logits = model(x)
    check_targets("margins", y, len(x), logits.shape[1])
    true = logits.gather(1, y[:, None].long())[:, 0]
    return true - logits.scatter(1, y[:, None].long(), -torch.inf).amax(1)


def square_attack(
    model: nn.Module, x: Float[Tensor, "n c h w"], y: Integer[Tensor, " n"], eps: float, queries: int, generator: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """An attack that only calls the model: a random square changes by +-eps; the change is kept when the margin becomes smaller.

    It starts with random vertical stripes; the squares become smaller as the queries go on. `queries` calls for every image. So it sees through
    hidden gradients. Raises as `fgsm`, and ValueError for queries below 1. Source: Andriushchenko et al. (2020), with a simpler schedule.
    """
    _checked("square_attack", x, eps)
    check_count("square_attack", "queries", queries)
    n, channels, height, width = x.shape
    signs = 2.0 * torch.randint(0, 2, (n, channels, 1, width), generator=generator) - 1
    best = into_ball(x + eps * signs, x, eps)
    lowest = margins(model, best, y)
    for query in range(1, queries):
        share = 0.4 * 0.5 ** int(8 * query / queries)  # of the pixels, halved eight times
        side = max(1, min(height, width, round((share * height * width) ** 0.5)))
        tried = best.clone()
        rows = torch.randint(0, height - side + 1, (n,), generator=generator).tolist()
        columns = torch.randint(0, width - side + 1, (n,), generator=generator).tolist()
        signs = 2.0 * torch.randint(0, 2, (n, channels, 1, 1), generator=generator) - 1
        for i, (r, c) in enumerate(zip(rows, columns, strict=True)):
            tried[i, :, r : r + side, c : c + side] = x[i, :, r : r + side, c : c + side] + eps * signs[i]
        tried = into_ball(tried, x, eps)
        found = margins(model, tried, y)
        better = found < lowest
        best = torch.where(better.reshape(-1, 1, 1, 1), tried, best)
        lowest = torch.minimum(lowest, found)
    return best


def transfer_matrix(
    models: Mapping[str, nn.Module], x: Images, y: Integer[Tensor, " n"], attack: Attack
) -> dict[str, dict[str, float]]:
    """Images made against one model, given to another: the accuracy of each (column) on the images made for each (row).

    attack(model, x, y) -> changed images. A model whose row is much weaker against itself than another's row hides its gradients.
    """
    found: dict[str, dict[str, float]] = {}
    for source, model in models.items():
        moved = attack(model, x, y)
        found[source] = {name: float((margins(other, moved, y) > 0).double().mean()) for name, other in models.items()}
    return found


def worst_case_accuracy(correct: Bool[Tensor, "attacks n"]) -> float:
    """Which share of the images is right under every attack? An image counts only if none of the attacks succeeds on it.

    correct [attacks, n]: is image i still classified correctly under attack a? Raises TypeError for other
    dtypes, ValueError for no attack or no image.

    >>> worst_case_accuracy(torch.tensor([[True, True, False, True], [True, False, True, True]]))
    0.5
    """
    if not isinstance(correct, Tensor) or correct.dtype != torch.bool:
        got = correct.dtype if isinstance(correct, Tensor) else type(correct).__name__
        raise TypeError(f"worst_case_accuracy wants a bool Tensor, got {got}; do predicted == labels.")
    if correct.ndim != 2 or correct.numel() == 0:
        raise ValueError(
            f"worst_case_accuracy wants [attacks, n], both at least 1, got shape {list(correct.shape)}; stack the attacks."
        )
    return float(correct.all(dim=0).double().mean())
