"""What is refused before anything is run: every field, tensor, number and file that is not as the format says."""

import json
import math
import random

import pytest
import torch
from safetensors.torch import save

from posttrain_lab.projects.edge import Refused, logits, program_of, read_artefact
from posttrain_lab.projects.edge.artefact import checked
from tests.projects.graphs import SOLUTIONS, solution, write


def refusal(tmp_path, graph, tensors):
    with pytest.raises(Refused) as refused:
        program_of(read_artefact(write(tmp_path / "one", graph, tensors)))
    return str(refused.value)


@pytest.mark.parametrize("name", ["naive", "good", "excellent"])
def test_the_three_solutions_are_accepted(name):
    assert len(program_of(read_artefact(SOLUTIONS / name)).operations) > 3


def layer(number, **fields):
    return lambda graph, tensors: graph["layers"][number].update(fields)


def tensor(name, change):
    def spoil(graph, tensors):
        tensors[name] = change(tensors[name])

    return spoil


def filled(value, place=0):
    def change(one):
        one[place] = value
        return one

    return change


def declared_as_four_bits(graph, tensors):
    for one in graph["layers"]:
        if "bits" in one:
            one["bits"] = 4


def twice_as_wide(graph, tensors):
    graph["layers"][0]["out"] *= 8
    for name in ("codes", "scale", "bias"):
        tensors[f"0.{name}"] = tensors[f"0.{name}"].repeat(8, *[1] * (tensors[f"0.{name}"].ndim - 1))
    graph["layers"][2]["in"] *= 8
    tensors["2.codes"] = tensors["2.codes"].repeat(1, 8, 1, 1)


