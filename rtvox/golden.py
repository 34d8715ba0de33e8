"""Golden digest: a model's proof. Known frames through the network must give known numbers, wherever it runs.

In: a manifest and a network. Out: a few numbers. Pure numpy, any thread; export makes them, `onnx_stage.verify_golden`
and the tests replay them. Read next: `model_file.py`, which carries them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rtvox.features import Array, Frame, Spectrum
from rtvox.manifest import SPEAKER, Golden, Manifest
from rtvox.phonemes import MAX_TOKENS, TOKENS

SILENT_MEL = -11.5  # natural log: the golden input's floor, as near to that of FeatureSpec as exact steps come
GOLDEN_TOKENS = 32
# What a network that asks for conditions is told with every golden frame: Hz, 0 to 1, dB, as `pitch.CONDITIONS`.
GOLDEN_CONDITIONS = {"pitch": 200.0, "voicing": 1.0, "loudness": -20.0}


def golden_input(manifest: Manifest, frames: int, seed: int) -> Frame:
    """Return the frames that prove a model: (T, K) complex64 spectra for role mask, (T, M) float32 log-mel for others.

    The same bits on every machine and numpy: built from the raw integers of PCG64, whose stream numpy keeps for good,
    by exact float32 steps only. Noise about as loud as a voice, in bursts: frame t is at 2^-(t mod 12) of full level,
    down to -66 dB; in log-mel, at -(t mod 12) with bands 2 to each side of it, down to silence. For role speaker, the
    same sentence of GOLDEN_TOKENS tokens at each step, (T, MAX_TOKENS).
    """
    spec = manifest.features
    if manifest.role == SPEAKER:
        tokens = np.zeros((frames, MAX_TOKENS), np.float32)
        tokens[:, :GOLDEN_TOKENS] = 1.0 + (np.random.PCG64(seed).random_raw(GOLDEN_TOKENS) % np.uint64(TOKENS - 1))
        return tokens
    return _noise(frames, spec.n_bins, seed) if manifest.role == "mask" else _mel_noise(frames, spec.n_mels, seed)


def _noise(frames: int, n_bins: int, seed: int) -> Spectrum:
    noise = _uniform(frames * n_bins * 2, seed).reshape(frames, n_bins, 2)
    noise[:, [0, -1], 1] = 0.0  # a real signal's spectrum is real at 0 Hz and at half the rate
    gain = np.ldexp(np.float32(1.0), 4 - np.arange(frames) % 12)  # 16: about a bin of a voice at -20 dB full scale
    spectra: Spectrum = np.ascontiguousarray(noise * gain[:, None, None]).view(np.complex64)[:, :, 0]
    return spectra


def _mel_noise(frames: int, n_mels: int, seed: int) -> Array:
    level = (np.arange(frames) % 12).astype(np.float32)
    noise = np.float32(2.0) * _uniform(frames * n_mels, seed).reshape(frames, n_mels) - level[:, None]
    mel: Array = np.maximum(noise, np.float32(SILENT_MEL))
    return mel


def _uniform(count: int, seed: int) -> Array:
    """Return noise from -1 to 1, exact in float32."""
    raw = np.random.PCG64(seed).random_raw(count) >> np.uint64(40)
    return raw.astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)


def golden_summary(outputs: Frame) -> list[float]:
    """Return a few numbers that any change of a network moves: rms, peak, rms of the later half, 5 projections.

    Args:
        outputs: (T, K) complex64 or (T, M) float32, what the network made of `golden_input`.

    A projection is the sum of all values with seeded random signs over the square root of their count, so that it is
    of the size of the rms and sees frames swapped, signs turned and bins moved, which levels do not.
    """
    values = np.ascontiguousarray(outputs).view(np.float32).astype(np.float64)
    late = values[len(values) // 2 :]
    bits = np.random.PCG64(440).random_raw(values.size)
    signs = [((bits >> np.uint64(shift)) & np.uint64(1)).astype(np.float64) * 2.0 - 1.0 for shift in range(40, 45)]
    projections = [float(sign @ values.ravel()) / values.size**0.5 for sign in signs]
    return [_rms(values), float(np.max(np.abs(values))), _rms(late), *projections]


def make_golden(manifest: Manifest, run: Callable[[Frame], Frame], frames: int, seed: int) -> Golden:
    """Return the golden digest of a network, `run` being T frames -> T frames from zero state, default controls.

    Export passes the torch network; `onnx_stage.verify_golden` then proves that the file does the same.
    """
    signal = golden_input(manifest, frames, seed)
    digest = hashlib.sha256(signal.tobytes()).hexdigest()
    return Golden(frames, seed, digest, tuple(golden_summary(run(signal))), manifest.golden.tolerance)


def _rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
