"""Unit 03: right answers, written in another way. They prove that the grader accepts every right answer."""

import copy
import heapq
import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize


# ---- freeze
def freeze_all_then_open(model, trainable):
    """Freezes everything, then makes the parameters trainable one by one, by name."""
    model.requires_grad_(False)
    for name in trainable:
        model.get_parameter(name).requires_grad = True
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and all(not p.requires_grad for p in layer.parameters()):
            layer.train(False)
    return sum(model.get_parameter(name).numel() for name in trainable)


def freeze_by_layers(model, trainable):
    """Layer by layer, each parameter under its full name; the mode of a batch norm through its attribute."""
    names, count = frozenset(trainable), 0
    for prefix, layer in model.named_modules():
        learns = False
        for name, parameter in layer.named_parameters(prefix=prefix, recurse=False):
            parameter.requires_grad = name in names
            learns |= name in names
            count += parameter.numel() if name in names else 0
        if isinstance(layer, nn.BatchNorm2d) and not learns:
            layer.training = False
    return count


def freeze_all_norms_then_wake(model, trainable):
    """All batch norms in eval mode first; each name makes its parameter trainable and sets its layer to train mode."""
    model.apply(lambda layer: layer.eval() if isinstance(layer, nn.BatchNorm2d) else None)
    named, total = dict(model.named_parameters()), 0
    for parameter in named.values():
        parameter.requires_grad_(False)
    for name in set(trainable):
        total += named[name].requires_grad_(True).nelement()
        layer = model.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    return total


# ---- parameter_groups
def groups_by_modules(model, base_lr, decay):
    """One or two groups for each layer, from the last to the first; a shared parameter belongs to its first layer."""
    layers = [m for m in model.modules() if list(m.parameters(recurse=False))]
    owner = {p: m for m in reversed(layers) for p in m.parameters(recurse=False)}
    groups, rate = [], base_lr
    for layer in reversed(layers):
        own = [p for p in layer.parameters(recurse=False) if owner[p] is layer]
        groups.append({"params": [p for p in own if p.ndim > 1], "lr": rate})
        groups.append({"params": [p for p in own if p.ndim <= 1], "lr": rate, "weight_decay": 0})
        rate *= decay
    return [group for group in groups if group["params"]]


def groups_by_kind(model, base_lr, decay):
    """Single tensors in place of lists, biases and norms first."""
    layers, seen, decayed, spared = [], set(), [], []
    for module in model.modules():
        if module._parameters and any(p is not None for p in module._parameters.values()):
            layers.append(module)
    for depth, module in enumerate(layers, 1):
        for name, p in module.named_parameters(recurse=False):
            if id(p) in seen:
                continue
            seen.add(id(p))
            group = {"params": p, "lr": torch.tensor(base_lr, dtype=torch.float64).item() * decay ** (len(layers) - depth)}
            norm = "Norm" in type(module).__name__
            (spared if norm or name == "bias" else decayed).append(
                group | ({"weight_decay": 0.0} if norm or name == "bias" else {})
            )
    return spared + decayed


def groups_by_prefix(model, base_lr, decay):
    """Without modules: the part of a name before its last dot is the layer; tuples, from the last to the first."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name, _ in model.named_parameters()))[::-1]
    return [
        {"params": (p,), "lr": base_lr * decay ** layers.index(name.rpartition(".")[0])}
        | ({} if p.ndim > 1 else {"weight_decay": 0.0})
        for name, p in reversed(list(model.named_parameters()))
    ]


def groups_by_walk(model, base_lr, decay):
    """By recursion over the children; two groups for each layer that has both kinds, made from named dicts."""
    owners = []

    def visit(module, known):
        if id(module) in known:
            return
        known.add(id(module))
        if any(p is not None for p in module._parameters.values()):
            owners.append(module)
        for child in module.children():
            visit(child, known)

    visit(model, set())
    home = {}
    for layer in owners:
        for p in layer.parameters(recurse=False):
            home.setdefault(p, layer)
    groups = []
    for steps, layer in enumerate(reversed(owners)):
        own = [p for p, its in home.items() if its is layer]
        for kind, options in ((1, {"weight_decay": 0.0}), (2, {})):
            some = [p for p in own if min(p.dim(), 2) == kind]
            groups += [dict(params=some, lr=base_lr * decay**steps, **options)] if some else []
    return groups


# ---- adamw_step
def adamw_with_numbers(param, grad, state, lr, betas, eps, weight_decay):
    """In place, as torch's own loop does it."""
    if not state:
        state.update(step=0, exp_avg=torch.zeros_like(param), exp_avg_sq=torch.zeros_like(param))
    state["step"] += 1
    param.mul_(1 - lr * weight_decay)
    state["exp_avg"].lerp_(grad, 1 - betas[0])
    state["exp_avg_sq"].mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
    first, second = (1 - beta ** state["step"] for beta in betas)
    param.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt() / second**0.5 + eps, value=-lr / first)


