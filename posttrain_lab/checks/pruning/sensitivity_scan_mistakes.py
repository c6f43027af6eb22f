"""The known mistakes of `sensitivity_scan`, each with its message."""

import copy
from typing import Any

from torch import nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.pruning.magnitude_mask import right_magnitude
from posttrain_lab.checks.pruning.sensitivity_scan_oracle import LAYERS, accuracy, prunable_layers, pruned, right_scan, scan
from posttrain_lab.data import Split


def _cumulative(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """Each sparsity prunes the result of the one before; the next layer starts from dense weights."""
    curves: dict[str, list[float]] = {}
    for name, _ in prunable_layers(model):
        twin, curves[name] = copy.deepcopy(model).eval(), []
        layer: Any = twin.get_submodule(name)
        for sparsity in sparsities:
            layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsity))
            curves[name].append(accuracy(twin, split.validation))
    return curves


def _stored_without_clone(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """The stored weights share memory with the pruned ones."""
    twin = copy.deepcopy(model).eval()
    curves: dict[str, list[float]] = {name: [] for name, _ in prunable_layers(twin)}
    for name, layer in prunable_layers(twin):
        for sparsity in sparsities:
            layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsity))
            curves[name].append(accuracy(twin, split.validation))
    return curves


def _left_pruned(model: nn.Module, sparsities: list[float]) -> None:
    for _, layer in prunable_layers(model):
        layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsities[-1]))


def _before_stay_pruned(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """Layers before this one stay at the last sparsity."""
    curves, names, twin = {}, [name for name, _ in prunable_layers(model)], copy.deepcopy(model).eval()
    for name in names:
        with pruned(twin, names[: names.index(name)], sparsities[-1], right_magnitude):
            curves[name] = scan(kinds=LAYERS)(twin, split, sparsities)[name]
    return curves


SCAN_MISTAKES = (
    Mistake(
        "test images",
        "You use the test images; this scan is used for a choice, so it must use split.validation.",
        scan("test"),
    ),
    Mistake(
        "training images", "You use the training images, on which the network was trained; use split.validation.", scan("train")
    ),
    Mistake("calibration images", "You use the calibration images; choices are made on split.validation.", scan("calibration")),
    Mistake(
        "all layers at once",
        "You prune all layers at the same time; prune one layer alone and keep all others dense.",
        scan(chosen=lambda names, name: names),
    ),
    Mistake(
        "layers before stay pruned",
        "The layers before are still pruned while you scan the next one; restore each layer's weights first.",
        _before_stay_pruned,
    ),
    Mistake(
        "sparsities on top of each other",
        "Each sparsity prunes the result of the one before; start from the dense weights every time.",
        _cumulative,
    ),
    Mistake(
        "kept without a copy",
        "The weights that you stored share memory with those you prune, so nothing is restored; clone() before you change them.",
        _stored_without_clone,
    ),
    Mistake(
        "not put back",
        "Your curves are right, but the model is left pruned; restore the weights, or work on a copy.",
        scan(after=_left_pruned),
    ),
    Mistake(
        "left in eval mode",
        "Your curves are right, but the model is left in eval mode; each module must have its old mode again.",
        scan(after=lambda model, sparsities: model.eval()),
    ),
    Mistake(
        "all modes from the root",
        "model.train(mode) sets all modules to one mode; a frozen batch norm inside must keep its own mode: work on a copy.",
        scan(after=lambda model, sparsities: model.train(model.training)),
    ),
    Mistake(
        "training mode",
        "You measure in training mode, where batch norm and dropout work differently; call eval() on your copy.",
        scan(mode=nn.Module.train),
    ),
    Mistake(
        "mode as it came",
        "You measure in the mode of the given model; measure accuracy in eval mode.",
        scan(mode=lambda model: model),
    ),
    Mistake("convolutions only", "Linear layers are missing; scan every nn.Linear and nn.Conv2d.", scan(kinds=(nn.Conv2d,))),
    Mistake("linear layers only", "Convolutions are missing; scan every nn.Linear and nn.Conv2d.", scan(kinds=(nn.Linear,))),
    Mistake(
        "batch norm too",
        "You scan batch norms too; only nn.Linear and nn.Conv2d have weights that are pruned here.",
        scan(kinds=(*LAYERS, nn.BatchNorm2d)),
    ),
    Mistake(
        "largest removed",
        "You remove the largest weights; prune by magnitude_mask, which keeps them.",
        scan(mask=lambda weight, sparsity: ~right_magnitude(weight, 1 - sparsity)),
    ),
    Mistake(
        "mask inverted",
        "You keep what the mask removes; multiply the weight by the mask, which is True where a weight is kept.",
        scan(mask=lambda weight, sparsity: ~right_magnitude(weight, sparsity)),
    ),
    Mistake(
        "errors",
        "You return the share of wrong answers; return the accuracy, the share of right ones.",
        scan(value=lambda a: 1 - a),
    ),
    Mistake("percent", "You return percent; an accuracy lies between 0 and 1.", scan(value=lambda a: 100 * a)),
    Mistake("sorted", "You sort the sparsities; return the accuracies in the given order.", scan(order=sorted)),
    Mistake(
        "loss of accuracy",
        "You return how much accuracy is lost compared with the first sparsity; return the accuracy itself.",
        lambda model, split, sparsities: {
            name: [curve[0] - value for value in curve] for name, curve in right_scan(model, split, sparsities).items()
        },
    ),
)
