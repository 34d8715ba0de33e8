"""What can be measured of a voice: how harmonic, how rough, how loud when, and how far from another collection.

In: sounds (N,) at 48 kHz, or MFCC frames. Out: numbers. Pure numpy and scipy, shared by the statistics of synthesised
screams (`recordings/pairs.py`) and by `evaluate.py`. Runs in the caller's thread.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.signal

from export.recordings.library import RATE
from rtvox.features import Array

Double = npt.NDArray[np.float64]
STEP = RATE // 100  # samples between frames of harmonic_to_noise_db: 10 ms
LOW_HZ, HIGH_HZ = 75.0, 600.0  # pitches that are looked for, Praat's defaults
PERIODS = 4.5  # of the lowest pitch in one window, Praat's default for harmonicity
BANDS_HZ = ((300.0, 1000.0), (1000.0, 3000.0), (3000.0, 8000.0))  # whose envelopes are looked at
ROUGH_HZ = (25.0, 160.0)  # modulation that is heard as roughness (Arnal et al. 2015 name 30 to 150)
ENVELOPE_RATE = 1000  # Hz
SILENT_POWER = 1e-9  # energy of a window over that of its shape: -90 dB full scale


def harmonic_to_noise_db(sound: Array) -> Double:
    """Return the harmonics-to-noise ratio of (N,) samples every 10 ms, in dB, frame t centred on sample 480 t.

    The highest peak r of the normalised autocorrelation between 75 and 600 Hz, as 10 log10(r / (1 - r)); frames
    without sound give -40. Unlike Praat's command of the same method, no frame is left out as unvoiced: a scream's
    would be, and its ratio is just what is asked.
    Reference: Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
    ratio of a sampled sound"; held to Praat by a test.
    """
    size = round(PERIODS * RATE / LOW_HZ)
    window = scipy.signal.windows.hann(size)
    n_fft = scipy.fft.next_fast_len(2 * size, real=True)
    shape = np.fft.irfft(np.abs(np.fft.rfft(window, n_fft)) ** 2)
    low, high = round(RATE / HIGH_HZ), round(RATE / LOW_HZ)
    padded = np.pad(sound.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::STEP]
    found = np.empty(len(frames))
    for start in range(0, len(frames), 256):  # bounded memory
        block = frames[start : start + 256]
        spectrum = np.abs(np.fft.rfft((block - block.mean(1, keepdims=True)) * window, n_fft)) ** 2
        correlation = np.fft.irfft(spectrum)[:, : high + 2] / shape[: high + 2]
        normal = correlation[:, low - 1 :] / np.maximum(correlation[:, :1], SILENT_POWER)
        inner = normal[:, 1:-1]
        peaks = (inner >= normal[:, :-2]) & (inner >= normal[:, 2:])
        found[start : start + 256] = np.where(peaks, inner, 0.0).max(1)
    found = np.clip(found, 1e-4, 1.0 - 1e-6)
    return 10.0 * np.log10(found / (1.0 - found))


def envelope(sound: Array, low_hz: float | None = None, high_hz: float | None = None) -> Double:
    """Return the Hilbert envelope at 1 kHz of (N,) samples, within a band if one is given."""
    if low_hz is not None:
        sos = scipy.signal.butter(4, [low_hz, high_hz], "bandpass", fs=RATE, output="sos")
        sound = scipy.signal.sosfiltfilt(sos, sound)
    length = scipy.fft.next_fast_len(len(sound))
    whole = np.abs(scipy.signal.hilbert(sound, length))[: len(sound)]
    return np.maximum(scipy.signal.resample_poly(whole, 1, RATE // ENVELOPE_RATE), 0.0)


def modulation_db(sound: Array, active: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the modulation energy between 25 and 160 Hz of the band envelopes of (N,) samples, in dB.

    Relative to the square of the envelope's mean, in windows of 256 ms that `active` (one flag per 10 ms) holds mostly;
    the mean over windows weighted by their level, then over three bands.
    """
    size, step = 256, 64
    ratios = []
    for low_hz, high_hz in BANDS_HZ:
        frames = np.lib.stride_tricks.sliding_window_view(envelope(sound, low_hz, high_hz), size)[::step]
        if active is not None:
            centres = np.minimum((np.arange(len(frames)) * step + size // 2) // 10, len(active) - 1)
            frames = frames[active[centres]]
        window = scipy.signal.windows.hann(size)
        power = np.abs(np.fft.rfft((frames - frames.mean(1, keepdims=True)) * window)) ** 2
        hz = np.arange(power.shape[1]) * ENVELOPE_RATE / size
        rough = 2.0 * power[:, (hz >= ROUGH_HZ[0]) & (hz <= ROUGH_HZ[1])].sum(1) / (size * np.sum(window**2))
        ratios.append(rough.sum() / max(np.sum(frames.mean(1) ** 2), 1e-20))
    return float(10.0 * np.log10(np.mean(ratios) + 1e-6))


def modulation_shares(sound: Array) -> tuple[float, float, float]:
    """Return what part of the envelope's modulation from 20 to 500 Hz lies within 20-60, 60-120 and 120-250 Hz."""
    hz, power = scipy.signal.welch(envelope(sound), ENVELOPE_RATE, nperseg=512)
    total = power[hz >= 20.0].sum() + 1e-20
    edges = (20.0, 60.0, 120.0, 250.0)
    shares = [float(power[(hz >= a) & (hz < b)].sum() / total) for a, b in pairwise(edges)]
    return shares[0], shares[1], shares[2]


def syllable_correlation(sound: Array, other: Array) -> float:
    """Return the correlation of two sounds' envelopes (N,) below 40 Hz: 1 where syllables are kept."""
    sos = scipy.signal.butter(4, 40.0, fs=ENVELOPE_RATE, output="sos")
    a, b = (scipy.signal.sosfiltfilt(sos, envelope(s)) for s in (sound, other))
    return float(np.corrcoef(a, b)[0, 1])


def frechet_distance(frames: Array, other: Array) -> float:
    """Return the Frechet distance of two collections of (T, n) feature frames, each taken as a Gaussian cloud.

    Reference: Dowson and Landau 1982; as in Frechet audio distance, but of MFCC, with no network in between.
    """
    mean, other_mean = frames.mean(0, dtype=np.float64), other.mean(0, dtype=np.float64)
    spread, other_spread = np.cov(frames.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(spread @ other_spread).real
    return float(np.sum((mean - other_mean) ** 2) + np.trace(spread + other_spread - 2.0 * root))


def band_levels_db(sound: Array, edges_hz: tuple[float, ...]) -> list[float]:
    """Return the level of each band of (N,) samples relative to the whole, in dB."""
    hz, power = scipy.signal.welch(sound, RATE, nperseg=2048)
    total = power.sum() + 1e-20
    bands = [(hz >= a) & (hz < b) for a, b in pairwise(edges_hz)]
    return [float(10.0 * np.log10(power[band].sum() / total + 1e-9)) for band in bands]
