"""The training of `timbre`: every domain rebuilt, moved to every other, and judged there; all in one step.

In: a recipe and prepared domains. Out: a Lightning module for `train.py`. Generators and discriminators learn from one
sum: while the generators' part is computed the discriminators' weights stand still. Read next: `../networks/timbre.py`.

Losses, weighed in the recipe, in units of UNIT nat where they are distances of log-mel: `rebuild` (each domain from
itself), `kl` and `kl_moved` (latents of what was heard, and of what was made), `gan`, `cycle` (there and back) and
`latent` (what was made is heard as what it was made from), as AlBadawy and Lyu 2020 have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.adversarial import find_adversarial, gradient_penalty, standing
from export.networks.dcgan import Discriminator
from export.networks.timbre import NAT, UNIT, Timbre
from export.networks.vae import kl_divergence, warm_up
from export.recipe import Recipe, read_losses
from export.recordings.domains import read_domains
from export.recordings.drawing import worker_generator
from export.tasks.timbre_board import show
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array

SPEC = MEL_SPEC
FRAMES = 192  # of an item, 1 s
SETTLED = 36  # of them, which the blocks need until they see no padding; not judged
LEVELS_DB = -12.0, 6.0  # by which items are made louder
SHOWN_EVERY = 2500  # steps: pictures and sounds take seconds
VOICED = 0.5
OCTAVES, CHANCES = (-1, 0, 1), (0.1, 0.8, 0.1)  # away from the octave nearest to the middle of the target's range

Item = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Weights:
    """The `[losses]` of a recipe."""

    game: str = "least-squares"  # of `adversarial.ADVERSARIAL`
    rebuild: float = 10.0
    kl: float = 0.02
    kl_moved: float = 0.02
    gan: float = 0.5
    cycle: float = 5.0
    latent: float = 1.0
    warm_up: int = 2000  # steps in which the KL's weights rise from 0
    judges: tuple[int, ...] = (24, 48, 96)  # widths of each domain's discriminator
    judged: int = FRAMES - SETTLED  # frames of an item, one after the other, that it is shown


class TimbreTraining(Training):
    """The training step of `timbre`."""

    network: Timbre
    middles: Tensor

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Timbre(SPEC, **recipe.network))
        self.shown = -SHOWN_EVERY
        self.weights = read_losses(Weights, recipe.losses)
        self.game = find_adversarial(self.weights.game)
        names = self.network.domains
        self.parts = [[part.frames() for part in parts] for parts in read_domains(cache, names).values()]
        self.held = [[part.frames() for part in parts] for parts in read_domains(cache, names, held=True).values()]
        bounded = not self.game.penalty
        self.discriminators = nn.ModuleList([Discriminator(3, self.weights.judges, bounded=bounded) for _ in names])
        middles = [middle_of(np.concatenate([told for _, told in parts])) for parts in self.parts]
        self.register_buffer("middles", torch.tensor(middles), persistent=False)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the network, and the discriminators with the short memory that a game asks for."""
        return [*super().parameter_groups(), {"params": list(self.discriminators.parameters()), "betas": (0.5, 0.9)}]

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Item]:
        """Return endless items of (T, M) log-mel, (T, 3) conditions and the number of their domain, in turns."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: timbre learns from every frame; leave --frame-step out")
        return DomainStream(self.parts, [seed, rank])

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        mel, told, source = batch
        count = len(self.network.domains)
        target = (source + torch.randint(1, max(2, count), source.shape, device=source.device)) % count
        losses = self.losses(mel, told, source, target, self.move(told, target))
        rising = warm_up(self.global_step, self.weights.warm_up)
        total = sum(
            value * (rising if name.startswith("kl") else 1.0) * getattr(self.weights, name)
            for name, value in losses.items()
            if name != "judge"
        )
        self.log_dict(losses)
        self.log("rebuild_db", losses["rebuild"] * UNIT / NAT, prog_bar=True)
        return total + losses["judge"]

    def losses(self, mel: Tensor, told: Tensor, source: Tensor, target: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """Return all losses of items (B, T, M) with conditions (B, T, 3), moved from domains (B,) to others."""
        network = self.network
        again, mean, spread, latent = network.translate(mel, told, source)
        found = {"rebuild": _distance(again, mel), "kl": kl_divergence(mean, spread)}
        made = network.generate(latent, moved, target)
        back, back_mean, back_spread, _ = network.translate(made, moved, source, told)
        found |= {
            "kl_moved": kl_divergence(back_mean, back_spread),
            "cycle": _distance(back, mel),
            "latent": (back_mean - mean.detach())[:, SETTLED:].abs().mean(),
        }
        with standing(self.discriminators):
            found["gan"] = self._play(self.picture(made, moved), target)
        found["judge"] = self._judge(self.picture(mel, told), source, self.picture(made.detach(), moved), target)
        return found

    def picture(self, mel: Tensor, told: Tensor) -> Tensor:
        """Return (B, 3, T, M): what a discriminator sees. Shape, where partials should be, and loudness."""
        start = int(torch.randint(SETTLED, mel.shape[1] - self.weights.judged + 1, ()))
        mel, told = (x[:, start : start + self.weights.judged] for x in (mel, told))
        pitch, voicing, loudness = told.split(1, -1)
        shape = (mel - loudness * NAT) / UNIT
        partials = voicing * self.network.partials(pitch) / 2.0
        return torch.stack([shape, partials, (loudness / 35.0 + 1.0).expand_as(mel)], 1)

    def move(self, told: Tensor, target: Tensor) -> Tensor:
        """Return conditions whose pitch lies, by whole octaves, where the target's domain mostly is, or one beside."""
        pitch, voicing, loudness = told.split(1, -1)
        log_pitch, heard = torch.log2(pitch[..., 0]), (voicing[..., 0] > VOICED).float()
        middle = (log_pitch * heard).sum(1) / heard.sum(1).clamp_min(1.0)
        away = torch.tensor(OCTAVES, device=told.device)[
            torch.multinomial(torch.tensor(CHANCES, device=told.device), len(told), replacement=True)
        ]
        octaves = torch.where(middle > 0.0, torch.round(self.middles[target] - middle) + away, torch.zeros_like(middle))
        return torch.cat([(pitch * torch.exp2(octaves)[:, None, None]).clamp(40.0, 3000.0), voicing, loudness], -1)

    @torch.no_grad()
    def score(self) -> dict[str, float]:
        """Return how far held-out recordings are rebuilt, in dB, for each domain; and show pictures and sounds."""
        self.network.eval()
        found = {}
        for i, (name, parts) in enumerate(zip(self.network.domains, self.held, strict=True)):
            if parts:
                mel, told = (torch.from_numpy(x[None, : 60 * FRAMES]).to(self.device) for x in parts[0])
                again = self.network.translate(mel, told, torch.tensor([i], device=self.device))[0]
                found[f"held_{name}_db"] = float(_distance(again, mel)) * UNIT / NAT
        if self.logger is not None and self.global_step >= self.shown + SHOWN_EVERY:
            self.shown = self.global_step
            show(self.logger, self.network, self.held, self.global_step)
        self.network.train()
        return found

    def _play(self, pictures: Tensor, target: Tensor) -> Tensor:
        said = [self.game.please(judge(pictures[target == i]).float()) for i, judge in self._judges(target)]
        return torch.stack(said).mean()

    def _judge(self, real: Tensor, source: Tensor, made: Tensor, target: Tensor) -> Tensor:
        said = []
        for i, judge in self._judges(target):
            a, b = real[source == i], made[target == i]
            if len(a):
                said.append(self.game.judge(judge(a).float(), judge(b).float()))
                if self.game.penalty:
                    few = min(len(a), len(b))
                    said[-1] = said[-1] + self.game.penalty * gradient_penalty(judge, a[:few], b[:few])
        return torch.stack(said).mean() if said else real.new_zeros(())

    def _judges(self, domains: Tensor) -> Iterator[tuple[int, nn.Module]]:
        there = set(domains.tolist())
        return ((i, judge) for i, judge in enumerate(self.discriminators) if i in there)