def adamw_by_torch(param, grad, state, lr, betas, eps, weight_decay):
    """The state stores torch's optimizer itself."""
    if "optimizer" not in state:
        state["own"] = nn.Parameter(param.detach().clone())
        state["optimizer"] = torch.optim.AdamW([state["own"]], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
    state["own"].grad = grad.clone()
    state["optimizer"].step()
    param.copy_(state["own"].detach())


def adamw_in_float64(param, grad, state, lr, betas, eps, weight_decay):
    """The decay as part of the step, all in float64; the whole history is stored."""
    state.setdefault("grads", []).append(grad.double())
    n = len(state["grads"])
    means = []
    for beta, power in zip(betas, (1, 2), strict=True):
        weights = [(1 - beta) * beta ** (n - 1 - i) for i in range(n)]
        means.append(sum(w * g**power for w, g in zip(weights, state["grads"], strict=True)) / (1 - beta**n))
    step = means[0] / (means[1].sqrt() + eps) + weight_decay * param.double()
    param.data = (param.double() - lr * step).to(param.dtype)


def adamw_by_differences(param, grad, state, lr, betas, eps, weight_decay):
    """Means by interpolation to the new value; stores the powers of beta in place of the number of steps."""
    kept = state.setdefault("kept", [torch.zeros_like(param), torch.zeros_like(param), 1.0, 1.0])
    kept[0] = kept[0] + (grad - kept[0]) * (1 - betas[0])
    kept[1] = kept[1] + (grad * grad - kept[1]) * (1 - betas[1])
    kept[2:] = kept[2] * betas[0], kept[3] * betas[1]
    step = kept[0] / (1 - kept[2]) / (eps + torch.sqrt(kept[1] / (1 - kept[3])))
    param.copy_(param - lr * weight_decay * param - lr * step)


def adamw_undebiased_at_once(param, grad, state, lr, betas, eps, weight_decay):
    """Both means in one stacked tensor, both corrections in the rate, as Kingma and Ba propose (eps scaled with them)."""
    beta = torch.tensor(betas, dtype=torch.float64).reshape(2, *[1] * grad.ndim)
    state["means"] = state.get("means", 0) * beta + (1 - beta) * torch.stack([grad, grad**2]).double()
    state["steps"] = state.get("steps", 0) + 1
    first, second = (1 - b ** state["steps"] for b in betas)
    m, v = state["means"]
    moved = param.double() * (1 - lr * weight_decay) - lr * second**0.5 / first * m / (v.sqrt() + eps * second**0.5)
    param[...] = moved.to(param.dtype)


# ---- LoRALinear
class LowRankBeside(nn.Module):
    """The given layer is copied; the factors are made like weights of layers, B zero."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = copy.deepcopy(linear).requires_grad_(False)
        self.A = nn.Linear(linear.in_features, rank, bias=False).weight
        self.B = nn.init.zeros_(nn.Linear(rank, linear.out_features, bias=False).weight)
        self.factor, self.done = alpha / rank, False

    def forward(self, x):
        return self.linear(x) + F.linear(F.linear(x, self.A), self.B) * self.factor

    @torch.no_grad()
    def merge(self):
        assert not self.done, "already merged"
        self.done = True
        new = nn.Linear(self.linear.in_features, self.linear.out_features, bias=self.linear.bias is not None)
        new.weight.copy_(self.linear.weight + self.factor * self.B @ self.A)
        if new.bias is not None:
            new.bias.copy_(self.linear.bias)
        return new


class WholeWeight(nn.Module):
    """A zero and B random; the whole weight is computed before it is used."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.add_module("linear", linear)
        for p in (linear.weight, linear.bias):
            if p is not None:
                p.requires_grad = False
        self.register_parameter("B", nn.Parameter(torch.rand(linear.out_features, rank) - 0.5))
        self.register_parameter("A", nn.Parameter(torch.zeros(rank, linear.in_features)))
        self.rank, self.alpha, self.merges = rank, alpha, 0

    def whole(self):
        return torch.addmm(self.linear.weight, self.B, self.A, alpha=self.alpha / self.rank)

    def forward(self, x):
        return F.linear(x, self.whole(), self.linear.bias)

    def merge(self):
        self.merges += 1
        if self.merges > 1:
            raise ValueError("twice")
        shift = self.linear.bias
        linear = nn.Linear(*self.linear.weight.T.shape, bias=shift is not None)
        linear.load_state_dict({"weight": self.whole().detach()} | ({} if shift is None else {"bias": shift}))
        return linear


class MergesInPlace(nn.Module):
    """merge() adds the correction to the layer's own copy, and forward() no longer adds it."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = copy.deepcopy(linear)
        for p in self.linear.parameters():
            p.requires_grad = False
        self.A = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rank, linear.in_features)))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scaling, self.merged = alpha / rank, False

    def forward(self, x):
        out = self.linear(x)
        return out if self.merged else out + torch.einsum("...i,ri,or->...o", x, self.A, self.B) * self.scaling

    def merge(self):
        if self.merged:
            raise RuntimeError
        self.merged = True
        self.linear.weight.data += self.scaling * torch.mm(self.B.data, self.A.data)
        return self.linear


class ByFunctions(nn.Module):
    """A zero, and no layer is called; merge() builds its layer without initial values."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear, self.rank, self.alpha, self.used = linear.requires_grad_(False), rank, alpha, False
        self.A = nn.Parameter(torch.zeros(rank, linear.in_features))
        self.B = nn.Parameter(torch.rand(linear.out_features, rank) - 0.5)

    def forward(self, x):
        thin = F.linear(F.linear(x, self.A), self.B)
        return F.linear(x, self.linear.weight, self.linear.bias) + thin * self.alpha / self.rank

    def merge(self):
        if self.used:
            raise RuntimeError
        self.used, has_bias = True, self.linear.bias is not None
        new = nn.utils.skip_init(nn.Linear, self.linear.in_features, self.linear.out_features, bias=has_bias)
        whole = self.linear.weight + self.alpha / self.rank * torch.einsum("or,ri->oi", self.B, self.A)
        new.weight = nn.Parameter(whole.detach())
        if has_bias:
            new.bias = nn.Parameter(self.linear.bias.clone())
        return new


# ---- ewc_penalty
def ewc_by_vectors(model, anchor, fisher, strength):
    """All elements in one long vector."""
    named = {name: p for name, p in model.named_parameters() if name in anchor}
    moved = torch.cat([(p - anchor[name]).flatten() for name, p in named.items()])
    weights = torch.cat([fisher[name].flatten() for name in named])
    return 0.5 * strength * (weights @ moved**2)


def ewc_in_a_loop(model, anchor, fisher, strength):
    total = 0.0
    for name, parameter in model.named_parameters():
        if name not in fisher:
            continue
        total = total + strength * torch.sum(fisher[name] * torch.pow(parameter - anchor[name], 2)) / 2
    return total


def ewc_by_mse(model, anchor, fisher, strength):
    """Through torch's own loss, in float64."""
    parts = [
        (fisher[n].double() * F.mse_loss(model.get_parameter(n).double(), anchor[n].double(), reduction="none")).sum()
        for n in anchor
    ]
    return torch.stack(parts).sum() * (strength / 2)


def ewc_by_einsum(model, anchor, fisher, strength):
    """The names in alphabetical order, each sum a product of three vectors."""
    total = torch.zeros(())
    for name in sorted(anchor):
        moved = (model.get_parameter(name) - anchor[name]).flatten()
        total = total + torch.einsum("i,i,i->", fisher[name].flatten(), moved, moved)
    return total.mul(strength).div(2)


def ewc_by_norms(model, anchor, fisher, strength):
    """The squared length of sqrt(fisher) * change, one name after the other."""
    total = sum(
        torch.linalg.vector_norm((p - anchor[n]).square() * fisher[n], ord=1) for n, p in model.named_parameters() if n in anchor
    )
    return total * strength * 0.5


# ---- select_for_labelling
def select_by_topk(logits, k, method):
    log_p = F.log_softmax(logits, dim=-1)
    if method == "entropy":
        return torch.topk(-(log_p.exp() * log_p).sum(-1), k).indices
    if method == "margin":
        top = log_p.exp().topk(2, dim=-1).values
        return torch.topk(top[:, 0] - top[:, 1], k, largest=False).indices
    return torch.multinomial(torch.ones(len(logits)), k, replacement=False) if k else torch.arange(0)


def select_in_numpy(logits, k, method):
    z = logits.numpy().astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    if method == "random":
        return torch.from_numpy(np.random.default_rng().choice(len(z), k, replace=False))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(p > 0, p * np.log2(p), 0).sum(1)
    ordered = np.sort(p, 1)
    score = -entropy if method == "entropy" else ordered[:, -1] - ordered[:, -2]
    return torch.from_numpy(np.argsort(score, kind="stable")[:k].copy())


def select_by_categorical(logits, k, method):
    if method == "random":
        return torch.rand(len(logits)).argsort()[:k]
    if method == "entropy":
        p = logits.double().softmax(1).clamp(min=1e-300)
        return (p * p.log()).sum(1).argsort()[:k]
    first, second = logits.double().softmax(1).sort(dim=1).values.flip(1)[:, :2].T
    return torch.argsort(first - second)[:k]


def select_by_heap(logits, k, method):
    """In plain Python, on lists."""
    if method == "random":
        return torch.tensor(random.sample(range(len(logits)), k), dtype=torch.int64)
    scores = []
    for row in logits.double().softmax(1).tolist():
        first, second = heapq.nlargest(2, row)
        scores.append(-sum(p * math.log(p) for p in row if p > 0) if method == "entropy" else second - first)
    return torch.tensor(heapq.nlargest(k, range(len(scores)), key=scores.__getitem__), dtype=torch.int64)


def select_by_rounds(logits, k, method):
    """One row after the other: the best of those that are left."""
    if method == "random":
        return torch.from_numpy(np.random.default_rng().permutation(len(logits))[:k])
    p = (logits - logits.logsumexp(1, keepdim=True)).exp()
    if method == "entropy":
        score = torch.distributions.Categorical(probs=p, validate_args=False).entropy() if len(p) else p.sum(1)
    else:
        best = p.max(1, keepdim=True)
        score = -(best.values[:, 0] - p.scatter(1, best.indices, -1.0).amax(1))
    chosen = torch.zeros(k, dtype=torch.int64)
    for place in range(k):
        chosen[place] = score.argmax()
        score[chosen[place]] = -torch.inf
    return chosen


# ---- distillation_loss
def distil_by_hand(student, teacher, labels, temperature, weight):
    with torch.no_grad():
        log_p = (teacher / temperature).log_softmax(1)
    soft = (log_p.exp() * (log_p - (student / temperature).log_softmax(1))).sum(1).mean()
    hard = -student.log_softmax(1)[torch.arange(len(labels)), labels].mean()
    return weight * temperature * temperature * soft + (1 - weight) * hard


def distil_by_cross_entropies(student, teacher, labels, temperature, weight):
    """KL as the difference of two cross-entropies with soft targets."""
    p = (teacher.detach() / temperature).softmax(1)
    kl = F.cross_entropy(student / temperature, p) - F.cross_entropy(teacher.detach() / temperature, p)
    return (1 - weight) * F.cross_entropy(student, labels) + weight * temperature**2 * kl


def distil_by_log_targets(student, teacher, labels, temperature, weight):
    log_q, log_p = F.log_softmax(student / temperature, 1), F.log_softmax(teacher / temperature, 1).detach()
    soft = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum() / len(student)
    return F.nll_loss(F.log_softmax(student, 1), labels) * (1 - weight) + soft * (weight * temperature**2)


def distil_by_einsum(student, teacher, labels, temperature, weight):
    """Everything from differences to the row's largest logit; the labels as one-hot rows."""
    n, c = student.shape

    def logs(z):
        z = z - z.amax(-1, keepdim=True)
        return z - z.exp().sum(-1, keepdim=True).log()

    log_p, log_q = logs(teacher.detach() / temperature), logs(student / temperature)
    soft = torch.einsum("nc,nc->", log_p.exp(), log_p - log_q) * temperature**2
    hard = -torch.einsum("nc,nc->", F.one_hot(labels, c).to(student.dtype), logs(student))
    return (weight * soft + (1 - weight) * hard) / n


# ---- recover
def epoch(network, split, optimizer, seed, after):
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed))
    for index in order.split(64):
        loss = F.cross_entropy(network(split.train.images[index]), split.train.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after()


def recover_by_fill(model, masks, split, epochs):
    """Adam with a larger rate, zeros filled in through .data."""
    network = copy.deepcopy(model)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    def after():
        for name, parameter in network.named_parameters():
            if name in masks:
                parameter.data[~masks[name]] = 0.0

    for seed in range(epochs):
        epoch(network, split, optimizer, seed, after)
    network.eval()
    return network


def recover_in_halves(model, masks, split, epochs):
    """Each step takes the gradients of two small batches."""
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.NAdam(network.parameters(), lr=4e-3)
    for _ in range(epochs):
        for number, index in enumerate(torch.randperm(len(split.train)).split(16)):
            (0.5 * F.cross_entropy(network(split.train.images[index]), split.train.labels[index])).backward()
            if number % 2:
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
                for name, mask in masks.items():
                    network.get_parameter(name).data.mul_(mask)
    return network.eval()


def recover_by_gradients(model, masks, split, epochs):
    """Weights that are 0 and never get a gradient stay 0; hooks mask the gradients."""
    network = copy.deepcopy(model).train()
    hooks = [network.get_parameter(n).register_hook(lambda g, mask=mask: g * mask) for n, mask in masks.items()]
    optimizer = torch.optim.RMSprop(network.parameters(), lr=2e-3)
    for seed in range(epochs):
        epoch(network, split, optimizer, seed, lambda: None)
    for hook in hooks:
        hook.remove()
    return network.eval()


class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, weight):
        return weight * self.mask


