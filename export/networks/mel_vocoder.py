"""MelVocoder: what networks that turn log-mel into a spectrum share: frames heard by causal blocks, beside a pitch.

In: log-mel frames, pitch and voicing. Out: numbers for each bin, which the network at hand makes a spectrum of; the
energy that each band asks for; and where the pitch will be by then. Runs in whichever thread calls it. Read next:
`magnitudes.py` and `vocoder.py`.

Sources: Liu et al. 2022, "A ConvNet for the 2020s", on frames as in Siuzdak 2024, "Vocos".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.streaming import FrameNetwork
from rtvox.features import FeatureSpec, mel_filterbank

LOUDEST = 10.0  # natural log, as in the runtime: a full-scale sine reaches 2
UNIT = 4.0  # nat, 35 dB: about the deviation of log-mel bands within a frame
REACH = 3.0  # nat, 26 dB: what the gain may differ from what the mel asks for
GLIDE = 0.03  # part of the pitch by which it moves within a hop at most: 50 cents; more is a jump, and not followed
HISS_HZ = 5000.0  # above it even a vowel is half noise, says the prior


class CausalBlock(nn.Module):
    """ConvNeXt block on frames (B, T, C): depthwise convolution over this and older frames, then a small perceptron.

    Normalised over the channels of a frame, never over time. Its state is the (k - 1, C) frames before.
    Reference: Liu et al. 2022, "A ConvNet for the 2020s".
    """

    def __init__(self, channels: int, expand: int, time: int) -> None:
        super().__init__()
        self.state_shape = (time - 1, channels)
        self.taps = nn.Conv1d(channels, channels, time, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, expand * channels)
        self.narrow = nn.Linear(expand * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, C) to the same shape, and return the next state."""
        seen = torch.cat([state, x], 1)
        y = self.norm(depthwise(seen, self.taps.weight[:, 0].T, cast(Tensor, self.taps.bias)))
        y = self.narrow(nn.functional.gelu(self.widen(y)))
        return x + self.scale * y, seen[:, -self.state_shape[0] :]


