"""Discriminators of sound: networks that tell recordings from what a vocoder made. Used in training only.

In: sounds (B, N). Out: per discriminator a score and its inner layers. Light ones: a tenth of HiFi-GAN's width, since
a vocoder of under a million parameters needs no stronger teacher. Read next: `../sound_losses.py`.

Sources: Kong et al. 2020, "HiFi-GAN" (periods); Jang et al. 2021, "UnivNet" (resolutions).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from export.spectra import power_spectrum

PERIODS = (2, 3, 5, 7, 11)  # samples; primes, so that they overlap least
SIZES = (512, 1024, 2048)  # of windows, samples
SLOPE = 0.1  # of the leaky rectifiers


class Discriminator(nn.Module):
    """A stack of 2-D convolutions with a score per place at its end."""

    def __init__(self, layers: list[nn.Conv2d]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([weight_norm(layer) for layer in layers])

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the scores (B, ...) of (B, N) sounds, and the layers before them."""
        x, inner = self.arrange(sound), []
        for layer in self.layers[:-1]:
            x = nn.functional.leaky_relu(layer(x), SLOPE)
            inner.append(x)
        return self.layers[-1](x).flatten(1), inner

    def arrange(self, sound: Tensor) -> Tensor:
        """Turn (B, N) samples into the (B, 1, T, F) that is looked at."""
        raise NotImplementedError


class PeriodDiscriminator(Discriminator):
    """Looks at every p-th sample: what repeats with a period p stands in columns."""

    def __init__(self, period: int, width: int = 16) -> None:
        sizes = [1, width, 2 * width, 4 * width, 4 * width]
        layers = [nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in pairwise(sizes)]
        super().__init__([*layers, nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0))])
        self.period = period

    def arrange(self, sound: Tensor) -> Tensor:
        """Fold (B, N) into (B, 1, N / p, p)."""
        whole = sound.shape[1] // self.period * self.period
        return sound[:, :whole].unflatten(1, (-1, self.period))[:, None]


class ResolutionDiscriminator(Discriminator):
    """Looks at magnitudes at one resolution."""

    def __init__(self, size: int, width: int = 16) -> None:
        layers = [nn.Conv2d(1 if i == 0 else width, width, (3, 9), (1, 2 if i < 3 else 1), (1, 4)) for i in range(4)]
        super().__init__([*layers, nn.Conv2d(width, 1, 3, padding=1)])
        self.size = size

    def arrange(self, sound: Tensor) -> Tensor:
        """Return the compressed magnitudes (B, 1, T, K)."""
        return (power_spectrum(sound, self.size) + 1e-7).pow(0.15).transpose(1, 2)[:, None]


class Discriminators(nn.Module):
    """All of them, at every period and resolution."""

    def __init__(self) -> None:
        super().__init__()
        periods = [PeriodDiscriminator(period) for period in PERIODS]
        self.all = nn.ModuleList([*periods, *(ResolutionDiscriminator(size) for size in SIZES)])

    def forward(self, sound: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Return what each says of (B, N) sounds."""
        return [one(sound) for one in self.all]
