"""JACK, and PipeWire as JACK: a client named rtvox with ports that any patchbay can wire.

In: a Request. Out: a JackStream, whose callback JACK's own thread runs once per period. The only file that imports
`jack`.

Why not through PortAudio, as everything else: to close a stream whose server has died takes its JACK part ten minutes
(PortAudio 19.6, `WaitCondition` in pa_jack.c); it calls the client PortAudio, and leaves one period of each way out of
the latency that it reports. Read next: `devices.py`.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rtvox.device import Callback
from rtvox.errors import DeviceError
from rtvox.host import DeviceRow, Request, play_silence

HOST = "JACK"
CLIENT = "rtvox"
UNWIRED = "none"  # a device that is no device: the ports are left for the user to patch
# What JACK's threads are given to leave Python: to begin with it, to end then (JACK asks its server, 5 s at most),
# and those that are not seen to end.
LEAVE_S, END_S, SETTLE_S = 1.0, 6.0, 0.02
_TASKS = Path("/proc/self/task")  # Linux: a folder for each thread
_CAPTURE, _PLAYBACK = 0, 1  # jack_latency_callback_mode_t


class _LatencyRange(ctypes.Structure):
    _fields_ = (("min", ctypes.c_uint32), ("max", ctypes.c_uint32))


@cache
def _library() -> ModuleType | None:
    """Return the `jack` module, or None where JACK's library is not installed."""
    try:
        import jack
    except OSError:
        return None
    # We report errors ourselves, and libjack prints several lines for every server that is not there. Its threads call
    # this, so it is no Python: a function of C that takes a string and leaves everything as it is.
    library: Any = jack
    atoi = ctypes.cast((ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).atoi, ctypes.c_void_p)
    nothing = library._ffi.cast("void (*)(const char *)", atoi.value)
    library._lib.jack_set_error_function(nothing)
    library._lib.jack_set_info_function(nothing)
    return jack


@cache  # each CDLL is garbage in a circle, which nobody collects while sound runs
def _latency_range() -> Callable[..., object]:
    """Return libjack's jack_port_get_latency_range, which JACK-Client has no call for."""
    import jack

    function: Callable[..., object] = ctypes.CDLL(jack._libname).jack_port_get_latency_range  # type: ignore[attr-defined]
    return function


def rows() -> list[DeviceRow]:
    """Return every JACK client with audio ports, cards first, and a row for no wiring; nothing without a server."""
    jack = _library()
    if jack is None:
        return []
    try:
        client = jack.Client(f"{CLIENT}-look", no_start_server=True)
    except jack.JackError:
        return []
    try:
        rate = client.samplerate
        ports = [
            (port.name.rpartition(":")[0], port.is_output, port.is_physical) for port in client.get_ports(is_audio=True)
        ]
    finally:
        client.close()
    found: list[DeviceRow] = []
    for name in dict.fromkeys(name for name, _, _ in sorted(ports, key=lambda port: (not port[2], port[0]))):
        sends, takes = (
            [physical for port, out, physical in ports if port == name and out == way] for way in (True, False)
        )
        default_input = any(sends) and not any(row.default_input for row in found)
        default_output = any(takes) and not any(row.default_output for row in found)
        found.append(DeviceRow(HOST, name, name, len(sends), len(takes), rate, default_input, default_output))
    return [*found, DeviceRow(HOST, UNWIRED, UNWIRED, 2, 2, rate, description="no wires: patch rtvox yourself")]


