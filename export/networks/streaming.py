"""Streaming layers: causal, with their memory passed in and out as a value.

Tensors are (B, C, T, F): batch, channels, frames, positions along frequency. A layer with memory has `state_shape`
and `forward(x, state) -> (y, next_state)`; any chunking along T gives the same result as one call, because a layer
never looks at frames to come and normalises with constants only. Read next: `isolate.py`, which is made of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtvox.features import Array, FeatureSpec
from rtvox.manifest import signal_in
from rtvox.params import Param

SECOND = 1 / 200  # gate of a memory of about a second
SMALL = 0.02  # residual branches start near zero, so that no normalisation is needed in them


class FrameNetwork(nn.Module):
    """What training, export and proof need to know of a network that turns frames into frames.

    `forward(frames, *controls, *conditions, state) -> (frames, next_state)` takes any number of frames (B, T, ...), one
    tensor (1,) per control and condition (in training also (B, T, 1)), and the memory: tensors of `state_shapes`, each
    with a leading B, in the order of their names `states`.
    """

    role: str  # of the manifest; says what a frame is
    look_ahead: int = 0  # frames by which its output is late
    resynthesis: str  # what turns its output into sound
    controls: tuple[Param, ...]
    conditions: tuple[str, ...] = ()  # of `rtvox.pitch.CONDITIONS`: what it is told of the input, after the controls
    probe: tuple[float, float]  # mean and deviation of a noise that is about as loud as a voice, in frames of its role
    domains: tuple[str, ...] = ()  # what its control `domain` counts
    hops: int = 1  # of sound that a frame answers
    spec: FeatureSpec
    states: list[str]
    state_shapes: list[tuple[int, ...]]

    def keep(self, constants: Mapping[str, np.ndarray]) -> None:
        """Hold fixed maps as float32 beside the weights, not among them."""
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def probes(self, frames: int) -> Array:
        """Return (T, ...) frames that are noise about as loud as a voice: what it is proved on."""
        mean, deviation = self.probe
        shape = signal_in(self.role, self.spec).shape[2:]
        return np.random.default_rng(440).standard_normal((frames, *shape)).astype(np.float32) * deviation + mean

    def zero_state(self, batch: int = 1) -> list[Tensor]:
        """Return the state of a silent past, where the weights are."""
        weight = next(self.parameters())
        return [weight.new_zeros(batch, *shape) for shape in self.state_shapes]


class FrameConv(nn.Module):
    """Convolution along frequency within one frame, normalisation with learnt constants, rectifier. Stateless.

    `stride` divides the positions F; `up=True` doubles them (channels become positions). While it is trained it
    normalises by what the batch has, unless `settled`: then by its constants, as it will live.
    """

    settled = False

    def __init__(
        self, c_in: int, c_out: int, *, time: int = 1, width: int = 3, stride: int = 1, up: bool = False
    ) -> None:
        super().__init__()
        self.up = up
        padding = (width - stride + 1) // 2
        self.conv = nn.Conv2d(
            c_in, c_out * (1 + up), (time, width), stride=(1, stride), padding=(0, padding), bias=False
        )
        self.norm = nn.BatchNorm2d(c_out)

    def train(self, mode: bool = True) -> FrameConv:
        """Switch to training, or out of it."""
        return super().train(mode and not self.settled)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, T, F) to (B, C_out, T, F / stride or 2 F)."""
        y = self.conv(x)
        if self.up:
            b, c, t, f = y.shape
            y = y.reshape(b, 2, c // 2, t, f).permute(0, 2, 3, 4, 1).reshape(b, c // 2, t, 2 * f)
        return torch.relu(self.norm(y))


class CausalConv(FrameConv):
    """A FrameConv that also sees the `time` - 1 frames before; they are its state (C_in, time - 1, F)."""

    def __init__(self, c_in: int, c_out: int, positions: int, *, time: int, width: int = 3, stride: int = 1) -> None:
        super().__init__(c_in, c_out, time=time, width=width, stride=stride)
        self.state_shape = (c_in, time - 1, positions)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Map (B, C_in, T, F) to (B, C_out, T, F / stride)."""
        x = torch.cat([state, x], dim=2)
        return super().forward(x), x[:, :, -state.shape[2] :]


class FrequencyMix(nn.Module):
    """Residual bottleneck along frequency, the same for every channel: what harmonics far apart have in common.

    Choi et al. 2020, "Investigating U-Nets with various intermediate blocks for spectrogram-based singing voice
    separation", time-distributed fully-connected block. Stateless.
    """

    def __init__(self, positions: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(positions, hidden)
        self.expand = nn.Linear(hidden, positions)
        nn.init.normal_(self.expand.weight, std=SMALL)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., F) to the same shape."""
        return x + self.expand(torch.relu(self.squeeze(x)))


class Scan(torch.autograd.Function):
    """h[t] = keep[t] * h[t - 1] + new[t] along the first axis: one fused operation per frame, forward and backward.

    Autograd through a loop would keep and zero a full gradient per frame, which was most of a training step.
    """

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor, h: Tensor) -> Tensor:
        """Return (T, ...) all h, from (T, ...) `keep` and `new`, and the h before."""
        out = torch.empty_like(new)
        ctx.save_for_backward(keep, out, h)
        for t in range(len(new)):
            h = torch.addcmul(new[t], keep[t], h, out=out[t])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of `keep`, `new` and the h before."""
        keep, out, h = ctx.saved_tensors
        flow = grads[0].contiguous().clone()
        for t in range(len(flow) - 2, -1, -1):
            flow[t].addcmul_(keep[t + 1], flow[t + 1])
        before = torch.cat([h[None], out[:-1]])
        return flow * before, flow, keep[0] * flow[0]


def scan(rate: Tensor, new: Tensor, h: Tensor, dim: int = 1) -> Tensor:
    """Return all h[t] = h[t - 1] + rate[t] * (new[t] - h[t - 1]) along an axis, given the h before.

    `rate`, from 0 to 1, and `new` have that axis, h does not. A graph that is exported takes one frame of one signal.
    """
    if torch.onnx.is_in_onnx_export():
        return h + rate * (new - h)
    found: Tensor = Scan.apply(*(x.float().movedim(dim, 0) for x in (1.0 - rate, rate * new)), h)
    return found.movedim(0, dim)


class TimeGRU(nn.Module):
    """Residual minimal GRU along time, the same weights at every position; a learnt offset tells it where it is.

    Its gate sees the input only, so a long stretch trains as one cheap scan, and a live frame costs two small products.
    The state (F, H) is a running weighted mean of what came in: it cannot drift as an LSTM's cell state does.
    Reference: Feng et al. 2024, "Were RNNs all we needed?", minGRU.
    """

    def __init__(self, channels: int, positions: int, hidden: int, slowest: float = SECOND) -> None:
        """Args: slowest: at first gates are spread from 1/2, a memory of two frames, to this one's."""
        super().__init__()
        self.place = nn.Parameter(torch.zeros(positions, channels))
        self.gate = nn.Linear(channels, hidden)
        self.new = nn.Linear(channels, hidden)
        self.out = nn.Linear(hidden, channels)
        nn.init.normal_(self.out.weight, std=SMALL)
        nn.init.uniform_(self.gate.bias, math.log(slowest), 0.0)
        self.state_shape = (positions, hidden)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, T, F), or (C, F), one frame of one signal, to the same shape."""
        if x.ndim == 2:
            return self._frame(x, state)
        rows = x.permute(2, 0, 3, 1) + self.place
        h = scan(torch.sigmoid(self.gate(rows)), self.new(rows), state, 0)
        return x + self.out(h).permute(1, 3, 0, 2), h[-1]

    def _frame(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        gate, new = (torch.addmm(of(self.place), x.t(), of.weight.t()) for of in (self.gate, self.new))
        h = scan(torch.sigmoid(gate), new, state, 0)
        return torch.addmm(x, self.out.weight, h.flatten(0, 1).t()) + self.out.bias[:, None], h


class Generators(nn.Module):
    """Pseudo-random numbers, `count` per frame: always the same ones, frame after frame.

    Their state is a `place` (count,). Each is linear congruential, x' = (a x + c) mod p with whole numbers below 2^24,
    which float32 holds exactly: torch and onnxruntime, on any machine, draw the same numbers.
    """

    prime = 4093  # the largest p whose products stay below 2^24
    factor: Tensor  # of full period: 4092 frames, 22 s
    step: Tensor
    jumps: Tensor  # see _jumps

    def __init__(self, count: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(440)
        roots = torch.tensor(_roots(1000, self.prime))
        factor = roots[torch.randperm(len(roots), generator=draw)[:count]]
        self.register_buffer("factor", factor.float(), persistent=False)
        step = torch.randint(1, self.prime, (count,), generator=draw)
        self.register_buffer("step", step.float(), persistent=False)
        self.register_buffer("jumps", torch.zeros(0, 2, count, dtype=torch.long), persistent=False)

    def anywhere(self, batch: int) -> Tensor:
        """Return random places (B, count)."""
        return torch.randint(0, self.prime, (batch, len(self.factor)), device=self.factor.device).float()

    @torch.no_grad()
    def draw(self, frames: int, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, count) uniform numbers from -1 to 1, and the next place."""
        if frames == 1:
            places = torch.fmod(self.factor * place + self.step, self.prime)[:, None]
        else:
            powers, steps = self._jumps(frames)
            places = ((powers * place[:, None].long() + steps) % self.prime).float()
        return places * (2.0 / self.prime) - 1.0, places[:, -1]

    def _jumps(self, frames: int) -> tuple[Tensor, Tensor]:
        """Return factors and steps (T, count) that lead from a place to the T next ones at once."""
        if len(self.jumps) < frames:
            factor, step = self.factor.long(), self.step.long()
            power, sum_ = torch.ones_like(factor), torch.zeros_like(step)
            rows = []
            for _ in range(frames):
                power, sum_ = power * factor % self.prime, (sum_ * factor + step) % self.prime
                rows.append(torch.stack([power, sum_]))
            self.jumps = torch.stack(rows)
        return self.jumps[:frames, 0], self.jumps[:frames, 1]


