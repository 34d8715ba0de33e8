"""The training of `vocoder`: recordings with their pitch, spectral losses, and later discriminators.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. An item is a stretch of one recording at a
random level, with pitch and voicing as the live tracker measured them; the log-mel is made on the way, from the same
samples. Read next: `../networks/vocoder.py`, `../sound_losses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from export.networks.discriminators import Discriminators
from export.networks.streaming import FrameNetwork
from export.networks.vocoder import Vocoder
from export.recipe import Recipe
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
ADVERSARIAL_FROM = 20_000  # steps: before, a discriminator would only say what the spectral losses say, at a high price
WEIGHTS = {"log": 1.0, "convergence": 0.5, "mel": 1.0, "deceive": 0.1, "feature": 1.0}

Item = tuple[Tensor, Tensor]


class ClipTraining(Training):
    """What trainings on stretches of recordings share; a task adds `training_step` and `losses`."""

    frames = 144  # of an item that are judged, 0.77 s

    def __init__(self, recipe: Recipe, cache: Path, network: FrameNetwork) -> None:
        super().__init__(recipe, network)
        self.weights = recipe.clips.groups
        self.clips, held = read_clips(recipe.clips, cache)
        self.held = held[:: max(1, len(held) // HELD_CLIPS)]

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return by name what is lost on items."""
        raise NotImplementedError

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Item]:
        """Return endless items of (N,) samples, (T, 2) pitch and voicing."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: a vocoder makes every frame; leave --frame-step out")
        return ClipStream(self.clips, self.weights, [seed, rank], OVERLAP + SETTLE + self.frames)

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


class VocoderTraining(ClipTraining):
    """The training step of `vocoder`. Two optimisers, stepped by hand: the network's, and the discriminators'."""

    network: Vocoder

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, Vocoder(SPEC, **recipe.network))
        self.automatic_optimization = False
        self.discriminators = Discriminators()

    def configure_optimizers(self) -> Any:
        """Return the network's, with its schedule, and the discriminators'."""
        optimizer = super().configure_optimizers()
        judges = torch.optim.AdamW(self.discriminators.parameters(), self.recipe.learning_rate / 5, (0.8, 0.99))
        return [optimizer["optimizer"], judges], [optimizer["lr_scheduler"]]

    def training_step(self, batch: Item, _: int) -> None:
        """Step on a batch of items."""
        optimizer, judges = self._optimizers()
        made, target, losses = self.hear(batch)
        if self.global_step >= ADVERSARIAL_FROM:
            said = self.discriminators(target), self.discriminators(made.detach())
            losses["discriminator"] = discriminator_loss(*said)
            judges.zero_grad()
            self.manual_backward(losses["discriminator"])
            judges.optimizer.step()  # not the wrapper's: that would count as another step of the training
            losses |= adversarial_losses(self.discriminators(target), self.discriminators(made))
        total = torch.stack([weight * losses[name] for name, weight in WEIGHTS.items() if name in losses]).sum()
        optimizer.zero_grad()
        self.manual_backward(total)
        self.clip_gradients(optimizer.optimizer, 1.0, "norm")
        optimizer.step()
        schedule = self.lr_schedulers()
        assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
        schedule.step()
        self.log_dict(losses, prog_bar=True)

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return the spectral losses on items by name."""
        return self.hear(batch)[2]

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

    def _optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        both = self.optimizers()
        assert isinstance(both, list)
        return both[0], both[1]


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
