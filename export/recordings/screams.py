"""Screams made from clean voices: what false folds would do to this very take, sample by sample in its place.

Enters: a clean voice (N,), a style from growl (0) over scream (1) to shriek (2), an intensity. Leaves: the screamed
take (N,), aligned by construction. WORLD finds pitch and spectral envelope; the voiced parts are excited anew by
jittered, shimmering pulses and noise that beat together at a fraction of the pitch or at 60 to 110 Hz, in epochs;
envelope, tilt and formants move towards measured screams; consonants stay the take's own. What a recipe varies is drawn
per utterance. Offline; runs in the caller's thread. Read next: `pairs.py`.

Sources: Loscos and Bonada 2004, "Emulating rough and growl voice in spectral domain"; Gentilucci, Ardaillon and Liuni
2018 (ANGUS); Sakakibara et al. 2004, "Growl voice in ethnic and pop styles"; Nieto 2013; Arnal et al. 2015; levels and
harmonicity from dry recordings of eleven extreme-metal singers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from export.recordings.library import RATE
from export.recordings.singing import find_envelopes
from rtvox.features import Array

Double = npt.NDArray[np.float64]
HOP = 256  # samples between WORLD's frames
GRAIN, SPAN = 512, 2048  # samples of excitation filtered at once; samples that the filter may spread it to
EDGES_HZ = (0.0, 500.0, 2000.0, 5000.0, 10000.0, 20000.0)
# Level per band in dB relative to the whole, of growls, screams and shrieks (rounded from the recordings; the lowest
# band of screams is kept, since those were sung above it and our pitch is the voice's own).
LEVELS_DB = ((-1.0, -8.0, -20.0, -26.0, -35.0), (-17.0, -0.3, -16.5, -25.5, -37.0), (-9.5, -0.8, -10.5, -24.0, -34.0))
FORMANTS = (0.88, 1.05, 1.18)  # how far formants move, as a factor
RAISED_HZ = (0.0, 560.0, 600.0)  # see Manner; growls stay where the voice is
MOST_DB = 20.0  # of equalising


@dataclass(frozen=True)
class Manner:
    """How one utterance is screamed; `draw_manner` draws it."""

    style: float
    levels_db: tuple[float, ...]  # per band of EDGES_HZ
    formants: float
    jitter: float  # deviation of single cycles, as a part of their length
    wander: float  # slower deviation of the pitch, the same way
    shimmer_db: float
    depth: float  # of the false folds' modulation
    raised_hz: float  # where the pitch is raised to, by a whole factor: singers scream far above where they speak
    fold_hz: float  # pulses of false folds that keep a time of their own
    free: float  # how often they do
    noise: tuple[float, float]  # part of the power that is noise, below 500 Hz and above 2 kHz
    drive: float  # saturation, as a multiple of the take's own peak level
    seed: int


@dataclass(frozen=True)
class Voice:
    """WORLD's view of a take: pitch (T,) in Hz, 0 where unvoiced, and power spectra (T, K), every 256 samples."""

    samples: Array
    f0: Double
    spectra: Double


def look_at(samples: Array) -> Voice:
    """Analyse a take (N,) at 48 kHz."""
    found = find_envelopes(samples, HOP / RATE)
    return Voice(samples, found.f0, found.spectra)


def draw_manner(style: float, rng: np.random.Generator) -> Manner:
    """Draw the manner of one utterance around a style from 0 (growl) to 2 (shriek)."""

    def of_style(values: object) -> Double:
        table = np.asarray(values, np.float64)
        low = min(int(style), 1)
        return np.asarray(table[low] + (style - low) * (table[low + 1] - table[low]))

    levels = of_style(LEVELS_DB) + rng.normal(0.0, 1.5, len(LEVELS_DB[0]))
    return Manner(
        style=style,
        levels_db=tuple(levels),
        formants=float(of_style(FORMANTS) * np.exp(rng.normal(0.0, 0.03))),
        jitter=float(of_style((0.07, 0.025, 0.04)) * np.exp(rng.normal(0.0, 0.15))),
        wander=float(rng.uniform(0.01, 0.02)),
        shimmer_db=float(rng.uniform(1.5, 3.0)),
        depth=float(of_style((0.85, 0.42, 0.5)) + rng.uniform(-0.1, 0.1)),
        raised_hz=float(of_style(RAISED_HZ)),
        fold_hz=float(of_style((60.0, 100.0, 100.0)) * np.exp(rng.normal(0.0, 0.12))),
        free=float(of_style((0.7, 0.4, 0.4)) + rng.uniform(-0.15, 0.15)),
        noise=(float(rng.uniform(0.1, 0.2)), float(rng.uniform(0.35, 0.55))),
        drive=float(rng.uniform(0.6, 1.5)),
        seed=int(rng.integers(2**31)),
    )


