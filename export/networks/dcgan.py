"""DCGAN-style generator and discriminator: strided convolutions, no pooling, no perceptron between.

The discriminator looks at patches: it says of each place of what it is shown whether it looks real there. Pictures here
are (B, C, H, W); a spectrogram is one with W bands and H frames. Only training uses them, nothing streams. Read next:
`../adversarial.py`, what they play for, and `../digits.py`, which compares the games.

References: Radford et al. 2016, "Unsupervised representation learning with deep convolutional generative adversarial
networks"; Isola et al. 2017, "Image-to-image translation with conditional adversarial networks" (patches); Miyato et
al. 2018, "Spectral normalization for generative adversarial networks" (in place of batch norm, which couples the items
of a batch and forbids the gradient penalty).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Sequential):
    """Halve a picture once per width, then judge each place that is left: (B, C, H, W) to (B, 1, H', W')."""

    def __init__(self, channels: int, widths: Sequence[int], *, bounded: bool = True) -> None:
        """Args: bounded: spectral norm; without for a game that bounds the slope itself (wasserstein)."""
        bound = spectral_norm if bounded else lambda layer: layer
        layers = list[nn.Module]()
        for c_in, c_out in zip((channels, *widths[:-1]), widths, strict=True):
            layers += [bound(nn.Conv2d(c_in, c_out, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
            layers += [ResidualConv(c_out, bounded=bounded)]
        super().__init__(*layers, bound(nn.Conv2d(widths[-1], 1, 3, padding=1)))


class ResidualConv(nn.Module):
    """x plus a 3 by 3 convolution of x, rectified."""

    def __init__(self, channels: int, *, bounded: bool) -> None:
        super().__init__()
        layer = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = spectral_norm(layer) if bounded else layer

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + nn.functional.leaky_relu(self.conv(x), 0.2)


class Generator(nn.Module):
    """Double a picture once per width, from 2 by 2 on: (B, L) noise to (B, C, 2^(n + 1), 2^(n + 1)) from 0 to 1."""

    def __init__(self, latent: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.latent = latent
        self.start = nn.Linear(latent, widths[0] * 4)
        layers = list[nn.Module]()
        for c_in, c_out in zip(widths, (*widths[1:], channels), strict=True):
            layers += [nn.BatchNorm2d(c_in), nn.ReLU(), nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)]
        self.grow = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, noise: Tensor) -> Tensor:
        """Return pictures."""
        made: Tensor = self.grow(self.start(noise).unflatten(1, (-1, 2, 2)))
        return made

    def sample(self, count: int) -> Tensor:
        """Return (count, C, H, W) made from noise."""
        made: Tensor = self(torch.randn(count, self.latent, device=self.start.weight.device))
        return made
