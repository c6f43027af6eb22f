"""Cases and known mistakes of `first_difference`: in which layer do two runtimes part for the first time?

Conventions that the notebook states in the same words:
- ours, theirs: dicts of tensors [n, ...], the same names and shapes; `ours` is in the order of execution, `theirs` in any order;
- (name of the first layer with a number that differs, share of its numbers that differ, the first image in which one does);
- None when every number is equal; NaN equals nothing; a plain str, float and int.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

Layers = dict[str, Tensor]
Report = tuple[str, float, int]
Found = Report | None


def _share(rows: Tensor) -> float:
    return rows.double().mean().item()


def _first(rows: Tensor) -> int:
    return int(rows.any(1).int().argmax())


def _reporting(
    share: Callable[[Tensor], float] = _share, image: Callable[[Tensor], int] = _first
) -> Callable[[str, Tensor], Report]:
    """(layer, share, image) of what is wrong, given as one row an image."""

    def report(layer: str, wrong: Tensor) -> Report:
        rows = wrong.reshape(len(wrong), -1)
        return layer, share(rows), image(rows)

    return report


_report = _reporting()


def right_difference(ours: Layers, theirs: Layers) -> Found:
    for layer in ours:
        wrong = ours[layer] != theirs[layer]
        if wrong.any():
            return _report(layer, wrong)
    return None


def _network(draw: Draw, n: int, layers: int = 4) -> Layers:
    """Codes of a few layers, and int32 sums at the end; names whose alphabet is not the order of execution."""
    names = draw.shuffled(["0", "3", "conv", "fc", "pool", "10", "stem", "block.1"])[: layers - 1]
    shapes = [(n, draw.whole(2, 4), draw.whole(2, 3), draw.whole(4, 6)), (n, 3, 2, 4), (n, 9), (n, 2, 5)]
    codes = {name: draw.codes(-128, 126, *shapes[i % 4]) for i, name in enumerate(names)}
    return codes | {"logits": torch.randint(-(2**20), 2**20, (n, 10), generator=draw.generator).int()}


def _bug(draw: Draw, layers: Layers, at: int, first: int, steps: int = 1) -> Layers:
    """The other side, in another order: one number of layer `at` differs, from image `first` on most of the next, a few behind."""
    names, theirs = list(layers), {name: values.clone() for name, values in layers.items()}
    for number, name in enumerate(names[at:]):
        rows = theirs[name].reshape(len(theirs[name]), -1)
        rows[first, 0] += steps
        if number == 1:  # most of them in the next layer
            rows[first:] += steps
        if number > 0:
            rows[-1, -1] += steps
    return {name: theirs[name] for name in draw.shuffled(names)}


def _rising(draw: Draw, n: int = 6) -> tuple[Layers, Layers]:
    ours = _network(draw, n)
    return ours, _bug(draw, ours, 1, draw.whole(1, n - 3))


def _at_the_end(draw: Draw, n: int) -> tuple[Layers, Layers]:
    """One number of the last layer, in its first image, is far off; the class stays."""
    ours = _network(draw, n)
    theirs = {name: ours[name].clone() for name in draw.shuffled(list(ours))}
    theirs["logits"][0, int(ours["logits"][0, 1:].argmin()) + 1] -= 300
    return ours, theirs


def _hidden(draw: Draw, n: int) -> tuple[Layers, Layers]:
    """What differs in three layers is gone in the last one."""
    ours = _network(draw, n)
    return ours, _bug(draw, ours, 0, draw.whole(1, n - 3)) | {"logits": ours["logits"].clone()}


def _one_layer(draw: Draw, mine: Tensor, changes: dict[tuple[int, ...], float]) -> tuple[Layers, Layers]:
    """A layer that is equal and one with these changes."""
    first, theirs = draw.codes(-128, 127, len(mine), 3), mine.clone()
    for place, value in changes.items():
        theirs[place] = value
    return {"a": first, "b": mine}, {"b": theirs, "a": first.clone()}


def _opposite(draw: Draw) -> tuple[Layers, Layers]:
    """Two changes that cancel in any sum, before a change that does not."""
    ours = {"early": draw.codes(-99, 99, 5, 4), "late": draw.codes(-99, 99, 5, 4)}
    theirs = {name: values.clone() for name, values in ours.items()}
    theirs["early"][2, 1] += 1
    theirs["early"][2, 3] -= 1
    theirs["late"][1:] += 1
    return ours, theirs


def difference_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "first diff")
    n = draw.whole(5, 8)
    equal = _network(draw, n)
    floats = draw.normal(n, 4)
    again = {name: equal[name].clone() for name in draw.shuffled(list(equal))}
    near = floats[n - 2, 1].item() * (1 + 2e-7) + 1e-30
    nans = floats.clone()
    nans[2, 1] = float("nan")
    ours, theirs = _rising(draw)
    return [
        Case("a bug in the last layer", _at_the_end(draw, n)),
        Case("a bug that the last layer hides", _hidden(draw, n)),
        Case("a bug in the middle that grows", _rising(draw)),
        Case("a bug in the first layer", (equal, _bug(draw, equal, 0, n - 3))),
        Case("a bug in the last layer, in its last image", (equal, _bug(draw, equal, len(equal) - 1, n - 1))),
        Case("no difference, the names in another order", (equal, again)),
        Case("differences that cancel in a sum", _opposite(draw)),
        Case("floats that differ by one bit", _one_layer(draw, floats, {(n - 2, 1): near, (n - 1, 0): 5.0, (n - 1, 2): 6.0})),
        Case("the same NaN on both sides", _one_layer(draw, nans, {})),
        Case(
            "views that are not contiguous",
            ({k: strided(v) for k, v in ours.items()}, {k: strided(v) for k, v in theirs.items()}),
        ),
        Case("one image", (first := _network(draw, 1, 3), _bug(draw, first, 1, 0))),
        Case("one number an image", _one_layer(draw, draw.codes(-9, 9, n), {(n - 2,): 77.0, (n - 1,): 55.0})),
        Case("by name", (), {"ours": ours, "theirs": theirs}),
    ]


def difference_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "first at work")
    sizes = {"0": (24, 14, 14), "4": (48, 7, 7), "13": (64,), "15": (10,)}
    codes = {name: draw.codes(-128, 126, 100, *size) for name, size in sizes.items()}
    many = {f"layer {i}": draw.codes(-128, 126, 1100, 3) for i in range(4)}
    return [
        Case("100 images of the network", (codes, _bug(draw, codes, 1, 93))),
        Case("1,100 images", (many, _bug(draw, many, 2, 1050))),
    ]


def _earlier_bugs_win(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "first law")
    ours = _network(draw, 5)
    for at, layer in enumerate(ours):
        found = call(ours, _bug(draw, ours, at, 2))
        if not isinstance(found, tuple | list) or found[0] != layer:
            return f"a bug planted in layer {at + 1} of {len(ours)}, '{layer}', was reported as {found!r}."
    return None


def _choosing(choose: Callable[[list[tuple[str, Tensor]]], tuple[str, Tensor]]) -> Callable[[Layers, Layers], Found]:
    """Among all layers with a difference another one is reported."""

    def mistaken(ours: Layers, theirs: Layers) -> Found:
        found = [(name, wrong) for name in ours if (wrong := ours[name] != theirs[name]).any()]
        return _report(*choose(found)) if found else None

    return mistaken


def _with(
    wrong: Callable[[Tensor, Tensor], Tensor] = lambda a, b: a != b, report: Callable[[str, Tensor], Report] = _report
) -> Callable[[Layers, Layers], Found]:
    def mistaken(ours: Layers, theirs: Layers) -> Found:
        for layer in ours:
            if (found := wrong(ours[layer], theirs[layer])).any():
                return report(layer, found)
        return None

    return mistaken


def _argmax(ours: Layers, theirs: Layers) -> Found:
    last = list(ours)[-1]
    a, b = (side[last].reshape(len(side[last]), -1).argmax(1) for side in (ours, theirs))
    return _report(last, a != b) if (a != b).any() else None


def _last_only(ours: Layers, theirs: Layers) -> Found:
    last = list(ours)[-1]
    return right_difference({last: ours[last]}, theirs)


def _sums(a: Tensor, b: Tensor) -> Tensor:
    return (a != b) if a.double().sum() != b.double().sum() else torch.zeros_like(a, dtype=torch.bool)


def _sorted(ours: Layers, theirs: Layers) -> Found:
    return right_difference({name: ours[name] for name in sorted(ours)}, theirs)


DIFFERENCE_MISTAKES = (
    Mistake(
        "largest difference",
        "You name the layer with the most differences; an early bug grows on its way, so name the first layer that differs.",
        _choosing(lambda found: max(found, key=lambda one: one[1].double().mean().item())),
    ),
    Mistake(
        "last of them",
        "You name the last layer that differs; the first one is where the bug is.",
        _choosing(lambda found: found[-1]),
    ),
    Mistake("last layer only", "You look at the last layer only; compare all of them, in the order of execution.", _last_only),
    Mistake(
        "classes",
        "You compare the classes (argmax); most bugs change no class: compare every number of every layer.",
        _argmax,
    ),
    Mistake(
        "tolerance",
        "You allow a tolerance; codes are whole numbers, and a rounding bug is a difference of one: compare with !=.",
        _with(lambda a, b: (a.double() - b.double()).abs() > 1),
    ),
    Mistake(
        "allclose",
        "You allow small differences of floats (allclose); equal means equal in every bit here.",
        _with(lambda a, b: ~torch.isclose(a, b, equal_nan=False)),
    ),
    Mistake(
        "their order",
        "You go through the layers of `theirs`; only `ours` is in the order of execution.",
        lambda ours, theirs: right_difference(theirs, ours),
    ),
    Mistake("sorted names", "You sort the names; take the layers in the order of `ours`.", _sorted),
    Mistake("sums", "You compare sums or means, in which differences cancel; compare number by number.", _with(_sums)),
    Mistake(
        "NaN equal",
        "Two NaN count as equal in yours; a NaN equals nothing.",
        _with(lambda a, b: ~((a == b) | (a.isnan() & b.isnan()))),
    ),
    Mistake(
        "first image only",
        "You compare the first image only; a bug may show in any of them.",
        _with(lambda a, b: torch.cat([a[:1] != b[:1], torch.zeros_like(a[1:], dtype=torch.bool)])),
    ),
    Mistake(
        "share of images",
        "Your share counts images; it is the share of the layer's numbers.",
        _with(report=_reporting(share=lambda rows: rows.any(1).double().mean().item())),
    ),
    Mistake(
        "count",
        "You count the numbers that differ; divide by how many the layer has.",
        _with(report=_reporting(share=lambda rows: int(rows.sum()))),
    ),
    Mistake(
        "place of the number",
        "Your third value is a place among all numbers; it is the number of the image, along the first axis.",
        _with(report=_reporting(image=lambda rows: int(rows.flatten().int().argmax()))),
    ),
    Mistake(
        "last image",
        "You return the last image that differs; return the first one.",
        _with(report=_reporting(image=lambda rows: int(rows.any(1).nonzero()[-1]))),
    ),
    Mistake(
        "worst image",
        "You return the image with the most differences; return the first one with any.",
        _with(report=_reporting(image=lambda rows: int(rows.sum(1).argmax()))),
    ),
    Mistake(
        "percent",
        "You return percent; return a share from 0 to 1.",
        _with(report=_reporting(share=lambda rows: 100 * _share(rows))),
    ),
    Mistake(
        "nothing found",
        "Without any difference you return a tuple; return None.",
        lambda ours, theirs: right_difference(ours, theirs) or (list(ours)[-1], 0.0, 0),
    ),
)


first_difference = Exercise(
    name="first_difference",
    unit="08_deployment",
    points=2,
    difficulty=2,
    minutes=5,
    oracle=right_difference,
    cases=difference_cases,
    workload=difference_workload,
    mistakes=DIFFERENCE_MISTAKES,
    judge=close(1e-6, 1e-9),
    laws=(Law("a bug in each layer", _earlier_bugs_win),),
    library="deployment.parity:first_difference",
)