def scream(voice: Voice, manner: Manner, intensity: float) -> Array:
    """Scream a take.

    Args:
        voice: the analysed take of N samples.
        manner: how; the same manner at another intensity is the same scream, more or less of it.
        intensity: 0 (the take itself, untouched) to 1.

    Returns:
        (N,) float32, each sample where it was in the take, as loud as the take in each frame.
    """
    if intensity == 0.0 or not voice.f0.any():
        return voice.samples.copy()
    rng = np.random.default_rng(manner.seed)
    n, part = len(voice.samples), intensity
    voiced = voice.f0 > 0
    pitch = _per_sample(np.interp(np.arange(len(voiced)), np.flatnonzero(voiced), voice.f0[voiced]), n)
    pitch *= max(1.0, np.round(manner.raised_hz / np.median(voice.f0[voiced])))
    cycles = np.cumsum(pitch * np.exp(part * _wavering(n, manner, rng))) / RATE
    folds = _folds(cycles, manner, part, rng)
    pulses = _pulses(cycles, pitch, part * manner.shimmer_db, rng) * folds
    noise = rng.standard_normal(n) * folds
    gains = _gains(voice, manner, part)
    hz = np.linspace(0.0, RATE / 2, gains.shape[1])
    low, high = part * manner.noise[0], part * manner.noise[1]
    share = low + (high - low) * np.clip(np.log2(np.maximum(hz, 1.0) / 500.0) / 2.0, 0.0, 1.0)
    made = _filtered(pulses, gains * np.sqrt(1.0 - share)) + _filtered(noise, gains * np.sqrt(share))
    made = _saturated(made, part * manner.drive)
    # Where the take is voiced it gives way to what was made; consonants and breath stay.
    place = np.clip(_per_sample(ndimage.uniform_filter1d(voiced.astype(float), 3), n), 0.0, 1.0)
    turn = np.sin(0.5 * np.pi * part)
    kept = np.sqrt(1.0 - place * turn**2)
    return (kept * voice.samples + np.sqrt(place) * turn * made).astype(np.float32)


def angus(voice: Voice, intensity: float = 1.0) -> Array:
    """Return the plain recipe: the take modulated in amplitude at half its pitch, and a shelf above 1.5 kHz; (N,).

    The baseline that the network has to beat.
    Reference: Gentilucci, Ardaillon and Liuni 2018, "Vocal distortion and real-time processing of roughness".
    """
    voiced = voice.f0 > 0
    n = len(voice.samples)
    if not voiced.any():
        return voice.samples.copy()
    pitch = _per_sample(np.interp(np.arange(len(voiced)), np.flatnonzero(voiced), voice.f0[voiced]), n)
    half = np.cos(np.pi * np.cumsum(pitch) / RATE)
    third = np.cos(2.0 / 3.0 * np.pi * np.cumsum(pitch) / RATE)
    modulated = voice.samples * (1.0 + intensity * 0.6 * (half + third))
    hz = np.fft.rfftfreq(len(modulated), 1.0 / RATE)
    shelf = 10.0 ** (intensity * 6.0 * np.clip(np.log2(np.maximum(hz, 1.0) / 1500.0), 0.0, 1.0) / 20.0)
    return np.fft.irfft(np.fft.rfft(modulated) * shelf, len(modulated)).astype(np.float32)


def _per_sample(frames: Double, n: int) -> Double:
    return np.interp(np.arange(n) / HOP, np.arange(len(frames)), frames)