class DomainStream(torch.utils.data.IterableDataset[Item]):
    """Endless items, from each domain in turn however long it is, at random places and levels."""

    def __init__(self, parts: list[list[tuple[Array, Array]]], seed: list[int]) -> None:
        self.parts, self.seed = parts, seed

    def __iter__(self) -> Iterator[Item]:
        """Draw without end."""
        rng = worker_generator(self.seed)
        chances = [np.array([len(mel) for mel, _ in parts], np.float64) for parts in self.parts]
        silence = np.float32(math.log(SPEC.floor))
        while True:
            for i, parts in enumerate(self.parts):
                mel, told = parts[int(rng.choice(len(parts), p=chances[i] / chances[i].sum()))]
                start = int(rng.integers(0, max(len(mel) - FRAMES, 0) + 1))
                short = FRAMES - len(mel[start : start + FRAMES])
                louder = np.float32(rng.uniform(*LEVELS_DB))
                mel = np.pad(mel[start : start + FRAMES], ((0, short), (0, 0)), constant_values=silence)
                told = np.pad(told[start : start + FRAMES], ((0, short), (0, 0)), mode="edge")
                told[:, 2] = np.maximum(told[:, 2] + louder, -100.0)
                mel = np.maximum(mel + louder * np.float32(NAT), silence)
                yield torch.from_numpy(mel), torch.from_numpy(told), torch.tensor(i)


def _distance(made: Tensor, mel: Tensor) -> Tensor:
    """Return the mean absolute difference of settled frames, in UNIT nat."""
    return (made - mel)[:, SETTLED:].abs().mean() / UNIT


def middle_of(told: Array) -> float:
    """Return the median log2 of the pitch in Hz of the voiced frames of (T, 3) conditions; 250 Hz's if none is."""
    voiced = told[told[:, 1] > VOICED, 0]
    return float(np.median(np.log2(voiced))) if len(voiced) else math.log2(250.0)
