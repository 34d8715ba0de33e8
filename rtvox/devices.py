"""SoundCard: a sound card, or a part of a sound server, as the engine's Device.

In: names of an input and an output. Out: a stream of one sound system, watched. The callback
runs in the host's audio thread; a watch thread per running card notices when that has died and tells the engine, which
closes the card and starts it again until that works. Read next: `host.py`; `device_list.py`, which finds the devices.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable

from rtvox import jack_host, pulse
from rtvox.device import Callback, OnLost
from rtvox.device_list import clock_note, find_device, find_pair, list_devices
from rtvox.errors import DeviceError, ParameterError
from rtvox.host import PREFERRED_RATE, DeviceRow, HostStream, Kind, Request, play_silence
from rtvox.jack_host import JackStream
from rtvox.portaudio_stream import PortAudioStream
from rtvox.pulse_stream import PulseStream
from rtvox.resample import RATES

__all__ = ["DeviceRow", "NoDevice", "SoundCard", "find_device", "find_pair", "list_devices"]

CHANNELS = 2  # opened where there are more: one pair is what a microphone or a song uses
WATCH_S = 0.1  # between two looks at a running stream
CLOSE_S = 3.0  # a dead sound system may never answer; then its stream is left behind
_STREAMS: dict[str, Callable[[Request], HostStream]] = {jack_host.HOST: JackStream, pulse.HOST: PulseStream}
BLOCKS = (1, 65536)  # samples; the upper end is more than a second


class NoDevice:
    """What an engine has until its devices are chosen: it cannot be started."""

    sample_rate, max_block, fixed_block, realtime, channels_in, channels_out = PREFERRED_RATE, 128, True, True, 1, 1
    latency = xruns = 0

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Raise DeviceError."""
        raise DeviceError("no sound device is open; choose one, see `rtvox devices`")

    def stop(self) -> None:
        """Do nothing."""


class SoundCard:
    """A Device (see `device.py`) on real hardware or a sound server.

    It is opened when it is made, so that errors show then and rate and block size are known; it plays silence until
    `start`. Rate and block size may differ after a restart, if the sound system's have changed meanwhile.

    Single writers: `_stream` belongs to whoever calls start and stop (one at a time); the watch thread only reads it.

    Attributes:
        name: both sides, as `rtvox devices` lists them.
        rows: input and output.
        message: what the user should know about block size and clocks; often empty.
    """

    realtime = True

    def __init__(
        self,
        source: str | int | None = None,
        sink: str | int | None = None,
        block: int = 128,
        sample_rate: int | None = None,
        channels_in: int | None = None,
        channels_out: int | None = None,
    ) -> None:
        """Find both devices and open them.

        Args:
            source, sink: input and output, as `find_device`; None takes the system's default.
            block: samples per callback. JACK's server decides itself; other hosts may hand over several at once.
            sample_rate: Hz; None takes 48000 if the devices can, else their own.
            channels_in, channels_out: how many to open; None: up to two.

        Raises: DeviceError if they cannot be had; ParameterError if block or rate are out of range.
        """
        if not BLOCKS[0] <= block <= BLOCKS[1]:
            raise ParameterError(f"block={block}: needs {BLOCKS[0]} to {BLOCKS[1]} samples")
        if sample_rate is not None and not RATES[0] <= sample_rate <= RATES[1]:
            raise ParameterError(f"sample_rate={sample_rate}: needs {RATES[0]} to {RATES[1]} Hz")
        self._wanted = (source, sink)
        self._host: str | None = None
        self._block, self._rate, self._channels = block, sample_rate, (channels_in, channels_out)
        self._xruns = self._latency = 0
        self._leave = threading.Event()
        self._watch_thread: threading.Thread | None = None
        self._stream: HostStream | None = self._open()

    @property
    def latency(self) -> int:
        """Samples at sample_rate, input plus output, as the host reports them."""
        if self._stream:
            self._latency = self._stream.latency
        return self._latency

    @property
    def xruns(self) -> int:
        """Buffers that the host lost while the card was started."""
        return self._xruns + (self._stream.xruns if self._stream else 0)

    @property
    def stream(self) -> HostStream | None:
        """The stream, if one is open."""
        return self._stream

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Call the engine from now on; tell it once if the device is lost. Raises: DeviceError."""
        if self._stream is None:
            before = self._format()
            self._stream = self._open()
            if self._format() != before:
                raise DeviceError(
                    f"{self.name}: back at {self.sample_rate} Hz, {self.max_block} samples; starting anew"
                )
        time.sleep(WATCH_S)  # some hosts report late what was lost while the engine made itself ready
        self._stream.xruns = 0
        self._stream.callback = callback
        self._leave.clear()
        self._watch_thread = threading.Thread(
            target=self._watch, args=(self._stream, on_lost), name="rtvox-watch", daemon=True
        )
        self._watch_thread.start()

    def stop(self) -> None:
        """Close the device; harmless when closed."""
        self._leave.set()
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if self._watch_thread:
            self._watch_thread.join()
        stream.callback = play_silence
        self._xruns += stream.xruns
        closer = threading.Thread(target=stream.close, name="rtvox-close", daemon=True)
        closer.start()
        closer.join(CLOSE_S)
        atexit.unregister(stream.close)

    def _open(self) -> HostStream:
        """Find the devices, open a stream on them, and take its format as ours."""
        source, sink = find_pair(*self._wanted, self._host)
        channels_in = _channels(source, "input", self._channels[0])
        channels_out = _channels(sink, "output", self._channels[1])
        request = Request(source, sink, channels_in, channels_out, self._block, self._rate)
        stream: HostStream = _STREAMS.get(source.host, PortAudioStream)(request)
        atexit.register(stream.close)  # a stream that still calls into an interpreter at its end would crash it
        self._host, self.name, self.rows = source.host, str(request), (source, sink)
        self.sample_rate, self.max_block, self.fixed_block = stream.sample_rate, stream.max_block, stream.fixed_block
        self.channels_in, self.channels_out = channels_in, channels_out
        self.message = "; ".join(text for text in (stream.message, clock_note(source, sink)) if text)
        return stream

    def _format(self) -> tuple[object, ...]:
        """Return all that an engine prepares itself for."""
        return self.sample_rate, self.max_block, self.fixed_block, self.channels_in, self.channels_out

    def _watch(self, stream: HostStream, on_lost: OnLost) -> None:
        """Run the watch thread: report the first fault, then end."""
        calls, still_s = -1, 0.0
        while not self._leave.wait(WATCH_S):
            still_s = still_s + WATCH_S if stream.calls == calls else 0.0
            calls = stream.calls
            fault = stream.fault
            if still_s >= stream.patience_s:
                fault = fault or DeviceError(f"no callback for {stream.patience_s:g} s")
            if fault:
                on_lost(DeviceError(f"{self.name}: {fault}"))
                return


def _channels(row: DeviceRow, kind: Kind, asked: int | None) -> int:
    """Return how many channels to open."""
    most = row.channels(kind)
    if asked is not None and not 1 <= asked <= most:
        raise DeviceError(f"{kind} {row.full_name}: {asked} channels asked, it has {most}")
    return asked or min(CHANNELS, most)
