"""PulseStream: a running duplex stream of PulseAudio, or of PipeWire in its place.

In: a Request. Out: a HostStream, whose callback the thread of libpulse's main loop runs as input arrives. It speaks to
libpulse itself. Measured against ALSA's plugin, which is PortAudio's way to PulseAudio: calls every 2.7 ms instead of
four of them every 10, 16 ms of latency instead of 67, and a lost buffer costs no restart. Read next: `pulse.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cffi
import numpy as np

from rtvox.device import Callback
from rtvox.errors import DeviceError
from rtvox.host import PREFERRED_RATE, Request, play_silence
from rtvox.rhythm import Rhythm

CLIENT = b"rtvox"
RESERVE_S = 0.020  # of sound waiting to be played: with 10 ms, clients that come and go cost a buffer now and then
CONTROL_S = 0.5  # in every such time the reserve has to fall so low once, or blocks are left out:
LOWEST_S = 0.010
SMOOTHING = 1 / 64  # of the latency: a block's weight; 170 ms at 128 samples
CONNECT_S = 3.0
SETTLE_S = 8.0  # null sinks stand still for 2 s each when a stream joins

# From pulse/def.h, sample.h, stream.h (PulseAudio 16); the interface has been stable since 2009.
_DECLARATIONS = """
typedef struct { int format; uint32_t rate; uint8_t channels; } pa_sample_spec;
typedef struct { uint32_t maxlength, tlength, prebuf, minreq, fragsize; } pa_buffer_attr;
void *pa_threaded_mainloop_new(void);
void *pa_threaded_mainloop_get_api(void *loop);
int pa_threaded_mainloop_start(void *loop);
void pa_threaded_mainloop_stop(void *loop);
void pa_threaded_mainloop_lock(void *loop);
void pa_threaded_mainloop_unlock(void *loop);
void pa_threaded_mainloop_free(void *loop);
void *pa_context_new(void *api, const char *name);
int pa_context_connect(void *context, const char *server, int flags, void *spawn);
int pa_context_get_state(void *context);
int pa_context_errno(void *context);
void pa_context_disconnect(void *context);
void pa_context_unref(void *context);
const char *pa_strerror(int error);
void *pa_stream_new(void *context, const char *name, const pa_sample_spec *spec, void *map);
void pa_stream_set_read_callback(void *stream, void (*callback)(void *, size_t, void *), void *data);
void pa_stream_set_underflow_callback(void *stream, void (*callback)(void *, void *), void *data);
int pa_stream_connect_record(void *stream, const char *device, const pa_buffer_attr *attr, int flags);
int pa_stream_connect_playback(void *stream, const char *device, const pa_buffer_attr *attr, int flags, void *volume,
                               void *sync);