def _wavering(n: int, manner: Manner, rng: np.random.Generator) -> Double:
    """Log of the pitch's deviation (n,): jitter from cycle to cycle, and a slower wandering."""
    fast = rng.standard_normal(n // 240 + 2) * manner.jitter  # 200 Hz: about once per cycle
    slow = ndimage.gaussian_filter1d(rng.standard_normal(n // 240 + 2), 4) * manner.wander * 3.8  # unit deviation again
    return np.interp(np.arange(n) / 240.0, np.arange(len(fast)), fast + slow)


def _folds(cycles: Double, manner: Manner, part: float, rng: np.random.Generator) -> Double:
    """Amplitude (n,) that false folds leave: beats at pitch/2, /3, /4 or at their own rate, changing in epochs."""
    n = len(cycles)
    own = np.cumsum(manner.fold_hz * np.exp(np.interp(np.arange(n) / 480.0, np.arange(n // 480 + 2),
                    rng.normal(0.0, 0.1, n // 480 + 2)))) / RATE  # fmt: skip
    beat, start = np.empty(n), 0
    while start < n:
        end = start + int(rng.uniform(0.3, 1.0) * RATE)
        rate_hz = (cycles[min(end, n) - 1] - cycles[start]) / (min(end, n) - start) * RATE
        order = int(rng.choice([o for o in (2, 3, 4) if rate_hz / o > 40.0] or [1]))
        beat[start:end] = own[start:end] if rng.random() < manner.free else cycles[start:end] / order
        start = end
    closed = (0.5 - 0.5 * np.cos(2.0 * np.pi * beat)) ** 0.7
    opening = 1.0 - part * manner.depth * closed
    return opening / np.sqrt(np.mean(opening**2))


def _pulses(cycles: Double, pitch: Double, shimmer_db: float, rng: np.random.Generator) -> Double:
    """One pulse per cycle (n,), of unit mean power: white on average, and as regular as `cycles`."""
    whole = np.floor(cycles)
    at = np.flatnonzero(np.diff(whole) > 0)
    past = np.clip((whole[at + 1] - cycles[at]) / np.maximum(cycles[at + 1] - cycles[at], 1e-9), 0.0, 1.0)
    size = np.sqrt(RATE / pitch[at]) * 10.0 ** (rng.normal(0.0, 1.0, len(at)) * shimmer_db / 20.0)
    out = np.zeros(len(cycles))
    out[at] += size * (1.0 - past)
    out[at + 1] += size * past
    return out


def _gains(voice: Voice, manner: Manner, part: float) -> Double:
    """Amplitude response (T, K) of the screaming tract: formants moved, equalised, as loud as the take's own."""
    own = voice.spectra
    k = own.shape[1]
    ratio = manner.formants**part
    at = np.minimum(np.arange(k) / ratio, k - 1.001)
    low = at.astype(int)
    moved = own[:, low] * (1.0 - at % 1.0) + own[:, low + 1] * (at % 1.0)
    hz = np.linspace(0.0, RATE / 2, k)
    mean = moved[voice.f0 > 0].mean(0)
    bands = [(hz >= a) & (hz < b) for a, b in pairwise(EDGES_HZ)]
    centres = np.log2([np.sqrt(max(a, 125.0) * b) for a, b in pairwise(EDGES_HZ)])
    lift_db, tone_db = np.zeros(len(bands)), np.zeros(k)
    for _ in range(4):  # what lies between two centres takes part in both
        heard = mean * 10.0 ** (tone_db / 10.0)
        now_db = 10.0 * np.log10([heard[band].sum() / heard.sum() + 1e-12 for band in bands])
        lift_db = np.clip(lift_db + np.array(manner.levels_db) - now_db, -MOST_DB, MOST_DB)
        tone_db = np.interp(np.log2(np.maximum(hz, 1.0)), centres, lift_db)
    shaped = moved * 10.0 ** (part * tone_db / 10.0)
    shaped *= own.sum(1, keepdims=True) / np.maximum(shaped.sum(1, keepdims=True), 1e-20)
    return np.sqrt(shaped)


def _filtered(excitation: Double, gains: Double) -> Double:
    """Filter (n,) with the response (T, K) of each frame, without delay (zero phase), overlapping grains by half."""
    n, side = len(excitation), (SPAN - GRAIN) // 2
    padded = np.pad(excitation, (GRAIN // 2, GRAIN + HOP))
    grains = np.lib.stride_tricks.sliding_window_view(padded, GRAIN)[::HOP][: len(gains)] * np.hanning(GRAIN + 1)[:-1]
    out = np.zeros(n + 2 * SPAN + HOP)
    for first in range(0, len(grains), 512):  # bounded memory
        block = np.pad(grains[first : first + 512], ((0, 0), (side, side)))
        heard = np.fft.irfft(np.fft.rfft(block) * gains[first : first + len(block)])
        for i, grain in enumerate(heard):
            start = (first + i) * HOP
            out[start : start + SPAN] += grain[: len(out) - start]
    return out[SPAN // 2 : SPAN // 2 + n]


def _saturated(x: Double, drive: float) -> Double:
    """Saturate (n,) softly against its own loudness, which it keeps."""
    level = 4.0 * np.sqrt(np.mean(x**2)) + 1e-9
    if drive <= 0.0:
        return x
    y = np.tanh(drive * x / level) * level / drive
    return y * np.sqrt(np.mean(x**2) / (np.mean(y**2) + 1e-20))