class JackStream:
    """Our ports in JACK's graph (see `HostStream`); the server decides rate and period."""

    fixed_block = True
    patience_s = 1.0

    def __init__(self, request: Request, name: str = CLIENT) -> None:
        """Join the graph and wire the ports. Raises: DeviceError if there is no server, rate, or client to wire to."""
        jack = _library()
        if jack is None:
            raise DeviceError("JACK: its library is not installed; install it (Debian: libjack-jackd2-0)")
        self.callback: Callback = play_silence
        self.calls = self.xruns = 0
        self.fault: Exception | None = None
        self.message = ""
        self._latency = 0
        self._asking = threading.Lock()  # no question after the graph is left: its memory goes with the last client
        self._gone = False  # the server; no time to lose then: its memory goes as soon as another client comes
        self._leaving = self._telling = 0  # threads that leave Python for good, by their number in the system
        self._stays = False  # and is called again all the same, as by PipeWire, which cancels no threads
        try:
            self._client = jack.Client(name, no_start_server=True)
        except jack.JackError:
            raise DeviceError(f"{request}: no JACK server runs; start it, or choose another device") from None
        try:
            self._join(request)
        except jack.JackError as error:
            self.close()
            raise DeviceError(f"{request}: {error}") from None
        except BaseException:
            self.close()
            raise

    def _join(self, request: Request) -> None:
        client = self._client
        self.sample_rate, self.max_block = client.samplerate, client.blocksize
        if request.sample_rate not in (None, self.sample_rate):
            raise DeviceError(
                f"{request}: {request.sample_rate} Hz asked, but JACK runs at {self.sample_rate} Hz; "
                "leave the rate out (rtvox resamples), or restart the server"
            )
        if request.block != self.max_block:
            self.message = (
                f"JACK's period is {self.max_block} samples, not {request.block}: its server decides; "
                f"`jack_bufsize {request.block}` changes it"
            )
        self._ins = [client.inports.register(f"input_{k + 1}") for k in range(request.channels_in)]
        self._outs = [client.outports.register(f"output_{k + 1}") for k in range(request.channels_out)]
        self._indata = np.zeros((self.max_block, request.channels_in), np.float32)
        self._outdata = np.zeros((self.max_block, request.channels_out), np.float32)
        client.set_process_callback(self._process)
        client.set_xrun_callback(self._count_xrun)
        client.set_shutdown_callback(self._shut_down)
        client.activate()
        self._wire(request.source, self._ins)
        self._wire(request.sink, self._outs)

    def _wire(self, row: DeviceRow, ports: list[Any]) -> None:
        """Connect our ports with the device's, in their order."""
        if row.key == UNWIRED:
            return
        incoming = ports is self._ins
        theirs = [
            port
            for port in self._client.get_ports(is_audio=True, is_output=incoming, is_input=not incoming)
            if port.name.rpartition(":")[0] == row.key
        ]
        if not theirs:
            raise DeviceError(f"{row.full_name}: no such client is in JACK's graph; see `rtvox devices`")
        for ours, port in zip(ports, theirs, strict=False):
            self._client.connect(*((port, ours) if incoming else (ours, port)))

    @property
    def ports(self) -> tuple[list[str], list[str]]:
        """The full names of our input and output ports."""
        return [port.name for port in self._ins], [port.name for port in self._outs]

    def connect(self, source: str, sink: str) -> None:
        """Wire any two ports, by full name."""
        self._client.connect(source, sink)

    def disconnect(self, source: str, sink: str) -> None:
        """Remove a wire."""
        self._client.disconnect(source, sink)

    @property
    def latency(self) -> int:
        """Samples from the card's microphone to our input and from our output to its speaker, as the graph says."""
        with self._asking:
            if self.fault is None:
                self._latency = max(self._range(self._ins, _CAPTURE)) + max(self._range(self._outs, _PLAYBACK))
            return self._latency

    def _range(self, ports: list[Any], mode: int) -> Iterator[int]:
        import jack

        ask = _latency_range()
        for port in ports:
            found = _LatencyRange()
            pointer = ctypes.c_void_p(int(jack._ffi.cast("uintptr_t", port._ptr)))  # type: ignore[attr-defined]
            ask(pointer, mode, ctypes.byref(found))
            yield found.max

    def close(self) -> None:
        """Leave the graph while no thread of JACK's is in Python, or ends: it cancels them wherever they are.

        A lock that such a thread holds is never given back, be it Python's or the memory allocator's.
        """
        with self._asking:
            self.fault = self.fault or DeviceError("closed")
        begun = time.monotonic()
        while not self._has_left() and time.monotonic() < begun + (END_S if self._leaving else LEAVE_S):
            time.sleep(SETTLE_S / 4)
        if not self._gone:
            time.sleep(SETTLE_S)
        self._client.deactivate()
        if not self._gone:
            self._hear_nothing()
            time.sleep(SETTLE_S)
        self._client.close()

    def _hear_nothing(self) -> None:
        """Take our functions from JACK's second thread, which tells of xruns and the server's end until it is ended."""
        library: Any = _library()
        nothing = library._ffi.NULL
        library._lib.jack_set_xrun_callback(self._client._ptr, nothing, nothing)
        library._lib.jack_on_info_shutdown(self._client._ptr, nothing, nothing)

    def _has_left(self) -> bool:
        """Return whether the threads last in Python have ended; where threads cannot be seen, have said so."""
        waits = not self._leaving and not self._gone  # without a server nothing calls again
        return self._stays or not (waits or _runs(self._leaving) or _runs(self._telling))

    # In JACK's threads:

    def _process(self, frames: int) -> None:
        if self.fault:
            import jack

            self._stays = self._leaving != 0
            self._leaving = threading.get_native_id()
            raise jack.CallbackExit  # JACK ends this thread when it is back from here, and does not cancel it
        self.calls += 1
        if frames != self.max_block:
            self.fault = DeviceError(f"the period changed from {self.max_block} to {frames} samples")
            for port in self._outs:
                port.get_array().fill(0.0)
            return
        for k, port in enumerate(self._ins):
            self._indata[:, k] = port.get_array()
        self.callback(self._indata, self._outdata)
        for k, port in enumerate(self._outs):
            port.get_array()[:] = self._outdata[:, k]

    def _count_xrun(self, _delayed_us: float) -> None:
        self.xruns += 1

    def _shut_down(self, _status: object, reason: str) -> None:
        self._telling = threading.get_native_id()
        self._gone = True
        self.fault = DeviceError(f"{reason or 'JACK server is gone'}")


def _runs(thread: int) -> bool:
    """Return whether a thread, by its number in the system, has not ended; 0 is none."""
    return thread != 0 and (_TASKS / str(thread)).exists()
