"""BandUNet: what networks over spectra share: bins pooled to bands, what is seen of them, and a causal U-Net.

In: complex spectra (real and imaginary as the last axis). Bins are pooled to bands: one bin each up to 2 kHz, wider
above. Seen of each band are its magnitude, how far its phase strays from a steady tone's, and its mean over the last
seconds. A U-Net with recurrent layers makes of that some numbers per band; what they mean is the network's own affair.
Training stays in the band domain. Runs in whichever thread calls it. Read next: `isolate.py` and `accompany.py`.

Sources: Jansson et al. 2017, "Singing voice separation with deep U-Net convolutional networks"; Choi et al. 2020
(frequency mixing); Le et al. 2021, "DPCRN" (recurrent bottleneck with weights shared along frequency).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.streaming import SECOND, CausalConv, FrameConv, FrameNetwork, FrequencyMix, TimeGRU, scan
from rtvox.features import FeatureSpec

COMPRESSION = 0.3  # |X|^0.3: loudness-like, keeps quiet partials visible (usual in enhancement, e.g. DeepFilterNet)
EPSILON = 1e-7  # mean power under which a band is silence: about -70 dB of a full-scale sine spread over its window
SLOW = 1 / 400  # per frame: the background of the last 2 s, which an accompaniment repeats and a voice leaves
LAG = 4  # frames, 21 ms: long enough for a gliding pitch to leave the phase that a steady tone would have
LINEAR_HZ = 2000.0  # below it every bin is a band: the partials of a low voice are 3 bins apart
PATCH = 4  # bands that share a position of the U-Net's top level
SEEN = 3  # numbers that `features` tells of a band


def band_edges(spec: FeatureSpec, bands: int) -> list[int]:
    """Return bands + 1 bin numbers: one bin per band up to LINEAR_HZ, then widths that grow evenly up to K."""
    linear = round(LINEAR_HZ * spec.n_fft / spec.sample_rate)
    steps = np.arange(1, bands - linear + 1)
    low, high = 1.0, 2.0  # growth per band, by bisection
    for _ in range(60):
        growth = (low + high) / 2
        low, high = (growth, high) if linear + np.sum(growth**steps) < spec.n_bins else (low, growth)
    return [*range(linear + 1), *(linear + np.round(np.cumsum(low**steps))).astype(int).tolist()]


class BandUNet(FrameNetwork):
    """The U-Net, (B, C, T, F) to (B, outputs, T, F), and the bands it works on; see `FrameNetwork`.

    The first states are those of `features`, then come those of `unet`; a network may add its own behind them.
    """

    pool: Tensor
    widths: Tensor  # bins per band
    band_of_bin: Tensor

    def __init__(
        self,
        spec: FeatureSpec,
        bands: int = 192,
        channels: tuple[int, ...] = (32, 48, 80),
        hidden: tuple[int, ...] = (0, 64, 128),
        recurrent: int = 2,
        *,
        inputs: int = SEEN,
        outputs: int = 1,
        slowest: float = SECOND,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.edges = band_edges(spec, bands)
        widths = torch.tensor([b - a for a, b in pairwise(self.edges)])
        self.register_buffer("widths", widths.float(), persistent=False)
        self.linear = int((widths.cumsum(0) == torch.arange(1, bands + 1)).sum())
        band_of_bin = torch.repeat_interleave(torch.arange(bands), widths)
        pool = (band_of_bin[self.linear :, None] == torch.arange(self.linear, bands)) / widths[self.linear :]
        self.register_buffer("pool", pool.float(), persistent=False)
        self.register_buffer("band_of_bin", band_of_bin, persistent=False)
        sizes = [bands // PATCH >> i for i in range(len(channels))]
        self.enter = CausalConv(inputs, channels[0], bands, time=3, width=2 * PATCH, stride=PATCH)
        self.down = nn.ModuleList(FrameConv(i, o, width=5, stride=2) for i, o in pairwise(channels))
        levels = [
            Level(c, f, h, recurrent if f == sizes[-1] else 1, slowest)
            for c, f, h in zip(channels, sizes, hidden, strict=True)
        ]
        self.level = nn.ModuleList(levels)
        self.up = nn.ModuleList(FrameConv(i, o, up=True) for o, i in reversed(list(pairwise(channels))))
        self.leave = FrameConv(channels[0], channels[0])
        self.head = nn.Conv2d(channels[0], PATCH * outputs, 1)
        self.states = [
            "past",
            "slow",
            "enter",
            *(f"level{i}_{n}" for i, m in enumerate(levels) for n in range(len(m.state_shapes))),
        ]
        self.state_shapes: list[tuple[int, ...]] = [(2, 2 * LAG, spec.n_bins), (1, bands), self.enter.state_shape]
        self.state_shapes += [shape for level in levels for shape in level.state_shapes]

    def features(self, spectrum: Tensor, state: list[Tensor], step: int = 1) -> tuple[Tensor, list[Tensor]]:
        """Return what is seen of (B, T, K, 2) spectra, (B, SEEN, T, F), and the state.

        `step`: hops from one to the next. The features are the compressed magnitudes of the bands; those of how far
        each bin strays from the steady tone that it was LAG frames ago (the phase deviation of onset detectors: Duxbury
        et al. 2003, "Complex domain onset detection for musical signals"); and the running mean of the first.
        """
        now, lag = spectrum.movedim(3, 1), LAG // step  # (B, 2, T, K)
        past = torch.cat([state[0] if step == 1 else state[0][:, :, -2 * lag :], now], 2)
        before, last = (past[:, :, i * lag : i * lag + now.shape[2]] for i in (0, 1))
        # last * (last / |last|) * conj(before / |before|): the phase goes on turning as it did
        (x, y), (u, v) = last.split(1, 1), before.split(1, 1)
        re, im = x * u + y * v, y * u - x * v
        scale = torch.rsqrt(re.square() + im.square() + 1e-20)
        re, im = re * scale, im * scale
        steady = torch.cat([x * re - y * im, x * im + y * re], 1)
        seen = self.compressed(torch.cat([now, now - steady], 1).square().unflatten(1, (2, 2)).sum(2))
        level = seen[:, :1]
        slow = scan(torch.full_like(level, SLOW * step), level, state[1], 2)
        return torch.cat([seen, slow], 1), [past[:, :, -2 * lag :], slow[:, :, -1]]

    def compressed(self, bins: Tensor) -> Tensor:
        """Turn (..., K) powers into (..., F) compressed magnitudes of bands."""
        return (self.pooled(bins) + EPSILON) ** (COMPRESSION / 2)

    def pooled(self, bins: Tensor) -> Tensor:
        """Average (..., K) bins to (..., F) bands; the lowest are bins themselves."""
        return torch.cat([bins[..., : self.linear], bins[..., self.linear :] @ self.pool], -1)

    def unet(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return (B, outputs, T, F) of (B, C, T, F) features, and the state."""
        x, last = self.enter(features, state[0])
        old, new = state[1:], [last]
        skips: list[Tensor] = []
        for i, level in enumerate(self.level):
            if i:
                x = self.down[i - 1](x)
            x, last = level(x, old)
            old, new = old[len(last) :], new + last
            skips.append(x)
        x = skips.pop()
        for up in self.up:
            x = up(x) + skips.pop()
        made: Tensor = self.head(self.leave(x)).unflatten(1, (-1, PATCH)).permute(0, 1, 3, 4, 2).flatten(3)
        return made, new


class Level(nn.Module):
    """What happens at one resolution: frequency mixing, and `recurrent` rounds of memory and mixing (if hidden > 0)."""

    def __init__(self, channels: int, positions: int, hidden: int, recurrent: int, slowest: float) -> None:
        super().__init__()
        rounds = recurrent if hidden else 0
        recur = [TimeGRU(channels, positions, hidden, slowest) for _ in range(rounds)]
        self.state_shapes = [layer.state_shape for layer in recur]
        self.recur = nn.ModuleList(recur)
        self.mix = nn.ModuleList(FrequencyMix(positions, 16) for _ in range(rounds + 1))

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Map (B, C, T, F) to the same shape, and the state to the next."""
        shape = x.shape
        if torch.onnx.is_in_onnx_export():  # one frame of one signal: products of matrices, the fewest operations
            x = x.flatten(0, 2)
        x, new = self.mix[0](x), []
        for recur, mix, old in zip(self.recur, self.mix[1:], state, strict=False):
            x, memory = recur(x, old)
            new.append(memory)
            x = mix(x)
        return x.view(shape), new
