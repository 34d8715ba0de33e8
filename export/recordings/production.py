"""What producers do to a voice: rooms, chops, freezes, harmonies, distortion, drawn at random for training mixes.

In and out: (N,) float32 at 48 kHz, the same length. Seeded by the generator handed in; offline, in the caller's thread.
Unlike `effects.py`, which makes bands and singers sound like records, these may leave little of the voice as it was:
a network that is to find voices in electronic music has to know them chopped and frozen. Read next: `../train.py`.
"""

from __future__ import annotations

import numpy as np
import scipy.signal

from export.recordings.library import RATE
from rtvox.features import Array


def colour(x: Array, rng: np.random.Generator) -> Array:
    """Equalise (N,) at random: up to three broad bells of at most 6 dB, half of the time; and turn its sign."""
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            centre, gain_db = 10 ** rng.uniform(2.0, 4.0), rng.uniform(-6.0, 6.0)
            b, a = scipy.signal.iirpeak(centre, 1.0, fs=RATE)
            x = x + (10 ** (gain_db / 20) - 1.0) * scipy.signal.lfilter(b, a, x).astype(np.float32)
    return -x if rng.random() < 0.5 else x


def room(x: Array, rng: np.random.Generator) -> Array:
    """Add a random room or echo to (N,): exponentially decaying noise of 0.1 to 4 s, or a repeated delay."""
    if rng.random() < 0.7:
        decay_s = np.exp(rng.uniform(np.log(0.1), np.log(4.0)))
        t = np.arange(int(decay_s * RATE), dtype=np.float32) / RATE
        tail = rng.standard_normal(len(t)).astype(np.float32) * np.exp(-6.9 * t / decay_s)
        tail = scipy.signal.lfilter([1.0], [1.0, -rng.uniform(0.0, 0.9)], tail)
    else:
        step = int(rng.uniform(0.08, 0.4) * RATE)
        tail = np.zeros(4 * step + 1, np.float32)
        tail[step::step] = rng.uniform(0.3, 0.9) ** np.arange(1, 5)
    tail *= 10 ** (rng.uniform(-20.0, 0.0) / 20) / np.sqrt(np.sum(tail**2))
    return x + scipy.signal.oaconvolve(x, tail)[: len(x)].astype(np.float32)


def produce(x: Array, rng: np.random.Generator) -> Array:
    """Treat a voice (N,) as producers do: some of MOMENTS and EFFECTS, then up to two rooms or echoes."""
    for effect, often in MOMENTS.items():
        for _ in range(rng.poisson(often * len(x) / (8 * RATE))):
            x = effect(x, rng)
    for effect, chance in EFFECTS.items():
        if rng.random() < chance:
            x = effect(x, rng)
    for _ in range(2):
        if rng.random() < 0.4:
            x = room(x, rng)
    return x


def stutter(x: Array, rng: np.random.Generator) -> Array:
    """Repeat a slice of 60 to 300 ms of (N,) a few times in place."""
    length, times = int(rng.uniform(0.06, 0.3) * RATE), int(rng.integers(2, 9))
    start = int(rng.integers(0, max(len(x) - length * times, 1)))
    return _with_loop(x, start, x[start : start + length], length * times, 0.1)


def freeze(x: Array, rng: np.random.Generator) -> Array:
    """Hold a grain of 50 to 150 ms of (N,) for 0.3 to 3 s: the voice becomes a tone."""
    grain = int(rng.uniform(0.05, 0.15) * RATE)
    start = int(rng.integers(0, len(x) - grain))
    piece = x[start : start + grain] * scipy.signal.windows.hann(grain).astype(np.float32)
    return _with_loop(x, start, piece + np.roll(piece, grain // 2), int(rng.uniform(0.3, 3.0) * RATE), 0.0)


def _with_loop(x: Array, start: int, piece: Array, length: int, taper: float) -> Array:
    piece = piece * scipy.signal.windows.tukey(len(piece), taper).astype(np.float32)
    out = x.copy()
    end = min(start + length, len(x))
    out[start:end] = np.resize(piece, end - start)
    return out


def smear(x: Array, rng: np.random.Generator) -> Array:
    """Hold a grain of 85 or 171 ms of (N,) for 0.5 to 4 s with its phases drawn anew: a cloud in place of a tone.

    Reference: N. O. Paul, "PaulStretch", 2006: extreme stretching by spectra of random phase.
    """
    grain = int(rng.choice([4096, 8192]))
    start = int(rng.integers(0, len(x) - grain))
    window = np.sin(np.pi * (np.arange(grain) + 0.5) / grain).astype(np.float32)
    size = np.abs(np.fft.rfft(x[start : start + grain] * window))
    count = int(rng.uniform(0.5, 4.0) * RATE) * 2 // grain
    cloud = np.zeros((count + 1) * grain // 2, np.float32)
    for i in range(count):
        turned = size * np.exp(2j * np.pi * rng.random(len(size)))
        cloud[i * grain // 2 : i * grain // 2 + grain] += window * np.fft.irfft(turned)
    return _with_loop(x, start, cloud, len(cloud), 0.1)


def swell(x: Array, rng: np.random.Generator) -> Array:
    """Let a reversed room lead up to each syllable of (N,)."""
    return room(x[::-1], rng)[::-1]


def harmonise(x: Array, rng: np.random.Generator) -> Array:
    """Add one to three copies of (N,), shifted by -12 to 12 semitones with overlapping grains of 43 ms."""
    grain, hop = 2048, 512
    window = np.hanning(grain).astype(np.float32) / 2
    starts = np.arange(0, len(x) - grain, hop)
    out = x.copy()
    for _ in range(int(rng.integers(1, 4))):
        ratio = 2.0 ** (int(rng.integers(-12, 13)) / 12.0)
        places = np.minimum((starts[:, None] + np.arange(grain) * ratio).astype(int), len(x) - 1)
        level = np.float32(10 ** (rng.uniform(-12.0, 0.0) / 20))
        for start, place in zip(starts, places, strict=True):
            out[start : start + grain] += level * window * x[place]
    return out


def overdrive(x: Array, rng: np.random.Generator) -> Array:
    """Saturate (N,) softly, at 1 to 10 times its own level."""
    scale = rng.uniform(1.0, 10.0) / (np.abs(x).max() + 1e-6)
    return (np.tanh(x * scale) / scale).astype(np.float32)


def telephone(x: Array, rng: np.random.Generator) -> Array:
    """Keep a band of (N,) only, from 200 to 800 Hz up to 2 to 5 kHz."""
    edges = [rng.uniform(200.0, 800.0), rng.uniform(2000.0, 5000.0)]
    b, a = scipy.signal.butter(2, edges, "bandpass", fs=RATE)
    return np.asarray(scipy.signal.lfilter(b, a, x), np.float32)


# How often each is heard in 8 s. Tones made of voices teach that a synthesizer is a voice, unless it is also known what
# the music was like when it came before.
MOMENTS = {stutter: 0.2, freeze: 0.1, smear: 0.2}
# How many voices have each.
EFFECTS = {harmonise: 0.1, swell: 0.05, overdrive: 0.1, telephone: 0.1}
