"""Choose which parameters are trained; everything else is frozen, the statistics of frozen batch norms too.

Left out: freezing by a pattern. Names are exact, as `model.named_parameters()` gives them; the functions here list useful ones.
"""

import difflib
from collections.abc import Iterable
from types import MethodType

from torch import nn

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:
    """Replaces `module.train`: a frozen norm stays in eval mode, so its statistics do not change, in either mode of the network."""
    module.training = False
    return module


def check_names(names: Iterable[str], known: Iterable[str], caller: str) -> None:
    """Raise TypeError for a single string, ValueError for names that the model does not have, with the most similar ones it has."""
    if isinstance(names, str):
        raise TypeError(f"{caller} wants a list of parameter names, got the string {names!r}; write [{names!r}].")
    known = list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), known, n=3, cutoff=0.3) or known[:3]
        raise ValueError(
            f"{caller} wants names of parameters, got {', '.join(map(repr, unknown[:5]))}, which the model does not have; "
            f"did you mean {' or '.join(map(repr, near))}? All names: [name for name, _ in model.named_parameters()]."
        )


def freeze(model: nn.Module, trainable: list[str]) -> int:
    """Make only the parameters named in `trainable` trainable, and count their elements. Changes `model` in place.

    trainable: exact names from `model.named_parameters()`; all other parameters get requires_grad = False. A batch norm
    without trainable parameters is set to eval mode: it keeps its running statistics and uses them. Unlike the exercise of unit
    03, which is called in train mode, this guards them against a later `model.train()` too; `unfreeze` takes the guard away.
    Returns the number of trainable elements, a shared parameter counted once. Calling it again replaces the choice.
    Raises TypeError for a single string, ValueError for names that the model does not have; then nothing is changed.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    >>> freeze(model, ["2.weight", "2.bias"])
    10
    >>> model.train()[1].training
    False
    """
    named = list(model.named_parameters(remove_duplicate=False))
    check_names(trainable, (name for name, _ in named), "freeze")
    wanted = {id(parameter) for name, parameter in named if name in set(trainable)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    for module in model.modules():
        if not isinstance(module, nn.modules.batchnorm._NormBase):
            continue
        vars(module).pop("train", None)
        if not any(parameter.requires_grad for parameter in module.parameters()):
            module.train = MethodType(_stay_in_eval, module)  # type: ignore[method-assign]
            module.eval()
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def unfreeze(model: nn.Module) -> int:
    """Make all parameters trainable, and count their elements: the reverse of `freeze`, in place, for all batch norms too.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    >>> freeze(model, []), unfreeze(model), model.train()[1].training
    (0, 24, True)
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            vars(module).pop("train", None)
            module.train(model.training)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return sum(parameter.numel() for parameter in model.parameters())


def trainable_names(model: nn.Module) -> list[str]:
    """Which parameters are trainable now?

    >>> trainable_names(nn.Linear(2, 1))
    ['weight', 'bias']
    """
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _full(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def head_names(model: nn.Module) -> list[str]:
    """The parameters of the last layer: what "train the head" means.

    >>> head_names(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    ['2.weight', '2.bias']
    """
    owners = [(prefix, module) for prefix, module in model.named_modules() if module._parameters]
    if not owners:
        raise ValueError("head_names wants a model with parameters, got none; give the network itself.")
    prefix, module = owners[-1]
    return [_full(prefix, name) for name, _ in module.named_parameters(recurse=False)]


def norm_names(model: nn.Module) -> list[str]:
    """Scales and shifts of all normalizations: what "norm-only" tuning changes (Frankle, Schwab, Morcos 2021).

    >>> norm_names(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
    ['1.weight', '1.bias']
    """
    modules = ((prefix, module) for prefix, module in model.named_modules() if isinstance(module, NORMS))
    return [_full(prefix, name) for prefix, module in modules for name, _ in module.named_parameters(recurse=False)]


def bias_names(model: nn.Module) -> list[str]:
    """All parameters called bias, those of the normalizations too: what BitFit changes (Ben Zaken et al. 2022).

    >>> bias_names(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
    ['0.bias', '1.bias', '2.bias']
    """
    return [name for name, _ in model.named_parameters() if name.rpartition(".")[2] == "bias"]
