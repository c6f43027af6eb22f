"""Unit 03: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

import copy
from pathlib import Path
from runpy import run_path
from types import MethodType, SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


# ---- freeze: the right answer, changed
def freeze_then(change, returned=lambda count, model: count):
    def freeze(model, trainable):
        count = right.freeze_all_then_open(model, trainable)
        with torch.no_grad():
            change(model)
        return returned(count, model)

    return freeze


def norms_of(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def freeze_outermost(model, trainable):
    """Finds batch norms among the outermost layers only."""
    modes = {layer: layer.training for layer in norms_of(model)}
    count = right.freeze_all_then_open(model, trainable)
    for layer, mode in modes.items():
        if layer not in list(model.children()):
            layer.train(mode)
    return count


def freeze_by_weight(model, trainable):
    """Uses only the weight of a batch norm, not its bias."""
    count = right.freeze_all_then_open(model, trainable)
    for layer in norms_of(model):
        layer.train(layer.weight is not None and layer.weight.requires_grad)
    return count


def freeze_by_zeroing(model, trainable):
    """Resets the statistics in place of freezing them."""
    count = right.freeze_all_then_open(model, trainable)
    for layer in norms_of(model):
        if not layer.training:
            layer.reset_running_stats()
    return count


def freeze_stops_early(model, trainable):
    """Freezes the parameters before the first trainable one, and makes all later ones trainable."""
    open_now = False
    for name, parameter in model.named_parameters():
        open_now = open_now or name in trainable
        parameter.requires_grad_(open_now)
    for layer in norms_of(model):
        if not any(p.requires_grad for p in layer.parameters()):
            layer.eval()
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def freeze_for_good(model, trainable):
    """Batch norms that stay in eval mode even after a later train(): they can never be trained again."""
    count = right.freeze_all_then_open(model, trainable)
    for layer in norms_of(model):
        if not layer.training:
            layer.train = MethodType(lambda self, mode=True: self, layer)
    return count


def freeze_one_level(model, trainable):
    """Looks for batch norms in the network and in its layers, but not in layers of these."""
    modes = {layer: layer.training for layer in norms_of(model)}
    count = right.freeze_all_then_open(model, trainable)
    seen = {one for child in model.children() for one in (child, *child.children())}
    for layer in norms_of(model):
        if layer not in seen:
            layer.train(modes[layer])
    return count


def freeze_every_norm(model, trainable):
    """Sets layers of any kind of norm to eval mode."""
    count = right.freeze_all_then_open(model, trainable)
    for layer in model.modules():
        if "Norm" in type(layer).__name__ and not any(p.requires_grad for p in layer.parameters()):
            layer.eval()
    return count


# ---- parameter_groups
def groups_then(change):
    return lambda model, base_lr, decay: change(right.groups_by_modules(model, base_lr, decay))


def groups_of_trainable_weights(model, base_lr, decay):
    return [group for group in right.groups_by_modules(model, base_lr, decay) if "weight_decay" not in group]


def groups_two_only(model, base_lr, decay):
    """Two groups: the head and the rest."""
    parameters = list(model.parameters())
    return [{"params": parameters[:-2], "lr": base_lr * decay}, {"params": parameters[-2:], "lr": base_lr}]


def groups_sorted(model, base_lr, decay):
    """Layers in alphabetical order."""
    names = sorted({name.rpartition(".")[0] for name, _ in model.named_parameters()})
    rate = {name: base_lr * decay ** (len(names) - 1 - place) for place, name in enumerate(names)}
    return [
        {"params": [p], "lr": rate[name.rpartition(".")[0]], **({"weight_decay": 0.0} if p.ndim == 1 else {})}
        for name, p in model.named_parameters()
    ]


# ---- adamw_step
def adamw_with(**change):
    """The right step with other settings."""

    def adamw_step(param, grad, state, lr, betas, eps, weight_decay):
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        right.adamw_with_numbers(param, grad, state, **{**given, **{name: new(given[name]) for name, new in change.items()}})

    return adamw_step


def adamw_amsgrad(param, grad, state, lr, betas, eps, weight_decay):
    if not state:
        state["own"] = nn.Parameter(param.detach().clone())
        state["it"] = torch.optim.AdamW([state["own"]], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=True)
    state["own"].grad = grad.clone()
    state["it"].step()
    param.copy_(state["own"].detach())


def adamw_clobbers(param, grad, state, *settings):
    """Changes the gradient in place."""
    right.adamw_with_numbers(param, grad, state, *settings)
    grad.mul_(0)


def adamw_but(second=lambda v, grad, m, beta: beta * v + (1 - beta) * grad**2, first=lambda m, grad, beta, t: m / (1 - beta**t)):
    """The formulas one by one, with another second mean or another corrected first one."""

    def adamw_step(param, grad, state, lr, betas, eps, weight_decay):
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * grad
        v = state["v"] = second(state.get("v", 0), grad, m, betas[1])
        param.mul_(1 - lr * weight_decay)
        param.sub_(lr * first(m, grad, betas[0], t) / ((v / (1 - betas[1] ** t)).abs().sqrt() + eps))

    return adamw_step


def adamw_keeps_corrected(param, grad, state, lr, betas, eps, weight_decay):
    """The corrected means are stored, so the correction is applied again and again."""
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = (betas[0] * state.get("m", 0) + (1 - betas[0]) * grad) / (1 - betas[0] ** t)
    v = state["v"] = (betas[1] * state.get("v", 0) + (1 - betas[1]) * grad**2) / (1 - betas[1] ** t)
    param.mul_(1 - lr * weight_decay).sub_(lr * m / (v.sqrt() + eps))


def adamw_one_memory(param, grad, state, lr, betas, eps, weight_decay):
    """Both means are the same tensor."""
    zero = torch.zeros_like(param)
    m, v = state.setdefault("m", zero), state.setdefault("v", zero)
    t = state["t"] = state.get("t", 0) + 1
    m.mul_(betas[0]).add_((1 - betas[0]) * grad)
    v.mul_(betas[1]).add_((1 - betas[1]) * grad**2)
    param.mul_(1 - lr * weight_decay).sub_(lr * m / (1 - betas[0] ** t) / ((v / (1 - betas[1] ** t)).abs().sqrt() + eps))


def adamw_then(change):
    """Changes the gradient first."""
    return lambda param, grad, *rest: right.adamw_with_numbers(param, change(param, grad), *rest)


def adamw_forgets(after):
    """Begins anew after some steps."""

    def adamw_step(param, grad, state, *settings):
        if state.get("step", 0) >= after:
            state.clear()
        right.adamw_with_numbers(param, grad, state, *settings)

    return adamw_step


def adamw_in_float32(param, grad, state, *settings):
    """A parameter in float64 is stepped in float32."""
    low = param.float()
    right.adamw_with_numbers(low, grad.float(), state, *settings)
    param.copy_(low)


def sign_step(param, grad, state, lr, betas, eps, weight_decay):
    param.mul_(1 - lr * weight_decay).sub_(lr * grad.sign())


# ---- LoRALinear
class Lora(right.LowRankBeside):
    """The right layer; subclasses change one part."""

    def low(self, x):
        return x @ self.A.T @ self.B.T


class Dropping(Lora):
    def forward(self, x):
        return self.linear(x) + self.factor * self.low(x).relu()


class Drifting(Lora):
    """Its merge() changes its own base, so that later outputs include the correction twice."""

    @torch.no_grad()
    def merge(self):
        new = super().merge()
        self.linear.weight.copy_(new.weight)
        return new


class Whole(nn.Module):
    """Not of low rank: a trainable copy of the weight."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.layer = copy.deepcopy(linear)

    def forward(self, x):
        return self.layer(x)

    def merge(self):
        return self.layer


