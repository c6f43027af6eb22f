"""What a walk over the modules of a network must know: what a layer computes, who runs it, and under which names it stands.

A module's class does not say what it computes: a subclass may have a `forward` of its own. Its place does not say how often it runs:
one object may stand under two names. And its weight may be computed anew in each call, or be read by another module.
"""

import dis
from functools import cache
from itertools import pairwise
from types import FunctionType
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Layer = TypeVar("Layer", bound=nn.Module)
ARITHMETIC = ("forward", "_conv_forward")  # the methods that determine what a layer of torch computes
ABOUT = ("dtype", "device", "shape", "size", "ndim")  # reading these of a weight is not reading the weight


def computes_as(layer: object, *kinds: type[Layer]) -> TypeGuard[Layer]:
    """Does this layer compute what one of these classes of torch computes?

    The class itself does, and a subclass that keeps `forward`; one with a `forward` of its own, or with a computed weight, does not.

    >>> class Same(nn.ReLU): pass
    >>> class Other(nn.ReLU):
    ...     def forward(self, x): return x
    >>> computes_as(Same(), nn.ReLU), computes_as(Other(), nn.ReLU)
    (True, False)
    """
    kept = (kind for kind in kinds if isinstance(layer, kind))
    return any(_keeps(layer, kind) for kind in kept)


def _keeps(layer: Any, kind: type[nn.Module]) -> bool:
    if any(name in vars(layer) for name in ARITHMETIC) or hasattr(type(layer), "weight"):
        return False
    return all(getattr(type(layer), name, None) is getattr(kind, name, None) for name in ARITHMETIC)


def described(layer: object, *kinds: type[nn.Module]) -> str:
    """The layer's class, for an error's message; it says so when only its `forward` is not that of these classes.

    >>> class Twice(nn.Linear):
    ...     def forward(self, x): return 2 * super().forward(x)
    >>> described(Twice(1, 1), nn.Linear), described(nn.ReLU(), nn.Linear)
    ('Twice with a forward of its own', 'ReLU')
    """
    changed = isinstance(layer, kinds) and not computes_as(layer, *kinds)
    return type(layer).__name__ + (" with a forward of its own" if changed else "")


def own_forward(model: nn.Module, *kinds: type[nn.Module]) -> dict[str, nn.Module]:
    """The layers of these classes that compute something else, by name: they have a `forward` of their own.

    >>> class Twice(nn.Linear):
    ...     def forward(self, x): return 2 * super().forward(x)
    >>> list(own_forward(nn.Sequential(nn.Linear(2, 2), Twice(2, 2)), nn.Linear))
    ['1']
    """
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds) and not computes_as(m, *kinds)}


def every_name(model: nn.Module, layer: nn.Module) -> list[str]:
    """All names of one layer: an object may stand in several places.

    >>> shared = nn.ReLU()
    >>> every_name(nn.Sequential(shared, nn.Linear(2, 2), shared), shared)
    ['0', '2']
    """
    return [name for name, module in model.named_modules(remove_duplicate=False) if module is layer]


