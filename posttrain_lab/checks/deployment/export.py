"""Cases and known mistakes of `export`: a network as a torch.export.ExportedProgram, in eval mode, for any number of images.

Conventions that the notebook states in the same words:
- example float [n, ...], n at least 1: one image is enough, although torch makes a batch of 1 a constant;
- the program gives the network's logits in eval mode for 1, 2 and 70 images; each layer of the network keeps its mode.

What is compared are the numbers that the program gives for images of the case; the program itself is never sent.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep

BATCHES = (1, 2, 70)  # many: an upper bound of the batch is none that the page allows
After = Callable[[Tensor], Tensor]


class Served:
    """What an oracle or a mistake returns in place of an ExportedProgram: a function of images."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def module(self) -> Callable[[Tensor], Tensor]:
        return self.function


@adapter
def served(function: Callable[..., Any], model: nn.Module, example: Tensor, images: Tensor) -> dict[str, Any]:
    """What the program gives for 1, 2 and 70 of the images (or the name of its error), and the modes that the layers have afterwards."""
    program = function(model, example)
    if not isinstance(program, torch.export.ExportedProgram | Served):
        raise TypeError(f"a torch.export.ExportedProgram is wanted, a {type(program).__name__} was returned")
    run, found = program.module(), {}
    for n in BATCHES:
        try:
            with torch.no_grad():
                found[f"{n} images"] = run(images[:n])
        except Exception as error:
            found[f"{n} images"] = type(error).__name__
    return found | {"modes": [layer.training for layer in model.modules()]}


def gives_alike(want: Outcome, got: Outcome) -> str | None:
    """None when the programs agree within 1e-5."""
    for key, wanted in want.value.items():
        found = got.value[key]
        if isinstance(found, str) and not isinstance(wanted, str):
            return f"for {key} the program raised {found}; the number of images must be free."
        if complaint := difference(wanted, found, 1e-4, 1e-5):
            start = "the modes (train or eval) of the network's layers changed" if key == "modes" else f"for {key}"
            return f"{start}: {complaint}"
    return None


def _eager(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).eval()


def right_export(model: nn.Module, example: Tensor) -> Any:
    return Served(_eager(model))


def _case(draw: Draw, network: nn.Module, *shape: int, n: int = 3) -> tuple[nn.Module, Tensor, Tensor]:
    """The network in train mode, its batch norm unlike the images; an example of n black images (only its shape matters), and others."""
    return network.train(), torch.zeros(n, *shape), draw.uniform(0, 1, max(BATCHES), *shape)


def _half_trained(draw: Draw) -> nn.Module:
    """A network of which only some layers are in train mode, as when batch norm is frozen."""
    network = convolutional(draw, 1, 6, 4, 3, 0.5).train()
    network[1].eval()
    return network


def export_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "export")
    half = (_half_trained(draw), torch.zeros(2, 1, 6, 4), draw.uniform(0, 1, max(BATCHES), 1, 6, 4))
    model, example, images = _case(draw, convolutional(draw, 2, 6, 4, 3, 0.5), 2, 6, 4)
    return [
        Case("batch norm and dropout, in train mode", (model, example, images)),
        Case("an example of one image", _case(draw, convolutional(draw, 1, 6, 6, 4, 0.4), 1, 6, 6, n=1)),
        Case("only some layers in train mode", half),
        Case(
            "an example that is not contiguous",
            (deep(draw, 8, 6, 3).eval(), strided(torch.zeros(2, 8)), draw.uniform(0, 1, max(BATCHES), 8)),
        ),
    ]


def export_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "export at work")
    return [Case("28 x 28 pixels, ten classes, one image", _case(draw, convolutional(draw, 1, 28, 28, 10, 0.2), 1, 28, 28, n=1))]


def _with(after: After = lambda logits: logits, before: After = lambda x: x) -> Callable[[nn.Module, Tensor], Any]:
    def mistaken(model: nn.Module, example: Tensor) -> Any:
        ready = _eager(model)
        return Served(lambda x: after(ready(before(x))))

    return mistaken


def _fixed(model: nn.Module, example: Tensor) -> Any:
    ready = _eager(model)

    def run(x: Tensor) -> Tensor:
        if len(x) != len(example):
            raise AssertionError(f"Guard failed: x.size()[0] == {len(example)}")
        return ready(x)

    return Served(run)


def _from_two(model: nn.Module, example: Tensor) -> Any:
    """torch refuses an example of one image when its batch is to be free."""
    if len(example) == 1:
        return torch.export.export(_eager(model), (example,), dynamic_shapes=({0: torch.export.Dim("n")},))
    return right_export(model, example)


def _in_train_mode(model: nn.Module, example: Tensor) -> Any:
    """Each layer as it is. The program shares the buffers of the network, so its batch norms change them when it runs."""
    return Served(model)


def _a_copy_in_train_mode(model: nn.Module, example: Tensor) -> Any:
    return Served(copy.deepcopy(model))


def _left(mode: bool) -> Callable[[nn.Module, Tensor], Any]:
    def mistaken(model: nn.Module, example: Tensor) -> Any:
        model.train(mode)
        return right_export(model, example)

    return mistaken


def _one_pixel_batch(model: nn.Module, example: Tensor) -> Any:
    ready = _eager(model)
    return Served(lambda x: torch.cat([ready(one) for one in x.split(1)][:2]))


EXPORT_MISTAKES = (
    Mistake(
        "train mode",
        "You export in train mode: dropout drops, and batch norm uses the batch's own mean; set eval mode while you export.",
        _in_train_mode,
    ),
    Mistake(
        "a copy in train mode",
        "You export a copy that is in train mode: dropout drops, and batch norm uses the batch's own mean; set the copy to eval mode.",
        _a_copy_in_train_mode,
    ),
    Mistake(
        "left in eval mode",
        "You leave the network in eval mode; put each layer's mode back (with evaluating(model): ...).",
        _left(False),
    ),
    Mistake(
        "all layers set to train",
        "You set all layers to train mode at the end; some were in eval mode before: evaluating(model) remembers each one.",
        _left(True),
    ),
    Mistake(
        "fixed batch",
        "Your program takes as many images as the example had; say that the first axis is free (dynamic_shapes).",
        _fixed,
    ),
    Mistake(
        "example of one image",
        "torch takes a batch of 1 for a constant, so it is not free any more; export with the example twice (torch.cat).",
        _from_two,
    ),
    Mistake(
        "softmax",
        "Your program ends with a softmax; export the network as it is, with its logits.",
        _with(lambda z: z.softmax(1)),
    ),
    Mistake("classes", "Your program gives classes; export the network as it is, with its logits.", _with(lambda z: z.argmax(1))),
    Mistake(
        "divided by 255",
        "Your program divides its images by 255; the images are in 0..1 already, so nothing comes before the network.",
        _with(before=lambda x: x / 255),
    ),
    Mistake("16 bits", "Your program computes in 16 bits; export the network as it is.", _with(lambda z: z.bfloat16().float())),
    Mistake("two images at most", "Your program answers for two images only; it must answer for all of them.", _one_pixel_batch),
)


export = Exercise(
    name="export",
    unit="08_deployment",
    points=2,
    difficulty=3,
    minutes=6,
    oracle=right_export,
    cases=export_cases,
    workload=export_workload,
    mistakes=EXPORT_MISTAKES,
    judge=gives_alike,
    through="deployment.export:served",
    library="deployment.exported:export",
)
