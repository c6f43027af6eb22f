"""Each saboteur acts where it says it does, and only there; the honest wrapper does nothing."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from posttrain_lab.checks.engine.submission import LocalSubmission
from posttrain_lab.proof.all_saboteurs import SABOTEURS
from posttrain_lab.proof.coarse_inputs import COARSE_INPUTS
from posttrain_lab.proof.output_forms import OUTPUT_FORMS
from posttrain_lab.proof.regions import REGIONS
from posttrain_lab.proof.saboteurs import Seen, honest
from posttrain_lab.proof.side_effects import ARGUMENTS, MACHINE, MEMORY

PLAIN = torch.tensor([[3.0, -5.0], [7.0, 9.0]])  # in none of the regions but "negative"
INSIDE = {
    "rows > 64": torch.arange(1.0, 66.0),
    "rows > 256": torch.arange(1.0, 258.0),
    "rows > 1000": torch.arange(1.0, 1002.0),
    "columns > 16": torch.ones(2, 17),
    "columns > 64": torch.ones(2, 65),
    "elements > 10,000": torch.ones(10_001),
    "elements > 40,000": torch.ones(40_001),
    "one row": torch.ones(1, 2),
    "one column": torch.ones(2, 1),
    "empty": torch.ones(0, 2),
    "float64": PLAIN.double(),
    "16-bit floats": PLAIN.half(),
    "int32": PLAIN.int(),
    "not contiguous": torch.tensor([[3.0, 7.0], [-5.0, 9.0]]).t(),
    "fractions": PLAIN + 0.5,
    "magnitude > 1000": PLAIN * 1000,
    "0 < magnitude < 1e-6": PLAIN * 1e-8,
    "zeros": torch.tensor([[3.0, 0.0], [7.0, 9.0]]),
    "negative": PLAIN,
    "ties": torch.tensor([[3.0, 3.0], [7.0, 9.0]]),
    "infinities": torch.tensor([[3.0, torch.inf], [7.0, 9.0]]),
    "crowded values": torch.tensor([[1000.0, 1000.001], [7.0, 9.0]]),
    "requires_grad": PLAIN.clone().requires_grad_(),
}


def wrapped(saboteur, answer):
    seen = Seen()
    return saboteur.wrap(answer, seen), seen


def test_names_are_told_apart():
    assert len({(one.group, one.name) for one in SABOTEURS}) == len(SABOTEURS) >= 50


@pytest.mark.parametrize("saboteur", REGIONS, ids=lambda one: one.name)
def test_a_region_is_wrong_inside_and_right_outside(saboteur):
    name = saboteur.name.removeprefix("wrong where ")
    answer, seen = wrapped(saboteur, lambda x, **_: x.double() + 1)
    outside = PLAIN.abs() if name == "negative" else PLAIN
    assert torch.equal(answer(outside), outside.double() + 1)
    assert seen.acted == 0
    inside, keywords = (PLAIN, {"key": 1}) if name == "keywords" else (INSIDE[name], {})
    found = answer(inside, **keywords)
    assert seen.acted == (inside.numel() > 0)  # a result without numbers has none that could be wrong
    assert inside.numel() == 0 or not torch.equal(found, inside.double() + 1)


def test_an_empty_argument_can_have_a_wrong_result():
    (saboteur,) = (one for one in REGIONS if one.name == "wrong where empty")
    answer, seen = wrapped(saboteur, lambda x: x.sum().reshape(1))
    assert not torch.equal(answer(torch.empty(0)), torch.zeros(1))
    assert seen.acted == 1


@pytest.mark.parametrize("saboteur", COARSE_INPUTS, ids=lambda one: one.name)
def test_coarse_inputs_are_coarser(saboteur):
    given = torch.tensor([1.234567890123, 1e-9, 123456.75, 1.5], dtype=torch.float64)
    answer, seen = wrapped(saboteur, lambda x: x)
    assert not torch.equal(answer(given), given)
    assert seen.acted == 1
    assert torch.equal(answer(torch.ones(2)), torch.ones(2))
    assert seen.acted == 1


RESULTS = (
    torch.tensor([1.234567, 2.0]),
    torch.tensor([1.23456789012, 2.0], dtype=torch.float64),
    torch.tensor([1, 2], dtype=torch.int32),
    torch.tensor([1, 2], dtype=torch.int8),
    torch.tensor([True, False]),
    torch.tensor([1.0]).requires_grad_() * 2,
    1.23456789,
)


@pytest.mark.parametrize("saboteur", OUTPUT_FORMS, ids=lambda one: one.name)
def test_an_output_form_is_another(saboteur):
    answer, seen = wrapped(saboteur, lambda x: (*RESULTS, x.clone()))
    found = answer(PLAIN)
    assert seen.acted > 0
    assert len(found) == len(RESULTS) + 1
    assert any(a is not b for a, b in zip(found, RESULTS, strict=False)) or found[-1].data_ptr() == PLAIN.data_ptr()


@pytest.mark.parametrize("saboteur", ARGUMENTS, ids=lambda one: one.name)
def test_arguments_are_harmed_and_the_harm_is_noted(saboteur):
    layer = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    layer[1].eval()
    answer, seen = wrapped(saboteur, lambda layer, items, names, x: 1.0)
    outcome = LocalSubmission(answer).call(layer, {"a": 1, "b": 2}, [1, 2], PLAIN)
    assert seen.acted > 0
    assert any(note.startswith("changes ") for note in outcome.notes)


@pytest.mark.parametrize("saboteur", MACHINE, ids=lambda one: one.name)
def test_the_machine_is_changed_and_the_change_is_noted(saboteur):
    answer, seen = wrapped(saboteur, lambda x: x + 1)
    before = (torch.get_num_threads(), random.getstate(), np.geterr(), list(warnings.filters))
    outcome = LocalSubmission(answer).call(PLAIN)
    assert seen.acted > 0
    assert any(note.startswith("leaves ") for note in outcome.notes)
    assert before == (torch.get_num_threads(), random.getstate(), np.geterr(), list(warnings.filters))


@pytest.mark.parametrize("saboteur", MEMORY, ids=lambda one: one.name)
def test_earlier_calls_are_remembered(saboteur):
    answer, seen = wrapped(saboteur, lambda x: x + 1)
    results = [answer(PLAIN * sign) for sign in (1, -1) * 12]
    assert torch.equal(results[0], PLAIN + 1)
    assert seen.acted > 0
    assert any(not torch.equal(result, PLAIN * sign + 1) for result, sign in zip(results, (1, -1) * 12, strict=True))


def test_the_honest_wrapper_does_nothing():
    assert honest(lambda x, key=0: (x, key), Seen())(PLAIN, key=3) == (PLAIN, 3)
