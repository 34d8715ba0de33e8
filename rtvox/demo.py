"""The demo: the bundled clip through every model in real time, with figures, sound files and a picture.

In: rtvox/assets/demo.flac. Out: one row of figures per model, WAV files, and one PNG of spectrograms, before and after.
Main thread. Read next: `bench.py`, whose `play` runs the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from rtvox.bench import play
from rtvox.engine import Status
from rtvox.errors import AudioFileError, MissingExtraError
from rtvox.features import Array, FeatureSpec
from rtvox.file_device import Clock
from rtvox.manifest import Manifest
from rtvox.providers import AUTO, Provider

CLIP = Path(__file__).resolve().parent / "assets" / "demo.flac"
SAMPLE_RATE = 48000
TOP_HZ = 12000  # of the picture: above lie only the ends of consonants and cymbals
RANGE_DB = 80


@dataclass(frozen=True)
class Take:
    """The clip through one model at one setting."""

    name: str
    manifest: Manifest
    setting: str  # NAME=VALUE; empty for the model's defaults
    status: Status
    sound: Array

    @property
    def title(self) -> str:
        """What it is: the name of its WAV file, and a title in the picture."""
        return "-".join(filter(None, (self.name, self.setting)))

    @property
    def hop_ms(self) -> float:
        """The time that one hop may take."""
        return 1e3 * self.manifest.features.hop / self.manifest.features.sample_rate


def read_clip(seconds: float | None = None) -> Array:
    """Return the demo clip, (N,) at 48 kHz, or its first seconds.

    Raises: AudioFileError if it is not there.
    """
    try:
        clip, rate = soundfile.read(CLIP, dtype="float32")
    except soundfile.SoundFileError as error:
        raise AudioFileError(f"{CLIP}: cannot be read ({error}); install rtvox again") from None
    assert rate == SAMPLE_RATE
    whole: Array = clip if clip.ndim == 1 else clip.mean(axis=1)
    return whole if seconds is None else whole[: round(seconds * rate)]


def play_models(
    models: Mapping[Path, Manifest],
    clip: Array,
    *,
    provider: Provider = AUTO,
    block: int = 128,
    clock: Clock = "real",
) -> Iterator[Take]:
    """Yield the clip through each model: at its defaults by the clock, then at the far end of each control.

    The far ends are converted as fast as the machine can; their Status speaks of no misses.
    """
    for path, manifest in models.items():
        settings: list[dict[str, float]] = [{}]
        for control in manifest.controls:
            far = control.low if control.default > (control.low + control.high) / 2 else control.high
            settings.append({control.name: far})
        for setting in settings:
            pace: Clock = "fake" if setting else clock
            status, sound = play(
                str(path), setting, clip, spec=manifest.features, provider=provider, block=block, clock=pace
            )
            yield Take(
                path.stem, manifest, "-".join(f"{name}={value:g}" for name, value in setting.items()), status, sound
            )


def write_sound(path: Path, sound: Array) -> None:
    """Write (N,) at 48 kHz as a 24-bit WAV file. Raises: AudioFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, SAMPLE_RATE, "PCM_24")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioFileError(f"{path}: cannot be written ({error}); name another folder with --out") from None


def draw(path: Path, sounds: Mapping[str, Array]) -> None:
    """Draw the spectrogram of each sound, one above the other, into a PNG file.

    Raises: MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(f"{path}: needs matplotlib; pip install 'rtvox[plot]'") from None
    figure = Figure(figsize=(10, 2.4 * len(sounds)), layout="constrained")
    for axes, (title, sound) in zip(
        figure.subplots(len(sounds), sharex=True, squeeze=False)[:, 0], sounds.items(), strict=True
    ):
        image = axes.imshow(
            spectrogram_db(sound),
            origin="lower",
            aspect="auto",
            extent=(0.0, len(sound) / SAMPLE_RATE, 0.0, TOP_HZ / 1e3),
            vmin=-RANGE_DB,
            vmax=0.0,
            cmap="magma",
        )
        axes.set(title=title, ylabel="kHz")
    axes.set_xlabel("s")
    figure.colorbar(image, ax=figure.axes, label="dB")
    figure.savefig(path, dpi=110)


def spectrogram_db(sound: Array, n_fft: int = 2048, step: int = 512) -> Array:
    """Return (K, T) levels up to TOP_HZ in dB, 0 dB a sine of full scale; Hann window of 43 ms, a frame every 11 ms."""
    window = np.hanning(n_fft).astype(np.float32)
    padded = np.pad(sound, (n_fft // 2, n_fft))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[: len(sound) : step] * window
    top = FeatureSpec(n_fft=n_fft).n_bins * TOP_HZ * 2 // SAMPLE_RATE
    magnitude = np.abs(np.fft.rfft(frames))[:, :top].T * 2.0 / window.sum()
    levels: Array = 20.0 * np.log10(np.maximum(magnitude, 1e-6))
    return levels