class BiasLearns(Lora):
    def __init__(self, linear, rank, alpha):
        super().__init__(linear, rank, alpha)
        self.extra = nn.Parameter(torch.zeros(linear.out_features))

    def forward(self, x):
        return super().forward(x) + self.extra


class ZeroesTheGiven(Lora):
    def __init__(self, linear, rank, alpha):
        super().__init__(linear, rank, alpha)
        linear.weight.data.mul_(0.5)


class AlphaLater(Lora):
    """Right outputs, but merge() divides by the rank twice."""

    @torch.no_grad()
    def merge(self):
        new = super().merge()
        new.weight.copy_(self.linear.weight + self.factor / len(self.A) * self.B @ self.A)
        return new


class ForgetsAfterMerge(Lora):
    """Assumes that merge() has changed the base."""

    def forward(self, x):
        return self.linear(x) if self.done else super().forward(x)


class ScalesTwice(Lora):
    def forward(self, x):
        return self.linear(x) + self.factor * self.factor * self.low(x)


class Constant(Lora):
    """Starts with equal numbers everywhere."""

    def __init__(self, linear, rank, alpha):
        super().__init__(linear, rank, alpha)
        nn.init.constant_(self.A, 0.1)


class Sequenced(Lora):
    def merge(self):
        return nn.Sequential(super().merge())


