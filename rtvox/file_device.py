"""Devices without hardware: FileDevice plays a file or an array through the engine, PushDevice is driven by hand.

In: samples from an array or a sound file. Out: samples to an array or a sound file. The same engine loop as with a
sound card; only the clock differs: `fake` runs as fast as it can and is never late, `real` is paced like a card.
`convert_blocks` is what `rtvox convert` does. Read next: `engine.py`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from rtvox.device import Callback, OnLost
from rtvox.engine import Engine, Model
from rtvox.errors import AudioFileError, DeviceError, ParameterError, RtvoxError
from rtvox.features import Array, FeatureSpec
from rtvox.priority import AUDIO_PRIORITY, raise_priority
from rtvox.providers import AUTO, Provider
from rtvox.resample import RATES

Clock = Literal["fake", "real"]

OFFLINE_BLOCK = 4096  # samples per call when nobody waits: fewer calls, same result


class PushDevice:
    """A device whose clock is whoever calls `push`; never late."""

    realtime = False
    latency = 0
    xruns = 0

    def __init__(
        self, sample_rate: int, block: int | Iterable[int] = 256, channels_in: int = 1, channels_out: int = 1
    ) -> None:
        sizes = [block] if isinstance(block, int) else list(block)
        if not RATES[0] <= sample_rate <= RATES[1]:
            raise ParameterError(f"sample_rate={sample_rate}: needs {RATES[0]} to {RATES[1]} Hz")
        if not sizes or min(sizes) < 1:
            raise ParameterError(f"block={block}: needs at least 1")
        self.sample_rate = sample_rate
        self.max_block, self.fixed_block = max(sizes), len(set(sizes)) == 1
        self.channels_in, self.channels_out = channels_in, channels_out
        self._sizes = sizes
        self._callback: Callback | None = None

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Take note of the callback."""
        self._callback = callback

    def stop(self) -> None:
        """Forget the callback."""
        self._callback = None

    def push(self, indata: Array) -> Array:
        """Send indata (B, C_in) through the engine and return (B, C_out); B at most max_block."""
        if self._callback is None:
            raise DeviceError("PushDevice: not started; start the engine first")
        outdata = np.zeros((len(indata), self.channels_out), np.float32)
        self._callback(indata, outdata)
        return outdata


class FileDevice(PushDevice):
    """Plays a source once, then ends; `wait` returns when it has.

    Attributes:
        position: samples played so far, of `length`.
    """

    def __init__(
        self,
        source: Array | str | os.PathLike[str],
        sink: str | os.PathLike[str] | None = None,
        *,
        sample_rate: int = 48000,
        block: int | Iterable[int] = 128,
        clock: Clock = "fake",
        channels_out: int = 1,
        tail: int = 0,
    ) -> None:
        """Open the source, and the sink if it is a file.

        Args:
            source: (N,) or (N, C) samples at sample_rate, or a sound file, whose own rate then counts.
            sink: a sound file to write; without one, `output` holds what was played.
            block: samples per callback; several sizes are used in turn.
            tail: samples of silence after the source, to hear the delayed end.

        Raises: AudioFileError if a file cannot be opened, ParameterError if there is no such block or rate.
        """
        if isinstance(source, np.ndarray):
            self._file = None
            self._array = source.reshape(len(source), -1).astype(np.float32, copy=False)
            self.length, channels = self._array.shape
        else:
            self._file = _open(soundfile.SoundFile, source)
            self.length, channels, sample_rate = self._file.frames, self._file.channels, self._file.samplerate
        super().__init__(sample_rate, block, channels, channels_out)
        self.length += tail
        self.realtime = clock == "real"
        self.position = 0
        self._sink = sink and _open(soundfile.SoundFile, sink, "w", sample_rate, channels_out)
        self._played: list[Array] = []
        self._turns = cycle(self._sizes)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def output(self) -> Array:
        """Return (N, C_out): all that was played so far, the tail included."""
        return np.concatenate([np.zeros((0, self.channels_out), np.float32), *self._played])[: self.length]

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Play in a thread of its own, from where it was stopped."""
        super().start(callback, on_lost)
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, args=(on_lost,), name="rtvox-file", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when all was played, False after timeout seconds."""
        if self._thread:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def stop(self) -> None:
        """End; the sink is complete when all was played."""
        self._ending.set()
        self.wait()
        super().stop()

    def _run(self, on_lost: OnLost) -> None:
        if self.realtime:
            raise_priority(AUDIO_PRIORITY)  # as the audio thread of a sound card has
        begin, origin = time.monotonic(), self.position
        try:
            while self.position < self.length and not self._ending.is_set():
                size = next(self._turns)
                if self.realtime:
                    time.sleep(max(0.0, begin + (self.position + size - origin) / self.sample_rate - time.monotonic()))
                self._write(self.push(self._read(size)))
                self.position += size
            if self._sink and self.position >= self.length:
                self._sink.close()
        except Exception as error:
            on_lost(error)

    def _read(self, n: int) -> Array:
        block = np.zeros((n, self.channels_in), np.float32)
        if self._file is None:
            part = self._array[self.position : self.position + n]
        else:
            part = self._file.read(n, dtype="float32", always_2d=True)
        block[: len(part)] = part
        return block

    def _write(self, block: Array) -> None:
        if self._sink:
            self._sink.write(block[: self.length - self.position])
        else:
            self._played.append(block)


