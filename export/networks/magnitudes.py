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
from torch import Tensor

from export.networks.mel_vocoder import MelVocoder, ahead, hiss, limited
from rtvox.features import FeatureSpec

AHEAD = 1.0  # hops from the middle of what the tracker hears, 768 samples ago, to that of the frame
VALLEY = 0.05  # of the first guess between two partials, where the window's own lobes end
FIRST_DEPTH = 0.3  # of the partials in the first guess, as an exponent: the best without training
UPDATES = 2  # of the first guess, and again of the result: bands then hold the mel within 0.2 dB


class Magnitudes(MelVocoder):
    """The network; see `FrameNetwork`. To the runtime, a vocoder."""

    resynthesis = "griffin-lim"
    bins: Tensor
    tone: Tensor

    def __init__(self, spec: FeatureSpec, channels: int = 160, blocks: int = 4, expand: int = 2, time: int = 7) -> None:
        super().__init__(spec, 2, channels, blocks, expand, time)
        self.keep({"bins": np.arange(spec.n_bins), "tone": 1.0 - 0.5 * hiss(spec)})

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
        made, new = self.listen(mel, pitch, voicing, state[:-1])
        gain, depth = made.unbind(2)
        gain, depth = limited(gain), torch.tanh(depth)
        with torch.autocast(mel.device.type, enabled=False):
            partials = self.partials(later).log() * (depth.float() + FIRST_DEPTH * voicing * self.tone)
            size = self.fill(self.energy(mel), torch.exp(partials + gain.float()), UPDATES)
        return torch.stack([size, torch.zeros_like(size)], -1), [*new, past]

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
