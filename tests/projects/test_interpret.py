"""The interpreter against the library's own integer network, bit by bit, and against floats in torch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.projects.edge import Refused, logits, program_of, read_artefact, save_artefact
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from tests.projects.graphs import SOLUTIONS, quantized, solution, write


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_artefact_gives_the_integers_of_the_network(tmp_path, seed, pool, bits):
    network, images = quantized(seed, bits, pool)
    save_artefact(network, tmp_path)
    found = logits(program_of(read_artefact(tmp_path)), images)
    assert torch.allclose(found, network(images).double(), rtol=2e-6, atol=0)
    unit = found.new_tensor(program_of(read_artefact(tmp_path)).output_scale)
    assert torch.equal((found / unit).round().long(), network.integer(network.quantize_input(images)).long())


def in_floats(graph, tensors, images):
    """The same graph in torch's floats, each output rounded to its codes: what a chip with exact rescaling would give."""

    def codes(x, one):
        return ((x / one["scale"]).round() + one["zero_point"]).clamp(-128, 127)

    entry, x = graph, (codes(images.double(), graph) - graph["zero_point"]) * graph["scale"]
    for number, layer in enumerate(graph["layers"]):
        kind = layer["operator"]
        if kind in ("conv", "dense"):
            scale = tensors[f"{number}.scale"].double()
            weight = tensors[f"{number}.codes"].double() * scale.reshape(-1, *[1] * (tensors[f"{number}.codes"].ndim - 1))
            bias = tensors[f"{number}.bias"].double() * scale * entry["scale"]
            shape = (layer.get("stride"), layer.get("kernel", 1) // 2, 1, layer.get("groups"))
            x = F.linear(x, weight, bias) if kind == "dense" else F.conv2d(x, weight, bias, *shape)
            if "scale" in layer:
                x, entry = (codes(x, layer) - layer["zero_point"]) * layer["scale"], layer
        elif kind == "relu":
            x = x.relu()
        else:
            x = x.flatten(1) if kind == "flatten" else F.max_pool2d(x, layer["size"])
    return x


@pytest.mark.parametrize("name", ["naive", "excellent"])
def test_in_floats_it_is_the_same_but_for_ties(tmp_path, name):
    graph, tensors = solution(name)
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = logits(program_of(read_artefact(write(tmp_path, graph, tensors))), images)
    wanted = in_floats(graph, tensors, images)
    assert (found - wanted).abs().median() < 1e-6  # a tie, rounded the other way, moves few images by a step
    assert (found - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_no_answer_depends_on_who_else_is_asked():
    program = program_of(read_artefact(SOLUTIONS / "good"))
    images = torch.rand(300, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    together = logits(program, images)
    assert torch.equal(together[:3], torch.cat([logits(program, images[n : n + 1]) for n in range(3)]))
    assert torch.equal(together.flip(0), logits(program, images.flip(0)))


def test_a_relu_at_any_place(tmp_path):
    graph, tensors = solution("good")
    graph["layers"].insert(6, {"operator": "relu"})  # a second one changes nothing
    graph["layers"].insert(7, {"operator": "relu"})
    moved = {name.replace("7.", "9.") if name.startswith("7.") else name: one for name, one in tensors.items()}
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    program = program_of(read_artefact(write(tmp_path, graph, moved)))
    assert torch.equal(logits(program, images), logits(program_of(read_artefact(SOLUTIONS / "good")), images))


def test_the_temperature_divides_the_logits(tmp_path):
    network, images = quantized(0)
    save_artefact(network, tmp_path, temperature=2.5)
    assert torch.allclose(2.5 * logits(program_of(read_artefact(tmp_path)), images), network(images).double(), rtol=1e-6)


def integer(*layers):
    return quantize_model(nn.Sequential(*layers), torch.rand(8, 1, 28, 28), QuantizationConfig(mode="integer"))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ((nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 10)), "no operator for .* IntegerAvgPool2d"),
        ((nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(1352, 10)), "padded by kernel // 2"),
        ((nn.Conv2d(1, 2, 3, (1, 2), 1), nn.Flatten(), nn.Linear(784, 10)), "square convolutions"),
        ((nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(169, 10)), "no operator for .* IntegerMaxPool2d"),
    ],
)
def test_a_network_that_the_chip_cannot_run(tmp_path, layers, sentence):
    with pytest.raises(ValueError, match=sentence):
        save_artefact(integer(*layers), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_save_artefact_wants(tmp_path):
    with pytest.raises(TypeError, match="wants an IntegerNetwork, got Sequential"):
        save_artefact(nn.Sequential(), tmp_path)
    network, _ = quantized(0)
    for wrong in (0, -1.0, float("inf"), "1"):
        with pytest.raises(ValueError, match="positive temperature"):
            save_artefact(network, tmp_path, wrong)
    with pytest.raises(Refused, match="bits is 6"):
        save_artefact(quantized(0, bits=6)[0], tmp_path)