int pa_stream_get_state(void *stream);
int pa_stream_peek(void *stream, const void **data, size_t *size);
int pa_stream_drop(void *stream);
int pa_stream_write(void *stream, const void *data, size_t size, void *free_callback, int64_t offset, int seek);
void *pa_stream_update_timing_info(void *stream, void *callback, void *data);
void pa_operation_unref(void *operation);
int pa_stream_get_latency(void *stream, uint64_t *usec, int *negative);
int pa_stream_disconnect(void *stream);
void pa_stream_unref(void *stream);
"""
_FLOAT32 = 5  # PA_SAMPLE_FLOAT32LE
_UNSET = 0xFFFFFFFF  # of a buffer attribute: the server decides
# PA_STREAM_INTERPOLATE_TIMING, AUTO_TIMING_UPDATE, ADJUST_LATENCY, and DONT_MOVE: without it the server answers the
# loss of a device by quietly moving the stream to another one, where it may howl.
_FLAGS = 0x0002 | 0x0008 | 0x2000 | 0x0200
_CONTEXT_READY, _STREAM_READY = 4, 2  # PA_CONTEXT_READY, PA_STREAM_READY; greater values mean that it has ended


@cache
def _library() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return ffi, ffi.dlopen("libpulse.so.0")
    except OSError:
        raise DeviceError("PulseAudio: its library is not installed; install it (Debian: libpulse0)") from None


class PulseStream:
    """See `HostStream`. All samples pass through the main loop's thread, which holds libpulse's lock meanwhile."""

    fixed_block = False
    patience_s = 1.0

    def __init__(self, request: Request) -> None:
        """Connect to both devices; return once sound flows.

        Raises: DeviceError if there is no server, a device has gone, or stays silent.
        """
        self.callback: Callback = play_silence
        self.calls = self.xruns = 0
        self.sample_rate = request.sample_rate or PREFERRED_RATE
        self.message = ""
        self._request, self._block = request, request.block
        self._indata = np.zeros((request.block, request.channels_in), np.float32)
        self._outdata = np.zeros((request.block, request.channels_out), np.float32)
        self._gathered = 0
        self._rhythm = Rhythm(request.block)
        self._block_s = request.block / self.sample_rate
        self._latency_s = 0.0  # smoothed
        self._lowest_s, self._blocks_looked = math.inf, 0  # what waited to be played at least, in so many blocks
        self._to_skip = 0  # blocks
        self._closed = False
        self._ffi, self._lib = _library()
        ffi, lib = self._ffi, self._lib
        self._data, self._size = ffi.new("const void **"), ffi.new("size_t *")
        self._usec, self._negative = ffi.new("uint64_t *"), ffi.new("int *")
        # libpulse keeps the pointers: they must live as long as the stream.
        self._callbacks = (
            ffi.callback("void(void *, size_t, void *)", self._read),
            ffi.callback("void(void *, void *)", self._count_underflow),
        )
        self._loop = lib.pa_threaded_mainloop_new()
        self._context = lib.pa_context_new(lib.pa_threaded_mainloop_get_api(self._loop), CLIENT)
        self._streams: list[Any] = []
        try:
            lib.pa_context_connect(self._context, ffi.NULL, 0, ffi.NULL)
            lib.pa_threaded_mainloop_start(self._loop)
            self._wait(partial(lib.pa_context_get_state, self._context), _CONTEXT_READY, "PulseAudio's server")
            self._connect()
            self.max_block = self._rhythm.settle(self.sample_rate, SETTLE_S, self._calm)
            if not self.max_block:
                raise DeviceError(f"{request}: opens, but no steady sound comes in {SETTLE_S:g} s; is it suspended?")
        except BaseException:
            self.close()
            raise
        self.calls = 0

    def _connect(self) -> None:
        ffi, lib, request = self._ffi, self._lib, self._request
        reserve = round(RESERVE_S * self.sample_rate) + self._block
        lib.pa_threaded_mainloop_lock(self._loop)
        try:
            for channels in (request.channels_in, request.channels_out):
                spec = ffi.new("pa_sample_spec *", (_FLOAT32, self.sample_rate, channels))
                stream = lib.pa_stream_new(self._context, CLIENT, spec, ffi.NULL)
                if stream == ffi.NULL:
                    raise DeviceError(f"{request}: {self.sample_rate} Hz, {channels} channels: {self._reason()}")
                self._streams.append(stream)
            record, playback = self._streams
            frame_in, frame_out = self._indata.strides[0], self._outdata.strides[0]
            # One more sample: the server counts in whole microseconds, and rounds down.
            asked = ffi.new("pa_buffer_attr *", [_UNSET] * 4 + [(self._block + 1) * frame_in])
            given = ffi.new(
                "pa_buffer_attr *", [_UNSET, reserve * frame_out, reserve * frame_out, self._block * frame_out, _UNSET]
            )
            lib.pa_stream_set_read_callback(record, self._callbacks[0], ffi.NULL)
            lib.pa_stream_set_underflow_callback(playback, self._callbacks[1], ffi.NULL)
            source, sink = str(request.source.key).encode(), str(request.sink.key).encode()
            lib.pa_stream_connect_playback(playback, sink, given, _FLAGS, ffi.NULL, ffi.NULL)
            lib.pa_stream_connect_record(record, source, asked, _FLAGS)
        finally:
            lib.pa_threaded_mainloop_unlock(self._loop)
        for stream, row in zip(self._streams, (request.source, request.sink), strict=True):
            self._wait(partial(lib.pa_stream_get_state, stream), _STREAM_READY, row.full_name)

    def _calm(self) -> bool:
        """Return whether no buffer was lost since the last call, nor is to be left out; measure latency anew."""
        if fault := self.fault:
            raise DeviceError(f"{self._request}: {fault}")
        lost, self.xruns, self._latency_s = self.xruns, 0, 0.0
        return not lost and not self._to_skip

    def _wait(self, state: Callable[[], int], ready: int, what: str) -> None:
        deadline = time.monotonic() + CONNECT_S
        while state() < ready and time.monotonic() < deadline:
            time.sleep(0.002)
        if state() != ready:
            raise DeviceError(f"{self._request}: {what}: {self._reason()}; see `rtvox devices`")

    def _reason(self) -> str:
        text: bytes = self._ffi.string(self._lib.pa_strerror(self._lib.pa_context_errno(self._context)))
        return text.decode()

    @property
    def fault(self) -> Exception | None:
        """Why it has ended by itself, or None."""
        if self._closed:
            return DeviceError("closed")
        if self._lib.pa_context_get_state(self._context) != _CONTEXT_READY:
            return DeviceError("the sound server is gone")
        for stream, row in zip(self._streams, (self._request.source, self._request.sink), strict=True):
            if self._lib.pa_stream_get_state(stream) != _STREAM_READY:
                return DeviceError(f"{row.name} is gone")
        return None

    @property
    def latency(self) -> int:
        """Samples from the input to the callback and from there to the output, as the server reports them."""
        return round(self._latency_s * self.sample_rate)

    def close(self) -> None:
        """Leave the server, even one that is dead."""
        if self._closed:
            return
        self._closed = True
        lib = self._lib
        lib.pa_threaded_mainloop_lock(self._loop)
        for stream in self._streams:
            lib.pa_stream_disconnect(stream)
            lib.pa_stream_unref(stream)
        lib.pa_context_disconnect(self._context)
        lib.pa_context_unref(self._context)
        lib.pa_threaded_mainloop_unlock(self._loop)
        lib.pa_threaded_mainloop_stop(self._loop)
        lib.pa_threaded_mainloop_free(self._loop)

    # In the main loop's thread:

    def _read(self, stream: Any, _size: int, _data: object) -> None:
        """Cut what has arrived into blocks."""
        lib, frame = self._lib, self._indata.strides[0]
        while lib.pa_stream_peek(stream, self._data, self._size) == 0 and self._size[0]:
            frames, at = self._size[0] // frame, 0
            if self._data[0]:
                arrived = np.frombuffer(self._ffi.buffer(self._data[0], frames * frame), np.float32)
            else:  # a hole: the server lost that much
                arrived = np.zeros(frames * self._request.channels_in, np.float32)
                self.xruns += 1
            arrived = arrived.reshape(frames, -1)
            while at < frames:
                count = min(self._block - self._gathered, frames - at)
                self._indata[self._gathered : self._gathered + count] = arrived[at : at + count]
                self._gathered += count
                at += count
                if self._gathered == self._block:
                    self._gathered = 0
                    self._turn(at)
            lib.pa_stream_drop(stream)

    def _turn(self, taken: int) -> None:
        """Have one block converted and play the result; it ends `taken` samples into what has just arrived."""
        record, playback = self._streams
        age_s = self._latency_of(record) + self._block_s - taken / self.sample_rate
        wait_s = self._latency_of(playback)
        self._latency_s += (SMOOTHING if self._latency_s else 1.0) * (age_s + wait_s - self._latency_s)
        self.callback(self._indata, self._outdata)
        self.calls += 1
        self._rhythm.beat(self._block)
        self._control(wait_s)
        if self._to_skip:
            self._to_skip -= 1
        else:
            data = self._ffi.from_buffer(self._outdata)
            self._lib.pa_stream_write(playback, data, self._outdata.nbytes, self._ffi.NULL, 0, 0)

    def _control(self, wait_s: float) -> None:
        """Leave out blocks when more sound waits to be played than has to: after a burst, or with clocks that drift.

        The other way round, the server plays silence until the reserve is filled again.
        """
        self._lowest_s = min(self._lowest_s, wait_s)
        self._blocks_looked += 1
        if self._blocks_looked * self._block_s >= CONTROL_S:
            excess = math.floor((self._lowest_s - LOWEST_S) / self._block_s)
            if excess > 0:
                self._to_skip = excess
                self.xruns += 1
            self._lowest_s, self._blocks_looked = math.inf, 0
            for stream in self._streams:  # by itself the server tells its latency seldom, and first one that is wrong
                operation = self._lib.pa_stream_update_timing_info(stream, self._ffi.NULL, self._ffi.NULL)
                if operation != self._ffi.NULL:
                    self._lib.pa_operation_unref(operation)

    def _latency_of(self, stream: Any) -> float:
        """Return seconds; 0 while the server has not yet said."""
        if self._lib.pa_stream_get_latency(stream, self._usec, self._negative):
            return 0.0
        seconds: float = self._usec[0] * 1e-6
        return -seconds if self._negative[0] else seconds

    def _count_underflow(self, _stream: Any, _data: object) -> None:
        self.xruns += 1