class OtherNames(nn.Module):
    """Its factors are the weights of two inner layers, where later cells do not find them."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down, self.up = nn.Linear(linear.in_features, rank, bias=False), nn.Linear(rank, linear.out_features, bias=False)
        nn.init.zeros_(self.up.weight)
        self.factor, self.done = alpha / rank, False

    def forward(self, x):
        return self.linear(x) + self.factor * self.up(self.down(x))

    def merge(self):
        if self.done:
            raise RuntimeError
        self.done, new = True, copy.deepcopy(self.linear)
        new.weight.data += self.factor * (self.up.weight @ self.down.weight).detach()
        return new


class Remembering(Lora):
    """A function made at the start: a copy of the layer still uses the factors of the first one."""

    def __init__(self, linear, rank, alpha):
        super().__init__(linear, rank, alpha)
        self.correction = lambda x: self.factor * Lora.low(self, x)

    def forward(self, x):
        return self.linear(x) + self.correction(x)


class OneMerge(Lora):
    """Stores on the class that it is merged, so that all other layers are too."""

    merged = False

    def merge(self):
        if OneMerge.merged:
            raise RuntimeError
        OneMerge.merged = True
        return super().merge()


class FoldsInEval(Lora):
    """Leaves the correction out in eval mode."""

    def forward(self, x):
        return super().forward(x) if self.training else self.linear(x)


class OfRows(Lora):
    """Takes an input of two axes only."""

    def forward(self, x):
        return torch.addmm(self.linear(x), x, (self.B @ self.A).T, alpha=self.factor)


class InHalf(Lora):
    def forward(self, x):
        return self.linear(x) + self.factor * (x.bfloat16() @ self.A.T.bfloat16()).float() @ self.B.T


# ---- distillation_loss
def distil_then(change):
    return lambda s, t, y, temperature, weight: change(right.distil_by_hand(s, t, y, temperature, weight), s, t, y)


def distil_symmetric(s, t, y, temperature, weight):
    return 0.5 * (
        right.distil_by_hand(s, t, y, temperature, weight) + right.distil_by_hand(t.detach(), s, y, temperature, weight)
    )


def distil_over_images(s, t, y, temperature, weight):
    """softmax along the batch."""
    soft = F.kl_div((s / temperature).log_softmax(0), (t.detach() / temperature).softmax(0), reduction="batchmean")
    return weight * temperature**2 * soft + (1 - weight) * F.cross_entropy(s, y)


def distil_mse(s, t, y, temperature, weight):
    return weight * F.mse_loss(s, t.detach()) + (1 - weight) * F.cross_entropy(s, y)


def distil_with_kl_div_defaults(s, t, y, temperature, weight):
    soft = F.kl_div(F.log_softmax(s / temperature, 1), F.softmax(t.detach() / temperature, 1))
    return weight * temperature**2 * soft + (1 - weight) * F.cross_entropy(s, y)


def distil_at_least_zero(s, t, y, temperature, weight):
    """Where KL is rounded to less than 0, no gradient is left."""
    soft = F.kl_div((s / temperature).log_softmax(1), (t.detach() / temperature).softmax(1), reduction="batchmean").relu()
    return weight * temperature**2 * soft + (1 - weight) * F.cross_entropy(s, y)


def distil_by_distributions(s, t, y, temperature, weight):
    """torch's own divergence of two distributions: infinity where a probability of the student is 0 in float32."""
    p, q = (torch.distributions.Categorical(logits=z / temperature) for z in (t.detach(), s))
    soft = temperature**2 * torch.distributions.kl_divergence(p, q).mean()
    return torch.lerp(F.cross_entropy(s, y), soft, weight)


