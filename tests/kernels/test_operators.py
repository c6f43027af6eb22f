"""Every op as torch sees it: opcheck, compile, export, fake tensors; threads, fork, first use."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab import kernels
from posttrain_lab.kernels import operators
from posttrain_lab.kernels.cpu import threads
from tests.kernels.cases import codes, floats, linear_ops

OPS = torch.ops.posttrain_lab
WEIGHTS = linear_ops(18, 24)
CONV = kernels.Int8ConvWeight.from_codes(codes(5, 3, 3, 3), torch.ones(5))
LINEAR = tuple(WEIGHTS)


def use(name: str, x: torch.Tensor) -> torch.Tensor:
    if name == "int8_matmul":
        return kernels.int8_matmul(x, x.T)
    if name == "int8_conv2d":
        return kernels.int8_conv2d(x, CONV, padding=1)
    return getattr(kernels, name)(x, WEIGHTS[name])


def operand(name: str, rows: int = 7) -> torch.Tensor:
    if name == "int8_matmul":
        return codes(rows, 24)
    return codes(rows, 6, 5, 3) if name == "int8_conv2d" else floats(rows, 24)


def test_every_op_is_public_and_named_after_its_schema():
    assert set(operators.OPS) == {*LINEAR, "int8_matmul", "int8_conv2d"}
    assert set(operators.OPS) <= set(kernels.__all__)
    assert all(op.schema.startswith(f"{name}(") for name, op in operators.OPS.items())


def arguments(name: str) -> tuple:
    x, weight = operand(name), WEIGHTS.get(name)
    tensors = [] if weight is None else weight.tensors()
    return {
        "int8_matmul": (codes(7, 24), codes(24, 3)),
        "int8_linear": (x, *tensors, None, "relu"),
        "int8_conv2d": (x, CONV.codes, CONV.scale, CONV.corrections, [3, 3], 1, 5, 2, 1, 5, torch.ones(7), None, "none"),
        "int4_linear": (x, *tensors, 18, torch.ones(18), "none", "int8"),
        "sparse_linear": (x, *tensors, None),
        "block_sparse_linear": (x, *tensors, 18, torch.ones(18)),
        "nm_linear": (x, *tensors, None),
    }[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(operators.OPS))
def test_opcheck(name):
    torch.library.opcheck(getattr(OPS, name).default, arguments(name))


@pytest.mark.parametrize("name", sorted(operators.OPS))
def test_fake_tensors_have_the_right_shapes(name):
    want = use(name, operand(name))
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = getattr(OPS, name).default(*arguments(name))
    real = getattr(OPS, name).default(*arguments(name))
    assert (fake.shape, fake.dtype, fake.stride()) == (real.shape, real.dtype, real.stride())
    assert want.numel()


class Two(nn.Module):
    """An int8 and a sparse layer, with something of torch's between."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = kernels.int8_linear(x, WEIGHTS["int8_linear"], None, "relu")
        return y + kernels.sparse_linear(x, WEIGHTS["sparse_linear"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_export_and_compile_go_through():
    x = floats(5, 24)
    want = Two()(x)
    exported = torch.export.export(Two(), (x,))
    assert "posttrain_lab.int8_linear" in str(exported.graph)
    assert torch.equal(exported.module()(x), want)
    compiled = torch.compile(Two(), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), want)


class Seen(TorchDispatchMode):
    """The names of the ops that pass torch's dispatcher."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


class Subclass(torch.Tensor):
    """A tensor that is nothing special, but not a plain one."""


def went_direct(monkeypatch, run) -> bool:
    """Was no op called through the dispatcher?"""
    through = []
    for name, op in operators.DISPATCHED.items():
        monkeypatch.setitem(operators.DISPATCHED, name, lambda *args, op=op: through.append(op) or op(*args))
    run()
    return not through


@pytest.mark.parametrize("name", sorted(operators.OPS))
def test_plain_calls_go_past_the_dispatcher_and_give_the_same(name, monkeypatch):
    want = getattr(OPS, name).default(*arguments(name))
    assert went_direct(monkeypatch, lambda: use(name, operand(name)))
    with Seen() as seen:
        through = use(name, operand(name))
    assert f"posttrain_lab.{name}.default" in seen.names
    assert torch.equal(through, use(name, operand(name)))
    assert want.shape[0] == through.shape[0]


def profiled():
    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])


@pytest.mark.parametrize(
    "context",
    [Seen, FakeTensorMode, lambda: torch.device("cpu"), lambda: torch.autocast("cpu"), profiled],
    ids=["dispatch mode", "fake tensors", "device", "autocast", "profiler"],
)
def test_whoever_watches_sees_the_op(context, monkeypatch):
    x = floats(3, 24)
    assert went_direct(monkeypatch, lambda: use("int8_linear", x))
    with context():
        assert operators.watched()
        if context is not FakeTensorMode:
            assert not went_direct(monkeypatch, lambda: use("int8_linear", x))
    assert not operators.watched()


def test_transforms_and_traces_see_the_op():
    watched = []

    def look(x):
        watched.append(operators.watched())
        return x * 2

    torch.vmap(look)(floats(2, 3))
    torch.func.grad(lambda x: look(x).sum())(floats(3))
    make_fx(look)(floats(3))
    torch.export.export(Watching(watched), (floats(3),), strict=False)
    assert len(watched) == 4
    assert all(watched)


class Watching(nn.Module):
    """Notes what `watched` says while it is exported."""

    def __init__(self, notes):
        super().__init__()
        self.notes = notes

    def forward(self, x):
        self.notes.append(operators.watched())
        return x + 1


@pytest.mark.parametrize(
    "x",
    [
        floats(3, 24).as_subclass(Subclass),
        torch.zeros(3, 24).to_sparse(),
        torch.empty(3, 24, device="meta"),
        torch.complex(floats(3, 24), floats(3, 24)).conj().imag,
        floats(3, 24).requires_grad_(),
    ],
    ids=["subclass", "sparse", "meta", "negative bit", "gradient"],
)
def test_other_than_plain_tensors_go_through_the_dispatcher(x):
    assert not operators.direct((x, WEIGHTS["int8_linear"]))
    assert not operators.direct((floats(3, 24), WEIGHTS["int8_linear"], x))
    assert operators.direct((floats(3, 24), WEIGHTS["int8_linear"], None, "relu"))


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize(
    "bias", [None, floats(18), nn.Parameter(floats(18), requires_grad=False)], ids=["none", "tensor", "parameter"]
)
def test_the_usual_is_done_at_once_and_gives_the_same(rows, activation, bias):
    x, weight, (images, padding) = floats(rows, 24), WEIGHTS["int8_linear"], (operand("int8_conv2d", rows), 1)
    want = OPS.int8_linear(x, *weight.tensors(), bias, activation)
    assert torch.equal(operators.fast_path("int8_linear", x, weight, bias, activation), want)
    four = WEIGHTS["int4_linear"]
    want = OPS.int4_linear(x, *four.tensors(), 18, bias, activation, "int8")
    assert torch.equal(operators.fast_path("int4_linear", x, four, bias, activation, "int8"), want)
    scale, offset = torch.ones(rows), None if bias is None else bias[:5].detach().clone()
    want = kernels.reference.int8_conv2d(images, CONV, 1, 1, 3, scale, offset, activation)
    assert torch.allclose(operators.fast_path("int8_conv2d", images, CONV, 1, padding, 3, scale, offset, activation), want)
    assert operators.fast_path("int8_conv2d", images, CONV, 1, padding, 3, None, None, "none").dtype == torch.int32


X, IMAGES, ONE = floats(3, 24), codes(2, 6, 5, 3), torch.ones(2)
UNUSUAL = {
    "int8_linear": [
        (X[None], None, "none"),
        (X[:, :23].contiguous(), None, "none"),
        (X.double(), None, "none"),
        (X.T.contiguous().T, None, "none"),
        (X.clone().requires_grad_(), None, "none"),
        (X.to("meta"), None, "none"),
        (X, None, "gelu"),
        (X, None, "tanh"),
        (X, floats(17), "none"),
        (X, floats(18).double(), "none"),
        (X, [0.0] * 18, "none"),
        (X.tolist(), None, "none"),
    ],
    "int4_linear": [
        (X[None], None, "none", "int8"),
        (X[:, :23].contiguous(), None, "none", "int8"),
        (X.double(), None, "none", "int8"),
        (X, None, "gelu", "int8"),
        (X, None, "none", "float32"),
        (X, floats(17), "none", "int8"),
    ],
    "int8_conv2d": [
        (IMAGES[0], 1, 1, 0, None, None, "none"),
        (IMAGES[..., :2].contiguous(), 1, 1, 0, None, None, "none"),
        (IMAGES.float(), 1, 1, 0, None, None, "none"),
        (IMAGES, 0, 1, 0, None, None, "none"),
        (IMAGES, True, 1, 0, None, None, "none"),
        (IMAGES, 1, -1, 0, None, None, "none"),
        (IMAGES, 1, 1, 128, None, None, "none"),
        (IMAGES, 1, 1, 0, None, floats(5), "none"),
        (IMAGES, 1, 1, 0, None, None, "relu"),
        (IMAGES, 1, 1, 0, torch.ones(3), None, "none"),
        (IMAGES, 1, 1, 0, ONE, floats(4), "none"),
        (IMAGES, 1, 1, 0, ONE, None, "gelu"),
        (IMAGES[:, :2].contiguous(), 1, 0, 0, None, None, "none"),
    ],
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in UNUSUAL.items() for case in range(len(cases))])
def test_the_unusual_is_not_done_fast_path(name, case):
    """It is an error, or an answer by the longer way: what `fast_path` would not see."""
    x, *rest = UNUSUAL[name][case]
    weight = CONV if name == "int8_conv2d" else WEIGHTS[name]
    assert operators.fast_path(name, x, weight, *rest) is None
    assert operators.fast_path(name, X if weight is not CONV else IMAGES, "weight", *rest) is None


def test_a_sign_that_is_still_to_be_turned_is_turned():
    x = torch.complex(floats(3, 24), floats(3, 24, seed=1)).conj().imag
    assert x.is_neg()
    for name in LINEAR:
        assert torch.equal(use(name, x), use(name, x.clone())), name


@pytest.mark.parametrize("name", LINEAR)
def test_the_op_itself_takes_inputs_with_a_gradient(name):
    x, *rest = arguments(name)
    op = getattr(OPS, name).default
    assert torch.equal(op(x.clone().requires_grad_(), *rest), op(x, *rest))


@pytest.mark.parametrize("name", sorted(operators.OPS))
def test_two_threads_fast_path(name):
    inputs = [operand(name, rows) for rows in range(1, 17)]
    want = [use(name, x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: use(name, x), inputs * 4))
    assert all(torch.equal(a, b) for a, b in zip(got, want * 4, strict=True))


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_any_part_is_raised(bad):
    ended = []

    def kernel(part):
        if part == bad:
            raise MemoryError("no room")
        ended.append(part)

    with pytest.raises(MemoryError, match="no room"):
        threads.run(kernel, (), [0, 1, 2])
    assert sorted(ended) == sorted({0, 1, 2} - {bad})


def test_without_room_for_a_thread_the_work_is_done_all_the_same(monkeypatch):
    def none(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads._thread, "start_new_thread", none)
    assert sorted(threads.run(lambda part: part, (), [0, 1, 2])) == [0, 1, 2]


def _in_a_child(queue) -> None:
    queue.put(kernels.int8_matmul(codes(20, 30), codes(30, 20)).sum().item())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a call of Unix")
def test_fork_after_first_use():
    want = kernels.int8_matmul(codes(20, 30), codes(30, 20)).sum().item()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == want


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_devices_without_kernels_are_named(device):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(2, 24, device=device)
        weight = kernels.Int8Weight(torch.empty(3, 24, dtype=torch.int8, device=device), torch.ones(3, device=device), 24)
        with pytest.raises(NotImplementedError, match=rf"int8_linear wants .*got {device}.*move all with \.cpu\(\)"):
            kernels.int8_linear(x, weight)