SPOILED = {
    "codes that are floats": (tensor("0.codes", lambda one: one.float() + 0.5), "0.codes is torch.float32"),
    "8-bit codes declared as 4": (declared_as_four_bits, "4 bits hold -7 to 7"),
    "the code -128": (tensor("0.codes", filled(-128)), "8 bits hold -127 to 127"),
    "a second network in unused tensors": (lambda g, t: t.update(memory=torch.ones(10_000)), "no layer uses: memory"),
    "NaN in a scale": (tensor("0.scale", filled(math.nan)), "a scale is 0, negative, NaN or infinite"),
    "a scale of 0": (tensor("0.scale", filled(0.0)), "a scale is 0, negative, NaN or infinite"),
    "a negative scale": (tensor("0.scale", filled(-1.0)), "a scale is 0, negative, NaN or infinite"),
    "huge scales": (tensor("0.scale", filled(1e38)), "a scale is 0, negative, NaN or infinite"),
    "an output's scale too small": (layer(0, scale=1e-25), "its output's scale 1e-25 is too small"),
    "an output's scale of NaN": (layer(0, scale=math.nan), "no JSON of the format"),
    "an output's scale of 0": (layer(0, scale=0), "scale is 0; allowed is a number of 1e-30 to 1e+30"),
    "a scale that is true": (layer(0, scale=True), "scale is True"),
    "an operator of one's own": (
        lambda g, t: g["layers"].insert(0, {"operator": "eval", "code": "1"}),
        "the operators are conv, relu",
    ),
    "a layer that is a list": (lambda g, t: g["layers"].insert(0, ["relu"]), "the operators are conv, relu"),
    "an unknown field": (layer(1, inputs=[0, 5]), "layer 1, relu has ['inputs', 'operator']"),
    "a missing field": (lambda g, t: g["layers"][0].pop("stride"), "its fields are"),
    "a graph that is a list": (lambda g, t: (g.clear(), t.clear()), "the graph has []"),
    "layers that are no list": (lambda g, t: g.update(layers={"0": 1}), "layers is"),
    "no layers": (lambda g, t: g.update(layers=[]), "the graph has 0 layers"),
    "too many layers": (lambda g, t: g.update(layers=[{"operator": "relu"}] * 65), "the graph has 65 layers"),
    "another format": (lambda g, t: g.update(format="posttrain-lab edge 2"), "format is posttrain-lab edge 2"),
    "bits of 5": (layer(0, bits=5), "bits is 5; allowed is 4 or 8"),
    "bits of 8.0": (layer(0, bits=8.0), "bits is 8.0"),
    "a kernel of 2": (layer(0, kernel=2), "kernel is 2; allowed is 1 or 3 or 5 or 7"),
    "a stride of 0": (layer(0, stride=0), "stride is 0; allowed is 1 to 4"),
    "groups that do not divide": (layer(2, groups=3), "groups is 3, which must divide in and out"),
    "a zero point of 200": (layer(0, zero_point=200), "zero_point is 200; allowed is -128 to 127"),
    "a wrong shape": (tensor("0.codes", lambda one: one[:, :, :2]), "it must be torch.int8 [8, 1, 3, 3]"),
    "a tensor missing": (lambda g, t: t.pop("2.bias"), "the tensor 2.bias is missing"),
    "biases of 64 bits": (tensor("0.bias", lambda one: one.long()), "0.bias is torch.int64"),
    "sums beyond int32": (tensor("0.bias", filled(2**31 - 1)), "sums can reach"),
    "inputs that do not fit": (lambda g, t: g["layers"].insert(1, {"operator": "pool", "size": 14}), "is missing"),
    "dense before flatten": (lambda g, t: g["layers"].pop(6), "is missing"),
    "too wide": (twice_as_wide, "over the budget: flash"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_refused_with_a_sentence(tmp_path, what):
    spoil, sentence = SPOILED[what]
    graph, tensors = solution("good")
    spoil(graph, tensors)
    assert sentence in refusal(tmp_path, graph, tensors)


SHAPES = {
    "relu at the end": ([{"operator": "flatten"}, {"operator": "relu"}], "it must end with a dense of 10"),
    "flatten twice": ([{"operator": "flatten"}, {"operator": "flatten"}], "flatten comes after flatten"),
    "a pool of a row": ([{"operator": "flatten"}, {"operator": "pool", "size": 2}], "pool comes after flatten"),
    "a pool that does not fit": ([{"operator": "pool", "size": 14}, {"operator": "pool", "size": 3}], "a pool of 3 does not fit"),
}


@pytest.mark.parametrize("what", SHAPES)
def test_layers_that_do_not_follow_one_another(tmp_path, what):
    layers, sentence = SHAPES[what]
    graph, _ = solution("good")
    assert sentence in refusal(tmp_path, graph | {"layers": layers}, {})


@pytest.mark.parametrize(
    ("number", "before", "sentence"),
    [
        (0, {"operator": "flatten"}, "conv comes after flatten"),
        (10, None, "dense has an image"),
        (2, {"operator": "conv"}, "in is 8, but 1 come"),
    ],
)
def test_weights_that_do_not_follow_one_another(tmp_path, number, before, sentence):
    graph, tensors = solution("good")
    layers = graph["layers"]
    shift = {0: 1, 2: -2}.get(number, 0)
    if number == 10:
        place = next(n for n, one in enumerate(layers) if one["operator"] == "flatten")
        layers[place] = {"operator": "relu"}
    elif number == 0:
        layers.insert(0, before)
    else:
        del layers[:2]
        tensors = {name: one for name, one in tensors.items() if not name.startswith("0.")}
    moved = {f"{int(name.split('.')[0]) + shift}.{name.split('.')[1]}": one for name, one in tensors.items()}
    assert sentence in refusal(tmp_path, graph, moved)


def test_no_code_beside_the_weights(tmp_path):
    folder = write(tmp_path, *solution("good"))
    (folder / "sitecustomize.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(Refused, match=r"the folder holds sitecustomize.py"):
        read_artefact(folder)


@pytest.mark.parametrize("name", ["graph.json", "weights.safetensors"])
def test_files_that_are_missing_links_or_too_large(tmp_path, name):
    folder = write(tmp_path / "entry", *solution("good"))
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(Refused, match=f"there is no file {name}"):
        read_artefact(folder)
    (tmp_path / "elsewhere").write_bytes(content)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=f"there is no file {name}"):
        read_artefact(folder)
    (folder / name).unlink()
    (folder / name).write_bytes(content + b" " * 1_000_000)
    with pytest.raises(Refused, match="has more than"):
        read_artefact(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 90_000, '{"format": 1, "format": 2}', '{"scale": Infinity}', "\xff", "9" * 5000], ids=range(7)
)
def test_a_graph_that_is_no_json(tmp_path, text):
    folder = write(tmp_path, *solution("good"))
    (folder / "graph.json").write_text(text, encoding="latin-1")
    with pytest.raises(Refused, match=r"no JSON of the format|the graph has"):
        read_artefact(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, -5])
