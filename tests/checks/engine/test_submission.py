"""The boundary: what a student's function sees, what comes back of its values, and what its objects cannot do."""

import collections
import functools
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from posttrain_lab.checks.engine.adapters import find_adapter
from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.plain_values import clean
from posttrain_lab.checks.engine.submission import LocalSubmission, is_library


def outcome_of(function, *args, **kwargs):
    return LocalSubmission(function).call(*args, **kwargs)


# ---- what the function sees
def test_arguments_are_copies_with_the_same_strides():
    x, seen = torch.arange(12.0).reshape(3, 4).T, []
    outcome_of(lambda x: seen.append(x), x)
    assert seen[0].data_ptr() != x.data_ptr()
    assert seen[0].stride() == x.stride()
    assert torch.equal(seen[0], x)


def test_expanded_views_arrive_whole():
    x = torch.ones(3, 1).expand(3, 4)
    assert torch.equal(outcome_of(lambda x: x, x).value, x)


def test_a_changed_argument_is_noticed_and_the_caller_keeps_its_own():
    x, layer = torch.zeros(3), nn.Linear(2, 2)
    weight = layer.weight.detach().clone()

    def scribble(first, x, layer):
        x += 1
        layer.weight.data.zero_()

    assert outcome_of(scribble, 0, x, layer).changed == (1, 2)
    assert torch.equal(x, torch.zeros(3))
    assert torch.equal(layer.weight, weight)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.train(),
        lambda m: m.running_mean.add_(1),
        lambda m: m.register_buffer("extra", torch.zeros(1)),
        lambda m: setattr(m, "weight", nn.Parameter(m.weight.double())),
    ],
)
def test_any_change_of_a_layer_is_noticed(change):
    assert outcome_of(lambda bn: (change(bn), None)[1], nn.BatchNorm2d(2).eval()).changed == (0,)


def test_nan_that_stays_is_no_change():
    assert outcome_of(lambda x: 1, torch.tensor([float("nan"), 1.0])).changed == ()


def test_arguments_by_name_are_copies_too():
    x = torch.zeros(2)
    outcome_of(lambda x: x.add_(1), x=x)
    assert torch.equal(x, torch.zeros(2))


def test_random_numbers_repeat_and_the_global_generator_stays():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first, second = (outcome_of(lambda: torch.rand(3)).value for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.rand(2), expected)


def test_settings_of_torch_are_put_back():
    def meddle():
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    outcome_of(meddle)
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_prints_and_warnings_are_swallowed(capsys):
    def noisy():
        print("hello")
        print("oh", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        return 3

    assert outcome_of(noisy).value == 3
    assert capsys.readouterr() == ("", "")


# ---- errors
def test_an_empty_cell_is_told_from_an_error_of_the_same_class():
    def blank():
        raise NotImplementedError

    def not_yet():
        raise NotImplementedError("this kernel is missing")

    assert outcome_of(blank).unsolved
    assert not outcome_of(not_yet).unsolved
    assert "this kernel is missing" in outcome_of(not_yet).error
    assert not LocalSubmission(blank, trusted=True).call().unsolved


def test_an_error_names_the_line():
    def divide(x):
        return x / 0

    assert outcome_of(divide, 1).error.startswith("your function raised ZeroDivisionError in line ")
    assert "(return x / 0): division by zero" in outcome_of(divide, 1).error


def test_leaving_the_program_is_an_error_only():
    assert outcome_of(sys.exit).error.startswith("your function raised SystemExit")


def test_endless_recursion_is_an_error_only():
    def again():
        return again()

    assert "RecursionError" in outcome_of(again).error


class Spiteful(Exception):
    def __str__(self):
        raise ValueError("no text for you")


class Loud(str):
    def __format__(self, spec):
        return "passed"

    def __getitem__(self, index):
        return "passed"


class Talkative(Exception):
    def __str__(self):
        return Loud("what I say")


def test_exceptions_with_a_text_of_their_own_making():
    def spiteful():
        raise Spiteful

    def talkative():
        raise Talkative

    assert outcome_of(spiteful).error.startswith("your function raised Spiteful")
    assert outcome_of(talkative).error.endswith(": what I say")


@pytest.mark.parametrize("thing", [None, 3, "quantize", torch.zeros(1)])
def test_something_that_is_no_function(thing):
    assert "a function is wanted" in outcome_of(thing).error


def test_the_librarys_own_function_is_refused():
    from posttrain_lab.quantization import quantize

    library = "quantization:quantize"
    assert "the library's own function" in LocalSubmission(quantize, library=library).call(torch.zeros(1), 1.0, 0).error
    assert not LocalSubmission(quantize, trusted=True, library=library).call(torch.zeros(1), 1.0, 0).error
    assert is_library(quantize, library)


def test_a_name_makes_no_function_the_librarys():
    def quantize(x):
        return x

    quantize.__module__, quantize.__qualname__ = "posttrain_lab.quantization.affine", "quantize"
    assert not is_library(quantize, "quantization:quantize")
    assert not is_library(quantize, "")
    assert not is_library(quantize, "a_module_that_nobody_imported:quantize")


def test_the_attribute_is_called_where_there_is_one():
    class Double:
        apply = staticmethod(lambda x: 2 * x)

    assert LocalSubmission(Double, "apply").call(3).value == 6
    assert LocalSubmission(lambda x: 2 * x, "apply").call(3).value == 6


# ---- values
class AlwaysEqual:
    def __eq__(self, other):
        return True

    __hash__ = None


class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True


class FakeTensor:
    __class__ = torch.Tensor
    __module__ = "posttrain_lab.quantization"


@pytest.mark.parametrize(
    "value",
    [
        AlwaysEqual(),
        torch.zeros(2).as_subclass(Yes),
        FakeTensor(),
        Loud("x"),
        type("Whole", (int,), {})(3),
        type("List", (list,), {})([1]),
        type("Mine", (nn.Linear,), {"__module__": "torch.nn.modules.linear"})(2, 2),
        np.zeros(3),
        lambda: 0,
        [torch.zeros(2).as_subclass(Yes)],
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, device="meta"),
        {1, 2},
        1j,
    ],
    ids=lambda v: type(v).__name__,
)
def test_other_kinds_of_values_are_refused(value):
    assert outcome_of(lambda: value).error