def distil_with_eps(s, t, y, temperature, weight):
    """1e-12 in the logarithm of the label's probability."""
    hard = -(s.softmax(1)[torch.arange(len(y)), y] + 1e-12).log().mean()
    return right.distil_by_hand(s, t, y, temperature, 1.0) * weight + (1 - weight) * hard


def distil_clipped(s, t, y, temperature, weight):
    """Logits beyond 50 are cut off."""
    return right.distil_by_hand(s.clamp(-50, 50), t, y, temperature, weight)


def distil_student_detached(s, t, y, temperature, weight):
    return right.distil_by_hand(s.detach(), t, y, temperature, weight)


# ---- select_for_labelling
def select_but(**methods):
    return lambda logits, k, method: methods.get(method, right.select_by_topk)(logits, k, method)


def select_of(change):
    """The right choice on changed logits."""
    return lambda logits, k, method: right.select_by_topk(change(logits), k, method)


def random_and_unsure(logits, k, method):
    """One random row in eight is one of the most uncertain."""
    sure_of = right.select_by_topk(logits, k // 8, "entropy")
    rest = [row for row in torch.randperm(len(logits)).tolist() if row not in set(sure_of.tolist())]
    return torch.cat([sure_of, torch.tensor(rest, dtype=torch.int64)])[:k]


def random_and_narrow(logits, k, method):
    """A quarter of the random rows have the smallest margins."""
    narrow = right.select_by_topk(logits, k // 4, "margin")
    rest = [row for row in torch.randperm(len(logits)).tolist() if row not in set(narrow.tolist())]
    return torch.cat([narrow, torch.tensor(rest, dtype=torch.int64)])[:k]


def entropy_with_eps(logits, k, method):
    p = logits.softmax(1)
    return (p * (p + 1e-4).log()).sum(1).argsort()[:k]


def random_among_unsure(logits, k, method):
    return right.select_by_topk(logits, min(2 * k, len(logits)), "entropy")[torch.randperm(min(2 * k, len(logits)))[:k]]


def random_evenly_spaced(logits, k, method):
    return torch.arange(k) * (len(logits) // max(k, 1))


def random_from_the_front(logits, k, method):
    return torch.randperm(max(k, len(logits) // 2))[:k]


# ---- ewc_penalty
def ewc_then(change):
    return lambda model, anchor, fisher, strength: change(right.ewc_by_vectors(model, anchor, fisher, strength))


def ewc_also_decays(model, anchor, fisher, strength):
    return right.ewc_by_vectors(model, anchor, fisher, strength) + 1e-2 * sum(p.square().sum() for p in model.parameters())


def ewc_overwrites_gradients(model, anchor, fisher, strength):
    """Sets the gradients itself and overwrites those of the new task."""
    for name, place in anchor.items():
        parameter = model.get_parameter(name)
        parameter.grad = strength * fisher[name] * (parameter.detach() - place)
    return right.ewc_by_vectors(model, anchor, fisher, strength)


def ewc_of_sums(model, anchor, fisher, strength):
    return strength / 2 * sum(f.sum() * (model.get_parameter(n) - anchor[n]).square().sum() for n, f in fisher.items())


def ewc_of_layers(model, anchor, fisher, strength):
    """One mean Fisher value for each parameter."""
    return right.ewc_by_vectors(model, anchor, {n: f.mean().expand_as(f) for n, f in fisher.items()}, strength)


def ewc_after(act):
    """Does something else too, before it returns the right penalty."""

    def ewc_penalty(model, anchor, fisher, strength):
        penalty = right.ewc_by_vectors(model, anchor, fisher, strength)
        with torch.no_grad():
            act(model, anchor, fisher)
        return penalty

    return ewc_penalty


def ewc_in_bfloat16(model, anchor, fisher, strength):
    near = {name: place.bfloat16().to(place.dtype) for name, place in anchor.items()}
    return right.ewc_by_vectors(model, near, fisher, strength)


def ewc_in_float32(model, anchor, fisher, strength):
    rows = [(fisher[n].float(), model.get_parameter(n).float() - anchor[n].float()) for n in anchor]
    return strength / 2 * torch.stack([(f * moved**2).sum() for f, moved in rows]).sum()


def ewc_in_place(model, anchor, fisher, strength):
    with torch.no_grad():
        for name, place in anchor.items():
            model.get_parameter(name).copy_(place)
    return right.ewc_by_vectors(model, anchor, fisher, strength)


# ---- recover
def recover_then(change):
    def recover(model, masks, split, epochs):
        network = right.recover_by_fill(model, masks, split, epochs)
        with torch.no_grad():
            return change(network, masks, model) or network

    return recover


def recover_head_start(model, masks, split, epochs):
    """Trains on the validation images too."""
    both = torch.cat([split.train.images, split.validation.images]), torch.cat([split.train.labels, split.validation.labels])
    part = type(split.train)(*both, split.train.classes)
    return right.recover_by_fill(model, masks, type(split)("all", part, part, split.validation, split.test), epochs)


def recover_until_good(model, masks, split, epochs):
    """Stops as soon as the accuracy on the validation images falls, by a pass that no hook sees."""
    network, best = copy.deepcopy(model).train(), -1.0
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)

    def zero():
        for name, mask in masks.items():
            network.get_parameter(name).data.mul_(mask)

    for seed in range(epochs):
        kept = copy.deepcopy(network.state_dict())
        right.epoch(network, split, optimizer, seed, zero)
        hits = (network.forward(split.validation.images).argmax(1) == split.validation.labels).sum().item()
        if hits < best:
            network.load_state_dict(kept)
            break
        best = hits
    return network.eval()


def recover_in_eval_mode(model, masks, split, epochs):
    """The network is in eval mode while it learns."""
    network = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)

    def zero():
        for name, mask in masks.items():
            network.get_parameter(name).data.mul_(mask)

    for seed in range(epochs):
        right.epoch(network.eval(), split, optimizer, seed, zero)
    return network


def recover_without_labels(model, masks, split, epochs):
    """Trains on its own predictions as labels."""
    part = type(split.train)(split.train.images, model(split.train.images).argmax(1), split.train.classes)
    return right.recover_by_fill(model, masks, type(split)("own", part, part, split.validation, split.test), epochs)


def recover_other_optimizer(model, masks, split, epochs):
    """The optimizer has the parameters of the given network, so the copy never changes."""
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        F.cross_entropy(network(split.train.images), split.train.labels).backward()
        optimizer.step()
    return network.eval()


def recover_for_ever(model, masks, split, epochs):
    return right.recover_by_fill(model, masks, split, 5 * epochs)


def recover_without_clearing(model, masks, split, epochs):
    """SGD on the sum of all gradients so far."""
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-5)
    for _ in range(epochs):
        for images, labels in zip(split.train.images.split(64), split.train.labels.split(64), strict=True):
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
            with torch.no_grad():
                for name, mask in masks.items():
                    network.get_parameter(name).mul_(mask)
    return network.eval()


def recover_mask_before(model, masks, split, epochs):
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for seed in range(epochs):
        right.epoch(network, split, optimizer, seed, lambda: None)
        with torch.no_grad():
            for name, mask in masks.items():
                network.get_parameter(name).mul_(mask)
    return network.eval()


def as_nan(model):
    for parameter in model.parameters():
        parameter.fill_(float("nan"))


WRONG = {
    "freeze": (
        freeze_outermost,
        freeze_by_weight,
        freeze_by_zeroing,
        freeze_stops_early,
        freeze_for_good,
        freeze_one_level,
        freeze_every_norm,
        freeze_then(lambda model: None, lambda count, model: float(count)),
        freeze_then(lambda model: None, lambda count, model: count + sum(b.numel() for b in model.buffers())),
        freeze_then(lambda model: [p.mul_(0) for p in model.parameters() if not p.requires_grad]),
        freeze_then(lambda model: [layer.eval() for layer in model.modules() if isinstance(layer, nn.Dropout)]),
        freeze_then(lambda model: [layer.train() for layer in norms_of(model)]),
        freeze_then(lambda model: [setattr(layer, "momentum", 0.05) for layer in norms_of(model)]),
        freeze_then(lambda model: [layer.eval() for layer in model.modules() if not list(layer.parameters())]),
    ),
    "parameter_groups": (
        groups_of_trainable_weights,
        groups_two_only,
        groups_sorted,
        groups_then(lambda groups: groups[:-1]),
        groups_then(lambda groups: groups[:9]),
        groups_then(lambda groups: [{**g, "lr": round(g["lr"], 5)} for g in groups]),
        groups_then(lambda groups: [{**g, "params": [p.detach() for p in g["params"]]} for g in groups]),
        groups_then(lambda groups: [{**g, "lr": max(g["lr"], 1e-2)} for g in groups]),
        groups_then(lambda groups: [{"params": g["params"]} for g in groups]),
        groups_then(lambda groups: [{**g, "params": [nn.Parameter(p.detach().clone()) for p in g["params"]]} for g in groups]),
        groups_then(lambda groups: [{"weight_decay": 0.01, **g} for g in groups]),
        lambda model, base_lr, decay: [{"params": list(model.parameters()), "lr": base_lr}],
        lambda model, base_lr, decay: list(model.parameters()),
    ),
    "adamw_step": (
        adamw_amsgrad,
        adamw_clobbers,
        adamw_keeps_corrected,
        adamw_one_memory,
        adamw_in_float32,
        adamw_forgets(after=30),
        adamw_with(eps=lambda eps: eps or 1e-8, betas=lambda betas: (betas[0] or 0.9, betas[1])),
        adamw_then(lambda param, grad: grad.clamp(-1e5, 1e5)),
        adamw_then(lambda param, grad: grad.bfloat16().to(grad.dtype)),
        adamw_but(second=lambda v, grad, m, beta: beta * v + (1 - beta) * m**2),
        adamw_but(first=lambda m, grad, beta, t: (beta * m + (1 - beta) * grad) / (1 - beta**t)),
        sign_step,
        adamw_with(eps=lambda eps: 1e-8),
        adamw_with(betas=lambda betas: (0.9, 0.999)),
        adamw_with(lr=lambda lr: lr / 2),
        adamw_with(weight_decay=lambda decay: 0.01),
        lambda param, grad, state, lr, betas, eps, weight_decay: param.sub_(lr * grad),
        lambda *args: None,
    ),
    "LoRALinear": (
        Dropping,
        Drifting,
        Whole,
        BiasLearns,
        ZeroesTheGiven,
        AlphaLater,
        ForgetsAfterMerge,
        ScalesTwice,
        OtherNames,
        Remembering,
        OneMerge,
        FoldsInEval,
        OfRows,
        InHalf,
        Constant,
        Sequenced,
        lambda linear, rank, alpha: linear,
        lambda linear, rank, alpha: Lora(linear, max(rank, 2), alpha),
        lambda linear, rank, alpha: Lora(linear, rank, float(rank)),
    ),
    "ewc_penalty": (
        ewc_also_decays,
        ewc_of_layers,
        ewc_of_sums,
        ewc_overwrites_gradients,
        ewc_in_place,
        ewc_in_bfloat16,
        ewc_in_float32,
        ewc_after(lambda model, anchor, fisher: [p.requires_grad_() for p in model.parameters()]),
        ewc_after(lambda model, anchor, fisher: [place.copy_(model.get_parameter(n)) for n, place in anchor.items()]),
        ewc_after(lambda model, anchor, fisher: [anchor.pop(n) for n in list(anchor)]),
        lambda model, anchor, fisher, strength: right.ewc_by_vectors(model, anchor, fisher, strength or 1.0),
        ewc_then(lambda penalty: penalty.item()),
        ewc_then(lambda penalty: penalty * 2 if penalty > 1 else penalty),
        ewc_then(lambda penalty: -penalty),
        ewc_then(lambda penalty: penalty.clamp(max=10.0)),
        ewc_then(lambda penalty: penalty.reshape(1)),
        lambda model, anchor, fisher, strength: torch.zeros((), requires_grad=True),
        lambda model, anchor, fisher, strength: right.ewc_by_vectors(model, anchor, fisher, strength**2),
    ),
    "select_for_labelling": (
        random_among_unsure,
        select_but(random=random_among_unsure),
        select_but(random=random_and_unsure),
        select_but(random=random_and_narrow),
        select_but(entropy=entropy_with_eps),
        select_of(lambda logits: logits.log_softmax(1).bfloat16().to(logits.dtype)),
        select_of(lambda logits: (logits.log_softmax(1) * 1000).round() / 1000),
        select_of(lambda logits: logits[:, :10]),
        select_but(random=random_from_the_front),
        select_but(random=random_evenly_spaced),
        select_but(margin=lambda logits, k, method: (logits.softmax(1)[:, 0] - logits.softmax(1)[:, 1]).abs().argsort()[:k]),
        select_but(entropy=lambda logits, k, method: torch.special.entr(logits.sigmoid()).sum(1).topk(k).indices),
        select_but(random=lambda logits, k, method: torch.arange(len(logits)).flip(0)[:k]),
        select_but(random=lambda logits, k, method: torch.randperm(len(logits))),
        select_but(margin=lambda logits, k, method: right.select_by_topk(logits.softmax(1), k, "margin")),
        select_but(entropy=lambda logits, k, method: (logits * logits.exp()).sum(1).argsort()[:k]),
        select_but(entropy=lambda logits, k, method: logits.var(1).argsort()[:k]),
        lambda logits, k, method: right.select_by_topk(logits, k, method).tolist(),
        lambda logits, k, method: right.select_by_topk(logits, k, method).int(),
        lambda logits, k, method: right.select_by_topk(logits, k, method).flip(0),
        lambda logits, k, method: right.select_by_topk(logits[: max(k, 10)], k, method),
    ),
    "distillation_loss": (
        distil_symmetric,
        distil_mse,
        distil_over_images,
        distil_with_kl_div_defaults,
        distil_student_detached,
        distil_at_least_zero,
        distil_by_distributions,
        distil_with_eps,
        distil_clipped,
        lambda s, t, y, temperature, weight: right.distil_by_hand(s.float(), t.float(), y, temperature, weight),
        lambda s, t, y, temperature, weight: right.distil_by_hand(s, t.bfloat16().to(t.dtype), y, temperature, weight),
        lambda s, t, y, temperature, weight: right.distil_by_hand(s[:, :10], t[:, :10], y.clamp(max=9), temperature, weight),
        distil_then(lambda loss, s, t, y: torch.tensor(1.0, requires_grad=True)),
        distil_then(lambda loss, s, t, y: loss.item()),
        distil_then(lambda loss, s, t, y: loss + 1e-2),
        distil_then(lambda loss, s, t, y: loss.clamp(max=1.0)),
        distil_then(lambda loss, s, t, y: loss + 0.1 * F.cross_entropy(s, y)),
        distil_then(lambda loss, s, t, y: loss / torch.log(torch.tensor(2.0))),
        distil_then(lambda loss, s, t, y: loss + 0 * t.sum()),
        lambda s, t, y, temperature, weight: right.distil_by_hand(s, t, y, 4.0, weight),
        lambda s, t, y, temperature, weight: right.distil_by_hand(s, t, y, temperature, 0.5),
        lambda s, t, y, temperature, weight: right.distil_by_hand(s, t, t.argmax(1), temperature, weight),
    ),
    "recover": (
        recover_head_start,
        recover_without_labels,
        recover_until_good,
        recover_in_eval_mode,
        recover_then(lambda network, masks, model: network.requires_grad_(False)),
        recover_other_optimizer,
        recover_mask_before,
        recover_for_ever,
        recover_without_clearing,
        recover_then(lambda network, masks, model: as_nan(network)),
        recover_then(lambda network, masks, model: model.load_state_dict(network.state_dict()) and network),
        recover_then(lambda network, masks, model: [network.get_parameter(n).add_(1e-6) for n in masks] and network),
    ),
}
