"""Phrases made from single notes, which follow a voice's pitch and loudness as a player would.

In: notes of an instrument (any folder of them; their pitches are measured) and a voice. Out: (N,) samples at 48 kHz.
For each stretch of the voice that stays near a pitch, the nearest note is read at a changing speed, so that its pitch
is the voice's; past its sustained part it is read to and fro; stretches are cross-faded. Offline; in the caller's
thread.
Read next: `domains.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from export.recordings.library import RATE
from rtvox.features import MEL_SPEC, Array
from rtvox.pitch import track

Double = npt.NDArray[np.float64]

NEAR = 2.5 / 12.0  # octaves that a voice may go from where a note was begun
FARTHEST = 4.0 / 12.0  # octaves by which a note is bent: beyond, its body sounds like another instrument's
FADE = RATE // 40  # samples of a cross-fade: 25 ms
SHORTEST = 8  # hops of a stretch: 43 ms
VOICED = 0.5
ATTACK_DB = 30.0  # below its loudest, where a note begins
LIFT_DB = 20.0  # by which a quiet part of a note is raised at most, beside its loudest
LATE = 1.0  # hops from the one that holds a sample to the one whose frame has it in its middle
QUIETEST_DB = -60.0  # of a voice that is followed
HOP = MEL_SPEC.hop


@dataclass(frozen=True)
class Sample:
    """One note: (N,) samples, pitch in Hz, loudness in dB of each hop; samples where it begins, sustains, ends."""

    sound: Array
    hz: float
    loudness: Array
    attack: int
    start: int
    end: int


def look_at_note(sound: Array) -> Sample | None:
    """Measure a recorded note; None if it has no steady pitch, or less than 0.2 s of it."""
    told = track(np.pad(sound, (0, -len(sound) % HOP)))
    pitch, voicing, loudness = told.T
    steady = (voicing > VOICED) & (loudness > loudness.max() - 15.0)
    if np.count_nonzero(steady) < 0.2 * RATE / HOP:
        return None
    hz = float(np.median(pitch[steady]))
    if np.mean(np.abs(np.log2(pitch[steady] / hz)) > 0.5 / 12.0) > 0.1:
        return None
    places = np.flatnonzero(steady)
    fifth = len(places) // 5
    attack = int(np.argmax(loudness > loudness.max() - ATTACK_DB))
    start, end = places[fifth], places[-fifth - 1] + 1
    return Sample(sound, hz, loudness, attack * HOP, int(start) * HOP, int(end) * HOP)


def play(notes: Sequence[Sample], told: Array, rng: np.random.Generator) -> Array:
    """Return (T * hop,) samples of an instrument that follows what `track` told of a voice, (T, 3).

    The voice is moved by octaves to where most of it lies in the instrument's range; what stays outside is silent.
    """
    pitch, loudness = told[:, 0].astype(np.float64), told[:, 2]
    heard = (told[:, 1] > VOICED) & (loudness > QUIETEST_DB)
    pitch = ndimage.median_filter(pitch, 5) * 2.0 ** _octaves(np.log2(pitch[heard]), notes)
    out = np.zeros(len(told) * HOP)
    for start, end in _stretches(np.log2(pitch), heard):
        wanted = float(np.median(np.log2(pitch[start:end])))
        far = np.array([abs(np.log2(note.hz) - wanted) for note in notes])
        near = np.flatnonzero(far <= max(far.min() + 0.5 / 12.0, 1e-6))
        note = notes[int(rng.choice(near))]
        if far.min() <= FARTHEST:
            legato = start > 0 and bool(heard[start - 1])
            _add(out, note, pitch[start:end], loudness[start:end], start * HOP, legato=legato)
    peak = np.abs(out).max()
    return np.asarray(out / max(1.0, peak), np.float32)


def _octaves(pitches: Double, notes: Iterable[Sample]) -> int:
    """Return by how many octaves most of the pitches come into the range of the notes; rather by few."""
    if not len(pitches):
        return 0
    hz = [np.log2(note.hz) for note in notes]
    low, high = min(hz) - FARTHEST, max(hz) + FARTHEST
    inside = {n: np.mean((pitches + n > low) & (pitches + n < high)) for n in (0, 1, -1, 2, -2)}
    return max(inside, key=lambda n: float(inside[n]) - 0.05 * abs(n))


def _stretches(pitches: Double, heard: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, end) hops of stretches that stay within NEAR of where they began."""
    found, start = list[tuple[int, int]](), -1
    for t in range(len(heard) + 1):
        goes_on = t < len(heard) and heard[t] and (start < 0 or abs(pitches[t] - pitches[start]) < NEAR)
        if not goes_on and start >= 0:
            if t - start >= SHORTEST:
                found.append((start, t))
            start = -1
        if start < 0 and t < len(heard) and heard[t]:
            start = t
    return found


def _add(out: Double, note: Sample, pitch: Double, loudness: Array, place: int, *, legato: bool) -> None:
    """Add one stretch, with a fade at both ends that reaches into the next; legato begins in the sustained part."""
    size = min(len(pitch) * HOP + FADE, len(out) - place)
    at = np.arange(size) / HOP
    speed = np.interp(at, np.arange(len(pitch)), pitch) / note.hz
    read = np.cumsum(speed) + (note.start if legato else note.attack)
    length = note.end - note.start
    past = np.mod(np.maximum(read - note.end, 0.0), 2.0 * length)
    read = np.where(read < note.end, read, note.end - np.minimum(past, 2.0 * length - past))
    wanted_db = np.interp(at, np.arange(len(loudness)), ndimage.gaussian_filter1d(loudness, 2.0))
    gain_db = wanted_db - np.interp(read / HOP + LATE, np.arange(len(note.loudness)), note.loudness)
    gain_db = np.minimum(gain_db, float(np.median(wanted_db) - note.loudness.max()) + LIFT_DB)
    fade = np.minimum(1.0, np.minimum(np.arange(size) + 1, np.arange(size)[::-1] + 1) / FADE)
    sound = np.interp(read, np.arange(len(note.sound)), note.sound) * 10.0 ** (gain_db / 20.0)
    out[place : place + size] += sound * np.sin(0.5 * np.pi * fade) ** 2