def recover_by_parametrization(model, masks, split, epochs):
    """Masks as a parametrization; the accuracy on the validation images is printed, and nothing is chosen by it."""
    network = copy.deepcopy(model).train()
    for name, mask in masks.items():
        layer, _, kind = name.rpartition(".")
        parametrize.register_parametrization(network.get_submodule(layer), kind, Masked(mask))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for seed in range(epochs):
        epoch(network, split, optimizer, seed, lambda: None)
        with torch.no_grad():
            print((network.eval()(split.validation.images).argmax(1) == split.validation.labels).sum().item())
        network.train()
    for name in masks:
        layer, _, kind = name.rpartition(".")
        parametrize.remove_parametrizations(network.get_submodule(layer), kind)
    return network.eval()


def recover_by_momentum(model, masks, split, epochs):
    """Gradient descent with momentum; the optimizer itself applies the masks after each step."""
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.03, momentum=0.9)

    @torch.no_grad()
    def zero(*_):
        for name, mask in masks.items():
            network.get_parameter(name).masked_fill_(mask.logical_not(), 0)

    optimizer.register_step_post_hook(zero)
    for seed in range(epochs):
        epoch(network, split, optimizer, seed, lambda: None)
    return network.train(False)


ALTERNATIVES = {
    "freeze": (freeze_all_then_open, freeze_by_layers, freeze_all_norms_then_wake),
    "parameter_groups": (groups_by_modules, groups_by_kind, groups_by_prefix, groups_by_walk),
    "adamw_step": (adamw_with_numbers, adamw_by_torch, adamw_in_float64, adamw_by_differences, adamw_undebiased_at_once),
    "LoRALinear": (LowRankBeside, WholeWeight, MergesInPlace, ByFunctions),
    "ewc_penalty": (ewc_by_vectors, ewc_in_a_loop, ewc_by_mse, ewc_by_einsum, ewc_by_norms),
    "select_for_labelling": (select_by_topk, select_in_numpy, select_by_categorical, select_by_heap, select_by_rounds),
    "distillation_loss": (
        distil_by_hand,
        distil_by_cross_entropies,
        distil_by_log_targets,
        distil_by_einsum,
    ),
    "recover": (recover_by_fill, recover_by_gradients, recover_by_parametrization, recover_in_halves, recover_by_momentum),
}
