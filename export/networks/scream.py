"""`scream`: a causal variational autoencoder on log-mel and MFCC frames that turns a clean voice into a screamed one.

In: log-mel frames of a voice. Out: those of its scream; `intensity` 0 is the voice itself, to the bit. The encoder
turns the frame, its MFCCs and what came before into a latent per frame; the decoder turns latent, frame and controls
into a screamed spectrum, a gain that says how much of each band stays the voice's own, and the deviation of a noise.
That deviation, which a variational decoder has and is usually thrown away, is drawn here from a generator inside the
graph: a regression alone returns the mean of all screams, which is smooth, and roughness is just what is not. Silence
stays silence. Runs in whichever thread calls it. Read next: `../tasks/scream.py`, which trains it.

Sources: Kingma and Welling 2014, "Auto-encoding variational Bayes"; Kendall and Gal 2017, "What uncertainties do we
need in Bayesian deep learning?" (deviations learnt beside means).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from export.networks.streaming import CausalConv, FrameNetwork, MagnitudeNoise, TimeGRU
from export.networks.vae import draw
from rtvox.features import FeatureSpec, dct_basis
from rtvox.params import Param

INTENSITY = Param("intensity", "", 0.0, 1.0, 1.0, 20.0, "From 0, your own voice, to 1, a full scream.")
STYLE = Param("style", "", 0.0, 2.0, 1.0, 20.0, "From 0, growl, over 1, scream, to 2, shriek.")
UNIT = 4.0  # nat, 35 dB: about the deviation of log-mel bands within a frame
# Part of the noise that all bands of a growl share, tuned by its modulation from 25 to 160 Hz after Griffin-Lim.
# Screams and shrieks have none: what a noise of its own in each band beats is as much as they do.
SHARED = 0.42
WAKE = 0.5, 2.0  # nat above silence at which conversion begins, and further to where it is complete


class Scream(FrameNetwork):
    """The network; see `FrameNetwork`."""

    role = "mel"
    resynthesis = "griffin-lim"
    controls = (INTENSITY, STYLE)
    probe = -5.0, 2.0
    dct: Tensor

    def __init__(self, spec: FeatureSpec, channels: int = 112, latent: int = 48, hidden: int = 112) -> None:
        super().__init__()
        self.spec = spec
        m = spec.n_mels
        self.silence = math.log(spec.floor)
        self.keep({"dct": dct_basis(spec.n_mfcc, m)})
        self.see = CausalConv(m + spec.n_mfcc + 1, channels, 1, time=3, width=1)
        self.hear = CausalConv(channels, channels, 1, time=3, width=1)
        self.remember = TimeGRU(channels, 1, hidden)
        self.latent = nn.Linear(channels, 2 * latent)
        self.speak = CausalConv(latent + m + 4, channels, 1, time=3, width=1)
        self.go_on = TimeGRU(channels, 1, hidden)
        self.shape = CausalConv(channels, channels, 1, time=2, width=1)
        self.head = nn.Linear(channels, 3 * m)
        self.noise = MagnitudeNoise(m)
        names = ("see", "hear", "remember", "speak", "go_on", "shape")
        self.memories: dict[str, CausalConv | TimeGRU] = {name: getattr(self, name) for name in names}
        self.states = [*self.memories, "noise_place", "noise_past"]
        self.state_shapes = [layer.state_shape for layer in self.memories.values()] + self.noise.state_shapes

    def random_state(self, batch: int) -> list[Tensor]:
        """Return the state of a silent past whose noise begins anywhere: what training starts from."""
        state = self.zero_state(batch)
        state[-2] = self.noise.anywhere(batch)
        return state

    def forward(
        self, mel: Tensor, intensity: Tensor, style: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Scream frames.

        Args:
            mel: (B, T, M) log-mel of the voice.
            intensity: (1,) or (B, T, 1), 0 = the voice itself, 1 = a full scream.
            style: (1,) or (B, T, 1), 0 = growl, 1 = scream, 2 = shriek.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, M) log-mel and the next state. Delay: none.
        """
        mean, deviation, _, state = self.distribution(mel, intensity, style, state)
        noise, *after = self.draw(mel.shape[1], style, state)
        return torch.clamp_min(mean + deviation * noise, self.silence), state[:-2] + after

    def draw(self, frames: int, style: Tensor, state: list[Tensor]) -> list[Tensor]:
        """Return the noise (B, T, M) of a style, as `forward` takes it, and the next two states of `noise`."""
        return self.noise(frames, SHARED * torch.clamp(1.0 - style, 0.0, 1.0), state[-2:])

    def distribution(
        self, mel: Tensor, intensity: Tensor, style: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Return mean and deviation (B, T, M) of the scream, the latent's (B, T, 2 L) mean and log-variance, the state.

        In training the latent is drawn, else it is its mean. The state of the noise is passed through.
        """
        old, new = dict(zip(self.states, state, strict=True)), dict[str, Tensor]()

        def through(name: str, x: Tensor) -> Tensor:
            y, new[name] = self.memories[name](x, old[name])
            return y

        loudness = torch.log(torch.exp(mel).mean(-1, keepdim=True))
        spectrum = torch.clamp_min((mel - loudness) / UNIT, -2.0)
        cepstrum = spectrum @ self.dct.T / 4.0  # about unit deviation
        seen = torch.cat([spectrum, cepstrum, loudness / UNIT + 1.0], -1)
        x = through("remember", through("hear", through("see", _as_channels(seen))))
        latent = self.latent(_as_frames(x))
        centre, spread = latent.chunk(2, -1)
        drawn = draw(centre, spread) if self.training else centre
        every = torch.ones_like(loudness)
        manner = torch.cat([every * intensity, every * torch.clamp(1.0 - style, 0.0, 1.0),
                            every * torch.clamp(style - 1.0, 0.0, 1.0), loudness / UNIT + 1.0], -1)  # fmt: skip
        x = _as_channels(torch.cat([drawn, spectrum, manner], -1))
        x = through("shape", through("go_on", through("speak", x)))
        screamed, own, rough = self.head(_as_frames(x)).chunk(3, -1)
        awake = torch.clamp((loudness - self.silence - WAKE[0]) / WAKE[1], 0.0, 1.0) * intensity
        mean = mel + awake * torch.sigmoid(-own) * (loudness + UNIT * (screamed - 0.5) - mel)
        deviation = awake * nn.functional.softplus(rough - 1.0)
        return mean, deviation, latent, [new.get(name, old[name]) for name in self.states]


def _as_channels(frames: Tensor) -> Tensor:
    return frames.transpose(1, 2)[..., None]


def _as_frames(channels: Tensor) -> Tensor:
    return channels[..., 0].transpose(1, 2)
