"""`waveglow`: log-mel frames to samples by an invertible network, which turns a noise into the sound of a voice.

In: log-mel frames. Out: one spectrum (K,) per frame, two hops late, whose overlap-add is the sound. Samples in groups
are the channels; each flow mixes them and lets one half say how the other is scaled and shifted, which can be undone
exactly. So a recording can be turned back into the noise that would have made it, and training makes that noise as
likely as can be: no discriminator, no spectral loss, no pitch.

Against the paper: every convolution sees the past only, so that a file of it streams and is proved as any other; the
sound is pre-emphasised and as loud as its log-mel says before the first flow; the two mixes next to it start as a
cosine transform and a swap of halves, which couplings can colour at once, and the others as random rotations; all
channels leave at the end. It costs six times what `vocoder` does, which files can wait for. Runs in whichever thread
calls it. Read next: `../tasks/waveglow.py`, which trains it.

Sources: Prenger, Valle and Catanzaro 2018, "WaveGlow"; Kingma and Dhariwal 2018, "Glow" (flows); Box and Muller 1958
(the noise).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.mel_vocoder import LOUDEST, UNIT, bands, limited
from export.networks.streaming import FrameNetwork, Generators
from rtvox.features import FeatureSpec, vocoder_window

EMPHASIS = 0.95  # of a sample, taken from the next: speech then has about as much treble as bass
FADED = 512  # samples after which what the inverse of that remembers is below 1e-11
QUIET = 1e-5  # rms, of what rounding to 16 bits leaves: nothing is quieter to the flows
SEEN = 3  # frames that say how samples sound: those whose windows hold them
TAPS = 3  # of a convolution along time


class Coupling(nn.Module):
    """Affine coupling: (B, G / 2, L) and conditions (B, H, L) to how the other half is scaled and shifted.

    A WaveNet: gated convolutions, each twice as wide apart as the one before, over this and older groups. Its state is
    (C, past): what each of them saw last, side by side. At first it changes nothing.
    """

    def __init__(self, half: int, told: int, channels: int, layers: int) -> None:
        super().__init__()
        self.pasts = [(TAPS - 1) * 2**i for i in range(layers)]
        self.state_shape = (channels, sum(self.pasts))
        self.enter = nn.Conv1d(half, channels, 1)
        self.told = nn.Conv1d(told, 2 * channels * layers, 1)
        self.taps = nn.ModuleList(nn.Conv1d(channels, 2 * channels, TAPS, dilation=2**i) for i in range(layers))
        self.mix = nn.ModuleList(nn.Conv1d(channels, 2 * channels, 1) for _ in range(layers))
        self.leave = nn.Conv1d(channels, 2 * half, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, half: Tensor, told: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scale in nat and shift, each (B, G / 2, L), and the next state."""
        x, said = self.enter(half), torch.zeros_like(half[:, :1])
        pasts, after = state.split(self.pasts, -1), []
        hints = self.told(told).chunk(len(self.taps), 1)
        for taps, mix, past, hint in zip(self.taps, self.mix, pasts, hints, strict=True):
            seen = torch.cat([past, x], -1)
            after.append(seen[..., -past.shape[-1] :])
            wave, gate = (taps(seen) + hint).chunk(2, 1)
            onward, out = mix(torch.tanh(wave) * torch.sigmoid(gate)).chunk(2, 1)
            x, said = x + onward, said + out
        scale, shift = self.leave(said).chunk(2, 1)
        return limited(scale), shift, torch.cat(after, -1)


