"""Sound from its own magnitudes: what the Griffin-Lim tests and tests/bench_griffin_lim.py measure, and on what.

Frame j covers samples [j * hop, j * hop + n_fft) of a signal that was padded with n_fft - hop zeros in front.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from rtvox.features import MEL_SPEC, Array, FeatureSpec, Spectrum
from rtvox.griffin_lim import GriffinLim

RATE = 48000
SECONDS = 3
EDGE = 8  # frames at the end that are not judged: a look-ahead has not heard what comes after them

DATA = Path(os.environ.get("RTVOX_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# Name -> files that are added up, and where to start, s.
_SOURCES = {
    "speech, English": (("voice/kathleen-en/arctic_a0001_1592748574.opus",), 0.2),
    "speech, German": (("voice/kerstin-de/de_rhasspy-0012.opus",), 0.2),
    "speech, Dutch woman": (("voice/nathalie-nl/nl_rhasspy_1004.opus",), 0.2),
    "speech, Dutch man": (("voice/flemishguy-nl/nl_rhasspy_1000_1601817815.opus",), 0.2),
    "song, voice (lithium)": (("stems/lithium/vocals.opus",), 85.0),
    "song, voice (rubidium)": (("stems/rubidium/vocals.opus",), 20.0),
    "song, mix (hydrogen)": (tuple(f"stems/hydrogen/{stem}.opus" for stem in ("vocals", "drums", "other")), 105.0),
    "violin, Garner": (("instruments/violin/phrases/john-garner_bwv1002_mov6.opus",), 20.0),
    "violin, Kim": (("instruments/violin/phrases/minji-kim_bwv1003_mov3.opus",), 40.0),
    "violin, Telmanyi": (("instruments/violin/phrases/emil-telmanyi_bwv1001_trimmed_30sec.opus",), 5.0),
}
CLIPS = tuple(name for name, (files, _) in _SOURCES.items() if all((DATA / file).exists() for file in files))


def clip(name: str) -> Array:
    """Return (N,) mono samples at 48 kHz, SECONDS long."""
    import soxr

    files, start = _SOURCES[name]
    total = np.zeros(SECONDS * RATE)
    for file in files:
        rate = soundfile.info(DATA / file).samplerate
        x, _ = soundfile.read(DATA / file, frames=SECONDS * rate, start=int(start * rate), always_2d=True)
        y = soxr.resample(x.mean(axis=1), rate, RATE)[: len(total)]
        total[: len(y)] += y
    return total.astype(np.float32)


def magnitudes(x: Array, spec: FeatureSpec = MEL_SPEC) -> Array:
    """Return (T, K) magnitudes of the frames of x, as the Analyzer gives them."""
    return np.abs(_stft(np.pad(x, (spec.n_fft - spec.hop, 0)), spec)).astype(np.float32)


def stream(stage: GriffinLim, frames: Spectrum) -> Array:
    """Return what the stage makes of (T, K) frames, frame 0 at sample 0: (T * hop,), zeros where it is not over."""
    y = np.concatenate([stage.process(frame).copy() for frame in frames])
    late = stage.delay - (MEL_SPEC.n_fft - MEL_SPEC.hop)
    return np.pad(y[late:], (0, late)) if late >= 0 else np.pad(y[:late], (-late, 0))


def consistency_db(y: Array, goal: Array, spec: FeatureSpec = MEL_SPEC) -> float:
    """Return the spectral convergence of y, whose frame 0 begins at sample 0: ||S(y)| - goal| / |goal|, in dB."""
    n = len(goal) - EDGE
    got = np.abs(_stft(y, spec))[:n]
    assert len(got) == n > 0
    return float(10.0 * np.log10(np.sum((got - goal[:n]) ** 2) / np.sum(goal[:n] ** 2)))


def _stft(x: Array, spec: FeatureSpec) -> Spectrum:
    frames = np.lib.stride_tricks.sliding_window_view(x, spec.n_fft)[:: spec.hop] * spec.analysis_window()
    return np.fft.rfft(frames).astype(np.complex64)
