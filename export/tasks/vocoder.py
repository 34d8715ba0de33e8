"""The training of `vocoder`: recordings with their pitch, spectral losses, and later discriminators.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. An item is a stretch of one recording at a
random level, with pitch and voicing as the live tracker measured them; the log-mel is made on the way, from the same
samples. Vocoder and discriminators learn from one sum: while the vocoder's part is computed the discriminators' weights
stand still. Read next: `../networks/vocoder.py`, `../sound_losses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.adversarial import standing
from export.networks.discriminators import Discriminators
from export.networks.streaming import FrameNetwork
from export.networks.vocoder import Vocoder
from export.recipe import Recipe, read_losses
from export.recordings.clips import Clip, read_clips
from export.recordings.drawing import worker_generator
from export.sound_losses import adversarial_losses, discriminator_loss, spectral_losses
from export.spectra import log_mel, overlap_add
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC

SPEC = MEL_SPEC
OVERLAP = SPEC.n_fft // SPEC.hop - 1  # hops before a frame that it also sees
SETTLE = 12  # frames at the beginning of an item that are not judged: the network has no past yet
LEVELS_DB = -24.0, 6.0  # by which items are made louder
QUIET = 1e-4  # rms below which a stretch is drawn again, mostly
HELD_FRAMES = 750  # 4 s of each held-out recording are scored
HELD_CLIPS = 24

Item = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Weights:
    """The `[losses]` of a recipe."""

    log: float = 1.0
    convergence: float = 0.5
    mel: float = 1.0
    deceive: float = 0.1
    feature: float = 1.0
    judge: float = 1.0
    judged_from: int = 20_000  # step; before, discriminators would only say what spectral losses say, at a high price


class ClipTraining(Training):
    """What trainings on stretches of recordings share; a task adds `training_step` and `losses`."""

    frames = 144  # of an item that are judged, 0.77 s

    def __init__(self, recipe: Recipe, cache: Path, network: FrameNetwork) -> None:
        super().__init__(recipe, network)
        self.groups = recipe.clips.groups
        self.clips, held = read_clips(recipe.clips, cache)
        self.held = held[:: max(1, len(held) // HELD_CLIPS)]

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return by name what is lost on items."""
        raise NotImplementedError

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Item]:
        """Return endless items of (N,) samples, (T, 2) pitch and voicing."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: a vocoder makes every frame; leave --frame-step out")
        return ClipStream(self.clips, self.groups, [seed, rank], OVERLAP + SETTLE + self.frames)

    @torch.no_grad()
    def score(self) -> dict[str, float]:
        """Return the losses on stretches that were held out."""
        self.network.eval()
        found: dict[str, list[float]] = {}
        for clip in self.held:
            samples, measures = clip.cut(0, min(HELD_FRAMES, len(clip.measures)))
            item = torch.from_numpy(samples)[None].to(self.device), torch.from_numpy(measures)[None].to(self.device)
            for name, loss in self.losses(item).items():
                found.setdefault(f"held_{name}", []).append(float(loss))
        self.network.train()
        return {name: float(np.mean(values)) for name, values in found.items()}


class JudgedTraining(ClipTraining):
    """The training step of networks whose sound discriminators judge, too, once it is near; a task adds `hear`."""

    def __init__(self, recipe: Recipe, cache: Path, network: FrameNetwork) -> None:
        super().__init__(recipe, cache, network)
        self.weights = read_losses(Weights, recipe.losses)
        self.discriminators = Discriminators()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the network, and the discriminators: slower, with a short memory."""
        judges = {"params": list(self.discriminators.parameters()), "lr": self.recipe.learning_rate / 5}
        return [*super().parameter_groups(), judges | {"betas": (0.8, 0.99)}]

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        made, target, losses = self.hear(batch)
        if self.global_step >= self.weights.judged_from:
            losses |= self.judge(made, target)
        self.log_dict(losses, prog_bar=True)
        return torch.stack([getattr(self.weights, name) * loss for name, loss in losses.items()]).sum()

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return the spectral losses on items by name."""
        return self.hear(batch)[2]

    def hear(self, batch: Item) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return what the network makes of items, (B, N), the recordings it should be, and the spectral losses."""
        raise NotImplementedError

    def judge(self, made: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the losses of sounds (B, N) that should be others: what discriminators say, and what they lose."""
        real = self.discriminators(target)
        lost = discriminator_loss(real, self.discriminators(made.detach()))
        with standing(self.discriminators):
            found = adversarial_losses(real, self.discriminators(made))
        return found | {"judge": lost}


class VocoderTraining(JudgedTraining):
    """The training step of `vocoder`."""

    network: Vocoder

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, Vocoder(SPEC, **recipe.network))

    def hear(self, batch: Item) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return what the network makes of items, (B, N), the recordings it should be, and the spectral losses."""
        samples, measures = batch
        late = self.network.look_ahead
        mel = log_mel(samples, SPEC)[:, OVERLAP:]
        pitch, voicing = measures[:, OVERLAP:].split(1, -1)
        spectra, _ = self.network(mel, pitch, voicing, self.network.random_state(len(mel)))
        made = overlap_add(spectra.float(), SPEC)[:, SETTLE * SPEC.hop :]
        target = samples[:, (OVERLAP + SETTLE - late) * SPEC.hop : -late * SPEC.hop]
        losses = spectral_losses(made, target)
        a, b = (log_mel(x, SPEC)[:, OVERLAP:] for x in (made, target))
        losses["mel"] = (a - b).abs().mean()
        return made, target, losses


class ClipStream(torch.utils.data.IterableDataset[Item]):
    """Endless stream of stretches of recordings, at random levels."""

    def __init__(self, clips: list[Clip], weights: dict[str, float], seed: list[int], hops: int) -> None:
        self.seed, self.hops = seed, hops
        self.clips = [clip for clip in clips if len(clip.measures) > hops]
        if not self.clips:
            raise ParameterError(f"no prepared recording is longer than {hops * SPEC.hop / SPEC.sample_rate:.1f} s")
        total = {group: sum(len(c.measures) for c in self.clips if c.group == group) for group in weights}
        chances = np.array([weights[c.group] * len(c.measures) / total[c.group] for c in self.clips])
        self.chances = chances / chances.sum()

    def __iter__(self) -> Iterator[Item]:
        """Draw without end."""
        rng = worker_generator(self.seed)
        while True:
            samples, measures = self._draw(rng)
            loudest = float(np.abs(samples).max())
            gain = min(10.0 ** (rng.uniform(*LEVELS_DB) / 20.0), 1.0 / max(loudest, 1e-3))
            yield torch.from_numpy(samples * np.float32(gain)), torch.from_numpy(measures)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        for _ in range(4):
            clip = self.clips[int(rng.choice(len(self.clips), p=self.chances))]
            samples, measures = clip.cut(int(rng.integers(0, len(clip.measures) - self.hops)), self.hops)
            if np.mean(samples**2) > QUIET**2:
                break
        return samples, measures
