"""Unit 11: wrong answers that no message names. They prove the grader, as alternatives.py does."""

import copy
import math
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch
from torch.nn import functional as F

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def changed(answer, after):
    """A right answer with another result."""
    return lambda *args, **kwargs: after(answer(*args, **kwargs))


def constant(value):
    return lambda *args, **kwargs: value


def each(answer, after):
    """A right report with every entry changed."""
    return changed(answer, lambda report: {key: after(value) for key, value in report.items()})


def int32_groups(logits, labels, groups):
    return right.groups_in_python(logits, labels, groups.int())


def sorted_logits(logits, labels, groups):
    return right.groups_in_python(logits.sigmoid().round(decimals=2), labels, groups)


def no_negative_groups(logits, labels, groups):
    return {key: value for key, value in right.groups_in_python(logits, labels, groups).items() if key >= 0}


def first_thousand(logits, labels, groups):
    return right.groups_in_python(logits[:1000], labels[:1000], groups[:1000])


def clopper_like(logits, labels, groups):
    """Agresti and Coull's interval: near Wilson's, but wider."""

    def interval(hits, n):
        n2, p = n + 4, (hits + 2) / (n + 4)
        half = 1.96 * math.sqrt(p * (1 - p) / n2)
        return max(0.0, p - half), min(1.0, p + half)

    return {key: (hits, n, *interval(hits, n)) for key, (hits, n, *_) in right.groups_in_python(logits, labels, groups).items()}


def leak_to_first(train, other, tolerance=0.15):
    return right.leak_by_moving_train(train[:100], other, tolerance)


def leak_by_cosine(train, other, tolerance=0.15):
    a, b = F.normalize(train.flatten(1), dim=1), F.normalize(other.flatten(1), dim=1)
    return ((b @ a.T).amax(1) > 1 - tolerance**2 / 2).double().mean().item()


def leak_by_largest_pixel(train, other, tolerance=0.15):
    size = other.flatten(1).abs().amax(1)
    gap = (other.flatten(1)[:, None] - train.flatten(1)[None]).abs().amax(2).amin(1)
    return (gap < tolerance * size).double().mean().item()


def leak_cut(train, other, tolerance=0.15):
    """Compares what lies inside the edges only."""
    return right.leak_by_moving_train(train[..., 2:-2, 2:-2], other[..., 2:-2, 2:-2], tolerance)


def leak_to_even_shifts(train, other, tolerance=0.15):
    found = torch.zeros(len(other), dtype=torch.bool)
    for dy in (-2, 0, 2):
        for dx in (-2, 0, 2):
            gap = torch.cdist(other.roll((dy, dx), (2, 3)).flatten(1), train.flatten(1)).amin(1)
            found |= gap < tolerance * other.flatten(1).norm(dim=1)
    return found.double().mean().item()


def company_one_by_one(model, x):
    twin = copy.deepcopy(model)
    with torch.no_grad():
        whole = twin(x)
        alone = torch.cat([twin(one[None].expand(2, *one.shape))[:1] for one in x])
    return (whole - alone).abs().max().item()


def company_in_other_order(model, x):
    twin = copy.deepcopy(model)
    with torch.no_grad():
        return (twin(x) - twin(x.flip(0)).flip(0)).abs().max().item()


def company_moves_statistics(model, x):
    with torch.no_grad():
        return (model(x) - torch.cat([model(part) for part in x.chunk(4)])).abs().max().item()


def company_left_in_eval(model, x):
    value = right.company_part_by_part(model, x)
    model.eval()
    return value


def company_rounded(model, x):
    return round(right.company_part_by_part(model, x), 2)