class WaveGlow(FrameNetwork):
    """The network; see `FrameNetwork`. `flows` and `mixes` are in the order from noise to sound."""

    role = "vocoder"
    resynthesis = "overlap-add"
    look_ahead = 2
    controls = ()
    probe = -8.0, 1.5
    weigh: Tensor
    ramp: Tensor
    fading: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(
        self,
        spec: FeatureSpec,
        group: int = 32,
        flows: int = 6,
        channels: int = 48,
        layers: int = 4,
        told: int = 32,
        sigma: float = 0.8,
    ) -> None:
        """Make one.

        Args:
            group: samples that are one step of the flows; a divisor of the hop, even.
            flows: two or more.
            told: channels of what log-mel tells each step.
            sigma: deviation of the noise that sound is made of, for which 1 is trained: less is calmer, and duller.
        """
        super().__init__()
        self.spec, self.group, self.sigma = spec, group, sigma
        self.hint = nn.Conv1d(spec.n_mels + 1, told * spec.hop // group, SEEN)  # upsamples as it convolves
        self.flows = nn.ModuleList(Coupling(group // 2, told, channels, layers) for _ in range(flows))
        self.mixes = nn.ParameterList(nn.init.orthogonal_(torch.empty(group, group)) for _ in range(flows - 2))
        self.mixes.extend([torch.eye(group).roll(group // 2, 0), _cosine_transform(group).T.contiguous()])
        self.noise = Generators(spec.hop)
        self.keep(_constants(spec))
        self.states = ["mel_past", "noise_place", "sound_past", *(f"flow_{i}" for i in range(flows))]
        self.state_shapes = [(SEEN - 1, spec.n_mels), (spec.hop,), (FADED - 1,)]
        self.state_shapes += [flow.state_shape for flow in self.flows]  # type: ignore[misc]

    def forward(self, mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Make spectra.

        Args:
            mel: (B, T, M) log-mel.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, K, 2) real and imaginary, for `overlap_add`, and the next state. Delay: two hops.
        """
        white, place = self.noise.draw(mel.shape[1], state[1])
        hops, after = self.sound_of(self.sigma * _normal(white), mel, state)
        after[1] = place
        return torch.stack([hops @ self.cosines, hops @ self.sines], -1), after

    def sound_of(self, noise: Tensor, mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the samples (B, T, hop) that a normal noise (B, T, hop) makes, and the next state.

        They are those of the second newest hop of each frame's window.
        """
        told, size, mel_past = self.hear(mel, state[0])
        x, after = self._groups(noise), []
        for flow, mix, past in zip(self.flows, self.mixes, state[3:], strict=True):
            one, other = x.chunk(2, 1)
            scale, shift, new = flow(one, told, past)
            x = nn.functional.conv1d(torch.cat([one, other * torch.exp(scale) + shift], 1), mix[..., None])
            after.append(new)
        bright = torch.cat([state[2], (size * x.transpose(1, 2).reshape(noise.shape)).flatten(1)], -1)
        hops = nn.functional.conv1d(bright[:, None], self.fading)[:, 0].reshape(noise.shape)
        return hops, [mel_past, state[1], bright[:, -FADED + 1 :], *after]

    def noise_of(self, samples: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `sound_of`, from a silent past.

        Args:
            samples: (B, T, hop), those of the second newest hop of each frame's window.
            mel: (B, T, M) log-mel.

        Returns:
            The noise (B, T, hop) that makes them, and (B, T), in nat, by how much its volume grew: the logarithm of the
            determinant, each frame's part of it.
        """
        past = self.zero_state(len(mel))
        told, size, _ = self.hear(mel, past[0])
        plain = samples.flatten(1)
        bright = plain - EMPHASIS * nn.functional.pad(plain, (1, 0))[:, :-1]
        x = self._groups(bright.reshape(size.shape) / size)
        grown = -torch.log(size).sum(-1)
        per_frame = self.spec.hop // self.group
        for flow, mix, before in zip(reversed(self.flows), reversed(self.mixes), reversed(past[3:]), strict=True):
            one, other = nn.functional.conv1d(x, torch.linalg.inv(mix)[..., None]).chunk(2, 1)
            scale, shift, _ = flow(one, told, before)
            x = torch.cat([one, (other - shift) * torch.exp(-scale)], 1)
            grown = grown - scale.sum(1).unflatten(-1, (-1, per_frame)).sum(-1)
            grown = grown - per_frame * torch.linalg.slogdet(mix)[1]
        return x.transpose(1, 2).reshape(samples.shape), grown

    def hear(self, mel: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what (B, T, M) log-mel tells the flows (B, H, L), the rms (B, T, hop) it asks for, and the next past.

        The rms, of pre-emphasised samples, goes straight from one frame's to the next's. `past` (B, 2, M) is 0 in
        silence.
        """
        floor = math.log(self.spec.floor)
        heard = torch.cat([past, (torch.clamp_max(mel, LOUDEST) - floor) / UNIT], 1)
        above = torch.clamp_min(torch.exp(UNIT * heard + floor) - self.spec.floor, 0.0)
        level = torch.sqrt((above.square() @ self.weigh)[..., None] + QUIET**2)
        loudness = (torch.log(level) - floor) / UNIT
        hint = self.hint(torch.cat([heard - loudness, loudness - 1.0], -1).transpose(1, 2))
        told = hint.unflatten(1, (-1, self.spec.hop // self.group)).transpose(2, 3).flatten(2)
        size = level[:, -mel.shape[1] - 1 : -1] * (1.0 - self.ramp) + level[:, -mel.shape[1] :] * self.ramp
        return nn.functional.gelu(told), size, heard[:, 1 - SEEN :]

    def _groups(self, hops: Tensor) -> Tensor:
        """Turn (B, T, hop) into (B, G, L): samples of a group are channels."""
        return hops.reshape(len(hops), -1, self.group).transpose(1, 2)


def _normal(uniform: Tensor) -> Tensor:
    """Turn uniform numbers from -1 to below 1 into as many normal ones: Box and Muller's transform."""
    one, other = uniform.chunk(2, -1)
    radius = torch.sqrt(-2.0 * torch.log(0.5 * (1.0 - one)))
    return torch.cat([radius * torch.cos(math.pi * other), radius * torch.sin(math.pi * other)], -1)


def _cosine_transform(size: int) -> Tensor:
    """Return the orthonormal DCT-II (size, size), its even rows first: halves then have neighbouring bands."""
    rows = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])[:, None]
    matrix = math.sqrt(2.0 / size) * torch.cos(math.pi / size * (torch.arange(size) + 0.5) * rows)
    matrix[0] /= math.sqrt(2.0)
    return matrix


def _constants(spec: FeatureSpec) -> dict[str, np.ndarray]:
    """Return the fixed linear maps of the network."""
    maps, n = bands(spec), np.arange(spec.hop)
    omega = 2.0 * np.pi / spec.n_fft * np.arange(spec.n_bins)
    # A band's mean magnitude in each of its bins; their power over the window's, after the emphasis.
    emphasised = np.abs(1.0 - EMPHASIS * np.exp(-1j * omega)) ** 2 @ maps["spread"]
    power = spec.n_fft / 2.0 * np.sum(spec.analysis_window().astype(np.float64) ** 2)
    # The first hop of a vocoder's frame is the one that goes out: what its window leaves there is undone.
    place = vocoder_window(spec)[: spec.hop, None].astype(np.float64)
    return {
        "weigh": emphasised / maps["bank"].sum(1) ** 2 / power,
        "ramp": (n + 0.5) / spec.hop,
        "fading": EMPHASIS ** np.arange(FADED)[::-1][None, None],
        "cosines": np.cos(np.outer(n, omega)) / place,
        "sines": -np.sin(np.outer(n, omega)) / place,
    }