def exchange(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Put `new` in every place where `old` stands, in place; returns the network, which is `new` when `old` was all of it.

    >>> shared = nn.Linear(2, 2)
    >>> exchange(nn.Sequential(shared, nn.ReLU(), shared), shared, nn.Identity())
    Sequential(
      (0): Identity()
      (1): ReLU()
      (2): Identity()
    )
    """
    if model is old:
        return new
    for name in every_name(model, old):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new)
    return model


def without_fast_path(model: nn.Module) -> nn.Module:
    """Make transformer layers of torch call their parts, in place: their fast path would read weights, and so pass other layers by.

    >>> without_fast_path(nn.TransformerEncoderLayer(4, 2)).activation_relu_or_gelu
    0
    """
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False
        elif isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # how torch marks a layer without a fast path
    return model


def weights_read(model: nn.Module) -> dict[str, str]:
    """Which layers does another module not call, because it reads their weight itself? {name of the layer: class of the reader}.

    Found in the code of `forward` and of the methods it names. `nn.MultiheadAttention` reads its `out_proj`, and torchvision's
    attention in windows its `qkv`: a layer put there would be passed by. The fast path of `nn.TransformerEncoderLayer` is not
    counted: `without_fast_path` turns it off.

    >>> weights_read(nn.MultiheadAttention(4, 2))
    {'out_proj': 'MultiheadAttention'}
    """
    found = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerEncoder):
            continue
        read = _weights_read_by(type(module)) if module._modules else frozenset()
        for child in read & module._modules.keys():
            found[f"{name}.{child}" if name else child] = type(module).__name__
    return found


@cache
def _weights_read_by(kind: type[nn.Module]) -> frozenset[str]:
    """The names in `self.<name>.weight`, from `forward` on."""
    read: set[str] = set()
    waiting, seen = ["forward"], set()
    while waiting:
        method = getattr(kind, waiting[-1], None)
        seen.add(waiting.pop())
        if not isinstance(method, FunctionType):
            continue
        loads = [one.argval for one in dis.get_instructions(method) if one.opname in ("LOAD_ATTR", "LOAD_METHOD")]
        follows = [*loads[2:], "", ""]
        read |= {a for (a, b), after in zip(pairwise(loads), follows, strict=False) if b == "weight" and after not in ABOUT}
        waiting += [name for name in set(loads) - seen if not hasattr(nn.Module, name)]
    return frozenset(read)


def check_copyable(caller: str, model: nn.Module) -> None:
    """Raise ValueError, naming the layer, when a hook computes a weight (torch's prune, the old weight_norm and spectral_norm)."""
    for name, module in model.named_modules():
        for part, value in vars(module).items():
            if isinstance(value, Tensor) and {f"{part}_orig", f"{part}_g"} & module._parameters.keys():
                _refuse(caller, name, part, _remedy(module, part))


def check_own_weights(caller: str, model: nn.Module) -> None:
    """Raise ValueError, naming the layer, when a weight is computed from other parameters: a change of it would be lost."""
    check_copyable(caller, model)
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            part = next(iter(module.parametrizations))  # type: ignore[arg-type]
            _refuse(caller, name, part, "torch.nn.utils.parametrize.remove_parametrizations")


def check_float32(caller: str, model: nn.Module) -> None:
    """Raise ValueError, naming the parameter, unless all floating-point parameters are float32."""
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise ValueError(
                f"{caller} wants a float32 model, got {parameter.dtype} in '{name}'; do model.float(), and the same for its inputs."
            )


def _refuse(caller: str, name: str, part: str, remedy: str) -> None:
    raise ValueError(
        f"{caller} wants weights that are parameters themselves, got layer '{name}' whose {part} is computed from others; "
        f"make it permanent first: {remedy}(layer, {part!r})."
    )


def _remedy(module: nn.Module, part: str) -> str:
    if f"{part}_mask" in module._buffers:
        return "torch.nn.utils.prune.remove"
    return f"torch.nn.utils.remove_{'weight' if f'{part}_g' in module._parameters else 'spectral'}_norm"


def baked(model: nn.Module) -> nn.Module:
    """The network with computed weights (parametrizations) made permanent, as eval mode has them, in place.

    Not by torch's `remove_parametrizations`: that changes the class, which a network shares with the one it was copied from.

    >>> normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> type(baked(nn.Sequential(normed))[0])
    <class 'torch.nn.modules.linear.Linear'>
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            module.parametrizations.eval()  # type: ignore[operator, union-attr]
            with torch.no_grad():
                values = {part: getattr(module, part).clone() for part in module.parametrizations}  # type: ignore[union-attr]
            del module.parametrizations
            module.__class__ = type(module).__bases__[0]
            for part, value in values.items():
                module.register_parameter(part, nn.Parameter(value))
    return model


def computing_weights(model: nn.Module) -> list[Tensor]:
    """The parameters of a network as its layers compute with them, shared ones once: after masks and norms of torch's own.

    >>> import torch.nn.utils.prune
    >>> half = torch.nn.utils.prune.l1_unstructured(nn.Linear(2, 1, bias=False), "weight", 0.5)
    >>> [int((weight == 0).sum()) for weight in computing_weights(half)]
    [1]
    """
    lists = [module.parametrizations for module in model.modules() if parametrize.is_parametrized(module)]
    inside = {id(part) for one in lists for part in one.modules()}  # type: ignore[union-attr]
    found: dict[int, Tensor] = {}
    for module in model.modules():
        names = [_computed(module, name) for name in module._parameters] if id(module) not in inside else []
        names += list(module.parametrizations) if parametrize.is_parametrized(module) else []  # type: ignore[arg-type]
        values = [getattr(module, name) for name in names]
        found |= {id(value): value.detach() for value in values if isinstance(value, Tensor)}
    return list(found.values())


def _computed(module: nn.Module, name: str) -> str:
    """ "weight" for "weight_orig", "weight_g" and "weight_v", where a hook computes it from these; else the name itself."""
    part = name.rpartition("_")[0]
    return part if isinstance(vars(module).get(part), Tensor) else name


def name_some(names: list[str], most: int = 4) -> str:
    """'a', 'b' and 3 more.

    >>> name_some(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
