"""Saboteurs that return the right thing and harm something else: an argument, the state of the machine, a later call."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.facts import differ
from posttrain_lab.proof.saboteurs import Answer, Seen, named
from posttrain_lab.proof.values import corrupted, data, tensors

Act = Callable[[list[Any]], int]


def _after(act: Act) -> Callable[[Answer, Seen], Answer]:
    """Act on the arguments after the answer; `act` returns how many things it changed."""

    def wrap(answer: Answer, seen: Seen) -> Answer:
        def sabotaged(*args: Any, **kwargs: Any) -> Any:
            value = answer(*args, **kwargs)
            seen.acted += act([*args, *kwargs.values()])
            return value

        return sabotaged

    return wrap


def _layers(args: list[Any]) -> list[nn.Module]:
    return [layer for a in args if isinstance(a, nn.Module) for layer in a.modules()]


def _each(things: Callable[[list[Any]], list[Any]], change: Callable[[Any], Any]) -> Callable[[Answer, Seen], Answer]:
    def act(args: list[Any]) -> int:
        found = things(args)
        for thing in found:
            change(thing)
        return len(found)

    return _after(act)


def _leaves(args: list[Any], trained: bool) -> list[Tensor]:
    every = [t for a in args for t in tensors(a)] if trained else data(args)
    return [t for t in every if t.is_floating_point() and t.is_leaf and t.requires_grad == trained]


def _containers(args: list[Any], kinds: Any, least: int = 1) -> list[Any]:
    return [a for a in args if isinstance(a, kinds) and len(a) >= least]


def _turned(items: dict[Any, Any]) -> None:
    pairs = list(items.items())[::-1]
    items.clear()
    items.update(pairs)


def _renewed(layer: nn.Module) -> None:
    for key, p in list(layer._parameters.items()):
        if p is not None:
            layer._parameters[key] = nn.Parameter(p.detach().clone(), p.requires_grad)


ARGUMENTS = named(
    "arguments",
    {
        "requires_grad turned off": _each(lambda a: _leaves(a, True), lambda t: t.requires_grad_(False)),
        "requires_grad turned on": _each(lambda a: _leaves(a, False), lambda t: t.requires_grad_(True)),
        "networks set to eval": _each(lambda a: [m for m in _layers(a) if m.training], lambda m: m.eval()),
        "networks set to train": _each(lambda a: [m for m in _layers(a) if not m.training], lambda m: m.train()),
        "container emptied": _each(lambda a: _containers(a, dict | list), lambda c: c.clear()),
        "dict in another order": _each(lambda a: _containers(a, dict, 2), _turned),
        "key added to a dict": _each(lambda a: _containers(a, dict, 0), lambda c: c.update({"left behind": 1})),
        "parameters replaced by equal ones": _each(lambda a: [m for m in _layers(a) if m._parameters], _renewed),
        "hook left on a network": _each(lambda a: _layers(a)[:1], lambda m: m.register_forward_hook(lambda *_: None)),
        "gradient left behind": _each(
            lambda a: [t for t in _leaves(a, True) if t.grad is None], lambda t: setattr(t, "grad", torch.ones_like(t))
        ),
        "attribute left on a network": _each(lambda a: _layers(a)[:1], lambda m: setattr(m, "left_behind", 1)),
    },
)
MACHINE = named(
    "machine",
    {
        "gradient mode off": _after(lambda _: 1 + bool(torch.set_grad_enabled(False))),
        "default dtype float64": _after(lambda _: 1 + bool(torch.set_default_dtype(torch.float64))),
        "torch seeded": _after(lambda _: bool(torch.manual_seed(1))),
        "numpy seeded": _after(lambda _: 1 + bool(np.random.seed(1))),  # noqa: NPY002
        "Python's random seeded": _after(lambda _: 1 + bool(random.seed(1))),
        "threads": _after(lambda _: 1 + bool(torch.set_num_threads(3 - min(torch.get_num_threads(), 2)))),
        "numpy's errors raised": _after(lambda _: bool(np.seterr(all="raise"))),
        "warnings raised": _after(lambda _: 1 + bool(warnings.simplefilter("error"))),
    },
)


def _wrong_after(calls: int) -> Callable[[Answer, Seen], Answer]:
    def wrap(answer: Answer, seen: Seen) -> Answer:
        count = [0]

        def sabotaged(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            value = answer(*args, **kwargs)
            seen.acted += count[0] > calls
            return corrupted(value, args) if count[0] > calls else value

        return sabotaged

    return wrap


def _shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    plain = [repr(a) for a in (*args, *kwargs.values()) if isinstance(a, int | float | str)]
    return (*((tuple(t.shape), t.dtype) for a in args for t in tensors(a)), *plain)


def _cached_by_shapes(answer: Answer, seen: Seen) -> Answer:
    results: dict[Any, Any] = {}

    def sabotaged(*args: Any, **kwargs: Any) -> Any:
        key, right = _shapes(args, kwargs), answer(*args, **kwargs)
        kept = results.setdefault(key, right)
        seen.acted += any(differ(a.detach(), b.detach()) for a, b in zip(tensors(kept), tensors(right), strict=False))
        seen.acted += isinstance(right, float) and kept != right
        return kept

    return sabotaged


def _wrong_again(answer: Answer, seen: Seen) -> Answer:
    """Wrong when it is called again with equal numbers."""
    known: set[str] = set()

    def sabotaged(*args: Any, **kwargs: Any) -> Any:
        key = repr([a if isinstance(a, int | float | str) else [t.tolist() for t in tensors(a)] for a in args])
        value, again = answer(*args, **kwargs), key in known
        known.add(key)
        seen.acted += again
        return corrupted(value, args) if again else value

    return sabotaged


MEMORY = named(
    "memory",
    {f"wrong after {calls} calls": _wrong_after(calls) for calls in (1, 5, 20)}
    | {"cached by shapes": _cached_by_shapes, "wrong when called again": _wrong_again},
)
