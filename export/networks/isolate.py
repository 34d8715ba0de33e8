"""`isolate`: a causal U-Net over spectra that finds the voice in a song.

In: complex spectra of the mix (real and imaginary as the last axis). Out: the spectra of the voice, of the rest, or of
anything between (`part`). The U-Net of `band_unet.py`, which is also shown what the music was like when it came before
(`repetition.py`), estimates one gain per band. A rule that is not learnt has a part in the gain, too: what was not
there before is voice. The gains are applied to the mix's own spectrum: the phase is the input's, silence in is silence
out, and the voice is never louder than the mix. Training stays in the band domain (see `../losses.py`). Runs in
whichever thread calls it. Read next: `../spectra.py`.

Source: Jansson et al. 2017, "Singing voice separation with deep U-Net convolutional networks".
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from export.networks.band_unet import COMPRESSION, SEEN, BandUNet
from export.networks.repetition import MOMENTS, RECENT, Repetition
from rtvox.features import FeatureSpec
from rtvox.params import Param

LEAN = 0.2, 0.5  # part of the gains that is a rule, not learnt: what was not there when the music came before is voice
MATCH = 0.6, 0.7  # from the one likeness to the other it leans further: bands of players reach 0.65, loops 0.7 to 0.85
LOWEST_HZ = 200.0  # that the rule takes for a voice
PART = Param("part", "", 0.0, 1.0, 0.0, 20.0, "From 0, the voice, over 0.5, the whole mix, to 1, the accompaniment.")


class Isolate(BandUNet):
    """The network; see `FrameNetwork`."""

    role = "mask"
    resynthesis = "istft"
    controls = (PART,)
    probe = 0.0, 1.0
    sung: Tensor

    def __init__(self, spec: FeatureSpec, *, moments: int = MOMENTS, recent: int = RECENT, **sizes: Any) -> None:
        """Args: moments, recent: see `Repetition`; sizes: of the `BandUNet`."""
        super().__init__(spec, **sizes, inputs=SEEN + 2)
        middle = torch.tensor([(a + b) / 2 for a, b in pairwise(self.edges)]) * (spec.sample_rate / spec.n_fft)
        self.register_buffer("sung", (middle > LOWEST_HZ).float(), persistent=False)
        self.repetition = Repetition(len(self.widths), moments, recent)
        self.heard = len(self.states)  # states of the U-Net and what it sees, before those of the repetition
        self.states += self.repetition.states
        self.state_shapes += self.repetition.state_shapes

    def forward(self, spectrum: Tensor, part: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Filter frames.

        Args:
            spectrum: (B, T, K, 2) real and imaginary parts of the mix.
            part: (1,) 0 = voice, 0.5 = the mix as it is, 1 = everything but the voice.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, K, 2) spectra and the next state. Delay: none.
        """
        features, seen = self.features(spectrum, state)
        gains, heard = self.gains(features, state)
        voice, rest = torch.clamp(2.0 - 2.0 * part, 0.0, 1.0), torch.clamp(2.0 * part, 0.0, 1.0)
        gains = rest + (voice - rest) * gains
        band_of_number = self.band_of_bin[:, None].expand(-1, 2)  # real and imaginary: one gather, no broadcast
        return gains[..., band_of_number] * spectrum, [*seen[:2], *heard, *seen[2:]]

    def features(self, spectrum: Tensor, state: list[Tensor], step: int = 1) -> tuple[Tensor, list[Tensor]]:
        """Return what is seen of (B, T, K, 2) spectra, (B, SEEN + TOLD, T, F), and the states of this: the first two,
        and those of the repetition.
        """
        features, seen = super().features(spectrum, state[:2], step)
        before, remembered = self.repetition(features[:, 0], state[self.heard :], step)
        return torch.cat([features, before], 1), seen + remembered

    def energies(self, mix: Tensor, voice: Tensor) -> Tensor:
        """Return (B, 3, T, F): per frame and band the energy of the mix, its inner product with the voice, the voice's.

        Both are (B, T, K, 2) spectra. With gains g per band, g^2 * mix - 2 * g * inner + voice is the energy of the
        error, exactly: a mask can be trained on these three without ever going back to bins or samples.
        """
        products = torch.stack([(a * b).sum(-1) for a, b in ((mix, mix), (mix, voice), (voice, voice))], 1)
        return self.pooled(products) * self.widths

    def gains(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return gains in 0..1 that leave the voice, (B, T, F), and the states of the U-Net, from `features`."""
        made, state = self.unet(features[:, : SEEN + 2], state[2 : self.heard])
        gains = torch.sigmoid(made)
        level, _, before, match = features.split([1, SEEN, 1, 1], 1)
        new = 1.0 - torch.clamp_max(before / level, 1.0) ** (1.0 / COMPRESSION)
        lean = torch.clamp(LEAN[0] + (match - MATCH[0]) * ((LEAN[1] - LEAN[0]) / (MATCH[1] - MATCH[0])), *LEAN)
        return (gains + lean * (self.sung * new - gains)).squeeze(1), state