def company_four_rows(model, x):
    """Parts of four examples in place of four parts."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        return (twin(x) - torch.cat([twin(part) for part in x.split(4)])).abs().max().item()


def difference_in_float32(before, after):
    return {
        name: (after[name].float() - v.float()).norm().item() / v.float().norm().item()
        if not torch.equal(after[name], v)
        else 0.0
        for name, v in before.items()
    }


def difference_of_sums(before, after):
    return {
        name: abs(float(after[name].double().sum() - v.double().sum())) / max(float(v.double().abs().sum()), 1e-300)
        for name, v in before.items()
    }


def difference_by_place(before, after):
    return dict(
        zip(
            before,
            right.difference_in_numpy(dict(enumerate(before.values())), dict(enumerate(after.values()))).values(),
            strict=True,
        )
    )


def difference_of_the_shorter(before, after):
    """Divides by the larger of both norms."""
    found = right.difference_in_numpy(before, after)
    return {
        name: v
        if not math.isfinite(v) or v == 0
        else v
        * float(before[name].double().norm())
        / max(float(before[name].double().norm()), float(after[name].double().norm()))
        for name, v in found.items()
    }


def same_left_in_eval(a, b, x):
    a.eval()
    b.eval()
    return right.same_of_copies(a, b, x)


def same_of_halves(a, b, x):
    return right.same_of_copies(a, b, x[: max(1, len(x) // 2)])


def same_rounded(a, b, x):
    return round(right.same_of_copies(a, b, x), 3)


def same_in_half_precision(a, b, x):
    a, b = (copy.deepcopy(model).eval().to(torch.bfloat16) for model in (a, b))
    with torch.no_grad():
        return float(torch.nan_to_num((a(x.bfloat16()) - b(x.bfloat16())).abs().float(), nan=math.inf).max())


def same_after_centering(a, b, x):
    a, b = (copy.deepcopy(model).eval() for model in (a, b))
    with torch.no_grad():
        gap = a(x) - b(x)
    gap = (gap - gap.mean(1, keepdim=True)).abs()
    return math.inf if gap.isnan().any() else gap.max().item()


def grid_of_rounded(weight, axis=0):
    return right.grid_in_python(weight.round(decimals=3), axis)


def grid_left_axis(weight, axis=0):
    return right.grid_in_python(weight.flatten(1) if weight.ndim > 2 else weight, axis if weight.ndim == 2 else 0)


def grid_top_counts_signs(weight, axis=0):
    zeros, most, top = right.grid_in_python(weight, axis)
    return zeros, most, top / 2


def grid_first_slices(weight, axis=0):
    zeros, _, top = right.grid_in_python(weight, axis)
    return zeros, right.grid_in_python(weight.movedim(axis, 0)[:2])[1], top


def gradients_clear(model, loss):
    found = right.gradients_one_by_one(model, loss)
    model.zero_grad()
    return found


def gradients_freeze(model, loss):
    found = right.gradients_one_by_one(model, loss)
    model.requires_grad_(True)
    return found


def gradients_per_entry(model, loss):
    count = {name: p.numel() for name, p in model.named_parameters()}
    return {
        name: (size / math.sqrt(count[name]), learns) for name, (size, learns) in right.gradients_one_by_one(model, loss).items()
    }


def overfit_shuffled(model, loss_of, x, y, steps=100, lr=1e-2):
    return right.overfit_with_a_running_best(model, loss_of, x[: len(x) - 1], y[: len(y) - 1], steps, lr)


def overfit_in_place(model, loss_of, x, y, steps=100, lr=1e-2):
    value = right.overfit_with_a_running_best(model, loss_of, x, y, steps, lr)
    model.train()
    return value


def overfit_ten(model, loss_of, x, y, steps=100, lr=1e-2):
    return right.overfit_with_a_running_best(model, loss_of, x, y, min(steps, 50), lr)


def overfit_adamax(model, loss_of, x, y, steps=100, lr=1e-2):
    twin, losses = copy.deepcopy(model).train(), []
    optimizer = torch.optim.Adamax([p for p in twin.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        losses.append(loss := loss_of(twin(x), y))
        loss.backward()
        optimizer.step()
    return min(losses).item()


def calls_of_first_layer(model, work):
    return right.calls_by_a_list(next(model.children()), work)


def calls_plus_hooks(model, work):
    hook = model.register_forward_pre_hook(lambda module, inputs: None)
    count = right.calls_by_a_list(model, work)
    hook.remove()
    return count + 0 * len(model._forward_pre_hooks) if count else 1


def calls_leaves_forward(model, work):
    forward, total = model.forward, []

    def watched(*args, **kwargs):
        output = forward(*args, **kwargs)
        total.append(len(output))
        return output

    model.forward = watched
    work()
    return sum(total)


def calls_as_float(model, work):
    return float(right.calls_by_a_list(model, work))


WRONG = {
    "group_report": (
        constant({}),
        sorted_logits,
        no_negative_groups,
        first_thousand,
        clopper_like,
        int32_groups,
        each(right.groups_in_python, lambda v: v[:2]),
        each(right.groups_in_python, lambda v: (*v[:2], round(v[2], 2), round(v[3], 2))),
        changed(right.groups_in_python, lambda report: list(report.values())),
    ),
    "leak_check": (
        constant(0.0),
        leak_to_first,
        leak_by_cosine,
        leak_by_largest_pixel,
        leak_cut,
        leak_to_even_shifts,
        changed(right.leak_by_moving_train, lambda share: round(share, 2)),
        changed(right.leak_by_moving_train, lambda share: 1 - share),
    ),
    "company": (
        constant(0.0),
        company_one_by_one,
        company_in_other_order,
        company_moves_statistics,
        company_left_in_eval,
        company_rounded,
        company_four_rows,
        changed(right.company_part_by_part, lambda value: value > 1e-3),
    ),
    "state_difference": (
        constant({}),
        difference_in_float32,
        difference_of_sums,
        difference_by_place,
        difference_of_the_shorter,
        each(right.difference_in_numpy, lambda v: round(v, 3) if math.isfinite(v) else v),
        each(right.difference_in_numpy, lambda v: min(v, 1.0) if v == v else v),
        each(right.difference_in_numpy, lambda v: v > 0),
        each(right.difference_in_numpy, lambda v: 0.0 if v != v else v),
    ),
    "same_answers": (
        constant(0.0),
        same_left_in_eval,
        same_of_halves,
        same_rounded,
        same_in_half_precision,
        same_after_centering,
        changed(right.same_of_copies, lambda gap: min(gap, 1e9)),
        changed(right.same_of_copies, lambda gap: gap < 1e-4),
    ),
    "grid_report": (
        constant((0.0, 1, 1.0)),
        grid_of_rounded,
        grid_left_axis,
        grid_top_counts_signs,
        grid_first_slices,
        changed(right.grid_in_python, lambda found: (found[0], float(found[1]), found[2])),
        changed(right.grid_in_python, lambda found: (round(found[0], 2), found[1], round(found[2], 2))),
        changed(right.grid_in_python, lambda found: (found[2], found[1], found[0])),
        changed(right.grid_in_python, lambda found: (found[0], min(found[1], 255), found[2])),
    ),
    "gradient_report": (
        constant({}),
        gradients_clear,
        gradients_freeze,
        gradients_per_entry,
        each(right.gradients_one_by_one, lambda v: v[0]),
        each(right.gradients_one_by_one, lambda v: (min(v[0], 1e3), v[1])),
        each(right.gradients_one_by_one, lambda v: (round(v[0], 2), v[1])),
    ),
    "overfit_one_batch": (
        constant(0.0),
        overfit_shuffled,
        overfit_in_place,
        overfit_ten,
        overfit_adamax,
        changed(right.overfit_with_a_running_best, lambda loss: round(loss, 1)),
    ),
    "count_calls": (
        constant(0),
        calls_of_first_layer,
        calls_plus_hooks,
        calls_leaves_forward,
        calls_as_float,
        changed(right.calls_by_a_list, lambda count: count + 1),
    ),
}
