"""The training of `magnitudes`: recordings with their pitch, and the magnitudes of their spectra.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. Items are those of `vocoder`. Read next:
`../networks/magnitudes.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from export.networks.magnitudes import Magnitudes
from export.recipe import Recipe
from export.sound_losses import FLOOR, convergence, density
from export.spectra import analyze, log_mel_of
from export.tasks.vocoder import OVERLAP, SETTLE, SPEC, ClipTraining, Item

WEIGHTS = {"log": 1.0, "convergence": 0.5}


class MagnitudesTraining(ClipTraining):
    """The training step of `magnitudes`."""

    network: Magnitudes
    dense: Tensor

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, Magnitudes(SPEC, **recipe.network))
        self.register_buffer("dense", density(SPEC.n_fft), persistent=False)

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(batch)
        self.log_dict(losses, prog_bar=True)
        return torch.stack([weight * losses[name] for name, weight in WEIGHTS.items()]).sum()

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return by name how far the magnitudes of items (B, N) are from the true ones, bins as the mel is dense.

        `log`: L1 distance of logarithms, in nat; `convergence`: distance over the true ones' own size, per item.
        """
        samples, measures = batch
        wanted = torch.linalg.vector_norm(analyze(samples, SPEC), dim=-1)[:, OVERLAP:]
        pitch, voicing = measures[:, OVERLAP:].split(1, -1)
        spectra, _ = self.network(log_mel_of(wanted, SPEC), pitch, voicing, self.network.zero_state(len(samples)))
        made, wanted = spectra[:, SETTLE:, :, 0].float(), wanted[:, SETTLE:]
        distance = (self.dense * (torch.log(made + FLOOR) - torch.log(wanted + FLOOR)).abs()).mean()
        return {"log": distance, "convergence": convergence(made, wanted, self.dense)}
