"""The training of `scream`: pairs as log-mel, the losses of a variational autoencoder that draws its own noise.

In: a recipe and prepared pairs. Out: a Lightning module for `train.py`. The data lie in memory as half-precision
log-mel; each item is a stretch of one voice at a random level. Read next: `../networks/scream.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.losses import scream_losses
from export.networks.scream import Scream
from export.networks.vae import warm_up
from export.recipe import Recipe
from export.recordings.drawing import worker_generator
from export.recordings.library import FULL_SCALE
from export.recordings.pairs import Pair, read_pairs
from export.spectra import log_mel
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, FeatureSpec

SPEC = MEL_SPEC
FRAMES = 1125  # of an item, 6 s: nets trained on padded chunks collapse when streamed
LEVELS_DB = -24.0, 6.0  # by which items are made louder
KL_WEIGHT, KL_STEPS = 2e-3, 1000  # weight of the latent's divergence, and steps in which it rises from 0
HELD = 16  # every 16th stretch is only for scoring

Item = tuple[Tensor, Tensor, Tensor]


class ScreamTraining(Training):
    """The training step of `scream`."""

    network: Scream

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Scream(SPEC, **recipe.network))
        pairs = [pair_frames(pair, SPEC) for pair in read_pairs(cache).values()]
        self.held = pairs[::HELD]
        self.pairs = [pair for i, pair in enumerate(pairs) if i % HELD] or pairs

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Item]:
        """Return endless items of (T, M) log-mel, (T, M) screamed log-mel, (T, 2) intensity and style."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: scream learns from every frame; leave --frame-step out")
        return PairStream(self.pairs, [seed, rank], SPEC, FRAMES)

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        mel, target, manner = batch
        intensity, style = manner[..., :1], manner[..., 1:]
        state = self.network.random_state(len(mel))
        mean, deviation, latent = self.network.distribution(mel, intensity, style, state)[:3]
        noise = self.network.draw(mel.shape[1], style, state)[0]
        losses = scream_losses(mel, target, mean.float(), deviation.float(), noise, latent.float(), self.network.dct)
        weight = KL_WEIGHT * warm_up(self.global_step, KL_STEPS)
        self.log_dict(losses, prog_bar=True)
        return (
            losses["mel"]
            + 0.5 * losses["mfcc"]
            + 0.2 * losses["deviation"]
            + 0.1 * losses["rough"]
            + (weight * losses["kl"])
        )

    @torch.no_grad()
    def score(self) -> dict[str, float]:
        """Return the losses on stretches that were held out, with the latent's mean."""
        self.network.eval()
        found: dict[str, list[float]] = {}
        for item in self.held:
            m, t, c = (x[None].float() for x in item)
            state = self.network.zero_state()
            mean, deviation, latent = self.network.distribution(m, c[..., :1], c[..., 1:], state)[:3]
            noise = self.network.draw(m.shape[1], c[..., 1:], state)[0]
            for name, loss in scream_losses(m, t, mean, deviation, noise, latent, self.network.dct).items():
                found.setdefault(f"held_{name}", []).append(float(loss))
        self.network.train()
        return {name: float(np.mean(values)) for name, values in found.items()}


def pair_frames(pair: Pair, spec: FeatureSpec) -> Item:
    """Turn a pair into half-precision (T, M), (T, M) and (T, 2): log-mel of both, intensity and style."""
    hops = len(pair.clean) // spec.hop * spec.hop
    sounds = torch.from_numpy(np.stack([pair.clean, pair.screamed])[:, :hops] / np.float32(FULL_SCALE))
    mel, screamed = log_mel(sounds, spec).half()
    manner = np.stack([pair.of_frames(pair.intensity, spec.hop), pair.of_frames(pair.style, spec.hop)], 1)
    return mel, screamed, torch.from_numpy(manner).half()


class PairStream(torch.utils.data.IterableDataset[Item]):
    """Endless stream of items cut from the pairs, at random levels."""

    def __init__(self, pairs: list[Item], seed: list[int], spec: FeatureSpec, frames: int) -> None:
        self.pairs, self.seed, self.spec, self.frames = pairs, seed, spec, frames

    def __iter__(self) -> Iterator[Item]:
        """Draw without end."""
        rng = worker_generator(self.seed)
        silence = float(np.log(self.spec.floor))
        lengths = np.array([len(mel) for mel, _, _ in self.pairs], np.float64)
        while True:
            mel, screamed, manner = self.pairs[int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
            start = int(rng.integers(0, max(len(mel) - self.frames, 0) + 1))
            louder = float(rng.uniform(*LEVELS_DB)) * np.log(10.0) / 20.0
            sounds = [self._cut(x, start, silence) + louder for x in (mel, screamed)]
            yield sounds[0].clamp_min(silence), sounds[1].clamp_min(silence), self._cut(manner, start, 1.0)

    def _cut(self, frames: Tensor, start: int, beyond: float) -> Tensor:
        piece = frames[start : start + self.frames].float()
        return torch.nn.functional.pad(piece, (0, 0, 0, self.frames - len(piece)), value=beyond)
