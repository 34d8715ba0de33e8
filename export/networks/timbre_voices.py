"""What `timbre` sings with: a picture of the partials of a pitch, and a voice per domain, run side by side.

In: pitch, or features that all domains share. Out: shape and depth of partials for each domain's mel bands. Runs in
whichever thread calls it. Read next: `timbre.py`, which is made of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.mel_vocoder import CausalBlock, abreast, norms, products
from rtvox.features import FeatureSpec, hz_from_mel, mel_from_hz

LOBE_HZ = 62.0  # width of a partial in a frame of 1024 samples under Hann's window
GAP = 0.03  # between partials, in their own height


class Partials(nn.Module):
    """A picture of the partials of a pitch as mel bands see them: (..., 1) Hz to (..., M) nat, 0 on a partial."""

    centre: Tensor
    width: Tensor

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        low, high = mel_from_hz([spec.mel_low_hz, spec.mel_high_hz])
        edges = torch.from_numpy(hz_from_mel(np.linspace(low, high, spec.n_mels + 2))).float()
        width = torch.hypot(0.5 * (edges[2:] - edges[:-2]), torch.tensor(LOBE_HZ))
        self.register_buffer("centre", edges[1:-1], persistent=False)
        self.register_buffer("width", width, persistent=False)

    def forward(self, pitch: Tensor) -> Tensor:
        """Return the picture; where bands are wider than a pitch, it is flat."""
        nearest = torch.clamp_min(torch.round(self.centre / pitch), 1.0) * pitch
        return torch.log(torch.exp(-((self.centre - nearest) / self.width).square()) + GAP)


class Voice(nn.Module):
    """A domain's own part of its generator: residual blocks, and a head for shape and partials. `sing` runs it."""

    def __init__(self, channels: int, n_mels: int, blocks: int, time: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([CausalBlock(channels, 2, time) for _ in range(blocks)])
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 2 * n_mels)
        nn.init.normal_(self.head.weight, std=0.01)


def sing(voices: Sequence[Voice], x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Run N voices side by side in single operations, which are what a live frame costs.

    Args:
        x: (B, T, C) features, the same for all.
        state: (B, N, k - 1, C) for each block.

    Returns:
        (B, N, T, 2 M), what the heads give, and the next state.
    """
    x, new = x[:, None].expand(-1, len(voices), -1, -1), []
    for row, before in zip(zip(*(voice.blocks for voice in voices), strict=True), state, strict=True):
        x, after = abreast(row, x, before)
        new.append(after)
    return products([voice.head for voice in voices], norms([voice.norm for voice in voices], x)), new
