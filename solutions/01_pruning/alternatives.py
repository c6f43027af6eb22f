"""Unit 01: right answers, written in another way. They prove that the grader accepts every right answer."""

import copy
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from posttrain_lab import measure, metrics


# ---- magnitude_mask
def magnitude_by_topk(weight, sparsity):
    gone = round(sparsity * weight.numel())
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().topk(weight.numel() - gone).indices] = True
    return mask.reshape(weight.shape)


def magnitude_in_numpy(weight, sparsity):
    order = np.argsort(np.abs(weight.numpy()), axis=None, kind="stable")
    mask = np.ones(weight.numel(), dtype=bool)
    mask[order[: round(sparsity * weight.numel())]] = False
    return torch.from_numpy(mask.reshape(tuple(weight.shape)))


def magnitude_by_torch(weight, sparsity):
    layer = nn.Module()
    layer.weight = nn.Parameter(weight.contiguous().clone())
    torch_prune.l1_unstructured(layer, "weight", round(sparsity * weight.numel()))
    return layer.weight_mask.bool()


def magnitude_by_ranks(weight, sparsity):
    """Among equal magnitudes the later ones are removed."""
    flat = weight.double().square().flatten().flip(0)
    ranks = flat.argsort(stable=True).argsort().flip(0)
    return (ranks >= round(sparsity * weight.numel())).reshape(weight.shape)


def magnitude_by_limit(weight, sparsity):
    """A threshold after all; of the weights equal to it the first ones are removed until the count is right."""
    flat, gone = weight.abs().reshape(-1), round(sparsity * weight.numel())
    limit = flat.kthvalue(gone).values if gone else -1.0
    equal = flat == limit
    return ((flat > limit) | (equal & (equal.cumsum(0) > gone - (flat < limit).sum()))).reshape(weight.shape)


# ---- global_masks
def global_by_one_mask(weights, sparsity):
    some = {name: weight for name, weight in weights.items() if weight.ndim > 1}
    kept = magnitude_by_topk(torch.cat([weight.reshape(-1) for weight in some.values()]), sparsity)
    parts = iter(kept.split([weight.numel() for weight in some.values()]))
    return {n: next(parts).view(w.shape) if n in some else torch.full(w.shape, True) for n, w in weights.items()}


def global_in_python(weights, sparsity):
    places = [(abs(v), n, i) for n, w in weights.items() if w.dim() >= 2 for i, v in enumerate(w.flatten().tolist())]
    masks = {name: torch.ones_like(weight, dtype=torch.bool).contiguous() for name, weight in weights.items()}
    for _, name, index in sorted(places)[: round(sparsity * len(places))]:
        masks[name].view(-1)[index] = False
    return masks


