"""`timbre`: a causal VAE-GAN on log-mel frames that turns a voice into any of n domains, violin first.

In: log-mel frames of whatever sounds, and its pitch, voicing and loudness. Out: log-mel frames of the wanted domain at
that pitch and loudness. One encoder for all domains hears the shape of the spectrum, smoothed by a cepstrum so that the
pitch is not in it, and says how it is articulated: a latent per frame. A generator per domain, the first block shared,
makes a spectrum of latent, pitch, voicing and loudness; its pitch is given to it as a picture of partials, since
painting those is no task for a small network. Silence stays silence. Runs in whichever thread calls it. Read next:
`../tasks/timbre.py`, which trains it.

Sources: AlBadawy and Lyu 2020, "Voice conversion using speech-to-speech neuro-style transfer" (one encoder, generators
that share a block; normalised over patches of 1.6 s, so it cannot stream: here every norm is of one frame); Engel et
al. 2020, "DDSP" (pitch and loudness as conditions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from scipy.ndimage import convolve1d
from torch import Tensor, nn

from export.networks.mel_vocoder import CausalBlock
from export.networks.streaming import FrameNetwork, Generators, scan
from export.networks.timbre_voices import Partials, Voice, sing
from export.networks.vae import Latent, draw
from rtvox.errors import ParameterError
from rtvox.features import Array, FeatureSpec, dct_basis, mel_filterbank
from rtvox.params import Param
from rtvox.pitch import CONDITIONS, loudness_weights

UNIT = 4.0  # nat, 35 dB: about the deviation of log-mel bands within a frame
NAT = math.log(10.0) / 20.0  # of a decibel
MIDDLE_HZ = 250.0  # pitch that networks see as 0
REFERENCE_DB = -25.0  # loudness that `dynamics` leaves alone, about that of all training data
LEVELLED_DB = 40.0  # by which a frame's level is set right, at most
ASLEEP_DB, AWAKE_DB = -75.0, -60.0  # loudness of the input below which nothing sounds, and from which all does
LOUDEST = 10.0  # nat, as in the runtime: a full-scale sine reaches 2
DRIFT = math.exp(-1.0 / 187.5)  # of the latent's random walk per frame: a second
UNIFORM = 3.0**0.5  # deviation 1 from numbers between -1 and 1


def controls(domains: Sequence[str]) -> tuple[Param, ...]:
    """Return the controls of a network with these domains; `domain` and `towards` count them from 0."""
    last = float(len(domains) - 1)
    return (
        Param("domain", "", 0.0, last, 0.0, 0.0, "What the voice becomes."),
        Param("towards", "", 0.0, last, min(1.0, last), 0.0, "What `morph` leads to."),
        Param("morph", "", 0.0, 1.0, 0.0, 50.0, "From 0, `domain`, to 1, `towards`."),
        Param("octave", "octaves", -2.0, 2.0, 0.0, 0.0, "Moves the pitch: 1 is an octave up."),
        Param("dynamics", "", 0.0, 2.0, 1.0, 50.0, "From 0, always as loud, over 1, as the voice, to 2."),
        Param("hold", "", 0.0, 1.0, 0.0, 0.0, "Articulation: from 0, the voice's, over slower, to 1, held as it is."),
        Param("jitter", "", 0.0, 1.0, 0.0, 50.0, "Articulation: trembles from frame to frame."),
        Param("drift", "", 0.0, 1.0, 0.0, 50.0, "Articulation: wanders about within seconds."),
    )


class Timbre(FrameNetwork):
    """The network; see `FrameNetwork`."""

    role = "mel"
    resynthesis = "vocoder"
    conditions = CONDITIONS
    probe = -5.0, 2.0
    dct: Tensor
    audible: Tensor
    ripple: Tensor
    numbers: Tensor

    def __init__(
        self,
        spec: FeatureSpec,
        domains: Sequence[str],
        channels: int = 96,
        latent: int = 12,
        blocks: int = 2,
        time: int = 7,
    ) -> None:
        """Args: blocks: of the encoder, and of each generator beside the shared one; time: frames that each sees."""
        super().__init__()
        if len(domains) < 2:
            raise ParameterError(f"domains {tuple(domains)}: needs two or more, with names of their own")
        self.spec, self.domains, self.controls = spec, tuple(domains), controls(domains)
        self.silence = math.log(spec.floor)
        self.keep(
            {
                "dct": dct_basis(spec.n_mfcc, spec.n_mels),
                "audible": _audible(spec),
                "ripple": _ripple(spec.n_mels),
                "numbers": np.arange(len(domains)),
            }
        )
        self.partials = Partials(spec)
        self.listen = nn.Linear(spec.n_mfcc + 2, channels)
        self.encoder = nn.ModuleList([CausalBlock(channels, 2, time) for _ in range(blocks)])
        self.latent = Latent(channels, latent)
        self.enter = nn.Linear(latent + spec.n_mels + 3, channels)
        self.shared = CausalBlock(channels, 2, time)
        self.voices = nn.ModuleList([Voice(channels, spec.n_mels, blocks, time) for _ in domains])
        self.chance = Generators(2 * latent)
        block = self.shared.state_shape
        states: dict[str, tuple[int, ...]] = {f"encoder_{i}": block for i in range(blocks)}
        states |= {"held": (latent,), "wander": (latent,), "chance": (2 * latent,), "shared": block}
        self.own = [f"voices_{i}" for i in range(blocks)]
        states |= dict.fromkeys(self.own, (len(domains), *block))
        self.states, self.state_shapes = list(states), list(states.values())

    def forward(self, mel: Tensor, *others: Any) -> tuple[Tensor, list[Tensor]]:
        """Convert frames.

        Args:
            mel: (B, T, M) log-mel of the input.
            others: each of `controls`, then each of `conditions`, (1,) or (B, T, 1); last the state, tensors of
                `state_shapes`, each with a leading B.

        Returns:
            (B, T, M) log-mel and the next state. Delay: none.
        """
        domain, towards, morph, octave, dynamics, hold, jitter, drift, *told = others[:-1]
        pitch, voicing, loudness = (x.expand(*mel.shape[:2], 1) for x in told)
        old = dict(zip(self.states, others[-1], strict=True))
        mean, _, new = self.encode(mel, voicing, loudness, old)
        latent, after = self._perform(mean, hold, jitter, drift, old)
        new |= after
        pitch = pitch * torch.exp(math.log(2.0) * octave)  # ONNX knows no exp2
        played = torch.clamp(REFERENCE_DB + dynamics * (loudness - REFERENCE_DB), -100.0, 0.0)
        picture = voicing * self.partials(pitch)
        x, new["shared"] = self.begin(latent, picture, pitch, voicing, played, old["shared"])
        own = [old[key] for key in self.own]
        made, own = self.speak(range(len(self.domains)), x, picture, played, own)
        new |= dict(zip(self.own, own, strict=True))
        share = (1.0 - morph) * self._near(domain) + morph * self._near(towards)
        out = (share.expand(*mel.shape[:2], -1).transpose(1, 2)[..., None] * made).sum(1)
        out = self.level(self.smooth(out, voicing), played)
        awake = torch.clamp((loudness - ASLEEP_DB) / (AWAKE_DB - ASLEEP_DB), 0.0, 1.0)
        return torch.clamp_min(self.silence + awake * (out - self.silence), self.silence), [new[k] for k in self.states]

    def encode(
        self, mel: Tensor, voicing: Tensor, loudness: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return mean and log-variance (B, T, L) of the latent, and the encoder's next states."""
        shape = torch.clamp_min((mel - loudness * NAT) / UNIT, -2.5)
        heard = torch.cat([shape @ self.dct.T / 4.0, voicing, loudness / 35.0 + 1.0], -1)
        x, new = self.listen(heard), dict[str, Tensor]()
        for i, block in enumerate(self.encoder):
            x, new[f"encoder_{i}"] = block(x, state[f"encoder_{i}"])
        mean, spread = self.latent(x)
        return mean.float(), spread.float(), new

    def begin(
        self, latent: Tensor, picture: Tensor, pitch: Tensor, voicing: Tensor, loudness: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the features (B, T, C) that all generators start from, out of the block they share; and its state.

        `picture` (B, T, M) is that of the partials, as much as they are voiced.
        """
        told = [torch.log2(pitch / MIDDLE_HZ), voicing, loudness / 35.0 + 1.0]
        after: tuple[Tensor, Tensor] = self.shared(self.enter(torch.cat([latent, picture, *told], -1)), state)
        return after

    def speak(
        self, domains: Sequence[int], x: Tensor, picture: Tensor, loudness: Tensor, state: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return (B, N, T, M) log-mel of N domains, and the states of their blocks; `picture` as for `begin`."""
        made, after = sing([cast(Voice, self.voices[i]) for i in domains], x, state)
        shape, depth = made.chunk(2, -1)
        loudness, picture = loudness[:, None], picture[:, None]
        mel = loudness * NAT + UNIT * (shape - 0.5) + nn.functional.softplus(depth) * picture
        return torch.clamp_min(mel, self.silence), after

    def translate(
        self, mel: Tensor, told: Tensor, domain: Tensor, moved: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (B, T, M) frames of other domains, and the latent's mean, log-variance and drawn place: for training.

        Args:
            mel: (B, T, M). told: (B, T, 3), its conditions. domain: (B,) whole numbers, of the result.
            moved: (B, T, 3), the conditions of the result; None: those of mel.
        """
        state = dict(zip(self.states, self.zero_state(len(mel)), strict=True))
        mean, spread, _ = self.encode(mel, told[..., 1:2], told[..., 2:], state)
        latent = draw(mean, spread) if self.training else mean
        return self.generate(latent, told if moved is None else moved, domain), mean, spread, latent

    def generate(self, latent: Tensor, told: Tensor, domain: Tensor) -> Tensor:
        """Return (B, T, M) frames of domains (B,), from latents (B, T, L) and conditions (B, T, 3): for training."""
        state = dict(zip(self.states, self.zero_state(len(latent)), strict=True))
        pitch, voicing, loudness = told.split(1, -1)
        picture = voicing * self.partials(pitch)
        x, _ = self.begin(latent, picture, pitch, voicing, loudness, state["shared"])
        mel = torch.zeros(*x.shape[:2], self.spec.n_mels, device=x.device)
        for i in range(len(self.domains)):
            rows = torch.nonzero(domain == i)[:, 0]
            if len(rows):
                own = [state[key][rows, i : i + 1] for key in self.own]
                made, _ = self.speak([i], x[rows], picture[rows], loudness[rows], own)
                mel = mel.index_copy(0, rows, made[:, 0].to(mel.dtype))
        return self.level(self.smooth(mel, voicing), loudness)

    def smooth(self, mel: Tensor, voicing: Tensor) -> Tensor:
        """Return (B, T, M) log-mel without what ripples from band to band, as far as nothing is voiced, (B, T, 1).

        Instruments hardly hiss, so what generators make of an "s" is little taught; bars of bands would whistle.
        """
        return mel - (1.0 - voicing) * (mel @ self.ripple.T)

    def level(self, mel: Tensor, loudness: Tensor) -> Tensor:
        """Return (B, T, M) log-mel as loud as it is told, (B, T, 1) in dB: within 0.5 dB of what a tracker hears."""
        power = torch.exp(2.0 * torch.clamp_max(mel, LOUDEST)) @ self.audible[:, None]
        lack = loudness - torch.log(power + 1e-12) / (2.0 * NAT)
        return torch.clamp_min(mel + NAT * torch.clamp(lack, -LEVELLED_DB, LEVELLED_DB), self.silence)

    def _near(self, place: Tensor) -> Tensor:
        """Return how much of each domain (..., D) there is at a place (..., 1) between the whole numbers."""
        return torch.clamp_min(1.0 - (place - self.numbers).abs(), 0.0)

    def _perform(
        self, mean: Tensor, hold: Tensor, jitter: Tensor, drift: Tensor, old: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the latent as the performer bends it, and the states of that."""
        numbers, place = self.chance.draw(mean.shape[1], old["chance"])
        trembling, pushed = numbers.chunk(2, -1)
        held = scan(((1.0 - hold) ** 3).expand_as(mean), mean, old["held"])
        pushed = (1.0 - DRIFT**2) ** 0.5 * UNIFORM * pushed
        wander = scan(torch.full_like(pushed, 1.0 - DRIFT), pushed / (1.0 - DRIFT), old["wander"])
        latent = held + jitter * UNIFORM * trembling + drift * 2.0 * wander
        return latent, {"held": held[:, -1], "wander": wander[:, -1], "chance": place}


def _ripple(bands: int) -> Array:
    """Return (M, M), what makes of log-mel how far each band is from its neighbours' mean, a binomial of five."""
    whole = np.eye(bands)
    mean = convolve1d(whole, np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0, axis=0, mode="nearest")
    return np.asarray(whole - mean, np.float32)


def _audible(spec: FeatureSpec) -> Array:
    """Return (M,) such that the weighted sum of a frame's squared mel bands is its A-weighted power."""
    bank = mel_filterbank(spec)
    covered, reach = bank.sum(0), bank.sum(1)
    share = bank / np.where(covered > 0.0, covered, 1.0)
    return np.asarray(share @ loudness_weights(spec) / np.maximum(reach, 1e-9) ** 2, np.float32)
