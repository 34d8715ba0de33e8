"""PortAudio: sound cards by ALSA, Core Audio, WASAPI, ASIO, and PulseAudio or PipeWire through ALSA's plugin.

In: a Request. Out: a PortAudioStream, whose callback PortAudio's own thread runs. The only file that imports
sounddevice.

PortAudio looks for devices once, when it is initialised. It is therefore initialised only while somebody needs it
(`session`), so that each search by an idle process finds what was plugged in since. Read next: `devices.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from rtvox import virtual
from rtvox.device import Callback
from rtvox.errors import DeviceError
from rtvox.features import Array
from rtvox.host import DeviceRow, Request, play_silence

PREFERRED_RATE = 48000  # Hz, the house's own: no resampling at the edge
FIRST_CALL_S = 5.0  # PulseAudio's null sinks stand still for up to 2 s when a stream joins
LOOK_S = 0.25  # of silent calls, to see in what bursts they come
# PulseAudio's devices are chosen by libpulse's own environment variables, and opened as ALSA's device "pulse".
PULSE_PCM = "pulse"
_JACK_API = "JACK Audio Connection Kit"  # left out: jack_host.py says why

_lock = threading.RLock()  # PortAudio's own functions may not run at the same time


@cache
def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except OSError:
        raise DeviceError("PortAudio: its library is not installed; install it (Debian: libportaudio2)") from None
    sounddevice._terminate()
    return sounddevice  # type: ignore[no-any-return]


@contextlib.contextmanager
def session() -> Iterator[Any]:
    """Have PortAudio initialised, and sounddevice at hand; may be nested."""
    sd = _sounddevice()
    with _lock:
        _hold(sd)
    try:
        yield sd
    finally:
        with _lock:
            sd._terminate()


def _hold(sd: ModuleType) -> None:
    try:
        sd._initialize()
    except sd.PortAudioError as error:
        raise DeviceError(f"PortAudio: {_reason(error)}") from None


def rows() -> list[DeviceRow]:
    """Return PortAudio's devices as they are now, or as they were when the first of the open streams began."""
    found = []
    with session() as sd, _lock:
        apis = sd.query_hostapis()
        for device in sd.query_devices():
            api = apis[device["hostapi"]]
            if api["name"] == _JACK_API:
                continue
            found.append(
                DeviceRow(
                    host=api["name"],
                    name=device["name"],
                    key=device["index"],
                    inputs=device["max_input_channels"],
                    outputs=device["max_output_channels"],
                    sample_rate=round(device["default_samplerate"]),
                    default_input=device["index"] == api["default_input_device"],
                    default_output=device["index"] == api["default_output_device"],
                )
            )
    has_plugin = any(row.name == PULSE_PCM for row in found) and not any(row.host == virtual.HOST for row in found)
    return [*(virtual.rows() if has_plugin else []), *found]


class PortAudioStream:
    """A full-duplex PortAudio stream (see `HostStream`)."""

    def __init__(self, request: Request) -> None:
        """Open and start; return once sound flows and its rhythm is known.

        Raises: DeviceError if a device is missing, busy or silent, or cannot have that rate or so many channels.
        """
        self.callback: Callback = play_silence
        self.calls = self.xruns = 0
        self.fault: Exception | None = None
        self.message = ""
        self._bursts = [0]  # samples that came at once; the last one is still growing
        self._looking, self._last_call_s = True, 0.0
        self._apart_s = 0.0  # calls that come closer than this belong together
        self._closing = False
        self._session = session()
        sd = self._session.__enter__()
        try:
            self._stream = _open(sd, request, self._process, self._finished)
            self.sample_rate = round(self._stream.samplerate)
            self._apart_s = request.block / self.sample_rate / 2
            self._latency = round(sum(self._stream.latency) * self.sample_rate)
            self._begin(sd, request)
        except BaseException:
            self._session.__exit__(None, None, None)
            raise

    def _begin(self, sd: ModuleType, request: Request) -> None:
        try:
            with _lock:
                self._stream.start()
            deadline = time.monotonic() + FIRST_CALL_S
            while self.calls < 2 and self.fault is None and time.monotonic() < deadline:
                time.sleep(0.005)
            if self.calls < 2:
                raise self.fault or DeviceError(
                    f"{request}: opens, but no sound comes in {FIRST_CALL_S:g} s; is it suspended or taken?"
                )
            time.sleep(LOOK_S)
        except sd.PortAudioError as error:
            self._stream.close()
            raise _device_error(error, request) from None
        except BaseException:
            self._stream.close()
            raise
        self._looking = False
        burst = self._burst(request)
        self.max_block, self.fixed_block = burst, burst == request.block
        if not self.fixed_block:
            self.message = (
                f"{request.source.host} hands over up to {burst} samples at once, not {request.block}: "
                f"{1e3 * (burst - request.block) / self.sample_rate:.0f} ms more latency"
            )
        self.calls = self.xruns = 0

    def _burst(self, request: Request) -> int:
        """Return how many samples to expect at once, in whole blocks.

        A host whose period is longer than the block calls several times in a row and then pauses. A sound server's
        period varies: only its buffer, whose length it reports as input latency, is an upper bound.
        """
        samples: float
        if request.source.host == virtual.HOST or (request.source.host == "ALSA" and "hw:" not in request.source.name):
            samples = self._stream.latency[0] * self.sample_rate
        else:
            # Not the maximum: a hiccup of the machine is no property of the device.
            samples = float(np.percentile(self._bursts[1:-1] or [request.block], 90))
        return max(1, math.ceil(samples / request.block - 1e-6)) * request.block

    @property
    def latency(self) -> int:
        """Samples, input plus output, as PortAudio reports them."""
        return int(self._latency)

    def close(self) -> None:
        """End the stream, and the session if it was the last one."""
        if self._closing:
            return
        self._closing = True
        sd = _sounddevice()
        atexit.unregister(sd._exit_handler)  # should this hang, so would that
        with contextlib.suppress(sd.PortAudioError):
            self._stream.abort()  # outside the lock: this is where a dead sound system makes us wait
        with contextlib.suppress(sd.PortAudioError), _lock:
            self._stream.close()
        self._session.__exit__(None, None, None)
        atexit.register(sd._exit_handler)

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


