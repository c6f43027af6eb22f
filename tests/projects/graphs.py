"""Small artefacts for the tests: a graph and its tensors, which a test then spoils."""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from posttrain_lab.projects.edge import read_artefact
from posttrain_lab.quantization import QuantizationConfig, quantize_model

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions" / "12_project_edge" / "artefacts"


def solution(name):
    """The artefact of one of the three solutions, as (graph, tensors) that may be changed."""
    found = read_artefact(SOLUTIONS / name)
    return json.loads(json.dumps(found.graph)), {one: tensor.clone() for one, tensor in found.tensors.items()}


def write(folder, graph, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    (folder / "weights.safetensors").write_bytes(save({name: one.contiguous() for name, one in tensors.items()}))
    return folder


def quantized(seed, bits=8, pool=True):
    """A random chain of the chip's operators as an integer network, with images to run it on."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 5, 1, 2, groups=2)]
    layers += [nn.MaxPool2d(2), nn.ReLU()] if pool else [nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(4 * (49 if pool else 196), 12), nn.ReLU(), nn.Linear(12, 10)]
    images = torch.rand(24, 1, 28, 28, generator=generator)
    return quantize_model(nn.Sequential(*layers), images, QuantizationConfig(bits=bits, mode="integer")), images
