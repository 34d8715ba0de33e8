"""PortAudioStream: a running full-duplex stream of PortAudio, whose rhythm is known.

In: a Request. Out: a HostStream, whose callback PortAudio's own thread runs. Read next: `portaudio.py`, `devices.py`.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from rtvox.device import Callback
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.host import Request, play_silence
from rtvox.portaudio import abort, close_stream, open_stream
from rtvox.rhythm import Rhythm

LEAVE_S, LEFT_S = 1.0, 0.02  # how long its thread may take to end by itself; and to be out of Python after that
SETTLE_S = 3.0  # a card answers at once; a sound server that ALSA's plugins hide may take its time


class PortAudioStream:
    """See `HostStream`."""

    patience_s = 1.0

    def __init__(self, request: Request) -> None:
        """Open and start; return once sound flows.

        Raises: DeviceError if a device is missing, busy or silent, or cannot have that rate or so many channels.
        """
        self.callback: Callback = play_silence
        self.calls = self.xruns = 0
        self.fault: Exception | None = None
        self.message = ""
        self._request = request
        self._rhythm = Rhythm(request.block)
        self._closing, self._ended = False, threading.Event()
        self._stream = open_stream(request, self._process, self._finished)
        self.sample_rate = round(self._stream.samplerate)
        try:
            self.max_block = self._rhythm.settle(self.sample_rate, SETTLE_S, self._calm)
            if not self.max_block:
                raise DeviceError(f"{request}: opens, but no steady sound comes in {SETTLE_S:g} s; is it taken?")
        except BaseException:
            self.close()
            raise
        self.fixed_block = self.max_block == request.block
        if not self.fixed_block:
            more_ms = 1e3 * (self.max_block - request.block) / self.sample_rate
            self.message = (
                f"{request.source.host} hands over {self.max_block} samples at once, not {request.block}: "
                f"{more_ms:.0f} ms more latency"
            )
        self.calls = self.xruns = 0

    def _calm(self) -> bool:
        if self.fault:
            raise DeviceError(f"{self._request}: {self.fault}")
        return True

    @property
    def latency(self) -> int:
        """Samples, input plus output, as PortAudio reports them."""
        into, out = self._stream.latency  # s
        return int((into + out) * self.sample_rate + 0.5)

    def close(self) -> None:
        """End the stream, once its thread has left Python: ALSA's is cancelled, and would take Python's lock along.

        May hang where the sound system does.
        """
        if not self._closing:
            self._closing = True
            if self._ended.wait(LEAVE_S):
                time.sleep(LEFT_S)
            close_stream(self._stream)

    # In PortAudio's thread:

    def _process(self, indata: Array, outdata: Array, frames: int, _time: object, status: Any) -> None:
        if self._closing:
            abort()
        self.callback(indata, outdata)
        self.calls += 1
        self._rhythm.beat(frames)
        if status and (
            status.input_overflow or status.input_underflow or status.output_overflow or status.output_underflow
        ):
            self.xruns += 1

    def _finished(self) -> None:
        if not self._closing:
            self.fault = DeviceError("the sound system ended the stream")
        self._ended.set()