def _open(sd: ModuleType, request: Request, process: Any, finished: Any) -> Any:
    """Return an open sd.Stream at the first rate that works."""
    own = (request.source.sample_rate, request.sink.sample_rate)
    rates = [request.sample_rate] if request.sample_rate else list(dict.fromkeys((PREFERRED_RATE, *own)))
    with _lock, _environment(request):
        devices = (_index(sd, request.source), _index(sd, request.sink))
        for rate in rates:
            try:
                return sd.Stream(
                    samplerate=rate,
                    blocksize=request.block,
                    device=devices,
                    channels=(request.channels_in, request.channels_out),
                    dtype="float32",
                    latency="low",
                    callback=process,
                    finished_callback=finished,
                )
            except sd.PortAudioError as error:
                if rate == rates[-1] or _code(error) != _INVALID_RATE:
                    raise _device_error(error, request, rate) from None
    raise AssertionError("no rate to try")


def _index(sd: ModuleType, row: DeviceRow) -> int:
    """Return PortAudio's number of a device now: numbers change when devices come and go."""
    if isinstance(row.key, str):  # one of PulseAudio's
        host, name = "ALSA", PULSE_PCM
    else:
        host, name = row.host, row.name
    apis = sd.query_hostapis()
    for device in sd.query_devices():
        if (apis[device["hostapi"]]["name"], device["name"]) == (host, name):
            return int(device["index"])
    raise DeviceError(f"{row.full_name}: is not there any more; see `rtvox devices`")


@contextlib.contextmanager
def _environment(request: Request) -> Iterator[None]:
    """Tell libpulse which devices "pulse" stands for, while the stream is opened."""
    wanted = {
        variable: row.key
        for variable, row in (("PULSE_SOURCE", request.source), ("PULSE_SINK", request.sink))
        if isinstance(row.key, str)
    }
    before = {variable: os.environ.get(variable) for variable in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


_INVALID_CHANNELS, _INVALID_RATE, _INVALID_DEVICE = -9998, -9997, -9996  # PaErrorCode, portaudio.h
_BAD_COMBINATION, _UNAVAILABLE = -9993, -9985


def _code(error: Exception) -> int:
    return error.args[1] if len(error.args) > 1 else 0


def _reason(error: Exception) -> str:
    """Return PortAudio's text without its decoration, with the host's own, if there is one."""
    texts = [str(error.args[0]).partition(": ")[2] or str(error.args[0])]
    if len(error.args) > 2 and error.args[2][2]:
        texts.append(str(error.args[2][2]))
    return ": ".join(texts)


def _device_error(error: Exception, request: Request, rate: int | None = None) -> DeviceError:
    """Turn a PortAudioError into ours: what, where, and the way out."""
    own = " or ".join(dict.fromkeys(f"{row.sample_rate} Hz" for row in (request.source, request.sink)))
    hints = {
        _INVALID_CHANNELS: f"{request.channels_in} in and {request.channels_out} out asked; ask for fewer channels",
        _INVALID_RATE: f"{rate} Hz asked; try {own}, or leave the rate out (rtvox resamples)",
        _INVALID_DEVICE: "it is not there any more; see `rtvox devices`",
        _BAD_COMBINATION: "these two do not work together; take input and output of one device",
        _UNAVAILABLE: "another program holds it; close that, or share it through PulseAudio, PipeWire or JACK",
    }
    hint = hints.get(_code(error), "is it plugged in, and free? `rtvox devices` lists others")
    return DeviceError(f"{request}: {_reason(error)}; {hint}")