def depthwise(seen: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Return the convolution along frames of (B, ..., k - 1 + T, C), each channel by itself: (B, ..., T, C).

    `taps` is (..., k, C), `bias` (..., C). In a graph of one frame, T = 1, it is a product and a sum, which onnxruntime
    does in a fifth of the time.
    """
    if torch.onnx.is_in_onnx_export() and seen.shape[-2] == taps.shape[-2]:
        return (seen * taps).sum(-2, keepdim=True) + bias[..., None, :]
    lines = seen.transpose(-1, -2)
    weight = taps.transpose(-1, -2).flatten(0, -2)[:, None]
    made = nn.functional.conv1d(lines.flatten(1, -2), weight, bias.flatten(), groups=len(weight))
    return made.unflatten(1, lines.shape[1:-1]).transpose(-1, -2)


def abreast(blocks: Sequence[CausalBlock], x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Run N blocks of one size side by side, in single operations, each as it is by itself.

    Maps (B, N, T, C) to the same shape; `state` and the next one are (B, N, k - 1, C).
    """
    seen = torch.cat([state, x], 2)
    taps = torch.stack([block.taps.weight[:, 0].T for block in blocks])
    y = depthwise(seen, taps, torch.stack([cast(Tensor, block.taps.bias) for block in blocks]))
    y = products([block.widen for block in blocks], norms([block.norm for block in blocks], y))
    y = products([block.narrow for block in blocks], nn.functional.gelu(y))
    return x + torch.stack([block.scale for block in blocks])[:, None] * y, seen[:, :, -state.shape[2] :]


def norms(layers: Sequence[nn.LayerNorm], x: Tensor) -> Tensor:
    """Normalise (B, N, T, C), each of the N by its own layer."""
    weight, bias = torch.stack([layer.weight for layer in layers]), torch.stack([layer.bias for layer in layers])
    return nn.functional.layer_norm(x, x.shape[-1:]) * weight[:, None] + bias[:, None]


def products(layers: Sequence[nn.Linear], x: Tensor) -> Tensor:
    """Map (B, N, T, C) to (B, N, T, E), each of the N by its own layer."""
    weight, bias = torch.stack([layer.weight.T for layer in layers]), torch.stack([layer.bias for layer in layers])
    return x @ weight + bias[:, None]


class MelVocoder(FrameNetwork):
    """The blocks; see `FrameNetwork`. Their states come first, then `pitch_past`; a network may add its own behind."""

    role = "vocoder"
    controls = ()
    conditions = "pitch", "voicing"
    probe = -7.0, 1.5
    bank: Tensor
    spread: Tensor

    def __init__(self, spec: FeatureSpec, outputs: int, channels: int, blocks: int, expand: int, time: int) -> None:
        """Args: outputs: numbers for each bin."""
        super().__init__()
        self.spec = spec
        self.enter = nn.Linear(spec.n_mels + 3, channels)
        self.blocks = nn.ModuleList([CausalBlock(channels, expand, time) for _ in range(blocks)])
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, outputs * spec.n_bins)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.keep(bands(spec))
        self.states = [*(f"block_{i}" for i in range(blocks)), "pitch_past"]
        self.state_shapes = [*[(time - 1, channels)] * blocks, (2,)]

    def listen(self, mel: Tensor, pitch: Tensor, voicing: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return (B, T, outputs, K) of (B, T, M) log-mel, pitch and voicing (B, T, 1), and the blocks' next states."""
        loudness = torch.log(torch.exp(torch.clamp_max(mel, LOUDEST)).mean(-1, keepdim=True))
        shape = torch.clamp_min((mel - loudness) / UNIT, -2.0)
        x = self.enter(torch.cat([shape, loudness / UNIT + 1.0, torch.log2(pitch / 200.0), voicing], -1))
        new = []
        for block, before in zip(self.blocks, state, strict=True):
            x, after = block(x, before)
            new.append(after)
        made: Tensor = self.head(self.norm(x)).unflatten(-1, (-1, self.spec.n_bins))
        return made, new

    def energy(self, mel: Tensor) -> Tensor:
        """Return what each band (B, T, M) asks for, as a magnitude; 0 at the mel's floor."""
        asked = torch.exp(torch.clamp_max(mel, LOUDEST))
        return asked * (asked > self.spec.floor * 1.0001)


def limited(gain: Tensor) -> Tensor:
    """Return gains in nat that stay within REACH."""
    return REACH * torch.tanh(gain / REACH)


def ahead(pitch: Tensor, past: Tensor, hops: float) -> tuple[Tensor, Tensor]:
    """Return where (B, T, 1) pitch will be so many hops later if it goes on gliding, and the next past.

    `past` (B, 2) is the pitch of the hop before, and how far it had come in that hop. Sums, products
    and choices only, which every machine rounds alike.
    """
    seen = torch.cat([past[:, :1, None], pitch], 1)
    glide = seen[:, 1:] - seen[:, :-1]
    glide = torch.where(glide.abs() < GLIDE * pitch, glide, torch.zeros_like(glide))
    glides = torch.cat([past[:, 1:, None], glide], 1)
    later = pitch + 0.5 * hops * (glides[:, 1:] + glides[:, :-1])
    return later, torch.cat([seen[:, -1], glides[:, -1]], 1)


def hiss(spec: FeatureSpec) -> np.ndarray:
    """Return (K,) from 0, far below HISS_HZ, to 1, far above."""
    k = np.arange(spec.n_bins)
    return np.asarray(1.0 / (1.0 + (HISS_HZ * spec.n_fft / spec.sample_rate / np.maximum(k, 1)) ** 4))


def bands(spec: FeatureSpec) -> dict[str, np.ndarray]:
    """Return the mel's bank (M, K), and (K, M): from which bands a bin gets what they lack; 0 Hz is in none."""
    bank = mel_filterbank(spec).astype(np.float64)
    covered = bank.sum(0)
    return {"bank": bank, "spread": (bank / np.where(covered > 0.0, covered, 1.0)).T}
