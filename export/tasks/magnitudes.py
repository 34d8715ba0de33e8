"""The training of `magnitudes`: recordings with their pitch, the magnitudes of their spectra, and later discriminators.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. Items are those of `vocoder`. Discriminators
hear the magnitudes with the recording's own phases. Read next: `../networks/magnitudes.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from export.networks.magnitudes import Magnitudes
from export.recipe import Recipe
from export.sound_losses import FLOOR, convergence, density
from export.spectra import analyze, log_mel_of, overlap_add
from export.tasks.vocoder import OVERLAP, SETTLE, SPEC, Item, JudgedTraining
from rtvox.manifest import VOCODER_LATE


class MagnitudesTraining(JudgedTraining):
    """The training step of `magnitudes`."""

    network: Magnitudes
    dense: Tensor
    turns: Tensor

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, Magnitudes(SPEC, **recipe.network))
        self.register_buffer("dense", density(SPEC.n_fft), persistent=False)
        turn = 2j * torch.pi * SPEC.hop / SPEC.n_fft  # a vocoder's frame begins a hop later than the mel's window
        self.register_buffer("turns", torch.exp(turn * torch.arange(SPEC.n_bins)), persistent=False)

    def hear(self, batch: Item) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return items (B, N) with the magnitudes that the network makes, the items, and how far those are from theirs.

        `log`: L1 distance of logarithms, in nat; `convergence`: distance over the true ones' own size, per item. Bins
        count as the mel is dense.
        """
        samples, measures = batch
        spectra = torch.view_as_complex(analyze(samples, SPEC)[:, OVERLAP:])
        true = spectra.abs()
        pitch, voicing = measures[:, OVERLAP:].split(1, -1)
        found, _ = self.network(log_mel_of(true, SPEC), pitch, voicing, self.network.zero_state(len(samples)))
        size = found[..., 0].float()
        made = overlap_add(torch.view_as_real(spectra / (true + 1e-9) * size * self.turns), SPEC)
        size, true = size[:, SETTLE:], true[:, SETTLE:]
        distance = (self.dense * (torch.log(size + FLOOR) - torch.log(true + FLOOR)).abs()).mean()
        losses = {"log": distance, "convergence": convergence(size, true, self.dense)}
        target = samples[:, (OVERLAP + SETTLE - VOCODER_LATE) * SPEC.hop : -VOCODER_LATE * SPEC.hop]
        return made[:, SETTLE * SPEC.hop :], target, losses
