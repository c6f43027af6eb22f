"""What a call leaves behind is noted: each of these functions returns the right value."""

import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from posttrain_lab.checks.engine.facts import differ, facts
from posttrain_lab.checks.engine.manners import Manners, unmannerly
from posttrain_lab.checks.engine.submission import LocalSubmission


def notes(function, *args):
    return LocalSubmission(function).call(*args).notes


MACHINE = {
    "gradient mode": lambda: torch.set_grad_enabled(False),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic mode": lambda: torch.use_deterministic_algorithms(True),
    "torch's random seed": lambda: torch.manual_seed(1),
    "numpy's random seed": lambda: np.random.seed(1),  # noqa: NPY002
    "Python's random seed": lambda: random.seed(1),
    "numpy's error handling": lambda: np.seterr(all="raise"),
    "warning filters": lambda: warnings.simplefilter("error"),
}


def machine():
    return (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),  # noqa: NPY002
        np.geterr(),
        list(warnings.filters),
    )


@pytest.mark.parametrize("what", MACHINE)
def test_the_machine_is_looked_at_and_put_back(what):
    before = machine()
    found = notes(lambda x: (MACHINE[what](), x + 1)[1], torch.ones(2))
    assert len(found) == 1
    assert what in found[0]
    assert machine() == before


def test_random_numbers_that_are_only_drawn_are_no_fault():
    assert notes(lambda x: (torch.rand(3), np.random.rand(3), random.random(), x + 1)[-1], torch.ones(2)) == ()  # noqa: NPY002


def _into(layer, name, value):
    setattr(layer, name, value)


LAYER = {
    "the mode (train or eval) of argument 1": lambda layer: layer.eval(),
    "requires_grad of weight of argument 1": lambda layer: layer.weight.requires_grad_(False),
    "the values of bias of argument 1": lambda layer: layer.bias.data.add_(1),
    "which object the Parameter weight of argument 1 is": lambda layer: _into(layer, "weight", nn.Parameter(layer.weight.data)),
    "the hooks of argument 1": lambda layer: layer.register_forward_hook(lambda *_: None),
    "the gradient (.grad) of weight of argument 1": lambda layer: _into(layer.weight, "grad", torch.ones(2, 2)),
    "the attributes of argument 1": lambda layer: _into(layer, "left_behind", 1),
}


@pytest.mark.parametrize("what", LAYER)
def test_a_network_is_looked_at(what):
    assert f"changes {what}" in notes(lambda layer: (LAYER[what](layer), 1.0)[1], nn.Linear(2, 2))


def test_containers_are_looked_at():
    assert "changes the items of argument 1" in notes(lambda items: items.append(1), [1, 2])
    assert "changes the keys of argument 1 or their order" in notes(
        lambda items: items.update(b=items.pop("b")), {"b": 1, "a": 2}
    )
    assert any("argument 1['a']" in note for note in notes(lambda items: items["a"].zero_(), {"a": torch.ones(2)}))


def test_an_optimizer_inside_of_an_adapter_is_looked_at():
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    manners = Manners()
    manners.around(lambda one: one.param_groups[0].update(lr=0.2))(optimizer)
    assert manners.notes == ["changes the options of argument 1"]


def test_results_are_looked_at():
    x = torch.ones(2, 3)
    assert "returns memory of argument 1" in notes(lambda x: x.t(), x)[0]
    assert "requires a gradient" in notes(lambda x: (x * 1).requires_grad_(), x)[0]
    assert "not contiguous" in notes(lambda x: (x * 1).t(), x)[0]
    both = x * 2
    assert "two tensors in one memory" in notes(lambda x: (both, both.view(3, 2)), x)[0]
    assert "two tensors in one memory" in notes(lambda x: [both[0], both[0, 2:]], x)[0]
    assert notes(lambda x: (x * 2).split(1), x) == ()


def test_a_buffer_that_is_used_again_is_seen_at_the_second_call():
    buffer = torch.zeros(2)
    submission = LocalSubmission(lambda x: buffer.copy_(x))
    assert submission.call(torch.ones(2)).notes == ()
    assert "result of the call before" in submission.call(torch.zeros(2)).notes[0]


def test_what_the_oracle_does_too_or_the_page_leaves_free_is_no_fault():
    assert unmannerly((), (), ["changes a"], ["changes a"]) is None
    assert unmannerly(("changes a",), (), (), ["changes argument"]) is None
    view = "returns a tensor that is not contiguous in memory (contiguous)"
    assert unmannerly((), (), (), [view]) is None
    assert unmannerly((), ("contiguous",), (), [view]) == f"your function {view}."


def test_facts_of_nan_are_equal_and_of_other_shapes_are_not():
    assert not differ(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")]))
    assert differ(torch.ones(2), torch.ones(1, 2))
    assert differ(None, torch.ones(1))
    assert dict(facts("x", 3, set())) == {}


def test_a_call_does_not_import_torchs_compiler():
    """900 modules, 120 MB and seconds, at a student's first check."""
    program = """
import sys, torch
from posttrain_lab.checks.engine.submission import LocalSubmission
assert LocalSubmission(lambda x, y: x + y).call(torch.ones(2), torch.tensor([1, 2])).error == ""
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
