"""Engine: device, player, converter and model together; load, start, set, look at, stop.

Threads, and what each may do:

* the audio thread (the device's): runs `Player.callback`; copies and counts. It takes no lock, allocates nothing of
  consequence, calls no model, writes no log.
* the converter thread: runs `Converter.catch_up` when the player wakes it; the only one that runs models and levels.
* a loading thread, one at a time: reads, builds and warms a model beside the running one, then hands it over in
  `Converter.pending`, and frees the old one.
* the keeper thread: waits; when the device is lost, it closes and reopens it until that works.
* a recorder's writer thread (`record.py`).
* any other thread may call the public methods. They take `_lock` where they change who runs; `set` and `status` take none.

Unlocked shared values: see `Player`, `Converter` and `Params`, each with its single writer. A device that does not run in
real time has no converter thread: its audio thread converts after each callback, so a file is always whole.

In: a Device, models, controls. Out: sound on the device, and Status. Read next: `player.py`, then `converter.py`.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtvox import realtime
from rtvox.chain import Chain, build_chain
from rtvox.converter import TIMES, Converter
from rtvox.device import Device
from rtvox.errors import RtvoxError
from rtvox.features import Array, FeatureSpec
from rtvox.levels import SAMPLE_RATE
from rtvox.onnx_stage import Provider, flush_denormals
from rtvox.params import Params
from rtvox.player import Player
from rtvox.record import Recorder

Model = str | os.PathLike[str] | Chain | None  # a name, a path, a chain made elsewhere, or no model

RETRY_S = 1.0  # between attempts to reopen a lost device
SWAP_TIMEOUT_S = 5.0  # a swap takes 16 hops, 85 ms; a device that stands still may never ask for them


@dataclass(frozen=True)
class Latency:
    """From microphone to speaker, in samples at 48 kHz (docs/design.md, section 7)."""

    device: int = 0  # what the host reports, input plus output
    prefill: int = 0  # reserve for scheduling; the time the model computes is hidden in it
    framing: int = 0  # the hop that is gathered, and overlap-add
    look_ahead: int = 0  # of the network
    edge: int = 0  # resampling to and from the device's rate

    @property
    def total(self) -> int:
        """The sum."""
        return self.device + self.prefill + self.framing + self.look_ahead + self.edge

    @property
    def total_ms(self) -> float:
        """The sum in milliseconds."""
        return self.total * 1000.0 / SAMPLE_RATE


@dataclass(frozen=True)
class Status:
    """The engine at one moment; levels in dB of full scale, counts since `start`."""

    state: str  # "stopped", "running", "device lost"
    model: str
    sample_rate: int  # of the device
    latency: Latency
    compute_p50_ms: float  # of one hop, over the last 22 s
    compute_p99_ms: float
    compute_max_ms: float
    load: float  # mean part of a hop's time that its conversion takes
    callbacks: int
    misses: int  # callbacks that lacked samples
    missed_samples: int
    dropped: int  # input samples that were too old to be converted
    failed_hops: int  # hops in which a stage raised an error
    xruns: int
    input_peak_db: float
    input_rms_db: float
    output_peak_db: float
    output_rms_db: float
    recording: str  # the file, or why recording ended, or empty
    message: str  # what to know about how the model runs
    error: str  # the last fault, or empty


class Engine:
    """The live converter. Also a context manager: stops on exit."""

    def __init__(
        self,
        device: Device,
        spec: FeatureSpec | None = None,
        *,
        provider: Provider = "auto",
        channel: int | None = None,
        reserve_ms: float = 0.0,
    ) -> None:
        """Make a stopped engine without a model.

        Args:
            provider: where models run.
            channel: the input channel to take; None takes the mean of all.
            reserve_ms: more prefill than the arithmetic asks for, against a jittery machine.
        """
        self.device = device
        self.spec = spec or FeatureSpec()
        self.params = Params()
        self._provider: Provider = provider
        self._channel, self._reserve_ms = channel, reserve_ms
        self._converter = Converter(self.params, build_chain(None, self.spec))
        self._player = self._converter.attach(device, channel, 0)
        self._state, self._error, self._recording = "stopped", "", ""
        self._lock, self._loading = threading.RLock(), threading.Lock()
        self._stopping, self._lost = threading.Event(), threading.Event()
        self._converting = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the device and convert; return when sound runs. Raises: DeviceError, and stays stopped."""
        with self._lock:
            if self._state != "stopped":
                return
            if self.device.realtime:
                realtime.hold()
            self._stopping.clear()
            try:
                self._open()
            except BaseException:
                if self.device.realtime:
                    realtime.release()
                raise
            self._error = ""
            keeper = threading.Thread(target=self._keep, name="rtvox-keeper", daemon=True)
            self._threads.append(keeper)
            keeper.start()

    def stop(self) -> None:
        """End the sound and close the device; harmless when stopped. The model, the controls and the counts stay."""
        with self._lock:
            if self._state == "stopped":
                return
            self._stopping.set()
            self._lost.set()
        for thread in self._threads:
            thread.join()
        with self._lock:
            self._threads.clear()
            self._close()
            self._state = "stopped"
            self.stop_recording()
            if self.device.realtime:
                realtime.release()

    def load(self, model: Model, *, wait: bool = True) -> None:
        """Put a model in place of the one in use, cross-faded while sound runs.

        Args:
            model: a name, a path, or None (also "none") for analysis and synthesis alone.
            wait: return when the new model sounds; else at once, and a failure shows in `status().error` only.

        Raises: RtvoxError (with wait) if it cannot be used; the model in use then stays as it is.
        """
        failure: list[RtvoxError] = []
        thread = threading.Thread(target=self._load, args=(model, failure), name="rtvox-load", daemon=True)
        thread.start()
        if wait:
            thread.join()
            if failure:
                raise failure[0]

    def set(self, name: str, value: float) -> None:
        """Ask for a value of a control, of rtvox or of the model. Any thread. Raises: ParameterError."""
        self.params.set(name, value)

    def panic(self) -> None:
        """Fade out, forget everything heard, fade in, within two hops: ends a howl or a stuck state."""
        self._converter.panic_asked = True

    def record(self, path: str | os.PathLike[str]) -> None:
        """Record wet sound to path and dry sound, aligned, to NAME-dry beside it. Raises: AudioFileError."""
        with self._lock:
            self.stop_recording()
            self._recording = ""
            self._player.recorder = Recorder(Path(path), self.device.sample_rate)

    def stop_recording(self) -> None:
        """End the recording, if there is one; the files are complete on return. Raises nothing."""
        with self._lock:
            recorder, self._player.recorder = self._player.recorder, None
            if recorder:
                recorder.close()
                self._recording = recorder.error

    @property
    def delay(self) -> int:
        """Samples at the device's rate by which the output lags the input, the device's own latency left out."""
        return self._converter.prefill + self._player.dry_delay

    def status(self) -> Status:
        """Return how things stand. Any thread, any time; costs well under a millisecond."""
        converter, player, recorder = self._converter, self._player, self._player.recorder
        times = converter.times[: min(converter.hops, TIMES)] * 1000.0
        p50, p99 = np.percentile(times, [50, 99]) if len(times) else (0.0, 0.0)
        hop_ms = self.spec.hop * 1000.0 / SAMPLE_RATE
        return Status(
            state=self._state,
            model=converter.chain.name,
            sample_rate=self.device.sample_rate,
            latency=self._latency(),
            compute_p50_ms=float(p50),
            compute_p99_ms=float(p99),
            compute_max_ms=float(times.max(initial=0.0)),
            load=float(times.mean()) / hop_ms if len(times) else 0.0,
            callbacks=player.callbacks,
            misses=player.misses,
            missed_samples=player.missed_samples,
            dropped=converter.dropped,
            failed_hops=converter.failed_hops,
            xruns=self.device.xruns,
            input_peak_db=converter.input_meter.peak_db,
            input_rms_db=converter.input_meter.rms_db,
            output_peak_db=converter.output_meter.peak_db,
            output_rms_db=converter.output_meter.rms_db,
            recording=(recorder.error or str(recorder.path)) if recorder else self._recording,
            message=converter.chain.message,
            error=player.error or converter.error or self._error,
        )

    def _latency(self) -> Latency:
        converter, rate = self._converter, self.device.sample_rate
        chain = converter.chain
        at_48k = SAMPLE_RATE / rate
        prefill = round((converter.prefill - converter.lag) * at_48k)
        framing = self.spec.hop + chain.delay - chain.look_ahead
        total = round(self.delay * at_48k)
        edge = total - prefill - framing - chain.look_ahead
        return Latency(round(self.device.latency * at_48k), prefill, framing, chain.look_ahead, edge)

    def _open(self) -> None:
        """Prepare player and converter for the device as it is now, and start it."""
        self._lost.clear()
        reserve = round(self._reserve_ms * self.device.sample_rate / 1000.0)
        recorder = self._player.recorder
        player = self._player = self._converter.attach(self.device, self._channel, reserve)
        player.recorder = recorder
        if self.device.realtime:
            self._converting = True
            self._thread = threading.Thread(target=self._convert, args=(player,), name="rtvox-converter", daemon=True)
            self._thread.start()
        try:
            self.device.start(player.callback if self.device.realtime else self._callback_and_convert, self._on_lost)
        except BaseException:
            self._close()
            raise
        self._state = "running"

    def _close(self) -> None:
        self.device.stop()
        if self._converting:
            self._converting = False
            self._thread.join()

    def _convert(self, player: Player) -> None:
        """Run the converter thread."""
        flush_denormals()
        realtime.raise_priority()
        while self._converting:
            if player.wake.acquire(timeout=0.1):
                self._converter.catch_up()

    def _callback_and_convert(self, indata: Array, outdata: Array) -> None:
        self._player.callback(indata, outdata)
        self._converter.catch_up()

    def _on_lost(self, error: Exception) -> None:
        self._error = f"device lost: {error}"
        self._lost.set()

    def _keep(self) -> None:
        """Run the keeper thread."""
        while True:
            self._lost.wait()
            if self._stopping.is_set():
                return
            self._state = "device lost"
            self._close()
            while self._state != "running":
                if self._stopping.wait(RETRY_S):
                    return
                try:
                    self._open()
                except RtvoxError as error:
                    self._error = f"device lost: {error}"

    def _load(self, model: Model, failure: list[RtvoxError]) -> None:
        """Run the loading thread."""
        with self._loading:
            try:
                chain = model if isinstance(model, Chain) else build_chain(model, self.spec, self._provider)
                self.params.join(chain.controls)
                chain.settle(self.params)
                self._hand_over(chain)
            except RtvoxError as error:
                self._error = str(error)
                failure.append(error)

    def _hand_over(self, chain: Chain) -> None:
        converter = self._converter
        with self._lock:
            if self._state != "running":
                converter.chain = chain
                self._player = converter.attach(self.device, self._channel, 0)
                return
            converter.pending = chain
        deadline = time.monotonic() + SWAP_TIMEOUT_S
        while converter.chain is not chain and time.monotonic() < deadline and self._state == "running":
            time.sleep(0.005)
        converter.retired.clear()