def _open(opener: type[soundfile.SoundFile], path: str | os.PathLike[str], *args: object) -> soundfile.SoundFile:
    try:
        return opener(path, *args)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise AudioFileError(f"{Path(path)}: {' '.join(str(error).split())}") from None


def convert_blocks(
    blocks: Iterable[Array],
    sample_rate: int,
    model: Model = None,
    settings: Mapping[str, float] | None = None,
    *,
    spec: FeatureSpec | None = None,
    provider: Provider = AUTO,
) -> Generator[Array, None, None]:
    """Convert a stream of (B, C) blocks; the output is aligned with the input and as long.

    Each channel goes through an engine of its own, so channels stay apart. Blocks may have any and changing sizes.
    Raises: RtvoxError if the model cannot be used, a setting is wrong, or a stage fails.
    """
    engines: list[tuple[PushDevice, Engine]] = []
    owed = skip = 0  # samples still to be returned; samples of delay still to be thrown away
    try:
        for block in blocks:
            if not engines:
                engines += [_offline_engine(sample_rate, model, settings or {}, spec, provider) for _ in block.T]
                skip = engines[0][1].delay
            owed += len(block)
            for at in range(0, len(block), OFFLINE_BLOCK):
                out = _push(engines, block[at : at + OFFLINE_BLOCK])
                yield out[skip:]
                owed -= max(0, len(out) - skip)
                skip = max(0, skip - len(out))
        while owed:
            out = _push(engines, np.zeros((min(owed + skip, OFFLINE_BLOCK), len(engines)), np.float32))
            yield out[skip:]
            owed -= max(0, len(out) - skip)
            skip = max(0, skip - len(out))
    finally:
        for _, engine in engines:
            engine.stop()


def convert_array(
    samples: Array,
    sample_rate: int,
    model: Model = None,
    settings: Mapping[str, float] | None = None,
    *,
    spec: FeatureSpec | None = None,
    provider: Provider = AUTO,
) -> Array:
    """Convert (N,) or (N, C) samples and return as many, aligned; otherwise as `convert_blocks`."""
    blocks = [samples.reshape(len(samples), -1).astype(np.float32)] if samples.size else []
    parts = list(convert_blocks(blocks, sample_rate, model, settings, spec=spec, provider=provider))
    return np.concatenate(parts).reshape(samples.shape) if parts else np.zeros(samples.shape, np.float32)


def _offline_engine(
    sample_rate: int, model: Model, settings: Mapping[str, float], spec: FeatureSpec | None, provider: Provider
) -> tuple[PushDevice, Engine]:
    device = PushDevice(sample_rate, (1, OFFLINE_BLOCK))
    engine = Engine(device, spec, provider=provider)
    engine.load(model)
    for name, value in settings.items():
        engine.set(name, value)
    engine.start()
    return device, engine


def _push(engines: list[tuple[PushDevice, Engine]], block: Array) -> Array:
    """Send each channel of block (B, C) through its engine."""
    out = np.zeros_like(block)
    for channel, (device, engine) in enumerate(engines):
        out[:, channel : channel + 1] = device.push(block[:, channel : channel + 1])
        if error := engine.status().error:
            raise RtvoxError(error)
    return out
