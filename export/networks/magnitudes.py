"""`magnitudes`: log-mel frames and the pitch of the voice to the magnitudes of its spectrum, causal, without delay.

In: log-mel frames, pitch and voicing. Out: one spectrum (K,) per frame, all real: streaming Griffin-Lim finds its
phases. A first guess has partials at the pitch where the voice is voiced; the network says, per bin, how much of them
there is, and what else differs; then every band gets what it lacks of the mel that was asked for. So it is about right
from the first step of training on, and silence is silent. Runs in whichever thread calls it. Read next:
`../tasks/magnitudes.py`, which trains it; `vocoder.py`, which makes the phases, too.

Sources: Liu et al. 2022, "A ConvNet for the 2020s", on frames as in Siuzdak 2024, "Vocos"; Lv et al. 2024, "FreeV" (the
mel's inverse as prior); Yoneyama et al. 2025, "Wavehax" (harmonic prior in the spectrum); Richardson 1972 and Lucy 1974
(the updates).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.streaming import FrameNetwork
from export.networks.vocoder import HISS_HZ, LOUDEST, UNIT, CausalBlock, ahead
from rtvox.features import FeatureSpec, mel_filterbank

REACH = 3.0  # nat, 26 dB: what the gain may differ from the first guess
AHEAD = 1.0  # hops from the middle of what the tracker hears, 768 samples ago, to that of the frame
VALLEY = 0.05  # of the first guess between two partials, where the window's own lobes end
FIRST_DEPTH = 0.3  # of the partials in the first guess, as an exponent: the best without training
UPDATES = 2  # of the first guess, and again of the result: bands then hold the mel within 0.2 dB


class Magnitudes(FrameNetwork):
    """The network; see `FrameNetwork`. To the runtime, a vocoder."""

    role = "vocoder"
    resynthesis = "griffin-lim"
    controls = ()
    conditions = "pitch", "voicing"
    probe = -7.0, 1.5
    bank: Tensor
    spread: Tensor
    bins: Tensor
    tone: Tensor

    def __init__(self, spec: FeatureSpec, channels: int = 160, blocks: int = 4, expand: int = 2, time: int = 7) -> None:
        super().__init__()
        self.spec = spec
        self.enter = nn.Linear(spec.n_mels + 3, channels)
        self.blocks = nn.ModuleList([CausalBlock(channels, expand, time) for _ in range(blocks)])
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 2 * spec.n_bins)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        for name, values in _constants(spec).items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        self.states = [*(f"block_{i}" for i in range(blocks)), "pitch_past"]
        self.state_shapes = [*[(time - 1, channels)] * blocks, (2,)]

    def forward(self, mel: Tensor, pitch: Tensor, voicing: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Make spectra.

        Args:
            mel: (B, T, M) log-mel.
            pitch: (1,) or (B, T, 1), in Hz.
            voicing: (1,) or (B, T, 1), 0 to 1.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, K, 2) magnitudes and zeros, and the next state.
        """
        every = torch.ones_like(mel[..., :1])
        pitch, voicing = every * pitch, every * voicing
        later, past = ahead(pitch, state[-1], AHEAD)
        gain, depth, new = self.shape(mel, pitch, voicing, state[:-1])
        energy = torch.clamp_min(torch.exp(torch.clamp_max(mel, LOUDEST)) - self.spec.floor * 1.0001, 0.0)
        with torch.autocast(mel.device.type, enabled=False):
            partials = self.partials(later).log() * (depth.float() + FIRST_DEPTH * voicing * self.tone)
            size = self.fill(energy, torch.exp(partials + gain.float()), UPDATES)
        return torch.stack([size, torch.zeros_like(size)], -1), [*new, past]

    def shape(
        self, mel: Tensor, pitch: Tensor, voicing: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return (B, T, K) gain in nat and depth of the partials, both beyond the first guess, and the next states."""
        loudness = torch.log(torch.exp(torch.clamp_max(mel, LOUDEST)).mean(-1, keepdim=True))
        shape = torch.clamp_min((mel - loudness) / UNIT, -2.0)
        x = self.enter(torch.cat([shape, loudness / UNIT + 1.0, torch.log2(pitch / 200.0), voicing], -1))
        new = []
        for block, before in zip(self.blocks, state, strict=True):
            x, after = block(x, before)
            new.append(after)
        gain, depth = self.head(self.norm(x)).chunk(2, -1)
        return REACH * torch.tanh(gain / REACH), torch.tanh(depth), new

    def partials(self, pitch: Tensor) -> Tensor:
        """Return (B, T, K), for (B, T, 1) pitch in Hz, how a Hann window shows its partials: 1 to VALLEY."""
        spacing = pitch * (self.spec.n_fft / self.spec.sample_rate)  # in bins
        nearest = spacing * torch.clamp_min(torch.round(self.bins / spacing), 1.0)
        away = torch.clamp_max((self.bins - nearest).abs(), 2.0)
        return torch.clamp_min(torch.cos(away * (math.pi / 4.0)) ** 2, VALLEY)  # the window's main lobe, within 0.03

    def fill(self, energy: Tensor, size: Tensor, updates: int) -> Tensor:
        """Return the magnitudes (B, T, K) like `size` whose bands hold the energy (B, T, M)."""
        for _ in range(updates + 1):
            size = size * ((energy / (size @ self.bank.T + 1e-9)) @ self.spread.T)
        return size


def _constants(spec: FeatureSpec) -> dict[str, np.ndarray]:
    """Return the fixed linear maps of the network."""
    k = np.arange(spec.n_bins)
    bank = mel_filterbank(spec).astype(np.float64)
    covered = bank.sum(0)
    heard = np.flatnonzero(covered > 0.0)
    nearest = heard[np.abs(k[:, None] - heard).argmin(1)]  # bins in no band, as 0 Hz, follow their neighbour
    return {
        "bank": bank,
        "spread": (bank / np.where(covered > 0.0, covered, 1.0)).T[nearest],
        "bins": k,
        "tone": 1.0 - 0.5 / (1.0 + (HISS_HZ * spec.n_fft / spec.sample_rate / np.maximum(k, 1)) ** 4),
    }
