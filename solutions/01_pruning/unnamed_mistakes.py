"""Unit 01: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

import copy
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch
from torch import nn

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


# ---- the right answer, changed
def magnitude_of(change):
    return lambda weight, sparsity: change(right.magnitude_by_topk(weight, sparsity), weight, sparsity)


def global_of(change):
    return lambda weights, sparsity: change(right.global_by_one_mask(weights, sparsity), weights, sparsity)


def scan_of(change):
    return lambda model, split, sparsities: change(right.scan_on_a_copy(model, split, sparsities), model, split, sparsities)


def nm_of(change):
    return lambda weight, n, m: change(right.nm_by_topk(weight, n, m), weight, n, m)


def wanda_of(change):
    return lambda weight, inputs: change(right.wanda_by_products(weight, inputs), weight, inputs)


def csr_of(change):
    return lambda weight: change(*right.csr_by_torch(weight))


def product_of(change):
    return lambda csr, x: change(right.product_by_torch(csr, x), csr, x)


def channels_of(change):
    def prune_channels(conv, bn, next_layer, keep):
        layers = right.channels_by_index_select(conv, bn, next_layer, keep)
        with torch.no_grad():
            return change(*layers) or layers

    return prune_channels


def allocate_of(change):
    return lambda curves, sizes, budget: change(right.allocate_in_small_steps(curves, sizes, budget), curves, sizes, budget)


# ---- longer wrong answers
def in_place(weight, sparsity):
    mask = right.magnitude_by_topk(weight, sparsity)
    weight.mul_(mask)
    return mask


def by_deviation(weight, sparsity):
    return weight.abs() > sparsity * weight.abs().std()


def by_jitter(weight, sparsity):
    """A threshold, with noise against ties that is larger than the smallest weights."""
    noisy = weight.abs() + 1e-3 * torch.rand(weight.shape)
    return right.magnitude_by_topk(noisy, sparsity)


def one_quantile(weights, sparsity):
    limit = torch.cat([w.abs().flatten() for w in weights.values() if w.ndim > 1]).quantile(sparsity)
    return {n: w.abs() > limit if w.ndim > 1 else torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}


def layers_in_turn(weights, sparsity):
    """Empties one layer after the other until enough weights are removed."""
    gone = round(sparsity * sum(w.numel() for w in weights.values() if w.ndim > 1))
    masks = {}
    for name, weight in weights.items():
        part = min(gone, weight.numel()) if weight.ndim > 1 else 0
        masks[name], gone = right.magnitude_by_topk(weight, part / max(1, weight.numel())), gone - part
    return masks


def scan_of_half(model, split, sparsities):
    part = split.validation.first(len(split.validation) // 2)
    return right.scan_on_a_copy(
        model, copy.copy(type(split)(split.name, split.train, split.calibration, part, split.test)), sparsities
    )


def scan_touches_statistics(model, split, sparsities):
    curves = right.scan_on_a_copy(model, split, sparsities)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.mul_(1.001)
    return curves


def scan_on_test_and_validation(model, split, sparsities):
    both = type(split.test)(
        torch.cat([split.validation.images, split.test.images]), torch.cat([split.validation.labels, split.test.labels]), ()
    )
    return right.scan_on_a_copy(model, type(split)(split.name, split.train, split.calibration, both, split.test), sparsities)


def scan_nearly_restored(model, split, sparsities):
    curves = right.scan_in_place(model, split, sparsities)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.bfloat16().float()
    return curves


def even_but_exact(curves, sizes, budget):
    """Uses the loss per parameter at the middle of each curve only."""
    price = {name: (curve[0] - curve[len(curve) // 2]) / sizes[name] + 1e-9 for name, curve in curves.items()}
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        shares = {name: min(1.0, middle / value / sizes[name] ** 2) for name, value in price.items()}
        low, high = (low, middle) if sum(sizes[n] * (1 - s) for n, s in shares.items()) <= budget else (middle, high)
    return shares


def by_largest_curve(curves, sizes, budget):
    """Sparsities in proportion to the last accuracy."""
    total, wanted = sum(sizes.values()), sum(sizes[n] * curve[-1] for n, curve in curves.items())
    return {name: min(1.0, curve[-1] * (total - budget) / max(wanted, 1e-9)) for name, curve in curves.items()}


def step_masks_copies(optimizer, masks):
    optimizer.step()
    for parameter, mask in masks.items():
        parameter = parameter.detach().clone() * mask


def step_nearly_zero(optimizer, masks):
    optimizer.step()
    for parameter, mask in masks.items():
        parameter.data = torch.where(mask, parameter.data, 1e-4)


def step_without_decay(optimizer, masks):
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    right.step_by_product(optimizer, masks)


def step_masks_everything_else(optimizer, masks):
    right.step_by_product(optimizer, masks)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter not in masks:
                parameter.data.zero_()


def step_once_in_two(optimizer, masks):
    """Masks only when most of the weights are already 0."""
    optimizer.step()
    for parameter, mask in masks.items():
        if (parameter == 0).float().mean() > 0.25:
            parameter.data.mul_(mask)


def step_half_way(optimizer, masks):
    optimizer.step()
    for parameter, mask in list(masks.items())[:1]:
        parameter.data.mul_(mask)


def step_of_sgd(optimizer, masks):
    """An update of its own in place of the optimizer's."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data -= group["lr"] * parameter.grad
    for parameter, mask in masks.items():
        parameter.data.mul_(mask)


