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
from torch import Tensor, nn

from export.adversarial import find_adversarial, standing
from export.evaluate_accompany import accompany, held_out_duet, log_mel_distance
from export.networks.accompany import HINTS, MADE, Accompany
from export.networks.band_unet import COMPRESSION, SEEN
from export.networks.dcgan import Discriminator
from export.recipe import Recipe
from export.recordings.drawing import worker_generator
from export.recordings.duets import Duet, Duets
from export.recordings.library import Library
from export.spectra import analyze
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import FeatureSpec

SPEC = FeatureSpec()
SHOWN = 128  # frames of an item that the discriminator sees: 0.7 s
POOL, REUSED = 48, 4  # items kept, and how often each is seen: to draw one costs as much as to learn from it
AVERAGED = 32  # items, some of them the same, whose mean training starts from
SETTLED = 400  # steps after which normalisation keeps its constants: a batch is too small to do without them
WEIGHTS = {"level": 2.0, "noisy": 1.0, "stray": 1.0, "mean": 3.0, "deviation": 5.0, "gan": 0.3}


class AccompanyTraining(Training):
    """The training step of `accompany`."""

    network: Accompany

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Accompany(SPEC, **recipe.network))
        self.library = Library(cache)
        self.game = find_adversarial("least-squares")
        self.network.begin_with(*self._average(recipe.seed)[:2])
        self.discriminator = Discriminator(1 + HINTS + MADE, (16, 32, 64))

    def _average(self, seed: int) -> Tensor:
        """Return (MADE, F): the mean of what is wanted, where it counts, of a few items."""
        stream = iter(self.stream(seed, 0, 1))
        real, gate = torch.stack([next(stream) for _ in range(AVERAGED)])[:, SEEN + HINTS :].split([MADE, 1], 1)
        return (gate * real).sum((0, 2)) / gate.sum((0, 2)).clamp_min(1e-3)

    def parameter_groups(self) -> list[dict[str, object]]:
        """Return the network, and the discriminator with a short memory."""
        return [*super().parameter_groups(), {"params": list(self.discriminator.parameters()), "betas": (0.5, 0.9)}]

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Tensor]:
        """Return endless items, as `training_item` makes them."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: accompany learns from every frame; leave --frame-step out")
        duets = Duets(self.library, self.recipe.mix, self.recipe.made.seconds)
        return DuetStream(duets, Accompany(SPEC, **self.recipe.network), [seed, rank])

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Keep what layers normalise with, once it has settled."""
        if self.global_step >= SETTLED:
            for layer in self.network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()

    def training_step(self, items: Tensor, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(items)
        self.log_dict(losses, prog_bar=True)
        return sum((weight * losses[name] for name, weight in WEIGHTS.items()), start=losses["judge"])

    def losses(self, items: Tensor) -> dict[str, Tensor]:
        """Return all losses of (B, ..., T, F) items."""
        features, hints, real, gate = items.split([SEEN, HINTS, MADE, 1], 1)
        made, _ = self.network.play(features, hints, self.network.zero_state(len(items))[2:-4])
        made = torch.stack(self.network.split(made.float()), 1)
        weight = gate[:, 0] * real[:, 0] / (gate[:, 0] * real[:, 0]).mean().clamp_min(1e-3)
        apart = (made - real).abs()
        found = {
            "level": (gate[:, 0] * apart[:, 0]).mean(),
            "noisy": (weight * apart[:, 1]).mean(),
            "stray": (weight * (1.0 - real[:, 1]) * apart[:, 2]).mean(),
        }
        found |= moments_apart(_log(made[:, 0]), _log(real[:, 0]), gate[:, 0])
        start = int(torch.randint(0, items.shape[2] - SHOWN + 1, ()))
        told = torch.cat([features[:, :1], hints], 1)
        told, made, real, gate = (x[:, :, start : start + SHOWN] for x in (told, made, real, gate))
        with standing(self.discriminator):
            found["gan"] = self.game.please(self._judged(told, gate * made))
        found["judge"] = self.game.judge(self._judged(told, gate * real), self._judged(told, gate * made.detach()))
        return found

    def _judged(self, told: Tensor, music: Tensor) -> Tensor:
        said: Tensor = self.discriminator(torch.cat([told, music], 1))
        return said.float()

    def score(self) -> dict[str, float]:
        """Return how far the held-out songs' accompaniment is from the real one, as a part of how far the voice is."""
        parts = []
        for song in self.recipe.mix.hold_out:
            voice, music = held_out_duet(self.library, song)
            made = accompany(self.network, voice)
            parts.append(log_mel_distance(made, music, voice) / log_mel_distance(voice, music, voice))
        return {"distance_part": float(np.mean(parts))} if parts else {}


def moments_apart(made: Tensor, real: Tensor, gate: Tensor) -> dict[str, Tensor]:
    """Return how far means and deviations over time of two (B, T, F) log magnitudes are apart, where a gate is open.

    Compared are the powers of single bands and frames and of broader and longer ones, as logarithms: how loud music is,
    how lively, how much bands move together and how slowly. L1 alone learns the median of what could be played, which
    is soft and hardly moves.
    """
    pictures = torch.stack([torch.exp(2.0 * made), torch.exp(2.0 * real), (gate > 0.5).to(made.dtype)], 1)
    means, deviations = list[Tensor](), list[Tensor]()
    for frames in (1, 8, 64):
        for bands in (1, 8, made.shape[-1]):
            *powers, weight = nn.functional.avg_pool2d(pictures, (frames, bands)).unbind(1)
            weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-3)
            both = [torch.log(power + 1e-7) / 2.0 for power in powers]
            mean = [(weight * x).sum(1, keepdim=True) for x in both]
            spread = [((weight * (x - m).square()).sum(1) + 1e-3).sqrt() for x, m in zip(both, mean, strict=True)]
            means.append((mean[0] - mean[1]).abs().mean())
            deviations.append((spread[0] - spread[1]).abs().mean())
    return {"mean": torch.stack(means).mean(), "deviation": torch.stack(deviations).mean()}


def _log(level: Tensor) -> Tensor:
    """Return natural logarithms of the magnitudes that compressed ones stand for."""
    return torch.log(level.clamp_min(1e-3)) / COMPRESSION


class DuetStream(torch.utils.data.IterableDataset[Tensor]):
    """Endless stream of training items. Workers and ranks draw their own."""

    def __init__(self, duets: Duets, network: Accompany, seed: list[int]) -> None:
        self.duets, self.network, self.seed = duets, network, seed

    def __iter__(self) -> Iterator[Tensor]:
        """Draw without end, each item as often as REUSED says."""
        rng, drawn = worker_generator(self.seed), list[Tensor]()
        while True:
            if len(drawn) == POOL:
                drawn.pop(int(rng.integers(POOL)))
            drawn.append(training_item(self.duets.draw_duet(rng), self.network))
            for _ in range(REUSED):
                yield drawn[int(rng.integers(len(drawn)))]


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
