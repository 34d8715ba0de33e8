"""Sample rates at the edge of the house: a device at another rate on one side, 48 kHz on the other.

In: device samples, out: hops at 48 kHz, and back. Runs in the converter thread. A windowed-sinc polyphase filter,
exact in time: output sample k is the input at k * rate_in / rate_out. soxr's stream was measured and left: at 44.1
kHz it holds back 40 ms for both ways (10 ms in its variable-rate mode, whose phase is not linear), this filter 1.6
ms. Read next: `converter.py`, its only user.
"""

from __future__ import annotations

from functools import cache
from math import ceil, gcd

import numpy as np

from rtvox.features import Array

SAMPLE_RATE = 48000
RATES = (8000, 384000)  # Hz, of devices and files: the telephone's, and the highest that cards have
# Kaiser window: 100 dB of stopband with 36 input samples on each side gives a transition band of 4.1 kHz at 44.1 kHz,
# so that the passband ends at 20 kHz and images begin at 24.1 kHz (Kaiser 1974; Oppenheim and Schafer, eq.
# 7.75-7.76).
HALF_WIDTH = 36
KAISER_BETA = 10.06


@cache
def _polyphase(up: int, down: int) -> Array:
    """Return (up, taps) filters, one for each position of an output sample between two input samples."""
    cutoff = min(1.0, up / down)
    half = ceil(HALF_WIDTH / cutoff)
    distance = np.arange(up)[:, None] / up - np.arange(1 - half, half + 1)
    inside = np.clip(1.0 - (distance / half) ** 2, 0.0, None)
    filters = np.sinc(cutoff * distance) * np.i0(KAISER_BETA * np.sqrt(inside))
    normal: Array = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal


class Resampler:
    """Change the rate of a stream; holds back `half` input samples, the half width of its filter."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        self._filters = _polyphase(self._up, self._down)
        self.half = self._filters.shape[1] // 2
        self.reset()

    def reset(self) -> None:
        """Start again at time 0, after silence."""
        self._history = np.zeros(self.half - 1, np.float32)
        self._ticks = 0  # where the next output sample lies after the history's first window, in 1 / up input samples

    def process(self, x: Array) -> Array:
        """Return all output samples that x (N,) completes."""
        samples = np.concatenate([self._history, x])
        windows = len(samples) - 2 * self.half + 1  # one for each input sample that has its whole neighbourhood
        n = max(0, -(-(windows * self._up - self._ticks) // self._down))
        ticks = self._ticks + self._down * np.arange(n)
        y = np.zeros(n, np.float32)
        if n:
            neighbours = np.lib.stride_tricks.sliding_window_view(samples, 2 * self.half)[ticks // self._up]
            np.einsum("nt,nt->n", neighbours, self._filters[ticks % self._up], out=y)
        done = max(0, windows)
        self._history = samples[done:]
        self._ticks += n * self._down - done * self._up
        return y


class Edge:
    """Both ways between a device's rate and hops at 48 kHz; at 48 kHz it only passes hops on.

    `skip` 48 kHz samples are left out at the start of the way back, so that the pipeline's delay less `skip` is a
    whole number of device samples, and dry sound can be aligned exactly.
    """

    def __init__(self, rate: int, hop: int, delay: int = 0) -> None:
        self.rate, self.hop = rate, hop
        self._direct = rate == SAMPLE_RATE
        self._in, self._out = Resampler(rate, SAMPLE_RATE), Resampler(SAMPLE_RATE, rate)
        self._skip = delay % (SAMPLE_RATE // gcd(rate, SAMPLE_RATE))
        self.reset()

    def delay_of(self, delay: int) -> int:
        """Return a pipeline's delay in device samples: exact for the one given at the start, else to the nearest."""
        return round((delay - self._skip) * self.rate / SAMPLE_RATE)

    def reset(self) -> None:
        """Start again at time 0."""
        self._in.reset()
        self._out.reset()
        self._waiting = np.zeros(0, np.float32)
        self._to_skip = self._skip

    def want(self) -> int:
        """Return how many device samples to push next: about as many as complete a hop."""
        return self.hop if self._direct else max(1, ceil((self.hop - len(self._waiting)) * self.rate / SAMPLE_RATE))

    def push(self, x: Array) -> Array | None:
        """Take `want()` device samples and return the (hop,) samples at 48 kHz that they complete, if so."""
        if self._direct:
            return x
        self._waiting = np.concatenate([self._waiting, self._in.process(x)])
        if len(self._waiting) < self.hop:
            return None
        x, self._waiting = self._waiting[: self.hop], self._waiting[self.hop :]
        return x

    def pull(self, y: Array) -> Array:
        """Take a converted (hop,) and return the device samples that it completes."""
        if self._direct:
            return y
        skipped = min(self._to_skip, len(y))
        self._to_skip -= skipped
        return self._out.process(y[skipped:])


@cache
def edge_lag(rate: int, hop: int, delay: int) -> int:
    """Return the most device samples by which an Edge's output count is behind its input count, just before a hop.

    Measured by running one, on silence, for a second: the pattern repeats much sooner.
    """
    edge = Edge(rate, hop, delay)
    given = got = worst = 0
    while given < rate:
        want = edge.want()
        worst = max(worst, given + want - 1 - got)
        given += want
        x = edge.push(np.zeros(want, np.float32))
        if x is not None:
            got += len(edge.pull(x))
    return worst
