"""The training of `waveglow`: recordings, and how likely the noise is that would have made them.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. Items are those of `vocoder`, whose pitch is
not looked at. Read next: `../networks/waveglow.py`.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from export.networks.waveglow import QUIET, WaveGlow
from export.recipe import Recipe
from export.spectra import log_mel
from export.tasks.vocoder import OVERLAP, SETTLE, SPEC, ClipTraining, Item


class WaveGlowTraining(ClipTraining):
    """The training step of `waveglow`."""

    network: WaveGlow
    frames = 64  # a third of a second: more different sounds in a step

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, WaveGlow(SPEC, **recipe.network))

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(batch)
        self.log_dict(losses, prog_bar=True)
        return losses["surprise"]

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return by name what is lost on items (B, N).

        `surprise`: negative log-likelihood per sample, in nat; that of samples as loud as 1.
        Reference: Prenger et al. 2018, "WaveGlow", eq. 6.
        """
        samples, _ = batch
        samples = samples + QUIET * torch.randn_like(samples)  # 16 bits are no density: one that is makes them finite
        late = self.network.look_ahead
        with torch.autocast(samples.device.type, enabled=False):  # determinants of half a mantissa are none
            mel = log_mel(samples, SPEC)[:, OVERLAP:]
            hops = samples.unflatten(1, (-1, SPEC.hop))[:, OVERLAP - late : -late]
            noise, grown = (x[:, SETTLE:] for x in self.network.noise_of(hops, mel))
            return {"surprise": 0.5 * (noise.square().mean() + math.log(2.0 * math.pi)) - grown.mean() / SPEC.hop}
