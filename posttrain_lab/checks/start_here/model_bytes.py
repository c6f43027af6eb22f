"""Cases and known mistakes of `model_bytes`: networks of several dtypes, with shared and unsaved tensors.

Conventions that the notebook states in the same words: parameters and buffers, each number as wide as its dtype; a tensor that two
layers share counts once.
"""

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw


def _tensors(model: nn.Module) -> dict[int, Tensor]:
    return {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}


def right_bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in _tensors(model).values())


def _tied(width: int) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    model[2].weight = model[0].weight
    return model


def _frozen(inputs: int, outputs: int) -> nn.Linear:
    """A layer whose weight is int8 and, like every int8 parameter, not trainable."""
    layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=torch.int8), requires_grad=False)
    return layer


def _same_mean(channels: int) -> nn.Sequential:
    model = nn.Sequential(nn.BatchNorm2d(channels), nn.BatchNorm2d(channels))
    model[1].running_mean = model[0].running_mean
    return model


def _unsaved(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    layer._non_persistent_buffers_set = {"running_var"}
    return layer


def bytes_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "model_bytes")
    a, b, c = draw.whole(3, 9), draw.whole(10, 17), draw.whole(2, 5)
    with torch.random.fork_rng(devices=[]):
        block = nn.Sequential(nn.Conv2d(c, a, 3, bias=False), nn.BatchNorm2d(a), nn.ReLU())
        return [
            Case("float32 weights and a bias", (nn.Linear(a, b),)),
            Case("float16 weights", (nn.Linear(b, a).half(),)),
            Case("float64 weights", (nn.Conv2d(c, a, (3, 5)).double(),)),
            Case("a batch norm, whose running statistics are buffers", (nn.Sequential(nn.Linear(a, a), nn.BatchNorm2d(b)),)),
            Case("a batch norm that has buffers only", (nn.BatchNorm2d(a, affine=False),)),
            Case("layers inside layers, of two dtypes", (nn.Sequential(block, nn.Flatten(), nn.Linear(b, c).bfloat16()),)),
            Case("frozen int8 weights", (_frozen(a, b),)),
            Case("two layers that share one weight", (_tied(a),)),
            Case("two batch norms that share a buffer", (_same_mean(a),)),
            Case("a buffer that is not saved, and so not in state_dict()", (_unsaved(b),)),
            Case("a layer without parameters and buffers", (nn.ReLU(),)),
        ]


def bytes_workload(seed: int) -> list[Case]:
    """A network like the notebook's, and batch norms whose dtype differs from that of the layers, or of their own weight."""
    draw = Draw(seed, "bytes at work")
    a, b, c = draw.whole(3, 9), draw.whole(10, 17), draw.whole(30, 60)
    with torch.random.fork_rng(devices=[]):
        convolutions = nn.Sequential(nn.Conv2d(1, b, 3), nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, c, 3), nn.BatchNorm2d(c))
        half = nn.Sequential(nn.Linear(a, b), nn.BatchNorm2d(b).half(), nn.BatchNorm2d(a).double())
        mixed = nn.BatchNorm2d(b).half()
        mixed.running_mean, mixed.running_var = torch.zeros(b), torch.ones(b, dtype=torch.float64)
        return [
            Case("a network of convolutions", (nn.Sequential(convolutions, nn.Flatten(), nn.Linear(9 * c, 64)),)),
            Case("batch norms of float16 and of float64", (half,)),
            Case("a batch norm whose buffers have three dtypes", (mixed,)),
        ]


BYTES_MISTAKES = (
    Mistake(
        "4 bytes for all",
        "You count 4 bytes for every element; float16 takes 2, int8 takes 1: ask each tensor (element_size).",
        lambda model: sum(4 * tensor.numel() for tensor in _tensors(model).values()),
    ),
    Mistake(
        "buffers forgotten",
        "You count parameters only; a batch norm's running statistics are buffers, and they are stored too.",
        lambda model: sum(p.nbytes for p in model.parameters()),
    ),
    Mistake(
        "shared twice",
        "A tensor that two layers share is stored once; state_dict() lists it under both names.",
        lambda model: sum(tensor.nbytes for tensor in model.state_dict().values()),
    ),
    Mistake(
        "state_dict alone",
        "state_dict() leaves out buffers that are not saved; they take memory too: go through parameters() and buffers().",
        lambda model: sum({t.data_ptr(): t.nbytes for t in model.state_dict().values()}.values()),
    ),
    Mistake(
        "trainable only",
        "You skip tensors that are not trainable; frozen weights take memory too.",
        lambda model: sum(t.nbytes for t in _tensors(model).values() if t.requires_grad or not isinstance(t, nn.Parameter)),
    ),
    Mistake(
        "numbers, not bytes",
        "You count elements; multiply each tensor's count by its bytes per element (element_size).",
        lambda model: sum(tensor.numel() for tensor in _tensors(model).values()),
    ),
    Mistake(
        "bits",
        "You count bits; a byte has eight bits, so divide by 8.",
        lambda model: 8 * right_bytes(model),
    ),
    Mistake(
        "float",
        "You return a float; bytes are counted, so return an int (numel and element_size are whole numbers, / is not).",
        lambda model: float(right_bytes(model)),
    ),
    Mistake(
        "one dtype for all",
        "You use the bytes per element of the first tensor for all of them; layers may differ in dtype.",
        lambda model: (
            sum(t.numel() for t in _tensors(model).values()) * next((t.element_size() for t in _tensors(model).values()), 0)
        ),
    ),
    Mistake(
        "top level only",
        "You look at the outermost module alone; its layers may contain further layers (parameters() includes them all).",
        lambda model: sum(t.nbytes for t in [*model.parameters(recurse=False), *model.buffers(recurse=False)]),
    ),
)


model_bytes = Exercise(
    name="model_bytes",
    unit="00_start_here",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_bytes,
    cases=bytes_cases,
    workload=bytes_workload,
    mistakes=BYTES_MISTAKES,
    library="metrics:model_bytes",
)