def test_weights_cut_short(tmp_path, keep):
    folder = write(tmp_path, *solution("good"))
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Refused, match="damaged or no safetensors file"):
        read_artefact(folder)


def test_metadata_that_no_layer_uses(tmp_path):
    graph, tensors = solution("good")
    folder = write(tmp_path, graph, tensors)
    (folder / "weights.safetensors").write_bytes(save(tensors, {"more": "x" * 1000}))
    with pytest.raises(Refused, match="has metadata"):
        read_artefact(folder)


def test_the_graph_is_as_readable_as_the_format_says():
    graph = json.loads((SOLUTIONS / "good" / "graph.json").read_text(encoding="utf-8"))
    assert [one["operator"] for one in graph["layers"]] == ["conv", "relu"] * 3 + ["flatten", "dense"]


ODD = (None, True, 0, -1, 2, 4, 8, 28, 4096, 2**40, 1e-300, 1e308, 0.5, "conv", "", [], {}, [1], -128, 128)
ODD_NUMBERS = {
    torch.int8: (0, -1, 127, -128),
    torch.int32: (0, 2**31 - 1, -(2**31)),
    torch.float32: (0.0, math.nan, math.inf, 1e38, 1e-38),
}
CHANGED = (
    lambda one: one.double(),
    lambda one: one.bool(),
    lambda one: one.reshape(-1),
    lambda one: one.reshape(-1)[:0],
    lambda one: torch.tensor(1.0),
)


def spoiled(dice, graph, tensors):
    """One to three changes of anything, anywhere."""
    for _ in range(dice.randint(1, 3)):
        layers, kind = graph["layers"], dice.random()
        if kind < 0.5 and layers:
            layer = dice.choice(layers)
            layer[dice.choice(list(layer)) if dice.random() < 0.9 else "x"] = dice.choice(ODD)
        elif kind < 0.6:
            graph[dice.choice([name for name in graph if name != "layers"])] = dice.choice(ODD)
        elif kind < 0.7 and layers:
            layers.pop(dice.randrange(len(layers)))
        elif kind < 0.8:
            layers.insert(dice.randint(0, len(layers)), dice.choice([{"operator": "flatten"}, {"operator": "pool", "size": 2}]))
        else:
            name = dice.choice(list(tensors))
            if dice.random() < 0.5 and tensors[name].dtype in ODD_NUMBERS:
                tensors[name].view(-1)[:1] = dice.choice(ODD_NUMBERS[tensors[name].dtype])
            else:
                tensors[name] = dice.choice(CHANGED)(tensors[name])


@pytest.mark.parametrize("name", ["good", "excellent"])
def test_whatever_is_changed_it_is_refused_or_gives_numbers(name):
    sentences, photographs = [], torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for seed in range(600):
        graph, tensors = solution(name)
        spoiled(random.Random(seed), graph, tensors)
        try:
            program = program_of(checked(json.loads(json.dumps(graph)), tensors))
        except Refused as refused:
            sentences.append(str(refused))
        else:
            assert logits(program, photographs).isfinite().all()
    assert max(map(len, sentences)) < 600
    assert 500 < len(sentences) < 600
