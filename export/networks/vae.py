"""Variational autoencoder: what is heard becomes a cloud in a small space, and any place there becomes a sound.

`Latent` and the functions are parts for any network that has a latent; `VAE` is the whole of one for single frames of a
spectrum (or any rows of numbers). Stateless. Read next: `timbre.py`, which streams one.

References: Kingma and Welling 2014, "Auto-encoding variational Bayes"; Bowman et al. 2016, "Generating sentences from a
continuous space" (KL warm-up); White 2016, "Sampling generative networks" (spherical interpolation).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Latent(nn.Linear):
    """Head of an encoder: (..., C) features to the cloud of each, a mean and a log-variance (..., L)."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__(channels, 2 * latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return mean and log-variance; variances are kept between 1e-4 and 50, where exponentials behave."""
        mean, spread = super().forward(x).chunk(2, -1)
        return mean, spread.clamp(-9.0, 4.0)


def draw(mean: Tensor, spread: Tensor) -> Tensor:
    """Return a place drawn from the cloud of `mean` and log-variance `spread`, differentiable in both."""
    return mean + torch.exp(0.5 * spread) * torch.randn_like(mean)


def kl_divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Return how far clouds (..., L) are from the unit cloud: the mean over all, in nat per dimension."""
    return 0.5 * (mean.square() + spread.exp() - 1.0 - spread).mean()


def warm_up(step: int, steps: int) -> float:
    """Return the part of the KL's weight that counts at a step: from 0 to 1, so that the latent is used at all."""
    return min(1.0, step / max(1, steps))


def linear(a: Tensor, b: Tensor, part: float | Tensor) -> Tensor:
    """Return the place on the straight line from a (..., L) to b."""
    return a + part * (b - a)


def spherical(a: Tensor, b: Tensor, part: float | Tensor) -> Tensor:
    """Return the place on the arc from a (..., L) to b, whose length goes evenly from one's to the other's.

    The middle of a straight line is nearer to the origin than where a unit cloud has anything; that of an arc is not.
    Where there is no one arc (both point the same way, or opposite ways, or one is 0) the straight line is taken.
    """
    long_a, long_b = (x.norm(dim=-1, keepdim=True).clamp_min(1e-8) for x in (a, b))
    cosine = (a * b).sum(-1, keepdim=True) / (long_a * long_b)
    angle = torch.acos(cosine.clamp(-1.0, 1.0))
    sine = torch.sin(angle)
    safe = sine.clamp_min(1e-4)
    arc = torch.sin((1.0 - part) * angle) / safe * a / long_a + torch.sin(part * angle) / safe * b / long_b
    curved = (sine > 1e-3) & (torch.minimum(long_a, long_b) > 1e-6)
    return torch.where(curved, arc * linear(long_a, long_b, part), linear(a, b, part))


class VAE(nn.Module):
    """Rows of numbers (..., N), such as frames of log-mel, to a latent (..., L) and back, by residual perceptrons."""

    def __init__(self, size: int, latent: int, channels: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.size = latent
        self.encoder = nn.Sequential(nn.Linear(size, channels), *(Residual(channels) for _ in range(blocks)))
        self.latent = Latent(channels, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, channels), *(Residual(channels) for _ in range(blocks)), nn.Linear(channels, size)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction from a drawn place (in training; else from the mean), mean and log-variance."""
        mean, spread = self.encode(x)
        return self.decoder(draw(mean, spread) if self.training else mean), mean, spread

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the latent."""
        mean, spread = self.latent(self.encoder(x))
        return mean, spread

    def sample(self, count: int) -> Tensor:
        """Return (count, N) made from nothing: places drawn from the unit cloud, decoded."""
        made: Tensor = self.decoder(torch.randn(count, self.size, device=self.latent.weight.device))
        return made


class Residual(nn.Module):
    """x plus a small perceptron of x, normalised over the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to the same shape."""
        y: Tensor = x + self.inner(x)
        return y
