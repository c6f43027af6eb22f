"""A guarantee instead of an attack: randomized smoothing. No change of L2 length below the radius alters the smoothed model's answer.

The smoothed model answers what the network says most often when normal noise of standard deviation sigma is added to the image. The radius follows
from how often it says so, of which only an estimate is known, so the guarantee holds with probability 1 - alpha for each image. The class is chosen
on samples of its own: counts on which it was chosen would be too high.

Source: Cohen, Rosenfeld, Kolter 2019, "Certified Adversarial Robustness via Randomized Smoothing"; Clopper and Pearson (1934).
"""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from posttrain_lab.arguments import check_count
from posttrain_lab.tails import lower_bound

from .arguments import check_inputs, check_radius, undisturbed

ABSTAINED = -1
BATCH = 1000


@dataclass(frozen=True, eq=False)
class Certificates:
    """For each image the certified class, -1 where the method abstains, and the L2 radius, 0 there."""

    labels: Int[Tensor, " n"]
    radius: Float[Tensor, " n"]

    def certified_accuracy(self, y: Tensor, radius: float) -> float:
        """The share of images whose certified class is the true one and whose radius is at least `radius`."""
        return float(((self.labels == y) & (self.radius >= radius)).double().mean())


def certified_radius(top_count: int, n: int, sigma: float, alpha: float) -> float:
    """How far may an image be changed, when `top_count` of n noisy copies got the same class? An L2 length.

    sigma Phi^-1(p), p: the one-sided lower Clopper-Pearson bound of top_count / n at confidence 1 - alpha; 0 (abstain) where p <= 1/2.
    top_count and n are counts of new samples, not of those by which the class was chosen. Raises TypeError or ValueError for counts outside
    0..n, n = 0, sigma below 0, alpha outside (0, 1). Source: Cohen et al. (2019).

    >>> round(certified_radius(1000, 1000, sigma=0.5, alpha=0.001), 4)  # p = 0.001 ** (1 / 1000)
    1.2316
    >>> certified_radius(520, 1000, sigma=0.5, alpha=0.001)
    0.0
    """
    check_radius("certified_radius", "sigma", sigma)
    p = lower_bound(top_count, n, alpha)
    return sigma * NormalDist().inv_cdf(p) if p > 0.5 else 0.0


def noisy_votes(
    model: nn.Module, image: Float[Tensor, "*shape"], sigma: float, n: int, generator: torch.Generator
) -> Int[Tensor, " classes"]:
    """How often each class is the answer for n copies of the image with noise of standard deviation sigma. Raises as `certify`.

    >>> layer = nn.Linear(2, 3)
    >>> int(noisy_votes(layer, torch.zeros(2), 0.1, 50, torch.Generator().manual_seed(0)).sum())
    50
    """
    check_inputs("noisy_votes", "image", image[None])
    check_radius("noisy_votes", "sigma", sigma)
    check_count("noisy_votes", "n", n)
    votes = torch.tensor(0)
    with undisturbed("noisy_votes", model), torch.no_grad():
        for start in range(0, n, BATCH):
            size = min(BATCH, n - start)
            noise = torch.randn((size, *image.shape), generator=generator, dtype=image.dtype)
            logits = model(image + sigma * noise)  # not clamped: the guarantee is for normal noise
            votes = votes + torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return votes


def certify(
    model: nn.Module, x: Float[Tensor, "n ..."], sigma: float, samples: tuple[int, int], alpha: float, generator: torch.Generator
) -> Certificates:
    """For each image: the smoothed model's class and a radius within which it cannot change, or no answer.

    samples: (how many to choose the class, how many to count it), for example (100, 1000). Raises as `certified_radius`; ValueError for
    images that are not finite. Source: Cohen et al. (2019), CERTIFY.
    """
    check_inputs("certify", "x", x)
    labels, radius = [], []
    for image in x:
        chosen = int(noisy_votes(model, image, sigma, samples[0], generator).argmax())
        count = int(noisy_votes(model, image, sigma, samples[1], generator)[chosen])
        radius.append(certified_radius(count, samples[1], sigma, alpha))
        labels.append(chosen if radius[-1] > 0 else ABSTAINED)
    return Certificates(torch.tensor(labels), torch.tensor(radius, dtype=torch.float64))
