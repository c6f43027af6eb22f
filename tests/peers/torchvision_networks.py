"""Fifteen networks of torchvision with random weights, batch norm's statistics from data, and images of smooth noise."""

import torch
from torch import nn

NAMES = [
    *("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "densenet121", "vgg11_bn", "googlenet"),
    *("regnet_x_400mf", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_1", "convnext_tiny", "swin_t", "vit_b_16"),
]


def images(n: int, size: int, seed: int) -> torch.Tensor:
    """Images [n, 3, size, size]: coarse, middle and fine noise, about as large as normalized photographs."""
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(n, 3, grain, grain, generator=generator) for grain in (2, 8, 32)]
    return sum(nn.functional.interpolate(part, size=(size, size), mode="bilinear") for part in parts) / 1.5  # type: ignore[return-value]


def network(name: str, size: int) -> nn.Module:
    """The network in eval mode, for images of `size` pixels."""
    from torchvision import models

    torch.manual_seed(0)
    options = {"googlenet": {"aux_logits": False, "init_weights": False}, "vit_b_16": {"image_size": size}}
    model = getattr(models, name)(weights=None, **options.get(name, {}))
    if name == "vit_b_16":  # its head starts with zeros, and then every output is zero
        nn.init.normal_(model.heads.head.weight, std=0.05)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean over the batches
        norm.reset_running_stats()
    if norms:
        model.train()
        with torch.no_grad():
            for seed in range(3):
                model(images(16, size, 100 + seed))
    return model.eval()