def test_plain_values_come_back_as_they_are():
    value = (1, 2.5, None, "x", True, [torch.arange(3)], {"a": torch.float32}, torch.Size([2, 3]))
    found = outcome_of(lambda: value).value
    assert found[:5] == value[:5]
    assert torch.equal(found[5][0], torch.arange(3))
    assert found[6:] == ({"a": torch.float32}, (2, 3))


def test_numpy_numbers_and_named_tuples_are_made_plain():
    Pair = collections.namedtuple("Pair", "low high")
    found = outcome_of(lambda: Pair(np.float64(0.5), np.int64(3))).value
    assert found == (0.5, 3)
    assert [type(item) for item in (found, *found)] == [tuple, float, int]


def test_an_array_gets_advice():
    assert "torch.from_numpy" in outcome_of(lambda: np.zeros(2)).error


def test_a_returned_view_of_the_argument_is_a_tensor_of_its_own():
    kept = []

    def keeps(x):
        kept.append(x)
        return x[:2]

    found = outcome_of(keeps, torch.zeros(3)).value
    kept[0].fill_(9)
    assert torch.equal(found, torch.zeros(2))


def test_what_hangs_on_a_layer_stays_behind():
    layer = nn.Conv2d(1, 2, 3)
    expected = layer.weight.detach().clone()
    layer.register_forward_hook(lambda *_: torch.zeros(1))
    layer.state_dict = lambda: {"weight": 0}
    layer.forward = lambda x: x
    found = clean(layer)
    assert torch.equal(found.state_dict()["weight"], expected)
    assert not found._forward_hooks
    assert "forward" not in vars(found)


def test_a_layer_with_tensors_of_a_class_of_their_own_is_refused():
    layer = nn.Linear(2, 2)
    layer.register_parameter("bias", nn.Parameter(torch.zeros(2).as_subclass(type("Mine", (torch.Tensor,), {}))))
    assert outcome_of(lambda: layer).error


