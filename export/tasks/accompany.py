"""The training of `accompany`: the music's bands as they are (L1), and as a patch discriminator believes them.

In: a recipe and prepared recordings. Out: a Lightning module for `train.py`. Generator and discriminator learn from
one sum: while the generator's part is computed the discriminator's weights stand still. Where the music has faded out,
since nobody sings, nothing is learnt. Read next: `../networks/accompany.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.adversarial import find_adversarial
from export.evaluate_accompany import accompany, held_out_duet, log_mel_distance
from export.networks.accompany import HINTS, MADE, Accompany
from export.networks.band_unet import SEEN
from export.networks.dcgan import Discriminator
from export.recipe import Recipe
from export.recordings.drawing import worker_generator
from export.recordings.duets import Duet, Duets
from export.recordings.library import RATE, Library
from export.spectra import analyze
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import FeatureSpec

SPEC = FeatureSpec()
SHOWN = 256  # frames of an item that the discriminator sees: 1.4 s
SCORED_S = 40.0  # of the held-out song
WEIGHTS = {"level": 10.0, "noisy": 1.0, "stray": 1.0, "gan": 0.3}


class AccompanyTraining(Training):
    """The training step of `accompany`."""

    network: Accompany

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Accompany(SPEC, **recipe.network))
        self.library = Library(cache)
        self.game = find_adversarial("least-squares")
        self.discriminator = Discriminator(1 + MADE, (24, 48, 96))

    def parameter_groups(self) -> list[dict[str, object]]:
        """Return the network, and the discriminator with a short memory."""
        return [*super().parameter_groups(), {"params": list(self.discriminator.parameters()), "betas": (0.5, 0.9)}]

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Tensor]:
        """Return endless items, as `training_item` makes them."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: accompany learns from every frame; leave --frame-step out")
        duets = Duets(self.library, self.recipe.mix, self.recipe.made.seconds)
        return DuetStream(duets, Accompany(SPEC, **self.recipe.network), [seed, rank])

    def training_step(self, items: Tensor, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(items)
        self.log_dict(losses, prog_bar=True)
        return sum((weight * losses[name] for name, weight in WEIGHTS.items()), start=losses["judge"])

    def losses(self, items: Tensor) -> dict[str, Tensor]:
        """Return all losses of (B, ..., T, F) items."""
        features, real, gate = items.split([SEEN + HINTS, MADE, 1], 1)
        made, _ = self.network.unet(features, self.network.zero_state(len(items))[2:-4])
        made = torch.stack(self.network.split(made.float()), 1)
        weight = gate[:, 0] * real[:, 0] / (gate[:, 0] * real[:, 0]).mean().clamp_min(1e-3)
        apart = (made - real).abs()
        found = {
            "level": (gate[:, 0] * apart[:, 0]).mean(),
            "noisy": (weight * apart[:, 1]).mean(),
            "stray": (weight * (1.0 - real[:, 1]) * apart[:, 2]).mean(),
        }
        start = int(torch.randint(0, items.shape[2] - SHOWN + 1, ()))
        voice, made, real, gate = (x[:, :, start : start + SHOWN] for x in (features[:, :1], made, real, gate))
        self.discriminator.requires_grad_(False)
        found["gan"] = self.game.please(self._judged(voice, gate * made))
        self.discriminator.requires_grad_(True)
        found["judge"] = self.game.judge(self._judged(voice, gate * real), self._judged(voice, gate * made.detach()))
        return found

    def _judged(self, voice: Tensor, music: Tensor) -> Tensor:
        said: Tensor = self.discriminator(torch.cat([voice, music], 1))
        return said.float()

    def score(self) -> dict[str, float]:
        """Return how far the held-out songs' accompaniment is from the real one, as a part of how far the voice is."""
        parts = []
        for song in self.recipe.mix.hold_out:
            voice, music = (x[: round(SCORED_S * RATE)] for x in held_out_duet(self.library, song))
            made = accompany(self.network, voice)
            parts.append(log_mel_distance(made, music, voice) / log_mel_distance(voice, music, voice))
        return {"distance_part": float(np.mean(parts))} if parts else {}


class DuetStream(torch.utils.data.IterableDataset[Tensor]):
    """Endless stream of training items. Workers and ranks draw their own."""

    def __init__(self, duets: Duets, network: Accompany, seed: list[int]) -> None:
        self.duets, self.network, self.seed = duets, network, seed

    def __iter__(self) -> Iterator[Tensor]:
        """Draw without end."""
        rng = worker_generator(self.seed)
        while True:
            yield training_item(self.duets.draw_duet(rng), self.network)


@torch.no_grad()
def training_item(duet: Duet, network: Accompany) -> Tensor:
    """Return (SEEN + HINTS + MADE + 1, T, F): features of a voice and hints, what is wanted, how much of it counts."""
    voice, music = (analyze(torch.from_numpy(x)[None], network.spec) for x in (duet.voice, duet.music))
    state = network.zero_state()
    features, _ = network.features(voice, state[:2])
    tempo, key = torch.tensor([duet.tempo]), torch.tensor([duet.key])
    beats, _ = network.clock(tempo, torch.zeros(1), torch.tensor([[duet.beat]]), voice.shape[1])
    hints = network.hints(beats, tempo.expand_as(beats), key.expand_as(beats))
    gate, _ = network.follow(features[:, 0], torch.zeros(1, 1))
    return torch.cat([features, hints, network.wanted(music), gate[:, None].expand_as(features[:, :1])], 1)[0]
