"""A small polyphonic synthesizer and drum machine in numpy, for the electronic bands that no soundfont plays well.

Enters: notes (midi number, start, duration, velocity) and a patch drawn at random. Leaves: mono float32 sound (N,) at
48 kHz, aligned with the notes' times. Offline and stateless; runs in the caller's thread. Read next: `bands.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from export.recordings.effects import biquad
from export.recordings.library import RATE
from export.recordings.songs import MIDDLE_A_HZ, Note
from rtvox.features import Array


@dataclass(frozen=True)
class Patch:
    """The settings of one synthesizer voice."""

    wave: str  # "saw", "square" or "sine"
    voices: int  # detuned copies of each oscillator
    detune_cents: float
    sub: float  # level of a sine one octave below
    attack_s: float
    decay_s: float  # towards `sustain`
    sustain: float  # 0 to 1
    release_s: float
    cutoff_hz: float  # where the low-pass starts (above the note)
    sweep_octaves: float  # how far the filter's envelope opens it
    filter_decay_s: float
    resonance: float  # quality of the low-pass


def draw_patch(rng: np.random.Generator, role: str) -> Patch:
    """Draw a patch for "pad", "pluck", "bass", "lead" or "stab"."""

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    wave = str(rng.choice(["saw", "saw", "square"]))
    if role == "pad":
        return Patch(
            wave="saw",
            voices=int(rng.integers(3, 8)),
            detune_cents=log(6, 30),
            sub=rng.uniform(0, 0.2),
            attack_s=log(0.05, 0.6),
            decay_s=0.5,
            sustain=0.85,
            release_s=log(0.2, 1),
            cutoff_hz=log(500, 6000),
            sweep_octaves=rng.uniform(0, 1.5),
            filter_decay_s=log(0.5, 3),
            resonance=0.8,
        )
    if role == "pluck":
        return Patch(
            wave=wave,
            voices=int(rng.integers(1, 4)),
            detune_cents=log(3, 15),
            sub=0.0,
            attack_s=0.002,
            decay_s=log(0.08, 0.5),
            sustain=rng.uniform(0, 0.2),
            release_s=log(0.05, 0.3),
            cutoff_hz=log(200, 1200),
            sweep_octaves=rng.uniform(2, 5),
            filter_decay_s=log(0.05, 0.3),
            resonance=rng.uniform(0.7, 5),
        )
    if role == "bass":
        return Patch(
            wave=wave,
            voices=int(rng.integers(1, 4)),
            detune_cents=log(4, 20),
            sub=rng.uniform(0, 0.9),
            attack_s=0.003,
            decay_s=log(0.1, 0.6),
            sustain=rng.uniform(0.3, 0.9),
            release_s=0.05,
            cutoff_hz=log(80, 900),
            sweep_octaves=rng.uniform(0.5, 4),
            filter_decay_s=log(0.05, 0.5),
            resonance=rng.uniform(0.7, 6),
        )
    if role == "lead":
        return Patch(
            wave=str(rng.choice(["saw", "square", "sine"])),
            voices=int(rng.integers(1, 6)),
            detune_cents=log(3, 25),
            sub=0.0,
            attack_s=log(0.003, 0.05),
            decay_s=0.3,
            sustain=rng.uniform(0.5, 0.9),
            release_s=log(0.05, 0.4),
            cutoff_hz=log(900, 7000),
            sweep_octaves=rng.uniform(0, 2),
            filter_decay_s=log(0.1, 1),
            resonance=rng.uniform(0.7, 3),
        )
    return Patch(
        wave="saw",
        voices=int(rng.integers(5, 9)),
        detune_cents=log(8, 35),
        sub=rng.uniform(0, 0.3),
        attack_s=0.004,
        decay_s=log(0.1, 0.4),
        sustain=rng.uniform(0.1, 0.6),
        release_s=log(0.05, 0.2),
        cutoff_hz=log(1500, 9000),
        sweep_octaves=rng.uniform(0, 2),
        filter_decay_s=log(0.1, 0.4),
        resonance=0.8,
    )


def oscillator(wave: str, freq_hz: float, phase: float, n: int) -> Array:
    """Make a band-limited wave of constant pitch.

    Reference: Välimäki and Huovilainen, "Antialiasing oscillators in subtractive synthesis" (2007): polyBLEP.
    """
    step = freq_hz / RATE
    ramp = np.asarray((phase + step * np.arange(n)) % 1.0, np.float64)
    if wave == "sine":
        return np.asarray(np.sin(2 * np.pi * ramp), np.float32)

    def saw(p: npt.NDArray[np.float64]) -> Array:
        y = 2 * p - 1
        low, high = p < step, p > 1 - step
        a, b = p[low] / step, (p[high] - 1) / step
        y[low] -= a + a - a * a - 1
        y[high] -= b * b + b + b + 1
        return np.asarray(y, np.float32)

    return saw(ramp) if wave == "saw" else saw(ramp) - saw(np.asarray((ramp + 0.5) % 1.0))


def _sweep(x: Array, cutoff_hz: float, octaves: float, decay_s: float, q: float) -> Array:
    """Low-pass whose corner falls from `octaves` above `cutoff_hz` back to it; filter state carried over blocks."""
    block, y, state = 256, np.empty_like(x), np.zeros(2)
    for i in range(0, len(x), block):
        corner = min(cutoff_hz * 2 ** (octaves * np.exp(-i / RATE / decay_s)), 18_000.0)
        w = 2 * np.pi * corner / RATE
        cos, alpha = np.cos(w), np.sin(w) / (2 * q)
        b = np.array([(1 - cos) / 2, 1 - cos, (1 - cos) / 2]) / (1 + alpha)
        a = np.array([1, -2 * cos / (1 + alpha), (1 - alpha) / (1 + alpha)])
        y[i : i + block], state = signal.lfilter(b, a, x[i : i + block], zi=state)
    return y


def play(notes: Iterable[Note], patch: Patch, n: int, rng: np.random.Generator) -> Array:
    """Play notes with a patch into (n,) samples; equal notes sound equal (as on a machine), so they are made once."""
    out, made = np.zeros(n, np.float32), dict[tuple[int, int], Array]()
    for note in notes:
        start = int(note.start * RATE)
        if start >= n:
            continue
        key = (note.midi, round(note.duration * 1000))
        if key not in made:
            made[key] = _tone(note, patch, rng)
        sound = made[key][: n - start]
        out[start : start + len(sound)] += np.float32(note.velocity) * sound
    return out


def _tone(note: Note, p: Patch, rng: np.random.Generator) -> Array:
    held = int(note.duration * RATE)
    n = held + int(p.release_s * RATE)
    freq = MIDDLE_A_HZ * 2 ** ((note.midi - 69) / 12)
    x = np.zeros(n, np.float32)
    for k in range(p.voices):
        spread = 0.0 if p.voices == 1 else (2 * k / (p.voices - 1) - 1) * p.detune_cents
        x += oscillator(p.wave, freq * 2 ** (spread / 1200), rng.random(), n) / np.float32(np.sqrt(p.voices))
    if p.sub:
        x += np.float32(p.sub) * oscillator("sine", freq / 2, 0.0, n)
    x = _sweep(x, max(p.cutoff_hz, freq), p.sweep_octaves, p.filter_decay_s, p.resonance)
    time = np.arange(n) / RATE
    shape = np.minimum(1, time / p.attack_s) * (p.sustain + (1 - p.sustain) * np.exp(-time / p.decay_s))
    end = shape[held - 1] if held else 0.0
    shape[held:] = end * np.exp(-5 * np.arange(n - held) / max(n - held, 1))
    shape[-48:] *= np.linspace(1, 0, len(shape[-48:]))
    return (0.3 * x * shape).astype(np.float32)


def drum_kit(rng: np.random.Generator) -> dict[str, Array]:
    """Draw a drum machine: one sound each for kick, snare, clap, hat, open (hat), tom, crash and ride."""

    def noise(length_s: float, decay_s: float, low_hz: float) -> Array:
        n = int(length_s * RATE)
        x = rng.standard_normal(n) * np.exp(-np.arange(n) / RATE / decay_s)
        return biquad(x.astype(np.float32), "high", low_hz)

    def drop(length_s: float, high_hz: float, low_hz: float, fall_s: float, decay_s: float) -> Array:
        t = np.arange(int(length_s * RATE)) / RATE
        phase = np.cumsum(low_hz + (high_hz - low_hz) * np.exp(-t / fall_s)) / RATE
        return (np.sin(2 * np.pi * phase) * np.exp(-t / decay_s) * np.minimum(1, t / 0.0008)).astype(np.float32)

    kick = drop(0.5, rng.uniform(150, 900), rng.uniform(40, 60), rng.uniform(0.008, 0.05), rng.uniform(0.08, 0.3))
    kick = np.tanh(kick * rng.uniform(1, 4)).astype(np.float32)
    kick[:480] += rng.uniform(0, 0.3) * noise(0.01, 0.003, 2000)
    body = drop(0.25, rng.uniform(250, 400), rng.uniform(160, 220), 0.02, rng.uniform(0.04, 0.12))
    snare = rng.uniform(0.3, 0.8) * body + 0.35 * noise(0.25, rng.uniform(0.04, 0.12), rng.uniform(700, 2500))
    clap = 0.3 * noise(0.3, rng.uniform(0.04, 0.15), rng.uniform(800, 1500))
    for gap_ms in (9, 19, 28):
        clap[gap_ms * 48 :] += 0.3 * noise(0.3, 0.006, 1000)[: len(clap) - gap_ms * 48]
    metal = rng.uniform(5000, 9000)
    return {
        "kick": kick,
        "snare": snare.astype(np.float32),
        "clap": biquad(clap, "low", rng.uniform(5000, 14000)),
        "hat": 0.25 * noise(0.1, rng.uniform(0.01, 0.03), metal),
        "open": 0.22 * noise(0.4, rng.uniform(0.08, 0.2), metal),
        "tom": 0.8 * drop(0.4, rng.uniform(200, 300), rng.uniform(80, 140), 0.06, 0.15),
        "crash": 0.25 * noise(2.0, rng.uniform(0.3, 0.8), rng.uniform(3000, 6000)),
        "ride": 0.12 * noise(0.6, rng.uniform(0.1, 0.3), metal),
    }
