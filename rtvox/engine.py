"""Engine: device, player, converter and model together; load, start, set, look at, stop.

Threads, and what each may do:

* the audio thread (the device's): runs `Player.callback`; copies and counts. It takes no lock, allocates nothing of
  consequence, calls no model, writes no log.
* the converter thread: runs `Converter.run`, woken by the player; the only one that runs models and levels.
* a loading thread, one at a time (`loader.py`): reads, builds and warms a model beside the running one, then hands it
  over in `Mixer.pending`, and frees the old one.
* the keeper thread (`keeper.py`): waits; when the device is lost, it closes and reopens it until that works.
* a recorder's writer thread (`record.py`), and one that speaks (`speech.py`), into a ring of samples each.
* any other thread may call the public methods. They take the keeper's lock where they change who runs; `set` and
  `status` take none.

Unlocked shared values: see `Player`, `Converter`, `Mixer` and `Params`, each with its single writer. A device that does
not run in real time has no converter thread: its audio thread converts after each callback, so a file is always whole.

In: a Device, models, controls. Out: sound on the device, and Status.
Read next: `player.py`, `converter.py`, `mixer.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rtvox import realtime
from rtvox.chain import build_chain
from rtvox.converter import TIMES, Converter
from rtvox.device import Device
from rtvox.features import Array, FeatureSpec, log_mel
from rtvox.keeper import Keeper
from rtvox.levels import SAMPLE_RATE
from rtvox.loader import Loader, Model
from rtvox.mixer import Mixer
from rtvox.params import Params
from rtvox.providers import AUTO, Provider
from rtvox.record import Recorder
from rtvox.status import Counts, Latency, Status
from rtvox.synthesis import STRUCTURAL

if TYPE_CHECKING:
    from rtvox.speech import Speech

__all__ = ["Engine", "Model"]


class Engine:
    """The live converter. Also a context manager: stops on exit."""

    def __init__(
        self,
        device: Device,
        spec: FeatureSpec | None = None,
        *,
        provider: Provider = AUTO,
        channel: int | None = None,
        reserve_ms: float = 0.0,
    ) -> None:
        """Make a stopped engine without a model.

        Args:
            provider: where models run.
            channel: the input channel to take; None takes the mean of all.
            reserve_ms: more prefill than the arithmetic asks for, against a jittery machine.
        """
        if device.realtime:
            realtime.keep_memory_compact()
        self.spec = spec or FeatureSpec()
        self.params = Params()
        self._channel, self._reserve_ms = channel, reserve_ms
        self._mixer = Mixer(self.params, build_chain(None, self.spec))
        self._counts, self._recording = Counts(), ""
        self._recorder: Recorder | None = None
        self._keeper = Keeper(device, self._make_converter)
        self._loader = Loader(self._mixer, self._keeper, self.spec, provider)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def device(self) -> Device:
        """The device in use."""
        return self._keeper.device

    def start(self) -> None:
        """Open the device and convert; return when sound runs. Raises: DeviceError, and stays stopped."""
        with self._keeper.lock:
            if self._keeper.state != "stopped":
                return
            self._counts, self._loader.error, self._mixer.error = Counts(), "", ""
            self._mixer.count_anew()
            realtime.hold()
            try:
                self._keeper.start()
            except BaseException:
                realtime.release()
                raise

    def stop(self) -> None:
        """End the sound and close the device; harmless when stopped. Model, controls and counts stay."""
        if self._keeper.stop():
            with self._keeper.lock:
                self._mixer.end_swap()
                self.stop_recording()
                realtime.release()

    def use(self, open_device: Callable[[], Device]) -> None:
        """Go on with another device. If it does not work, the old one is used again, and nothing has changed.

        It is opened beside the old one while that plays; only if this fails, as where both want the same card, the old
        one is closed first. Raises: DeviceError or ParameterError from the new device.
        """
        self._keeper.use(open_device)

    def load(self, model: Model, *, wait: bool = True) -> None:
        """Put a model in place of the one in use, cross-faded while sound runs.

        Args:
            model: a name, a path, or None (also "none") for analysis and synthesis alone.
            wait: return when the new model sounds; else at once, and a failure shows in `status().error` only.

        Raises: RtvoxError (with wait) if it cannot be used; the model in use then stays as it is.
        """
        self._loader.load(model, wait=wait)

    def set(self, name: str, value: float) -> None:
        """Ask for a value of a control, of rtvox or of the model. Any thread. Raises: ParameterError.

        A control that changes the delay (`synthesis.STRUCTURAL`) puts another chain of the same model in place:
        cross-faded while sound runs, a moment later; before that, at once, and what `load` raises is raised here.
        """
        self.params.set(name, value)
        if name in STRUCTURAL:
            self._loader.restructure(wait=self._keeper.state != "running")

    def panic(self) -> None:
        """Be silent within a hop, and safe: muted, everything heard forgotten, gains above 0 dB back at 0 dB.

        Ends a howl or a stuck state; setting `mute` to 0 goes on.
        """
        self.params.set("mute", 1.0)
        for gain in ("input_gain", "output_gain"):
            self.params.set(gain, min(0.0, self.params[gain]))
        if self.speech:
            self.speech.stop()
        self._mixer.panic_asked = True

    def record(self, path: str | os.PathLike[str]) -> None:
        """Record wet sound to path and dry sound, aligned, to NAME-dry beside it. Raises: AudioFileError."""
        with self._keeper.lock:
            self.stop_recording()
            self._recording = ""
            self._recorder = Recorder(Path(path), self.device.sample_rate, self.device.max_block)
            self._keeper.converter.player.recorder = self._recorder

    def stop_recording(self) -> None:
        """End the recording, if there is one; the files are complete on return."""
        with self._keeper.lock:
            recorder, self._recorder = self._recorder, None
            self._keeper.converter.player.recorder = None
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
    def speech(self) -> Speech | None:
        """What speaks beside the microphone, if anything does."""
        return self._mixer.speech

    @speech.setter
    def speech(self, speech: Speech) -> None:
        self._mixer.speech = speech

    @property
    def recording(self) -> str:
        """The file being recorded, or why recording ended early, or nothing. Any thread."""
        recorder = self._recorder
        return (recorder.error or str(recorder.path)) if recorder else self._recording

    @property
    def delay(self) -> int:
        """Samples at the device's rate by which the output lags the input, the device's own latency left out."""
        return self._keeper.converter.prefill + self._keeper.converter.player.dry_delay

    def hop_times_ms(self) -> npt.NDArray[np.float64]:
        """Return the times that the last 4096 hops took, sorted; one zero before the first. Any thread."""
        converter = self._keeper.converter
        return np.sort(converter.times[: min(converter.hops, TIMES)]) * 1000.0 if converter.hops else np.zeros(1)

    def status(self) -> Status:
        """Return how things stand. Any thread, any time; costs well under a millisecond."""
        mixer, converter, recorder = self._mixer, self._keeper.converter, self._recorder
        said = mixer.speech.error if mixer.speech else ""
        # By hand: np.percentile imports numpy.ma at its first call, 20 ms in which the audio may wait.
        times = self.hop_times_ms()
        p50, p95, p99, p999 = (float(times[round(part * (len(times) - 1))]) for part in (0.5, 0.95, 0.99, 0.999))
        counts, chain = asdict(self._counts), mixer.chain
        faults, fallbacks = mixer.faults()
        counts["failed_hops"] += faults
        del counts["repaired"]
        return Status(
            state=self._keeper.state,
            model=mixer.chain.name,
            provider=chain.provider,
            sample_rate=self.device.sample_rate,
            block=self.device.max_block,
            latency=self._latency(),
            compute_p50_ms=p50,
            compute_p95_ms=p95,
            compute_p99_ms=p99,
            compute_p999_ms=p999,
            compute_max_ms=float(times[-1]),
            load=float(times.mean()) * SAMPLE_RATE / 1000.0 / self.spec.hop,
            **counts,
            fallbacks=fallbacks,
            xruns=self.device.xruns,
            input_peak_db=mixer.input_meter.peak_db,
            input_rms_db=mixer.input_meter.rms_db,
            output_peak_db=mixer.output_meter.peak_db,
            output_rms_db=mixer.output_meter.rms_db,
            recording=self.recording,
            recorded_s=recorder.seconds if recorder else 0.0,
            message="; ".join(filter(None, (chain.message, converter.message))),
            error=self._keeper.error or self._loader.error or converter.player.error or mixer.error or said,
        )

    def _latency(self) -> Latency:
        converter, chain = self._keeper.converter, self._mixer.chain
        at_48k = SAMPLE_RATE / self.device.sample_rate
        device = round(self.device.latency * at_48k)
        prefill = round((converter.prefill - converter.lag) * at_48k)
        framing = self.spec.hop + chain.delay - chain.look_ahead
        edge = round(self.delay * at_48k) - prefill - framing - chain.look_ahead
        return Latency(device, prefill, framing, chain.look_ahead, edge)

    def _make_converter(self, device: Device) -> Converter:
        reserve = round(self._reserve_ms * device.sample_rate / 1000.0)
        converter = Converter(self._mixer, device, self._counts, channel=self._channel, reserve=reserve)
        if self._recorder and not self._recorder.fits(device.sample_rate, device.max_block):
            self.stop_recording()
        converter.player.recorder = self._recorder
        return converter
