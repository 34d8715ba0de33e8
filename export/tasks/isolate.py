"""The training of `isolate`: mixes as band energies, losses of a mask, and the held-out song as its score.

In: a recipe and prepared recordings. Out: a Lightning module for `train.py`. Each step draws mixes as band energies and
features, and runs the network over the whole stretch from a silent past. Read next: `../networks/isolate.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.evaluate_isolate import held_out_song, improvement
from export.losses import mask_losses
from export.networks.isolate import Isolate
from export.recipe import Recipe
from export.recordings.library import Library
from export.recordings.mixes import Mixer, MixStream
from export.spectra import analyze
from export.train import Training
from rtvox.features import Array, FeatureSpec

SPEC = FeatureSpec()


class IsolateTraining(Training):
    """The training step of `isolate`."""

    network: Isolate

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Isolate(SPEC, **recipe.network))
        self.library = Library(cache)

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Tensor]:
        """Return endless items of (9, T, F), as `training_item` makes them."""
        view = partial(training_item, network=Isolate(SPEC, **self.recipe.network), step=frame_step)
        return MixStream(Mixer(self.library, self.recipe.mix), view, seed, rank)

    def training_step(self, items: Tensor, _: int) -> Tensor:
        """Return the loss of one batch of (B, 9, T, F) training items."""
        energies, features = items[:, :3], items[:, 3:]
        gains = self.network.gains(features, self.network.zero_state(len(items)))[0]
        snr, distance = mask_losses(gains.float(), energies, self.network.widths)
        self.log_dict({"snr_db": snr, "distance": distance}, prog_bar=True)
        return 0.1 * snr + 0.3 * distance

    def score(self) -> dict[str, float]:
        """Return the median gain in SI-SDR on the held-out songs, averaged; nothing where no song is held out."""
        songs = self.recipe.mix.hold_out
        scores = [improvement(self.network, *held_out_song(self.library, song)) for song in songs]
        return {"si_sdr_gain_db": float(np.mean(scores))} if scores else {}


@torch.no_grad()
def training_item(mix: Array, voice: Array, network: Isolate, step: int) -> Tensor:
    """Return (9, T, F), band energies and features of every step-th frame of two (N,) signals."""
    m, v = (analyze(torch.from_numpy(signal)[None], SPEC, step) for signal in (mix, voice))
    features = network.features(m, network.zero_state(), step)[0]
    return torch.cat([network.energies(m, v), features], 1)[0]