class MagnitudeNoise(Generators):
    """Log-magnitude of a noise's mel bands, of zero mean and unit deviation.

    Its state is the `place` of 2 M + 2 generators and the `past` of their frames. Two per band are the real and
    imaginary part of a white noise; the frames' overlap and the bands' ties them to their neighbours as a windowed
    transform does. Two more rock all bands at once, as false folds do.
    """

    overlap = (0.146, 0.854, 0.854, 0.146)  # a Hann window of four hops, at the hops' middles
    ties = (0.5, 1.0, 0.5)  # neighbouring mel bands share bins
    # How the part that all bands share follows itself: a negative correlation puts it where folds beat, from 25 to
    # 160 Hz, and leaves the syllables alone.
    rocking = (-0.45, 0.89)

    def __init__(self, n_mels: int) -> None:
        super().__init__(2 * n_mels + 2)
        self.n_mels = n_mels
        self.state_shapes = [(len(self.factor),), (len(self.overlap) - 1, len(self.factor))]

    @torch.no_grad()
    def forward(self, frames: int, shared: Tensor, state: list[Tensor]) -> list[Tensor]:
        """Return (B, T, M) of noise, and the next place and past; all bands share a part (1,) or (B, T, 1) of it."""
        place, past = state
        white, place = self.draw(frames, place)
        white = torch.cat([past, white], 1)
        tied = sum(w * white[:, i : i + frames, : 2 * self.n_mels] for i, w in enumerate(self.overlap))
        padded = nn.functional.pad(tied.unflatten(2, (2, self.n_mels)), (1, 1))  # type: ignore[union-attr]
        tied = sum(w * padded[..., i : i + self.n_mels] for i, w in enumerate(self.ties))
        # Mean square of a uniform draw from -1 to 1 is 1/3; a complex Gaussian's log-magnitude has mean -0.289 and
        # deviation 0.641 where its mean square is 1.
        power = 2.0 / 3.0 * sum(w * w for w in self.overlap) * sum(w * w for w in self.ties)
        magnitude = torch.log(tied.square().sum(2) / power + 1e-4) / 2.0  # type: ignore[union-attr]
        late = len(self.overlap) - len(self.rocking)
        common = white[:, late:, 2 * self.n_mels :].sum(-1, keepdim=True) * 1.5**0.5
        rocked = sum(w * common[:, i : i + frames] for i, w in enumerate(self.rocking))
        noise = torch.sqrt(1.0 - shared) * (magnitude + 0.289) / 0.641 + torch.sqrt(shared) * rocked
        return [noise, place, white[:, -len(self.overlap) + 1 :]]


@cache
def _roots(low: int, prime: int) -> list[int]:
    """Return the numbers from `low` on whose powers modulo a prime are all numbers below it."""
    divisors = [q for q in range(2, prime) if (prime - 1) % q == 0]
    return [a for a in range(low, prime) if all(pow(a, (prime - 1) // q, prime) != 1 for q in divisors)]