def global_from_the_end(weights, sparsity):
    """The layers in the opposite order, so other ones of equal weights are removed."""
    some = [(name, weight) for name, weight in reversed(weights.items()) if weight.ndim >= 2]
    kept = magnitude_by_limit(torch.hstack([weight.flatten() for _, weight in some]), sparsity)
    masks = {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
    for (name, weight), part in zip(some, kept.split([weight.numel() for _, weight in some]), strict=True):
        masks[name] = part.reshape(weight.shape)
    return masks


# ---- sensitivity_scan
def scan_beside_the_model(model, split, sparsities):
    """The copy gets each weight from the model, which is not changed; a few images at a time."""
    twin = copy.deepcopy(model).eval()

    def accuracy(name, sparsity):
        whole, weight = (one.get_submodule(name).weight.detach() for one in (model, twin))
        weight.copy_(whole * magnitude_by_ranks(whole, sparsity))
        said = [label for images in split.validation.images.split(16) for label in twin(images).argmax(1).tolist()]
        weight.copy_(whole)
        return sum(map(int.__eq__, said, split.validation.labels.tolist())) / len(said)

    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return {name: [accuracy(name, sparsity) for sparsity in sparsities] for name in names}


def scan_on_a_copy(model, split, sparsities):
    twin, curves = copy.deepcopy(model).eval(), {}
    for name, layer in twin.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        whole = layer.weight.detach().clone()
        values = []
        for sparsity in sparsities:
            layer.weight.data.copy_(whole * magnitude_by_topk(whole, sparsity))
            logits = measure.predict(twin, split.validation.images, batch_size=7)
            values.append(metrics.accuracy(logits, split.validation.labels))
        layer.weight.data.copy_(whole)
        curves[name] = values
    return curves


def scan_in_place(model, split, sparsities):
    """On the model itself; everything is restored."""
    layers = {n: m for n, m in model.named_modules() if type(m) in (nn.Linear, nn.Conv2d)}
    modes = {module: module.training for module in model.modules()}
    kept = {name: layer.weight.data for name, layer in layers.items()}
    model.eval()
    curves = {name: [] for name in layers}
    with torch.no_grad():
        for sparsity in sparsities:
            for name, layer in layers.items():
                layer.weight.data = kept[name] * magnitude_in_numpy(kept[name], sparsity)
                hits = model(split.validation.images).argmax(-1) == split.validation.labels
                curves[name].append(hits.float().mean().item())
                layer.weight.data = kept[name]
    for module, mode in modes.items():
        module.training = mode
    return curves


def scan_functional(model, split, sparsities):
    """Changes no layer: the weights are passed with the call."""
    twin = copy.deepcopy(model).eval()
    tensors = {**dict(twin.named_parameters()), **dict(twin.named_buffers())}
    names = [name for name, module in twin.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]

    def accuracy(name, sparsity):
        weight = tensors[f"{name}.weight"].detach()
        changed = {**tensors, f"{name}.weight": weight * magnitude_by_topk(weight, sparsity)}
        logits = torch.func.functional_call(twin, changed, (split.validation.images,))
        return (logits.argmax(1) == split.validation.labels).double().mean().item()

    return {name: [accuracy(name, sparsity) for sparsity in sparsities] for name in names}


def scan_by_state(model, split, sparsities):
    """Loads a whole state for each measurement."""
    state, twin = copy.deepcopy(model.state_dict()), copy.deepcopy(model).eval()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    curves = {name: [] for name in names}
    for name, sparsity in itertools.product(names, sparsities):
        weight = state[f"{name}.weight"]
        twin.load_state_dict({**state, f"{name}.weight": torch.where(magnitude_by_topk(weight, sparsity), weight, 0.0)})
        logits = measure.predict(twin, split.validation.images)
        curves[name].append(metrics.accuracy(logits, split.validation.labels))
    return curves


# ---- allocate_sparsity
def at(curve, share):
    place = share * (len(curve) - 1)
    low = min(int(place), len(curve) - 2)
    return curve[low] * (low + 1 - place) + curve[low + 1] * (place - low)


def allocate_by_slopes(curves, sizes, budget):
    """One limit on the loss per parameter, found by bisection; the layer at the limit gets the rest."""
    grid = np.linspace(0, 1, 201)
    losses = {name: curve[0] - np.interp(grid, np.linspace(0, 1, len(curve)), curve) for name, curve in curves.items()}

    def shares(limit):
        return {name: float(grid[np.argmin(loss - limit * sizes[name] * grid)]) for name, loss in losses.items()}

    def kept(some):
        return sum(sizes[name] * (1 - share) for name, share in some.items())

    low, high = 0.0, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if kept(shares(middle)) <= budget else (middle, high)
    result = shares(high)
    spare, less = budget - kept(result), shares(low)
    for name in sorted(result, key=lambda name: less[name] - result[name]):
        back = min(result[name], spare / sizes[name])
        result[name], spare = result[name] - back, spare - back * sizes[name]
    return result


def allocate_in_small_steps(curves, sizes, budget):
    """In each step the same number of parameters, in the layer where the loss is smallest."""
    shares, total = dict.fromkeys(curves, 0.0), sum(sizes.values())
    left = total - budget
    while left > 1e-6:
        part = min(left, total / 80)

        def price(name, part=part):
            end = min(1.0, shares[name] + part / sizes[name])
            moved = (end - shares[name]) * sizes[name]
            return (at(curves[name], shares[name]) - at(curves[name], end)) / moved if moved > 1e-9 else float("inf")

        best = min(curves, key=price)
        end = min(1.0, shares[best] + part / sizes[best])
        left -= (end - shares[best]) * sizes[best]
        shares[best] = end
    return shares


def allocate_by_sorted_steps(curves, sizes, budget):
    """All steps between the points of all curves, the cheapest first, the last one partly."""
    steps = [
        ((a - b) * (len(curve) - 1) / sizes[name], name, k)
        for name, curve in curves.items()
        for k, (a, b) in enumerate(itertools.pairwise(curve))
    ]
    shares, left = dict.fromkeys(curves, 0.0), sum(sizes.values()) - budget
    for _, name, _ in sorted(steps, key=lambda step: (step[0], step[2])):
        width = min(1 / (len(curves[name]) - 1), max(0.0, left) / sizes[name])
        shares[name] = min(1.0, shares[name] + width)
        left -= width * sizes[name]
    return shares


def allocate_by_exchange(curves, sizes, budget):
    """Starts with one sparsity for all: moves sparsity between two layers while the loss falls, in smaller and smaller parts."""
    shares, unit = dict.fromkeys(curves, 1 - budget / sum(sizes.values())), sum(sizes.values()) / 50
    while unit > sum(sizes.values()) / 2000:
        better = False
        for more, less in itertools.permutations(shares, 2):
            part = min(unit, (1 - shares[more]) * sizes[more], shares[less] * sizes[less])
            ends = min(1.0, shares[more] + part / sizes[more]), max(0.0, shares[less] - part / sizes[less])
            now = at(curves[more], shares[more]) + at(curves[less], shares[less])
            if part > 1e-9 and at(curves[more], ends[0]) + at(curves[less], ends[1]) > now + 1e-9:
                (shares[more], shares[less]), better = ends, True
        unit = unit if better else unit / 2
    return shares


def allocate_backwards(curves, sizes, budget):
    """Begins with empty layers and gives back the weights that gain most."""
    shares, left = dict.fromkeys(curves, 1.0), float(min(budget, sum(sizes.values())))
    while left > 1e-6:
        gains = {
            name: (at(curves[name], max(0.0, share - 0.01)) - at(curves[name], share)) / sizes[name]
            for name, share in shares.items()
            if share > 0
        }
        best = max(gains, key=gains.get)
        part = min(0.01, shares[best], left / sizes[best])
        shares[best], left = max(0.0, shares[best] - part), left - part * sizes[best]
    return shares


# ---- masked_step
def step_by_hook(optimizer, masks):
    def mask(*_):
        for parameter, kept in masks.items():
            parameter.data.masked_fill_(~kept, 0)

    hook = optimizer.register_step_post_hook(mask)
    optimizer.step()
    hook.remove()


def step_by_product(optimizer, masks):
    optimizer.step()
    with torch.no_grad():
        for parameter, mask in masks.items():
            parameter.mul_(mask)


def step_with_clean_state(optimizer, masks):
    """Gradients and momentum of pruned weights are cleared too, which does not change the others."""
    for parameter, mask in masks.items():
        parameter.grad *= mask
    optimizer.step()
    for parameter, mask in masks.items():
        parameter.data = torch.where(mask, parameter.data, torch.zeros(()))
        for value in optimizer.state[parameter].values():
            if isinstance(value, torch.Tensor) and value.shape == mask.shape:
                value.mul_(mask)


def step_by_groups(optimizer, masks):
    loss = optimizer.step()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            mask = masks.get(parameter)
            if mask is not None:
                parameter.data[mask.logical_not()] = 0
    return loss


# ---- nm_mask
def nm_by_topk(weight, n, m):
    groups = weight.abs().reshape(-1, m)
    return torch.zeros_like(groups).scatter_(1, groups.topk(n, dim=1).indices, 1.0).bool().reshape(weight.shape)


def nm_by_ranks(weight, n, m):
    parts = torch.stack(weight.double().square().split(m, dim=1), dim=1)
    return (parts.argsort(2).argsort(2) >= m - n).flatten(1)


def nm_in_python(weight, n, m):
    mask = torch.zeros(weight.shape, dtype=torch.bool)
    for row, values in enumerate(weight.abs().tolist()):
        for start in range(0, len(values), m):
            for column in sorted(range(start, start + m), key=lambda c: -values[c])[:n]:
                mask[row, column] = True
    return mask


def nm_one_after_the_other(weight, n, m):
    groups = weight.abs().unflatten(1, (-1, m)).clone()
    for _ in range(n):
        groups.scatter_(2, groups.argmax(2, keepdim=True), -1.0)
    return (groups < 0).flatten(1)


def nm_by_comparing(weight, n, m):
    """A weight is kept if fewer than n of its group are larger, or equal and before it."""
    groups = weight.abs().unflatten(1, (-1, m))
    mine, other = groups[..., :, None], groups[..., None, :]
    ahead = (other > mine) | ((other == mine) & torch.ones(m, m).tril(-1).bool())
    return (ahead.sum(3) < n).flatten(1)


# ---- wanda_scores
def wanda_token_by_token(weight, inputs):
    return (weight[None] * inputs[:, None]).norm(dim=0)


def wanda_by_products(weight, inputs):
    return weight.abs() * torch.sqrt((inputs.T @ inputs).diagonal())


def wanda_in_numpy(weight, inputs):
    scores = np.abs(weight.numpy().astype(float)) * np.linalg.norm(inputs.numpy().astype(float), axis=0)
    return torch.from_numpy(scores).to(weight.dtype)


def wanda_by_rows(weight, inputs):
    return (weight * inputs.square().sum(0).sqrt().expand_as(weight)).abs()


# ---- to_csr
def csr_by_torch(weight):
    sparse = weight.contiguous().to_sparse_csr()
    return sparse.values(), sparse.col_indices().int(), sparse.crow_indices().to(torch.int32)


def csr_in_numpy(weight):
    array = weight.numpy()
    rows, columns = np.nonzero(array)
    pointers = np.searchsorted(rows, np.arange(len(array) + 1))
    return torch.from_numpy(array[rows, columns]), torch.from_numpy(columns).int(), torch.from_numpy(pointers).int()


def csr_row_by_row(weight):
    columns = [row.nonzero().flatten() for row in weight]
    values = torch.cat([row[index] for row, index in zip(weight, columns, strict=True)])
    ends = torch.tensor([0, *map(len, columns)]).cumsum(0)
    return [values, torch.cat(columns).to(torch.int32), ends.to(torch.int32)]


def csr_by_division(weight):
    places = weight.reshape(-1).nonzero().flatten()
    width = weight.shape[1]
    starts = torch.searchsorted(places, torch.arange(len(weight) + 1) * width)
    return weight.reshape(-1)[places], places.remainder(width).int(), starts.int()


# ---- csr_matmul
def product_by_rows(csr, x):
    values, columns, pointers = csr
    rows = zip(pointers.tolist(), pointers.tolist()[1:], strict=False)
    return torch.stack([(values[a:b, None] * x[columns[a:b].long()]).sum(0) for a, b in rows])


def product_by_torch(csr, x):
    values, columns, pointers = csr
    weight = torch.sparse_csr_tensor(pointers.long(), columns.long(), values, (len(pointers) - 1, len(x)))
    return weight @ x.contiguous()


def product_in_numpy(csr, x):
    values, columns, pointers = (tensor.numpy() for tensor in csr)
    out = np.zeros((len(pointers) - 1, x.shape[1]), dtype=np.float64)
    np.add.at(out, np.repeat(np.arange(len(out)), np.diff(pointers)), values[:, None] * x.numpy()[columns])
    return torch.from_numpy(out).float()


def product_by_running_sums(csr, x):
    values, columns, pointers = csr
    sums = torch.zeros(len(values) + 1, x.shape[1], dtype=torch.float64)
    sums[1:] = (values[:, None] * x[columns]).double().cumsum(0)
    return sums[pointers].diff(dim=0).float()


def product_by_segments(csr, x):
    values, columns, pointers = csr
    return torch.segment_reduce(values[:, None] * x[columns.long()], "sum", lengths=pointers.diff().long(), axis=0, initial=0.0)


# ---- prune_channels
def channels_anew(conv, bn, next_layer, keep):
    index = torch.where(keep)[0]
    first = nn.Conv2d(
        conv.in_channels,
        len(index),
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        dtype=conv.weight.dtype,
    ).train(conv.training)
    middle = nn.BatchNorm2d(len(index), eps=bn.eps, momentum=bn.momentum, dtype=bn.weight.dtype).train(bn.training)
    with torch.no_grad():
        first.weight.copy_(conv.weight[index])
        if conv.bias is not None:
            first.bias.copy_(conv.bias[index])
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(middle, name).copy_(getattr(bn, name)[index])
        middle.num_batches_tracked.copy_(bn.num_batches_tracked)
    return first, middle, next_anew(next_layer, keep)


def next_anew(layer, keep):
    if isinstance(layer, nn.Linear):
        weight = layer.weight.detach().reshape(layer.out_features, len(keep), -1)[:, keep].flatten(1)
        new = nn.Linear(weight.shape[1], layer.out_features, bias=layer.bias is not None).train(layer.training)
    else:
        weight = layer.weight.detach()[:, keep]
        new = copy.deepcopy(layer)
        new.in_channels = weight.shape[1]
    new.weight = nn.Parameter(weight.clone())
    if layer.bias is not None:
        new.bias = nn.Parameter(layer.bias.detach().clone())
    return new


def channels_by_index_select(conv, bn, next_layer, keep):
    kept = keep.nonzero().squeeze(1)
    conv, bn, last = (copy.deepcopy(layer) for layer in (conv, bn, next_layer))
    conv.weight, conv.out_channels = nn.Parameter(conv.weight.detach().index_select(0, kept)), len(kept)
    if conv.bias is not None:
        conv.bias = nn.Parameter(conv.bias.detach().index_select(0, kept))
    bn.weight, bn.bias = (nn.Parameter(tensor.detach().index_select(0, kept)) for tensor in (bn.weight, bn.bias))
    bn.running_mean, bn.running_var = (tensor.index_select(0, kept) for tensor in (bn.running_mean, bn.running_var))
    bn.num_features = len(kept)
    area = last.weight.shape[1] // len(keep)
    columns = (kept[:, None] * area + torch.arange(area)).flatten()
    last.weight = nn.Parameter(last.weight.detach().index_select(1, columns))
    setattr(last, "in_features" if isinstance(last, nn.Linear) else "in_channels", len(columns))
    return conv, bn, last


ALTERNATIVES = {
    "magnitude_mask": (magnitude_by_topk, magnitude_in_numpy, magnitude_by_torch, magnitude_by_ranks, magnitude_by_limit),
    "global_masks": (global_by_one_mask, global_in_python, global_from_the_end),
    "sensitivity_scan": (scan_on_a_copy, scan_in_place, scan_functional, scan_beside_the_model, scan_by_state),
    "allocate_sparsity": (
        allocate_by_slopes,
        allocate_in_small_steps,
        allocate_by_sorted_steps,
        allocate_by_exchange,
        allocate_backwards,
    ),
    "masked_step": (step_by_product, step_with_clean_state, step_by_groups, step_by_hook),
    "nm_mask": (nm_by_topk, nm_by_ranks, nm_in_python, nm_one_after_the_other, nm_by_comparing),
    "wanda_scores": (wanda_by_products, wanda_in_numpy, wanda_by_rows, wanda_token_by_token),
    "to_csr": (csr_by_torch, csr_in_numpy, csr_row_by_row, csr_by_division),
    "csr_matmul": (product_by_rows, product_by_torch, product_in_numpy, product_by_running_sums, product_by_segments),
    "prune_channels": (channels_anew, channels_by_index_select),
}
