"""Golden digest: a model's proof. Known spectra through the network must give known numbers, wherever it runs.

In: a manifest and a network. Out: a few numbers. Pure numpy, any thread; export makes them, `onnx_stage.verify_golden`
and the tests replay them. Read next: `model_file.py`, which carries them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rtvox.features import Spectrum
from rtvox.manifest import Golden, Manifest


def golden_input(manifest: Manifest, frames: int, seed: int) -> Spectrum:
    """Return the (T, K) complex64 spectra that prove a model; the same bits on every machine and numpy.

    Noise about as loud as a voice, in bursts: frame t is 2^-(t mod 12) of full level, down to -66 dB. It is built from
    the raw integers of PCG64, whose stream numpy keeps for good, by exact float32 steps only.
    """
    n_bins = manifest.features.n_bins
    raw = np.random.PCG64(seed).random_raw(frames * n_bins * 2) >> np.uint64(40)
    noise = (raw.astype(np.float32) * np.float32(2.0**-23) - 1.0).reshape(frames, n_bins, 2)
    noise[:, [0, -1], 1] = 0.0  # a real signal's spectrum is real at 0 Hz and at half the rate
    gain = np.ldexp(np.float32(1.0), 4 - np.arange(frames) % 12)  # 16: about a bin of a voice at -20 dB full scale
    spectra: Spectrum = np.ascontiguousarray(noise * gain[:, None, None]).view(np.complex64)[:, :, 0]
    return spectra


def golden_summary(outputs: Spectrum) -> list[float]:
    """Return a few numbers that any change of a network moves: rms, peak, rms of the later half, 5 projections.

    Args:
        outputs: (T, K) complex64, what the network made of `golden_input`.

    A projection is the sum of all values with seeded random signs over the square root of their count, so that it is
    of the size of the rms and sees frames swapped, signs turned and bins moved, which levels do not.
    """
    values = np.ascontiguousarray(outputs).view(np.float32).astype(np.float64)
    late = values[len(values) // 2 :]
    bits = np.random.PCG64(440).random_raw(values.size)
    signs = [((bits >> np.uint64(shift)) & np.uint64(1)).astype(np.float64) * 2.0 - 1.0 for shift in range(40, 45)]
    projections = [float(sign @ values.ravel()) / values.size**0.5 for sign in signs]
    return [_rms(values), float(np.max(np.abs(values))), _rms(late), *projections]


def make_golden(manifest: Manifest, run: Callable[[Spectrum], Spectrum], frames: int, seed: int) -> Golden:
    """Return the golden digest of a network, `run` being (T, K) spectra -> (T, K) from zero state, default controls.

    Export passes the torch network; `onnx_stage.verify_golden` then proves that the file does the same.
    """
    spectra = golden_input(manifest, frames, seed)
    digest = hashlib.sha256(spectra.tobytes()).hexdigest()
    return Golden(frames, seed, digest, tuple(golden_summary(run(spectra))), manifest.golden.tolerance)


def _rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
