"""Engine: device, player, converter and model together; load, start, set, look at, stop.

Threads, and what each may do:

* the audio thread (the device's): runs `Player.callback`; copies and counts. It takes no lock, allocates nothing of
  consequence, calls no model, writes no log.
* the converter thread: runs `Converter.run`, woken by the player; the only one that runs models and levels.
* a loading thread, one at a time: reads, builds and warms a model beside the running one, then hands it over in
  `Mixer.pending`, and frees the old one.
* the keeper thread: waits; when the device is lost, it closes and reopens it until that works.
* a recorder's writer thread (`record.py`).
* any other thread may call the public methods. They take `_lock` where they change who runs; `set` and `status` take
  none.

Unlocked shared values: see `Player`, `Converter`, `Mixer` and `Params`, each with its single writer. A device that does
not run in real time has no converter thread: its audio thread converts after each callback, so a file is always whole.

In: a Device, models, controls. Out: sound on the device, and Status.
Read next: `player.py`, `converter.py`, `mixer.py`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rtvox import realtime
from rtvox.chain import Chain, build_chain
from rtvox.converter import TIMES, Converter
from rtvox.device import Device
from rtvox.errors import DeviceError, RtvoxError
from rtvox.features import Array, FeatureSpec, log_mel
from rtvox.levels import SAMPLE_RATE
from rtvox.mixer import Mixer
from rtvox.onnx_stage import Provider
from rtvox.params import Params
from rtvox.record import Recorder
from rtvox.status import Counts, Latency, Status
from rtvox.synthesis import STRUCTURAL, wanted_synthesis

Model = str | os.PathLike[str] | Chain | None  # a name, a path, a chain made elsewhere, or no model

RETRY_S = 1.0  # between attempts to reopen a lost device
SWAP_TIMEOUT_S = 5.0  # a swap takes 16 hops, 85 ms; a device that stands still may never ask for them


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
        self._mixer = Mixer(self.params, build_chain(None, self.spec))
        self._model: Model = None  # what the chain in use was built from
        self._restructuring = False  # a loading thread waits to look at the controls: it will see later changes, too
        self._counts = Counts()
        self._converter = self._prepare()
        self._state, self._error, self._recording = "stopped", "", ""
        self._recorder: Recorder | None = None
        self._lock, self._loading = threading.RLock(), threading.Lock()
        self._attention, self._stopping = threading.Event(), False
        self._thread: threading.Thread | None = None  # the converter's
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the device and convert; return when sound runs. Raises: DeviceError, and stays stopped."""
        with self._lock:
            if self._state != "stopped":
                return
            self._counts, self._error, self._mixer.error = Counts(), "", ""
            self._attention.clear()
            self._stopping = False
            realtime.hold()
            try:
                self._open()
            except BaseException:
                realtime.release()
                raise
            self._keeper = threading.Thread(target=self._keep, name="rtvox-keeper", daemon=True)
            self._keeper.start()

    def stop(self) -> None:
        """End the sound and close the device; harmless when stopped. Model, controls and counts stay."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
            if not keeper:
                return
            self._stopping = True
            self._attention.set()
        keeper.join()
        with self._lock:
            self._close()
            self._mixer.end_swap()
            self.stop_recording()
            realtime.release()
            self._state = "stopped"

    def use(self, open_device: Callable[[], Device]) -> None:
        """Go on with another device. If it does not work, the old one is used again, and nothing has changed.

        It is opened beside the old one while that plays; only if this fails, as where both want the same card, the old
        one is closed first. Raises: DeviceError or ParameterError from the new device.
        """
        with self._lock:
            try:
                device = open_device()
            except DeviceError:
                if self._state == "stopped":
                    raise
                self._close()
                try:
                    device = open_device()
                except RtvoxError:
                    self._reopen()
                    raise
            self._close()
            old, self.device = self.device, device
            try:
                if self._state == "stopped":
                    self._converter = self._prepare()
                else:
                    self._attention.clear()
                    self._open()
                    self._error = ""
            except RtvoxError:
                device.stop()
                self.device = old
                self._reopen()
                raise

    def load(self, model: Model, *, wait: bool = True) -> None:
        """Put a model in place of the one in use, cross-faded while sound runs.

        Args:
            model: a name, a path, or None (also "none") for analysis and synthesis alone.
            wait: return when the new model sounds; else at once, and a failure shows in `status().error` only.

        Raises: RtvoxError (with wait) if it cannot be used; the model in use then stays as it is.
        """
        self._in_loading_thread(model, lambda: self._load(model), wait=wait)

    def set(self, name: str, value: float) -> None:
        """Ask for a value of a control, of rtvox or of the model. Any thread. Raises: ParameterError.

        A control that changes the delay (`synthesis.STRUCTURAL`) puts another chain of the same model in place:
        cross-faded while sound runs, a moment later; before that, at once, and what `load` raises is raised here.
        """
        self.params.set(name, value)
        if name in STRUCTURAL and not self._restructuring:
            self._restructuring = True
            self._in_loading_thread(self._model, self._restructure, wait=self._state != "running")

    def panic(self) -> None:
        """Be silent within a hop, and safe: muted, everything heard forgotten, gains above 0 dB back at 0 dB.

        Ends a howl or a stuck state; setting `mute` to 0 goes on.
        """
        self.params.set("mute", 1.0)
        for gain in ("input_gain", "output_gain"):
            self.params.set(gain, min(0.0, self.params[gain]))
        self._mixer.panic_asked = True

    def record(self, path: str | os.PathLike[str]) -> None:
        """Record wet sound to path and dry sound, aligned, to NAME-dry beside it. Raises: AudioFileError."""
        with self._lock:
            self.stop_recording()
            self._recording = ""
            self._recorder = Recorder(Path(path), self.device.sample_rate, self.device.max_block)
            self._converter.player.recorder = self._recorder

    def stop_recording(self) -> None:
        """End the recording, if there is one; the files are complete on return."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
            self._converter.player.recorder = None
            if recorder:
                recorder.close()
                self._recording = recorder.error

    def meters(self) -> tuple[float, float, float, float]:
        """Return input peak, input rms, output peak, output rms in dB of full scale. Any thread."""
        heard, said = self._mixer.input_meter, self._mixer.output_meter
        return heard.peak_db, heard.rms_db, said.peak_db, said.rms_db

    def spectra(self) -> tuple[Array, Array]:
        """Return log-mel (M,) of the newest frame of the input and of the output. Any thread; some 0.2 ms."""
        frames = np.zeros((2, self.spec.n_fft), np.float32)
        for frame, sound in zip(frames, (self._mixer.heard, self._mixer.said), strict=True):
            sound.copy(sound.end - len(frame), frame)
        heard, said = log_mel(frames * self.spec.analysis_window(), self.spec)
        return heard, said

    @property
    def recording(self) -> str:
        """The file being recorded, or why recording ended early, or nothing. Any thread."""
        recorder = self._recorder
        return (recorder.error or str(recorder.path)) if recorder else self._recording

    @property
    def delay(self) -> int:
        """Samples at the device's rate by which the output lags the input, the device's own latency left out."""
        return self._converter.prefill + self._converter.player.dry_delay

    def status(self) -> Status:
        """Return how things stand. Any thread, any time; costs well under a millisecond."""
        mixer, converter, recorder = self._mixer, self._converter, self._recorder
        # Sorted by hand: np.percentile imports numpy.ma at its first call, 20 ms in which the audio may wait.
        times = np.sort(converter.times[: min(converter.hops, TIMES)]) * 1000.0 if converter.hops else np.zeros(1)
        last = len(times) - 1
        counts = asdict(self._counts)
        counts["failed_hops"] += mixer.chain.faults()
        del counts["repaired"]
        return Status(
            state=self._state,
            model=mixer.chain.name,
            sample_rate=self.device.sample_rate,
            block=self.device.max_block,
            latency=self._latency(),
            compute_p50_ms=float(times[last // 2]),
            compute_p99_ms=float(times[round(0.99 * last)]),
            compute_max_ms=float(times[last]),
            load=float(times.mean()) * SAMPLE_RATE / 1000.0 / self.spec.hop,
            **counts,
            xruns=self.device.xruns,
            input_peak_db=mixer.input_meter.peak_db,
            input_rms_db=mixer.input_meter.rms_db,
            output_peak_db=mixer.output_meter.peak_db,
            output_rms_db=mixer.output_meter.rms_db,
            recording=self.recording,
            recorded_s=recorder.seconds if recorder else 0.0,
            message=mixer.chain.message,
            error=self._error or converter.player.error or mixer.error,
        )

    def _latency(self) -> Latency:
        converter, chain = self._converter, self._mixer.chain
        at_48k = SAMPLE_RATE / self.device.sample_rate
        device = round(self.device.latency * at_48k)
        prefill = round((converter.prefill - converter.lag) * at_48k)
        framing = self.spec.hop + chain.delay - chain.look_ahead
        edge = round(self.delay * at_48k) - prefill - framing - chain.look_ahead
        return Latency(device, prefill, framing, chain.look_ahead, edge)

    def _prepare(self) -> Converter:
        reserve = round(self._reserve_ms * self.device.sample_rate / 1000.0)
        return Converter(self._mixer, self.device, self._counts, channel=self._channel, reserve=reserve)

    def _open(self) -> None:
        """Build the converter for the device as it is now, and start both. Under `_lock`."""
        if self._recorder and not self._recorder.fits(self.device.sample_rate, self.device.max_block):
            self.stop_recording()
        converter = self._converter = self._prepare()
        converter.player.recorder = self._recorder
        callback = converter.player.callback
        if self.device.realtime:
            self._thread = threading.Thread(target=converter.run, name="rtvox-converter", daemon=True)
            self._thread.start()
        else:
            callback = converter.callback_and_convert
        try:
            self.device.start(callback, self._on_lost)
        except BaseException:
            self._close()
            raise
        self._state = "running"

    def _reopen(self) -> None:
        """Start the device again that had to make room. Under `_lock`."""
        try:
            if self._state == "stopped":
                self._converter = self._prepare()
            else:
                self._open()
        except RtvoxError as error:
            self._on_lost(error)

    def _close(self) -> None:
        """Stop the device and the converter thread. Under `_lock`."""
        self.device.stop()
        self._converter.active = False
        if self._thread:
            self._thread.join()
            self._thread = None

    def _on_lost(self, error: Exception) -> None:
        self._error = f"device lost: {error}"
        self._attention.set()

    def _keep(self) -> None:
        """Run the keeper thread: close and reopen a lost device until it works."""
        while self._attention.wait() and not self._stopping:
            self._attention.clear()
            with self._lock:
                self._state = "device lost"
                self._close()
            while self._state == "device lost" and not self._attention.wait(RETRY_S):
                with self._lock:
                    try:
                        self._open()
                        self._error = ""
                    except Exception as error:  # whatever a driver raises: try again
                        self._error = f"device lost: {error}"

    def _in_loading_thread(self, model: Model, load: Callable[[], None], *, wait: bool) -> None:
        """Load, one at a time. Raises (with wait): RtvoxError; else it shows in `status().error`."""
        failure: list[RtvoxError] = []

        def run() -> None:
            if self._state == "running":
                realtime.raise_priority(realtime.CONTROL_PRIORITY)
            with self._loading:
                before = self._mixer.chain
                try:
                    load()
                except Exception as error:  # also our own mistakes: the sound goes on with the model in use
                    self.params.join(before.controls)
                    failure.append(error if isinstance(error, RtvoxError) else RtvoxError(f"model {model}: {error!r}"))
                    self._error = str(failure[0])

        thread = threading.Thread(target=run, name="rtvox-load", daemon=True)
        thread.start()
        if wait:
            thread.join()
            if failure:
                raise failure[0]

    def _load(self, model: Model) -> None:
        """Build, warm and hand over. In a loading thread."""
        settings = self.params.values()
        chain = model if isinstance(model, Chain) else build_chain(model, self.spec, self._provider, settings)
        self.params.join(chain.controls)
        chain.warm_up()
        chain.settle(self.params)
        self._hand_over(chain)
        self._model = model
        if self._state != "device lost":
            self._error = ""

    def _restructure(self) -> None:
        """Load the model in use once more if its chain is not as the controls want it. In a loading thread."""
        self._restructuring = False  # before the controls are read
        model, chain = self._model, self._mixer.chain
        if not isinstance(model, Chain) and chain.synthesis != wanted_synthesis(chain.manifest, self.params.values()):
            self._load(model)

    def _hand_over(self, chain: Chain) -> None:
        """Make it the chain in use: at once if no sound runs, else through the mixer; return when that is done."""
        mixer = self._mixer
        with self._lock:
            if self._state != "running":
                mixer.chain = chain
                self._converter = self._prepare()
                return
            mixer.error = ""
            mixer.pending = chain
        deadline = time.monotonic() + SWAP_TIMEOUT_S
        while mixer.chain is not chain and time.monotonic() < deadline:
            if mixer.pending is not chain and mixer.incoming is not chain and mixer.chain is not chain:
                raise RtvoxError(f"{mixer.error}; the model in use stays")
            time.sleep(0.005)
        mixer.retired.clear()
