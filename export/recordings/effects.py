"""Studio effects in numpy and scipy, drawn at random from a generator: what stands between a microphone and a record.

Enters and leaves: mono float32 sound (N,) at 48 kHz, never changed in place. All are offline (whole recordings) and run
in whatever thread calls them; none keeps state. Each is zero-phase or causal with its direct sound at delay 0, so
stems stay aligned. Randomness comes only from the `rng` handed in. Read next: `synth.py`, then `bands.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage, signal

from export.recordings.library import RATE, read_mono
from rtvox.features import Array

PEAK = 0.89  # -1 dB: 16-bit files keep some headroom


def biquad(x: Array, kind: str, freq_hz: float, gain_db: float = 0.0, q: float = 0.707) -> Array:
    """Filter with one second-order section.

    Args:
        x: (N,) sound.
        kind: "low" or "high" (pass), "bell", "lowshelf" or "highshelf".
        freq_hz: corner or centre.
        gain_db: of bell and shelves.
        q: quality; 0.707 is a Butterworth corner.

    Reference: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients" (W3C note 2021).
    """
    w = 2 * np.pi * min(freq_hz, 0.45 * RATE) / RATE
    cos, alpha, a = np.cos(w), np.sin(w) / (2 * q), 10 ** (gain_db / 40)
    root = 2 * np.sqrt(a) * alpha
    if kind == "low":
        b, d = [(1 - cos) / 2, 1 - cos, (1 - cos) / 2], [1 + alpha, -2 * cos, 1 - alpha]
    elif kind == "high":
        b, d = [(1 + cos) / 2, -1 - cos, (1 + cos) / 2], [1 + alpha, -2 * cos, 1 - alpha]
    elif kind == "bell":
        b, d = [1 + alpha * a, -2 * cos, 1 - alpha * a], [1 + alpha / a, -2 * cos, 1 - alpha / a]
    else:
        s = 1.0 if kind == "lowshelf" else -1.0
        b = [a * (a + 1 - s * (a - 1) * cos + root), s * 2 * a * (a - 1 - s * (a + 1) * cos),
             a * (a + 1 - s * (a - 1) * cos - root)]  # fmt: skip
        d = [a + 1 + s * (a - 1) * cos + root, s * -2 * (a - 1 + s * (a + 1) * cos), a + 1 + s * (a - 1) * cos - root]
    return np.asarray(signal.lfilter(b, d, x), np.float32)


def equalise(x: Array, rng: np.random.Generator, most_db: float = 5.0) -> Array:
    """Draw a gentle tone curve: two shelves and two bells within +-`most_db`."""
    x = biquad(x, "lowshelf", rng.uniform(80, 300), rng.uniform(-most_db, most_db))
    x = biquad(x, "highshelf", rng.uniform(4000, 10000), rng.uniform(-most_db, most_db))
    for _ in range(2):
        x = biquad(x, "bell", np.exp(rng.uniform(np.log(200), np.log(8000))), rng.uniform(-most_db, most_db),
                   rng.uniform(0.5, 2))  # fmt: skip
    return x


def compress(x: Array, threshold_db: float, ratio: float, release_ms: float = 120.0) -> Array:
    """Press down what is louder than `threshold_db` below the sound's own peak level; 5 ms look-ahead, no delay."""
    hop = RATE // 1000
    n = -(-len(x) // hop)
    power = np.pad(x.astype(np.float64), (0, n * hop - len(x))).reshape(n, hop)
    level = ndimage.maximum_filter1d(np.sqrt((power**2).mean(1)), 11)  # 1 ms frames, +-5 ms
    level_db = 20 * np.log10(level / max(level.max(), 1e-9) + 1e-6)
    gain_db = -np.maximum(level_db - threshold_db, 0) * (1 - 1 / ratio)
    slow = signal.filtfilt([1 - np.exp(-1 / 5)], [1, -np.exp(-1 / 5)], gain_db)
    decay = 60 / release_ms  # dB per 1 ms frame
    for i in range(1, n):  # falls as fast as asked, rises with the release
        slow[i] = min(slow[i], slow[i - 1] + decay)
    gain = 10 ** (np.interp(np.arange(len(x)), np.arange(n) * hop + hop / 2, slow) / 20)
    return np.asarray((x * gain), np.float32)


def saturate(x: Array, drive: float, bias: float = 0.0) -> Array:
    """Bend the peaks with a tanh, twofold oversampled against aliases; `drive` 1 is mild, 20 a fuzz box.

    The level (rms) is kept; a `bias` adds even harmonics. The direct current it makes is filtered out (below 15 Hz).
    """
    peak, rms = np.abs(x).max(initial=0.0), np.sqrt(np.mean(x**2))
    if peak < 1e-6:
        return x
    up = signal.resample_poly(x / peak * drive, 2, 1)
    y = biquad(signal.resample_poly(np.tanh(up + bias) - np.tanh(bias), 1, 2)[: len(x)], "high", 15.0)
    return np.asarray((y * (rms / max(float(np.sqrt(np.mean(y**2))), 1e-9))), np.float32)


def echo(x: Array, time_s: float, feedback: float, wet: float) -> Array:
    """Add darkening repeats every `time_s` seconds; `feedback` below 1."""
    y, tap, step = x.copy(), x * wet, max(1, int(time_s * RATE))
    for k in range(1, 8):
        if k * step >= len(x) or wet * feedback ** (k - 1) < 0.01:
            break
        tap = biquad(biquad(tap, "low", 5000), "high", 150)
        y[k * step :] += tap[: len(x) - k * step]
        tap = tap * np.float32(feedback)
    return y


def chorus(x: Array, rng: np.random.Generator, wet: float = 0.6, voices: int = 2) -> Array:
    """Add copies whose delay (8-25 ms) sways slowly: a doubled, wider sound."""
    n = np.arange(len(x))
    y = x.copy()
    for _ in range(voices):
        base, depth, rate = rng.uniform(8, 25), rng.uniform(0.5, 3), rng.uniform(0.15, 1.2)
        delay = (base + depth * np.sin(2 * np.pi * (rate * n / RATE + rng.random()))) * RATE / 1000
        y += np.float32(wet) * np.interp(n - delay, n, x, left=0).astype(np.float32)
    return y


def room_response(rng: np.random.Generator, rooms: Sequence[Path] = (), most_s: float = 2.8) -> Array:
    """Draw a room: exponentially decaying noise whose treble dies first, or one of the `rooms` sound files.

    Returns:
        (N,) of unit energy; the direct sound is not in it.
    """
    if rooms and rng.random() < 0.5:
        response = read_mono(rooms[int(rng.integers(len(rooms)))])[: int(most_s * RATE)]
    else:
        t60 = np.exp(rng.uniform(np.log(0.25), np.log(most_s)))
        time = np.arange(int(t60 * RATE)) / RATE
        noise = rng.standard_normal(len(time))
        corner = rng.uniform(1500, 6000)
        dark = signal.lfilter(*signal.butter(1, corner / (RATE / 2)), noise)
        response = dark * np.exp(-6.9 * time / t60) + (noise - dark) * np.exp(-6.9 * time / (t60 * 0.5))
        response = np.concatenate([np.zeros(int(rng.uniform(0, 0.04) * RATE)), response])
    energy = float(np.sqrt(np.sum(response.astype(np.float64) ** 2)))
    return np.asarray((response / max(energy, 1e-9)), np.float32)


def reverb(x: Array, rng: np.random.Generator, wet: float, rooms: Sequence[Path] = ()) -> Array:
    """Put the sound into a drawn room; `wet` is the room's rms against the dry sound's. Same length as `x`."""
    tail = signal.oaconvolve(x, room_response(rng, rooms))[: len(x)]
    rms_dry, rms_tail = np.sqrt(np.mean(x**2)), np.sqrt(np.mean(tail**2))
    return np.asarray((x + tail * (wet * rms_dry / max(float(rms_tail), 1e-9))), np.float32)


def level(x: Array, rms_db: float) -> Array:
    """Scale the sounding part to `rms_db` (below full scale), but never let a peak pass -1 dB."""
    blocks = x[: len(x) // 4800 * 4800].reshape(-1, 4800)
    power = (blocks.astype(np.float64) ** 2).mean(1)
    sounding = power[power > power.max(initial=0.0) * 1e-3]
    if not len(sounding) or sounding.mean() < 1e-14:
        return x
    gain = min(10 ** (rms_db / 20) / np.sqrt(sounding.mean()), PEAK / float(np.abs(x).max()))
    return np.asarray((x * gain), np.float32)