class Sly(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def test_options_of_a_layer_are_made_plain():
    layer = nn.Conv2d(1, 1, 3)
    layer.groups = Sly(1)
    assert type(clean(layer).groups) is int


def test_keys_become_texts():
    assert outcome_of(lambda: {1: 2}).value == {"1": 2}


# ---- gradients and the spy
def test_gradients_of_weighted_outputs():
    outcome = outcome_of(lambda x, y: x * 3, torch.zeros(3), torch.zeros(3), gradients=(0, 1))
    assert torch.equal(outcome.gradients[0], 3 * torch.tensor([2.5, -5.0, 7.5]))
    assert outcome.gradients[1] is None


def test_a_result_without_gradient_gives_none():
    assert outcome_of(lambda x: x.detach(), torch.zeros(2), gradients=(0,)).gradients == (None,)
    assert outcome_of(lambda x: 3, torch.zeros(2), gradients=(0,)).gradients == (None,)


def test_a_gradient_of_another_kind_is_refused():
    class Sly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad.as_subclass(Yes)

    outcome = outcome_of(Sly.apply, torch.zeros(2), gradients=(0,))
    assert outcome.error or type(outcome.gradients[0]) is torch.Tensor


CODES = torch.ones(2, 3, dtype=torch.int8)


@pytest.mark.parametrize(
    ("product", "name"),
    [
        (lambda q: q.float() @ q.float().T, "mm"),
        (lambda q: torch.einsum("ik,jk->ij", q.double(), q.double()), "bmm"),
        (lambda q: nn.functional.linear(q.float(), q.float()), "mm"),
        (lambda q: nn.functional.conv2d(q.float()[None, None], torch.ones(1, 1, 1, 1)), "convolution"),
        (lambda q: torch.mv(q.half(), q[0].half()), "mv"),
        (lambda q: (q.double()[:, None] * q.double()[None]).repeat(1, 1, 9).mul(2.0).sum(-1), "mul"),
        (lambda q: torch.from_numpy(q.numpy().astype(float) @ q.numpy().T), "numpy matmul"),
        (lambda q: torch.from_numpy(np.asarray(q, dtype=np.float32).dot(q.numpy().T)), "numpy dot"),
        (lambda q: torch.tensor(np.einsum("ik,jk->ij", np.array(q), 1.0 * q.numpy())), "numpy einsum"),
        (lambda q: torch.sparse.mm(q.float().to_sparse(), q.float().T), "_sparse"),
        (lambda q: torch.cdist(q.float(), q.float()), "cdist"),
        (lambda q: q.float().mean(1), "mean"),
        (lambda q: (q.double() + 0 * q.int().sum()) @ q.double().T, "mm"),
        (lambda q: torch.cat([q.float(), q.int().sum(1, keepdim=True)], 1) @ torch.ones(4, 1), "mm"),
        (lambda q: torch.from_numpy((np.tile(q.numpy()[:, None] * 1.0, (1, 1, 90)) * 2.0).sum(-1)), "mul"),
    ],
)
def test_float_products_of_codes_are_seen(product, name):
    assert any(name in seen for seen in outcome_of(product, CODES).float_products)


def test_products_of_whole_numbers_are_no_float_products():
    assert outcome_of(lambda q: (q.int() @ q.int().T) * 0.5, CODES).float_products == ()
    assert outcome_of(lambda q: ((q.int() @ q.int().T) - 3 * q.sum(1)).float() @ torch.eye(len(q)), CODES).float_products == ()
    assert outcome_of(lambda q: (q.int()[:, None] * q.int()).sum(2).double().mean(), CODES).float_products == ()
    assert outcome_of(lambda q: torch.from_numpy(q.numpy().astype(int) @ q.numpy().T) * 0.5, CODES).float_products == ()
    assert outcome_of(lambda q: torch.stack([(q.int() * row).sum(1) * 0.5 for row in q.int()], 1), CODES).float_products == ()


def test_a_watched_array_is_an_array():
    def answer(q):
        array = q.numpy()
        array = np.concatenate([array, np.asarray(q)])[:, ::-1].copy()
        np.add(array, 1, out=array)
        array += 1
        return torch.from_numpy(np.clip(array, 0, 2)), array.sum().item(), np.sort(array)

    value = outcome_of(lambda q: answer(q)[:2], CODES).value
    assert torch.equal(value[0], torch.full((4, 3), 2, dtype=torch.int8))
    assert value[1] == 36
    assert "torch.from_numpy makes a tensor of it" in outcome_of(lambda q: answer(q)[2], CODES).error
    assert type(CODES.numpy()) is np.ndarray


# ---- the clock
def slow(fn, repeats=3):
    start = time.perf_counter()
    for _ in range(repeats):
        fn()
    return time.perf_counter() - start


def test_a_timed_call_takes_its_time_on_the_clock_only():
    real = time.perf_counter()
    assert outcome_of(slow, TimedCall((100.0, 200.0, 300.0))).value == 600.0
    assert time.perf_counter() - real < 50


def test_decorated_functions_are_timed_as_well():
    @functools.wraps(slow)
    def decorated(*args, **kwargs):
        return slow(*args, **kwargs)

    assert outcome_of(decorated, TimedCall((1.0,))).value == 3.0


def test_clocks_are_put_back_after_an_error():
    before = time.perf_counter
    outcome_of(lambda fn: 1 / 0, TimedCall((1.0,)))
    assert time.perf_counter is before


def test_checks_load_no_torch_by_name_only():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, posttrain_lab.checks; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_an_adapter_works_with_the_function_in_its_place():
    doubled = LocalSubmission(lambda x: x.mul_(2), through="engine.adapters:in_place").call(torch.ones(2))
    assert doubled.changed == ()
    assert torch.equal(doubled.value[1][0], torch.full((2,), 2.0))


def test_an_adapter_leaves_an_empty_cell_empty():
    def blank(x):
        raise NotImplementedError

    assert LocalSubmission(blank, through="engine.adapters:in_place").call(1).unsolved


@pytest.mark.parametrize(
    "name",
    [
        "os",
        "engine.adapters:",
        "os.path;x:join",
        "..grading:prove",
        "engine.adapters:in_place()",
        "engine.adapters:copy",
        "engine.random_cases:strided",
    ],
)
def test_an_adapter_has_a_name_below_the_checks(name):
    with pytest.raises(ValueError, match="module:function"):
        find_adapter(name)
