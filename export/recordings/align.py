"""Lay one take over another of the same words: when is, in the second, what sounds now in the first?

In: two sounds (N,) and (N',) at 48 kHz. Out: an `Alignment`, the second's time for each frame of the first, and how
well they match; and the second sound, stretched to lie on the first. Pauses may be in either; timbre may differ as
much as a scream's from a voice's. Offline; runs in the caller's thread. Read next: `own_pairs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import cdist

from export.recordings.library import RATE
from export.spectra import mel_of
from rtvox.features import Array, FeatureSpec, mfcc

Double = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
# 10.7 ms frames; 40 bands as wide as speech, so that neither rumble nor hiss is compared; few coefficients, since later
# ones hear the pitch, and a shriek's is far above the voice's.
SPEC = FeatureSpec(n_fft=2048, n_synthesis=1024, hop=512, n_mels=40, mel_low_hz=80.0, mel_high_hz=8000.0, n_mfcc=9)
LOUDNESS = 2.0  # weight of a frame's loudness beside its 8 cepstral coefficients of unit deviation
QUIET = 5.0  # nat below the loudest frame, 43 dB: silence, which has no timbre
GRAIN, SEARCH = 1024, 288  # samples: of a stretched grain, and by which it may move to continue the last one
WRONG = 4  # ways of playing a take backwards, from different places on, that must match worse
AWAY = 0.1 / SEARCH  # of likeness that a sample of moving costs: nothing moves without need, as in silence


@dataclass(frozen=True)
class Alignment:
    """Where the second take is in the first's time.

    `times` (T,): for the first take's frame t (centred on sample 512 t), the second's time in s, never falling.
    `score`: 0 where they match no better than with the second played backwards (from WRONG places on), 1 where their
    frames are equal.
    """

    times: Double
    score: float
    cost: Double  # (T, T') distance of the frames
    path: Steps  # (steps, 2) frames laid on each other


def align(first: Array, second: Array) -> Alignment:
    """Align by dynamic time warping on MFCCs (librosa's), each take normalised by its own mean and deviation.

    Reference: Sakoe and Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition".
    """
    (a, heard), (b, other_heard) = _features(first), _features(second)
    cost = cdist(a, b)
    _, path = librosa.sequence.dtw(C=cost)
    path = path[::-1]
    mean = ndimage.mean(path[:, 1], path[:, 0], np.arange(len(a)))
    times = np.maximum.accumulate(ndimage.gaussian_filter1d(mean, 1.5, mode="nearest")) * SPEC.hop / RATE
    backwards = np.arange(len(b))[::-1]
    unlike = []
    for order in (np.roll(backwards, len(b) * i // WRONG) for i in range(WRONG)):
        _, wrong = librosa.sequence.dtw(C=cost[:, order])
        unlike.append(_mean_on(cost[:, order], wrong, heard, other_heard[order]))
    return Alignment(times, 1.0 - _mean_on(cost, path, heard, other_heard) / float(np.mean(unlike)), cost, path)


def _mean_on(cost: Double, path: Steps, heard: Flags, other_heard: Flags) -> float:
    """Mean distance along a path, where either take holds sound."""
    return float(cost[path[:, 0], path[:, 1]][heard[path[:, 0]] | other_heard[path[:, 1]]].mean())


def _features(sound: Array) -> tuple[Double, Flags]:
    """Return (T, 9) features, and which frames hold sound."""
    centred = np.pad(sound, (SPEC.n_fft // 2, SPEC.n_fft))
    frames = mel_of(centred, SPEC)
    late = SPEC.n_fft // SPEC.hop - 1  # frames end at the newest sample; keep those centred within the sound
    frames = frames[late : late + len(sound) // SPEC.hop + 1]
    loudness = np.log(np.exp(frames).mean(1))
    heard = loudness > loudness.max() - QUIET
    cepstra = mfcc(frames, SPEC)[:, 1:].astype(np.float64)
    cepstra = (cepstra - cepstra[heard].mean(0)) / (cepstra[heard].std(0) + 1e-6) * heard[:, None]
    rise = np.clip((loudness - loudness.max()) / QUIET + 1.0, 0.0, 1.0)
    return np.column_stack([cepstra, LOUDNESS * rise]), heard


def lay(sound: Array, times: Double, length: int) -> Array:
    """Stretch a sound so that at sample 512 t it is where it was at `times[t]`; (length,), its pitch kept.

    Grains of 21 ms, each taken within 6 ms of its place, where it continues the one before best.
    Reference: Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity (WSOLA)".
    """
    hop = GRAIN // 2
    window = np.hanning(GRAIN + 1)[:-1].astype(np.float32)
    padded = np.pad(sound, (GRAIN + SEARCH, 2 * GRAIN + 2 * SEARCH))
    out = np.zeros(length + 2 * GRAIN, np.float32)
    following = None
    for start in range(0, length + hop, hop):
        at = np.interp(start / SPEC.hop, np.arange(len(times)), times) * RATE
        place = min(round(at), len(sound)) + GRAIN + SEARCH - hop  # of the grain's first sample, which is centred there
        if following is not None:
            region = padded[place - SEARCH : place + SEARCH + GRAIN]
            likeness = np.correlate(region, following, "valid")
            energy = np.convolve(np.square(region), np.ones(GRAIN, np.float32), "valid")
            likeness /= np.sqrt(energy * np.sum(np.square(following)) + 1e-6)
            place += int(np.argmax(likeness - AWAY * np.abs(np.arange(-SEARCH, SEARCH + 1)))) - SEARCH
        out[start : start + GRAIN] += window * padded[place : place + GRAIN]
        following = padded[place + hop : place + hop + GRAIN]
        if len(following) < GRAIN:
            following = None
    return out[hop : hop + length]


def show_alignment(path: Path, alignment: Alignment, names: tuple[str, str]) -> None:
    """Write a picture: how unlike any two frames are, and the path through them."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(7, 7), layout="constrained")
    axis = figure.subplots()
    step_s = SPEC.hop / RATE
    extent = (0.0, alignment.cost.shape[1] * step_s, 0.0, len(alignment.cost) * step_s)
    axis.imshow(alignment.cost, origin="lower", aspect="auto", cmap="magma", extent=extent)
    axis.plot(alignment.path[:, 1] * step_s, alignment.path[:, 0] * step_s, color="cyan", linewidth=1.0)
    axis.set(xlabel=f"{names[1]}, s", ylabel=f"{names[0]}, s", title=f"score {alignment.score:.2f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
