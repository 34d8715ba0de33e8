"""PortAudio: sound cards by ALSA, Core Audio, WASAPI and ASIO.

In: a Request. Out: rows, and open streams of sounddevice; this is the only file that imports it.

PortAudio looks for devices once, when it is initialised. It is therefore initialised only while somebody needs it
(`session`, an open stream), so that each search by an idle process finds what was plugged in since. Its own functions
may not run at the same time: `_lock`. Any thread. Read next: `portaudio_stream.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, NoReturn

from rtvox.errors import DeviceError
from rtvox.host import PREFERRED_RATE, DeviceRow, Request

_JACK_API = "JACK Audio Connection Kit"  # left out: jack_host.py says why
_INVALID_CHANNELS, _INVALID_RATE, _INVALID_DEVICE = -9998, -9997, -9996  # PaErrorCode, portaudio.h
_BAD_COMBINATION, _UNAVAILABLE = -9993, -9985

_lock = threading.RLock()
_IGNORE = ctypes.CFUNCTYPE(None)(lambda: None)


@cache
def _sounddevice() -> ModuleType:
    """Import it and end what its import began; under `_lock`."""
    try:
        import sounddevice
    except OSError:
        raise DeviceError("PortAudio: its library is not installed; install it (Debian: libportaudio2)") from None
    while sounddevice._initialized:  # by its import; `session` counts from zero
        sounddevice._terminate()
    with contextlib.suppress(OSError, AttributeError):  # not on Linux, no ALSA
        # ALSA prints each lost buffer on stderr; we count them.
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_IGNORE)
    return sounddevice  # type: ignore[no-any-return]


@contextlib.contextmanager
def session() -> Iterator[Any]:
    """Have PortAudio initialised, and sounddevice at hand; may be nested."""
    sd = _begin()
    try:
        yield sd
    finally:
        _end()


def _begin() -> ModuleType:
    with _lock:
        sd = _sounddevice()
        try:
            sd._initialize()
        except sd.PortAudioError as error:
            raise DeviceError(f"PortAudio: {_reason(error)}") from None
    return sd


def _end() -> None:
    with _lock:
        _sounddevice()._terminate()


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
    return found


def open_stream(request: Request, process: Any, finished: Any) -> Any:
    """Return a running sd.Stream at the first rate that works.

    Args:
        process, finished: callbacks, see sounddevice.Stream.

    Raises: DeviceError if a device is missing or busy, or cannot have that rate or so many channels.
    """
    own = (request.source.sample_rate, request.sink.sample_rate)
    rates = [request.sample_rate] if request.sample_rate else list(dict.fromkeys((PREFERRED_RATE, *own)))
    sd = _begin()
    try:
        with _lock, _no_stderr():
            devices = (_index(sd, request.source), _index(sd, request.sink))
            for rate in rates:
                try:
                    stream = sd.Stream(
                        samplerate=rate,
                        blocksize=request.block,
                        device=devices,
                        channels=(request.channels_in, request.channels_out),
                        dtype="float32",
                        latency="low",
                        callback=process,
                        finished_callback=finished,
                    )
                    break
                except sd.PortAudioError as error:
                    if rate == rates[-1] or _code(error) != _INVALID_RATE:
                        raise _device_error(error, request, rate) from None
            try:
                stream.start()
            except sd.PortAudioError as error:
                stream.close()
                raise _device_error(error, request, rate) from None
    except BaseException:
        _end()
        raise
    return stream


def abort() -> NoReturn:
    """Have PortAudio's thread end the stream by itself. From its callback only."""
    raise _sounddevice().CallbackAbort


def close_stream(stream: Any) -> None:
    """Close what `open_stream` returned. May hang where the sound system does; the process can still end then."""
    sd = _sounddevice()
    atexit.unregister(sd._exit_handler)
    with contextlib.suppress(sd.PortAudioError):
        stream.abort()  # not under the lock: this is where a dead sound system makes us wait
    with contextlib.suppress(sd.PortAudioError), _lock:
        stream.close()
    _end()
    atexit.register(sd._exit_handler)


def _index(sd: ModuleType, row: DeviceRow) -> int:
    """Return PortAudio's number of a device now: numbers change when devices come and go."""
    apis = sd.query_hostapis()
    for device in sd.query_devices():
        if (apis[device["hostapi"]]["name"], device["name"]) == (row.host, row.name):
            return int(device["index"])
    raise DeviceError(f"{row.full_name}: is not there any more; see `rtvox devices`")


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Keep PortAudio from printing on stderr what it also returns as an error."""
    before, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(null)


def _code(error: Exception) -> int:
    return error.args[1] if len(error.args) > 1 else 0


def _reason(error: Exception) -> str:
    """Return PortAudio's text without its decoration, with the host's own, if there is one."""
    texts = [str(error.args[0]).partition(": ")[2] or str(error.args[0])]
    if len(error.args) > 2 and error.args[2][2]:
        texts.append(str(error.args[2][2]))
    return ": ".join(texts)


def _device_error(error: Exception, request: Request, rate: int) -> DeviceError:
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
