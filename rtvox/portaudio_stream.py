"""PortAudioStream: a running full-duplex stream of PortAudio, whose rhythm is known.

In: a Request. Out: a HostStream, whose callback PortAudio's own thread runs. Read next: `portaudio.py`, `devices.py`.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from rtvox import pulse
from rtvox.device import Callback
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.host import Request, play_silence
from rtvox.portaudio import close_stream, is_server, open_stream

SETTLE_S = 8.0  # PulseAudio's null sinks stand still for 2 s each when a stream joins
LOOK_S = 0.25  # of silent calls, to see whether they come, and in what bursts
PATIENCE_S = 1.0  # with a card; with a sound server, longer than a null sink stands still after a lost buffer
SERVER_PATIENCE_S = 3.0
STEADY = 0.8  # so much of that time must be filled with sound; the rest is for bursts


class PortAudioStream:
    """See `HostStream`."""

    def __init__(self, request: Request) -> None:
        """Open and start; return once sound flows.

        Raises: DeviceError if a device is missing, busy or silent, or cannot have that rate or so many channels.
        """
        self.callback: Callback = play_silence
        self.calls = self.xruns = 0
        self.fault: Exception | None = None
        self._request = request
        self.patience_s = SERVER_PATIENCE_S if is_server(request) else PATIENCE_S
        self._bursts = [0]  # samples of calls that came together; the last one may still grow
        self._looking, self._closing = True, False
        self._last_call_s = self._apart_s = 0.0
        self._stream = open_stream(request, self._process, self._finished)
        self.sample_rate = round(self._stream.samplerate)
        self._unfollow = pulse.follow(request, self._gone)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise
        self.max_block = self._burst()
        self.fixed_block = self.max_block == request.block
        self.message = ""
        if not self.fixed_block:
            more_ms = 1e3 * (self.max_block - request.block) / self.sample_rate
            self.message = (
                f"{request.source.host} hands over up to {self.max_block} samples at once, not {request.block}: "
                f"up to {more_ms:.0f} ms more latency"
            )
        self.calls = self.xruns = 0

    def _settle(self) -> None:
        """Return when sound has flowed for a while, and its bursts are known."""
        self._apart_s = self._request.block / self.sample_rate / 2
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            before = len(self._bursts)
            time.sleep(LOOK_S)
            if self.fault:
                raise DeviceError(f"{self._request}: {self.fault}")
            if sum(self._bursts[before:]) >= STEADY * LOOK_S * self.sample_rate:
                self._bursts = self._bursts[before:]
                self._looking = False
                return
        raise DeviceError(
            f"{self._request}: opens, but no steady sound comes in {SETTLE_S:g} s; is it suspended, or taken?"
        )

    def _burst(self) -> int:
        """Return how many samples to expect at once, in whole blocks.

        A host whose period is longer than the block calls several times in a row and then pauses.
        """
        bursts = self._bursts[:-1] or [self._request.block]
        # A server's bursts vary: the longest counts. A card's do not: the longest is a hiccup of the machine.
        samples = max(bursts) if is_server(self._request) else float(np.percentile(bursts, 90))
        return max(1, math.ceil(samples / self._request.block)) * self._request.block

    @property
    def latency(self) -> int:
        """Samples, input plus output, as PortAudio reports them."""
        latency_s: float = sum(self._stream.latency)
        return round(latency_s * self.sample_rate)

    def close(self) -> None:
        """End the stream. May hang where the sound system does."""
        if not self._closing:
            self._closing = True
            self._unfollow()
            close_stream(self._stream)

    def _gone(self, name: str) -> None:
        self.fault = DeviceError(f"{name} has gone")

    # In PortAudio's thread:

    def _process(self, indata: Array, outdata: Array, frames: int, _time: object, status: Any) -> None:
        self.callback(indata, outdata)
        self.calls += 1
        if status and (
            status.input_overflow or status.input_underflow or status.output_overflow or status.output_underflow
        ):
            self.xruns += 1
        if self._looking:
            now = time.perf_counter()
            if now - self._last_call_s > self._apart_s:
                self._bursts.append(0)
            self._bursts[-1] += frames
            self._last_call_s = now

    def _finished(self) -> None:
        if not self._closing:
            self.fault = DeviceError("the sound system ended the stream")