def nm_padded(weight, n, m):
    """Groups counted from the end of each row, one column late."""
    return right.nm_by_topk(weight.roll(1, dims=1), n, m).roll(-1, dims=1)


def nm_flat_groups(weight, n, m):
    """Groups in the order of memory, which is another order for a view."""
    groups = torch.as_strided(weight, (weight.numel() // m, m), (m, 1)).abs()
    return torch.zeros_like(groups).scatter_(1, groups.topk(n, dim=1).indices, 1.0).bool().reshape(weight.shape)


def wanda_of_outputs(weight, inputs):
    return weight.abs() * (inputs @ weight.T).norm(dim=0)[:, None]


def mask_of_a_copy(weight, sparsity):
    """flatten() copies a transposed mask, and the copy is changed."""
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask.flatten()[weight.abs().flatten().argsort()[: round(sparsity * weight.numel())]] = False
    return mask


def what_is_zero_goes(weight, sparsity):
    thin = weight.clone().flatten()
    thin[thin.abs().argsort()[: round(sparsity * weight.numel())]] = 0
    return (thin != 0).reshape(weight.shape)


def global_of_matrices(weights, sparsity):
    """Only weights with two or four axes; one with three is forgotten."""
    some = {name: weight for name, weight in weights.items() if weight.ndim in (2, 4)}
    whole = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    return {**whole, **right.global_by_one_mask(some, sparsity)}


def scan_with_bias(model, split, sparsities):
    """The bias is pruned like the weight."""
    twin, curves = copy.deepcopy(model).eval(), {}
    for name, layer in twin.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            whole, curves[name] = copy.deepcopy(layer.state_dict()), []
            for sparsity in sparsities:
                for parameter in layer.parameters():
                    parameter.data *= right.magnitude_by_topk(parameter.data, sparsity)
                hits = twin(split.validation.images).argmax(1) == split.validation.labels
                curves[name].append(hits.float().mean().item())
                layer.load_state_dict(whole)
    return curves


def step_by_order(optimizer, masks):
    """The first parameters get the masks, even if these belong to others."""
    optimizer.step()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter, mask in zip(parameters, masks.values(), strict=False):
        parameter.data.mul_(mask)


def step_for_each_mask(optimizer, masks):
    for parameter, mask in masks.items():
        optimizer.step()
        parameter.data.mul_(mask)


def nm_same_columns(weight, n, m):
    """The best columns of the sum of all rows, for every row."""
    return right.nm_by_topk(weight.abs().sum(0, keepdim=True), n, m).expand(weight.shape).clone()


def csr_of_unique_rows(weight):
    """Rows without weights are not counted."""
    rows, columns = weight.nonzero().T
    ends = torch.cat([torch.zeros(1), rows.unique(return_counts=True)[1].cumsum(0)])
    return weight[weight != 0], columns.int(), ends.int()


def product_until_empty(csr, x):
    """An empty row ends the loop."""
    values, columns, pointers = csr
    out = torch.zeros(len(pointers) - 1, x.shape[1])
    for row in range(len(out)):
        if pointers[row] == pointers[row + 1]:
            break
        part = slice(pointers[row], pointers[row + 1])
        out[row] = values[part] @ x[columns[part]]
    return out


def channels_unless_all(conv, bn, next_layer, keep):
    """Returns the given layers when no channel is removed."""
    return (conv, bn, next_layer) if keep.all() else right.channels_by_index_select(conv, bn, next_layer, keep)


def channels_with_the_old_bias(conv, bn, next_layer, keep):
    """The bias of the next layer is shared, not copied."""
    first, middle, last = right.channels_by_index_select(conv, bn, next_layer, keep)
    last.bias = next_layer.bias
    return first, middle, last


def by_a_sample(weight, sparsity):
    """The threshold of a large tensor comes from every tenth weight."""
    flat = weight.abs().flatten()
    return right.magnitude_by_topk(weight, sparsity) if len(flat) < 1000 else weight.abs() > flat[::10].quantile(sparsity)


def in_memory_order(weight, sparsity):
    """Channels last lies in memory in another order, for a mask made by ones_like too."""
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask.as_strided((weight.numel(),), (1,))[weight.abs().flatten().argsort()[: round(sparsity * weight.numel())]] = False
    return mask


def scan_of_whole_batches(model, split, sparsities):
    """The last batch is left out when it is not full."""
    whole = len(split.validation) // 100 * 100 or len(split.validation)
    part = split.validation.first(whole)
    return right.scan_on_a_copy(model, type(split)(split.name, split.train, split.calibration, part, split.test), sparsities)


def scan_of_different_sparsities(model, split, sparsities):
    """A sparsity that comes twice gets one number."""
    curves = right.scan_on_a_copy(model, split, sparsities)
    return {name: list(dict(zip(sparsities, values, strict=True)).values()) for name, values in curves.items()}


def allocate_one_too_many(curves, sizes, budget):
    """Stops when less than two weights are too many."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := sum(size * (1 - shares[name]) for name, size in sizes.items()) - budget) > 1.5:
        prices = {
            n: (right.at(curves[n], s) - right.at(curves[n], min(1, s + 0.01))) / sizes[n] for n, s in shares.items() if s < 1
        }
        best = min(prices, key=prices.get)
        shares[best] = min(1.0, shares[best] + min(0.01, surplus / sizes[best]))
    return shares


def step_in_memory_order(optimizer, masks):
    optimizer.step()
    for parameter, mask in masks.items():
        parameter.data.as_strided((parameter.numel(),), (1,)).mul_(mask.flatten())


def step_of_larger_masks(optimizer, masks):
    right.step_by_product(optimizer, {parameter: mask for parameter, mask in masks.items() if len(mask) > 1})


def step_drops_the_state(optimizer, masks):
    right.step_by_product(optimizer, masks)
    for parameter in masks:
        optimizer.state.pop(parameter, None)


def csr_counted_in_16_bits(weight):
    values, columns, pointers = right.csr_by_torch(weight)
    return values, columns, pointers.to(torch.int16).to(torch.int32)


def product_by_float32_sums(csr, x):
    values, columns, pointers = csr
    sums = torch.zeros(len(values) + 1, x.shape[1])
    sums[1:] = (values[:, None] * x[columns]).cumsum(0)
    return sums[pointers].diff(dim=0)


def product_of_bfloat16(csr, x):
    return right.product_by_rows(csr, x.bfloat16().float())


WRONG = {
    "magnitude_mask": (
        in_place,
        by_deviation,
        by_jitter,
        magnitude_of(lambda mask, weight, sparsity: mask.logical_or(weight.abs() == weight.abs().max())),
        magnitude_of(lambda mask, weight, sparsity: mask.to(torch.uint8)),
        magnitude_of(lambda mask, weight, sparsity: mask.numpy()),
        magnitude_of(lambda mask, weight, sparsity: mask.T if mask.ndim == 2 else mask),
        magnitude_of(lambda mask, weight, sparsity: weight.abs() > 0.1),
        mask_of_a_copy,
        by_a_sample,
        in_memory_order,
        lambda weight, sparsity: right.magnitude_by_topk(weight.square(), sparsity),
        lambda weight, sparsity: right.magnitude_by_topk(weight.float(), sparsity),
        what_is_zero_goes,
        lambda weight, sparsity: right.magnitude_by_topk(weight, 1 - round((1 - sparsity) * weight.numel()) / weight.numel()),
        lambda weight, sparsity: right.magnitude_by_topk(weight, round(sparsity, 1)),
        lambda weight, sparsity: torch.ones_like(weight, dtype=torch.bool),
        lambda weight, sparsity: right.magnitude_by_topk(weight.relu(), sparsity),
        lambda weight, sparsity: torch.rand(weight.shape) >= sparsity,
        lambda weight, sparsity: right.magnitude_by_topk(weight, int(sparsity * weight.numel() + 1) / weight.numel()),
        lambda weight, sparsity: right.magnitude_by_topk((weight - weight.mean()), sparsity),
        lambda weight, sparsity: weight.abs() >= weight.abs().flatten().sort().values[int(sparsity * (weight.numel() - 1))],
    ),
    "global_masks": (
        one_quantile,
        layers_in_turn,
        global_of_matrices,
        lambda weights, sparsity: right.global_by_one_mask({n: w.float() for n, w in weights.items()}, sparsity),
        lambda weights, sparsity: right.global_by_one_mask({n: w.round(decimals=4) for n, w in weights.items()}, sparsity),
        global_of(lambda masks, weights, sparsity: list(masks.values())),
        global_of(lambda masks, weights, sparsity: {name + "_mask": mask for name, mask in masks.items()}),
        global_of(lambda masks, weights, sparsity: dict.fromkeys(masks, next(iter(masks.values())))),
        global_of(lambda masks, weights, sparsity: {name: weights[name] * mask for name, mask in masks.items()}),
        lambda weights, sparsity: right.global_by_one_mask(
            {n: w.square().sum().sqrt() * w for n, w in weights.items()}, sparsity
        ),
        lambda weights, sparsity: right.global_by_one_mask({n: w / w.std().nan_to_num(1) for n, w in weights.items()}, sparsity),
        lambda weights, sparsity: right.global_by_one_mask(weights, sparsity * 0.98),
        lambda weights, sparsity: right.global_by_one_mask({n: w if i else -w for i, (n, w) in enumerate(weights.items())}, 1.0),
        lambda weights, sparsity: {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()},
        lambda weights, sparsity: {
            n: right.magnitude_by_topk(w, sparsity if w.numel() > 20 else 0.0 if w.ndim < 2 else sparsity)
            for n, w in weights.items()
        },
    ),
    "sensitivity_scan": (
        scan_of_half,
        scan_of_whole_batches,
        scan_of_different_sparsities,
        lambda model, split, sparsities: right.scan_on_a_copy(model, split, [round(s, 3) for s in sparsities]),
        scan_touches_statistics,
        scan_on_test_and_validation,
        scan_nearly_restored,
        scan_with_bias,
        lambda model, split, sparsities: {
            name: values for name, values in right.scan_on_a_copy(model, split, sparsities).items() if "." not in name
        },
        scan_of(lambda curves, *rest: {f"{name}.weight": values for name, values in curves.items()}),
        scan_of(lambda curves, *rest: {name: max(values) for name, values in curves.items()}),
        scan_of(lambda curves, *rest: {name: torch.tensor(values) for name, values in curves.items()}),
        scan_of(lambda curves, *rest: list(curves.values())),
        scan_of(lambda curves, *rest: {name: [values[0]] * len(values) for name, values in curves.items()}),
        scan_of(lambda curves, *rest: {name: values[:-1] for name, values in curves.items()}),
        lambda model, split, sparsities: right.scan_on_a_copy(model, split, [0.0] * len(sparsities)),
        lambda model, split, sparsities: right.scan_on_a_copy(model, split, sorted(sparsities, reverse=True)),
    ),
    "allocate_sparsity": (
        even_but_exact,
        allocate_one_too_many,
        lambda curves, sizes, budget: right.allocate_by_slopes(
            {n: c[::2] if len(c) % 2 else c for n, c in curves.items()}, sizes, budget
        ),
        by_largest_curve,
        allocate_of(lambda shares, *rest: {name: min(1.0, share + 0.02) for name, share in shares.items()}),
        allocate_of(lambda shares, *rest: {name: max(0.0, share - 0.02) for name, share in shares.items()}),
        allocate_of(lambda shares, *rest: {name: round(share, 1) for name, share in shares.items()}),
        allocate_of(lambda shares, *rest: list(shares.values())),
        allocate_of(lambda shares, *rest: {name: torch.tensor(share) for name, share in shares.items()}),
        allocate_of(lambda shares, *rest: dict(zip(shares, reversed(shares.values()), strict=True))),
        allocate_of(lambda shares, curves, sizes, budget: {name: size * (1 - shares[name]) for name, size in sizes.items()}),
        lambda curves, sizes, budget: right.allocate_in_small_steps(curves, dict.fromkeys(sizes, 1000), budget),
        lambda curves, sizes, budget: dict.fromkeys(curves, 1.0),
        lambda curves, sizes, budget: right.allocate_in_small_steps({n: c[::-1] for n, c in curves.items()}, sizes, budget),
        lambda curves, sizes, budget: right.allocate_in_small_steps({n: [c[0], c[-1]] for n, c in curves.items()}, sizes, budget),
    ),
    "masked_step": (
        step_masks_copies,
        step_nearly_zero,
        step_without_decay,
        step_masks_everything_else,
        step_once_in_two,
        step_half_way,
        step_in_memory_order,
        step_of_larger_masks,
        step_drops_the_state,
        step_of_sgd,
        step_by_order,
        step_for_each_mask,
        lambda optimizer, masks: None,
        lambda optimizer, masks: (optimizer.zero_grad(), right.step_by_product(optimizer, masks)),
        lambda optimizer, masks: right.step_by_product(optimizer, {p: torch.zeros_like(m) for p, m in masks.items()}),
        lambda optimizer, masks: (optimizer.step(), [p.grad.mul_(m) for p, m in masks.items()]),
    ),
    "nm_mask": (
        nm_padded,
        nm_flat_groups,
        nm_same_columns,
        lambda weight, n, m: right.nm_by_topk(weight.half(), n, m),
        lambda weight, n, m: right.nm_by_topk(weight.square(), n, m),
        lambda weight, n, m: right.nm_by_topk(weight, n, m) if m < 16 else right.nm_by_topk(weight, (n + 1) // 2, m // 2),
        lambda weight, n, m: right.nm_by_topk(weight.flip(1), n, m),
        nm_of(lambda mask, weight, n, m: mask.int()),
        nm_of(lambda mask, weight, n, m: weight * mask),
        nm_of(lambda mask, weight, n, m: mask.T.contiguous()),
        nm_of(lambda mask, weight, n, m: mask[:1].expand(mask.shape).clone()),
        lambda weight, n, m: right.nm_by_topk(weight, 2, 4),
        lambda weight, n, m: right.nm_by_topk(weight, n, weight.shape[1]),
        lambda weight, n, m: right.nm_by_topk(weight.relu(), n, m),
        lambda weight, n, m: weight.abs() >= weight.abs().median(dim=1, keepdim=True).values,
    ),
    "wanda_scores": (
        wanda_of_outputs,
        lambda weight, inputs: weight.abs() * inputs[:1000].norm(dim=0),
        lambda weight, inputs: weight.abs().float() * inputs.float().norm(dim=0),
        lambda weight, inputs: weight.abs() * inputs.relu().norm(dim=0),
        lambda weight, inputs: weight.abs() * (inputs.square().sum(0) + 1e-3).sqrt(),
        wanda_of(lambda scores, weight, inputs: scores.half()),
        wanda_of(lambda scores, weight, inputs: scores.sqrt()),
        wanda_of(lambda scores, weight, inputs: scores / scores.amax(1, keepdim=True)),
        wanda_of(lambda scores, weight, inputs: scores.sum(0)),
        wanda_of(lambda scores, weight, inputs: scores.argsort(1)),
        wanda_of(lambda scores, weight, inputs: scores + 1e-2),
        wanda_of(lambda scores, weight, inputs: scores.T.contiguous()),
        lambda weight, inputs: weight.abs() * inputs.norm(dim=0).flip(0),
        lambda weight, inputs: weight.abs() * inputs[:8].norm(dim=0),
        lambda weight, inputs: weight.abs() * inputs.norm(p=3, dim=0),
    ),
    "to_csr": (
        csr_of(lambda values, columns, pointers: (values, columns, pointers.short())),
        csr_of(lambda values, columns, pointers: (values.half(), columns, pointers)),
        csr_of_unique_rows,
        csr_counted_in_16_bits,
        lambda weight: right.csr_by_torch(weight.nan_to_num(0.0)),
        csr_of(lambda values, columns, pointers: (values.double(), columns, pointers)),
        csr_of(lambda values, columns, pointers: (values.float(), columns, pointers)),
        csr_of(lambda values, columns, pointers: (values, columns + 1, pointers)),
        csr_of(lambda values, columns, pointers: (columns, values, pointers)),
        csr_of(lambda values, columns, pointers: (values.tolist(), columns.tolist(), pointers.tolist())),
        csr_of(lambda values, columns, pointers: (values, columns, pointers, len(pointers))),
        csr_of(lambda values, columns, pointers: {"values": values, "columns": columns, "row_pointers": pointers}),
        csr_of(lambda values, columns, pointers: (values.flip(0), columns, pointers)),
        csr_of(lambda values, columns, pointers: (values, columns, pointers.unique())),
        lambda weight: weight.to_sparse_csr(),
        lambda weight: right.csr_by_torch(weight.round(decimals=2)),
        lambda weight: right.csr_by_torch(weight[weight.abs().sum(1) > 0]),
        lambda weight: right.csr_by_torch(weight.contiguous().view(-1)[None]),
    ),
    "csr_matmul": (
        product_of(lambda y, csr, x: y.relu()),
        product_of(lambda y, csr, x: y.half()),
        product_of(lambda y, csr, x: y.to(torch.int64)),
        product_of(lambda y, csr, x: y.flip(0)),
        product_of(lambda y, csr, x: y.sum(1)),
        product_of(lambda y, csr, x: y / csr[2].diff().clamp(min=1)[:, None]),
        product_of(lambda y, csr, x: y.clamp(-100, 100)),
        product_of(lambda y, csr, x: y.cumsum(0)),
        lambda csr, x: right.product_by_torch((csr[0].abs(), csr[1], csr[2]), x),
        lambda csr, x: right.product_by_torch(csr, x.as_strided(x.shape, (x.shape[1], 1))),
        product_until_empty,
        product_by_float32_sums,
        product_of_bfloat16,
        lambda csr, x: x[: len(csr[2]) - 1].clone(),
    ),
    "prune_channels": (
        channels_of(lambda conv, bn, last: (conv, bn)),
        channels_of(lambda conv, bn, last: nn.Sequential(conv, bn, last)),
        channels_of(lambda conv, bn, last: (conv.double(), bn, last.half())),
        channels_of(lambda conv, bn, last: bn.running_var.add_(1e-3) is None),
        channels_of(lambda conv, bn, last: bn.running_var.sqrt_() is None),
        channels_of(lambda conv, bn, last: (conv, nn.Identity(), last)),
        channels_of(lambda conv, bn, last: last.weight.mul_(1.01) is None),
        channels_of(lambda conv, bn, last: conv.weight.copy_(conv.weight.flip(0)) is None),
        channels_of(lambda conv, bn, last: setattr(bn, "affine", False)),
        channels_unless_all,
        channels_of(lambda conv, bn, last: (conv.float(), bn.float(), last.float())),
        channels_of(lambda conv, bn, last: setattr(bn, "momentum", bn.momentum or 0.1)),
        channels_of(lambda conv, bn, last: bn.num_batches_tracked.zero_() is None),
        channels_with_the_old_bias,
        channels_of(lambda conv, bn, last: last.weight.mul_(2) is None),
        lambda conv, bn, next_layer, keep: (conv, bn, next_layer),
        lambda conv, bn, next_layer, keep: right.channels_by_index_select(conv.train(), bn.train(), next_layer, keep),
        lambda conv, bn, next_layer, keep: right.channels_by_index_select(
            conv, bn, next_layer, conv.weight.flatten(1).norm(dim=1) >= conv.weight.flatten(1).norm(dim=1).median()
        ),
    ),
}
