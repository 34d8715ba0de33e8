"""Streaming layers: causal, with their memory passed in and out as a value.

Tensors are (B, C, T, F): batch, channels, frames, positions along frequency. A layer with memory has `state_shape`
and `forward(x, state) -> (y, next_state)`; any chunking along T gives the same result as one call, because a layer
never looks at frames to come and normalises with constants only. Read next: `isolate.py`, which is made of these.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALL = 0.02  # residual branches start near zero, so that no normalisation is needed in them


class FrameConv(nn.Module):
    """Convolution along frequency within one frame, normalisation with learnt constants, rectifier. Stateless.

    `stride` divides the positions F; `up=True` doubles them (channels become positions).
    """

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
        """Map (B, C, T, F) to the same shape."""
        return x + self.expand(torch.relu(self.squeeze(x)))


class _Scan(torch.autograd.Function):
    """h[t] = keep[t] * h[t - 1] + new[t] along the first axis: one fused operation per frame, forward and backward.

    Autograd through a loop would keep and zero a full gradient per frame, which was most of a training step.
    """

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor, h: Tensor) -> Tensor:
        out = torch.empty_like(new)
        ctx.save_for_backward(keep, out, h)
        for t in range(len(new)):
            h = torch.addcmul(new[t], keep[t], h, out=out[t])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keep, out, h = ctx.saved_tensors
        flow = grads[0].contiguous().clone()
        for t in range(len(flow) - 2, -1, -1):
            flow[t].addcmul_(keep[t + 1], flow[t + 1])
        before = torch.cat([h[None], out[:-1]])
        return flow * before, flow, keep[0] * flow[0]


class TimeGRU(nn.Module):
    """Residual minimal GRU along time, the same weights at every position; a learnt offset tells it where it is.

    Its gate sees the input only, so a long stretch trains as one cheap scan, and a live frame costs two small products.
    The state (F, H) is a running weighted mean of what came in: it cannot drift as an LSTM's cell state does.
    Reference: Feng et al. 2024, "Were RNNs all we needed?", minGRU.
    """

    def __init__(self, channels: int, positions: int, hidden: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(positions, channels))
        self.gate = nn.Linear(channels, hidden)
        self.new = nn.Linear(channels, hidden)
        self.out = nn.Linear(hidden, channels)
        nn.init.normal_(self.out.weight, std=SMALL)
        # Gates start spread from 1/2 to 1/200: memories from two frames to a second.
        nn.init.uniform_(self.gate.bias, -5.3, 0.0)
        self.state_shape = (positions, hidden)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, T, F) to the same shape."""
        rows = x.permute(2, 0, 3, 1) + self.place
        gate, new = torch.sigmoid(self.gate(rows)), self.new(rows)
        if torch.onnx.is_in_onnx_export():
            h = (state + gate[0] * (new[0] - state))[None]
        else:
            h = _Scan.apply((1.0 - gate).float(), (gate * new).float(), state)
        return x + self.out(h).permute(1, 3, 0, 2), h[-1]
