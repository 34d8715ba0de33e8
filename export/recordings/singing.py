"""Singers made from readers: spoken sentences are laid on the notes of a melody with the vocoder WORLD.

Enters: a spoken recording (mono) and a melody (`songs.compose` writes one for each band). Leaves: a sung voice (N,),
mono float32 at 48 kHz, aligned with the melody's times. Each syllable's vowel is stretched over its note (or several: a
melisma), its consonants keep their speed and come before the beat; glides, vibrato, drift, formants, breath and studio
effects are drawn at random, so that two or three readers become many singers. Offline; runs in the caller's thread.
Read next: `effects.py`.

Reference: Morise, Yokomori, Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for real-time
applications" (2016); Saitou et al., "Speech-to-singing synthesis" (2007) for the controls of pitch and duration.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyworld
import soxr
from scipy import ndimage, signal

from export.recordings.effects import biquad, chorus, compress, echo, equalise, level, reverb, saturate
from export.recordings.library import RATE, read_mono
from export.recordings.songs import MIDDLE_A_HZ, Note
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

Double = npt.NDArray[np.float64]

SPEAKERS = ("kathleen-en", "kerstin-de", "nathalie-nl", "flemishguy-nl", "crowd-50")  # folders of ../shared/data/voice
FRAME_S = 0.005  # WORLD's usual frame period; all frame counts below are in this unit
LONGEST_ONSET, LONGEST_CODA, LONGEST_VOWEL = 40, 30, 60  # frames of one syllable that are used


@dataclass(frozen=True)
class Syllable:
    """Frames of the spoken source: onset from `start`, vowel from `vowel` to `coda`, then consonants until `end`."""

    start: int
    vowel: int
    coda: int
    end: int


@dataclass(frozen=True)
class _Analysis:
    """WORLD's view of a voice: pitch (T,), power spectra (T, K) and aperiodicity (T, K) every 5 ms."""

    f0: Double
    spectra: Double
    breath: Double


@dataclass(frozen=True)
class Envelopes:
    """Pitch (T,) in Hz, 0 where unvoiced; power spectra (T, K); the bin from which they are continued, not heard."""

    f0: Double
    spectra: Double
    edge: int
    times: Double  # (T,) s


def find_envelopes(voice: Array, step_s: float) -> Envelopes:
    """Analyse speech (N,) at 48 kHz every `step_s`; what a narrow recording lacks on top is continued."""
    x = voice.astype(np.float64)
    f0, times = pyworld.dio(x, RATE, f0_floor=70.0, f0_ceil=500.0, frame_period=1000 * step_s)
    f0 = pyworld.stonemask(x, f0, times, RATE)
    spectra = pyworld.cheaptrick(x, f0, times, RATE)
    return Envelopes(f0, spectra, _open_treble(spectra), times)


def analyse(voice: Array) -> _Analysis:
    """Analyse speech (N,) at 48 kHz every 5 ms; what a narrow recording lacks on top is noise."""
    found = find_envelopes(voice, FRAME_S)
    breath = pyworld.d4c(voice.astype(np.float64), found.f0, found.times, RATE)
    breath[:, found.edge :] = np.maximum(breath[:, found.edge :], 0.8)
    return _Analysis(found.f0, found.spectra, breath)


def _open_treble(spectra: Double) -> int:
    """Continue the spectra (in place) above the cliff of a recording made at a lower rate; return the bin, or K."""
    per_khz = (spectra.shape[1] - 1) / (RATE / 2000)
    mean_db = ndimage.uniform_filter1d(10 * np.log10(spectra + 1e-16).mean(0), int(per_khz / 2))
    drop = mean_db[: -int(per_khz)] - mean_db[int(per_khz) :]  # dB within the next 1 kHz
    first = int(5 * per_khz)
    edge = first + int(np.argmax(drop[first : int(18 * per_khz)]))
    if drop[edge] < 14:
        return spectra.shape[1]
    edge -= int(0.1 * per_khz)
    below = np.exp(np.log(spectra[:, edge - int(1.2 * per_khz) : edge] + 1e-16).mean(1, keepdims=True))
    khz = np.arange(spectra.shape[1] - edge) / per_khz
    spectra[:, edge:] = below * 10 ** (-0.25 * khz)  # 2.5 dB per kHz, as in the readers with full bandwidth
    return edge


def syllables(found: _Analysis) -> list[Syllable]:
    """Find syllables: peaks of loudness among voiced frames, parted at the valleys between them."""
    bins = found.spectra.shape[1] * 4000 // (RATE // 2)
    loud_db = ndimage.gaussian_filter1d(10 * np.log10(found.spectra[:, 2:bins].sum(1) + 1e-12), 3)
    voiced = found.f0 > 0
    peaks, _ = signal.find_peaks(np.where(voiced, loud_db, loud_db.min()), distance=16, prominence=2.0,
                                 height=loud_db.max() - 28)  # fmt: skip
    result = []
    for k, peak in enumerate(peaks):
        before = max(peaks[k - 1] if k else 0, peak - LONGEST_ONSET - LONGEST_VOWEL)
        after = min(peaks[k + 1] if k + 1 < len(peaks) else len(voiced) - 1, peak + LONGEST_CODA + LONGEST_VOWEL)
        start = before + int(np.argmin(loud_db[before : peak + 1]))
        end = peak + int(np.argmin(loud_db[peak : after + 1]))
        steady = voiced & (loud_db > loud_db[peak] - 5)
        vowel, coda = peak, peak
        while vowel > start and steady[vowel - 1] and peak - vowel < LONGEST_VOWEL // 2:
            vowel -= 1
        while coda < end and steady[coda] and coda - peak < LONGEST_VOWEL // 2:
            coda += 1
        if coda - vowel >= 8:
            result.append(Syllable(max(start, vowel - LONGEST_ONSET), vowel, coda, min(end, coda + LONGEST_CODA)))
    return result


@dataclass
class _Score:
    """The melody in frames: which source frame sounds when, on which pitch, how loud."""

    source: Double  # (T,) frame of the spoken source, below 0 where silent
    pitch: Double  # (T,) midi number, NaN where no note is near
    gain: Double  # (T,)
    age: Double  # (T,) seconds since the note began, for vibrato
    held: npt.NDArray[np.bool_]  # (T,) in a vowel: voiced whatever the source says


def _lay(melody: Sequence[Note], found: list[Syllable], frames: int, rng: np.random.Generator) -> _Score:
    """Lay syllables on notes."""
    silent, unknown = np.full(frames, -1.0), np.full(frames, np.nan)
    score = _Score(silent, unknown, np.zeros(frames), np.zeros(frames), np.zeros(frames, bool))
    k, which = 0, int(rng.integers(len(found)))
    melisma = rng.uniform(0, 0.35)
    while k < len(melody):
        group = [melody[k]]
        while k + len(group) < len(melody) and len(group) < 4 and rng.random() < melisma:
            follower = melody[k + len(group)]
            if follower.start - group[-1].start - group[-1].duration > 0.05:
                break
            group.append(follower)
        k += len(group)
        s, which = found[which % len(found)], which + 1
        begin = round(group[0].start / FRAME_S)
        stop = min(round((group[-1].start + group[-1].duration) / FRAME_S), frames)
        if begin + 8 > stop:
            continue
        onset = min(s.vowel - s.start, begin)
        coda = min(s.end - s.coda, (stop - begin) // 3)
        hold = stop - coda - begin
        vowel = s.vowel + (s.coda - s.vowel) * np.linspace(0, 1, hold)
        sway = ndimage.gaussian_filter1d(rng.standard_normal(hold), 12) * 6
        score.source[begin - onset : begin] = np.arange(s.vowel - onset, s.vowel)
        score.source[begin : begin + hold] = np.clip(vowel + sway, s.vowel, s.coda)
        score.source[begin + hold : stop] = np.arange(s.coda, s.coda + coda)
        score.held[begin - onset : stop] = False
        score.held[begin : begin + hold] = True
        loud = 10 ** (rng.uniform(-5, 0) / 20)
        shape = np.linspace(1, rng.uniform(0.5, 1.1), stop - begin)
        shape[:6] *= np.linspace(0.6, 1, 6)
        shape[-6:] *= np.linspace(1, 0.3, 6)
        score.gain[begin - onset : begin] = loud * 0.9
        score.gain[begin:stop] = loud * shape
        for j, note in enumerate(group):
            first = begin - onset if j == 0 else round(note.start / FRAME_S)
            last = stop if j == len(group) - 1 else min(stop, round(group[j + 1].start / FRAME_S))
            if first >= last:
                continue
            score.pitch[first:last] = note.midi
            score.age[first:last] = (np.arange(last - first) - (onset if j == 0 else 0)) * FRAME_S
    return score


def _pitch_curve(score: _Score, rng: np.random.Generator, tuned: bool) -> Double:
    """The sung pitch (T,) in midi numbers: notes joined by glides, with scoops, vibrato and drift unless hard-tuned."""
    known = np.flatnonzero(~np.isnan(score.pitch))
    near = np.interp(np.arange(len(score.pitch)), known, np.arange(len(known)))
    steps = score.pitch[known[np.round(near).astype(int)]]
    if tuned:
        return np.asarray(ndimage.uniform_filter1d(steps, 3))
    glide = int(rng.integers(8, 26))  # 40 to 130 ms
    curve = signal.convolve(np.pad(steps, glide, mode="edge"), signal.windows.hann(2 * glide + 1) / glide, mode="valid")
    rate, depth = rng.uniform(4.5, 6.5), rng.uniform(0.1, 0.7)  # Hz, semitones
    delay, wander = rng.uniform(0.12, 0.35), ndimage.gaussian_filter1d(rng.standard_normal(len(curve)), 40)
    phase = 2 * np.pi * np.cumsum(rate * (1 + 0.5 * wander)) * FRAME_S
    curve += depth * np.clip((score.age - delay) / 0.3, 0, 1) * np.sin(phase)
    curve += ndimage.gaussian_filter1d(rng.standard_normal(len(curve)), 25) * rng.uniform(0.2, 1.0)  # a few to 12 cents
    if rng.random() < 0.5:
        curve -= rng.uniform(0.3, 1.5) * np.exp(-np.maximum(score.age, 0) / 0.05) * (score.age < 0.3)
    return np.asarray(curve)


def _octave(melody: Sequence[Note], speech_hz: float, formants: float, rng: np.random.Generator) -> int:
    """Semitones (a multiple of 12) that bring the melody somewhat above where the reader speaks."""
    comfortable = 69.0 + 12 * np.log2(speech_hz * formants / MIDDLE_A_HZ) + rng.uniform(1, 9)
    octaves: int = round((float(comfortable) - float(np.median([note.midi for note in melody]))) / 12)
    return 12 * octaves


def _move_formants(spectra: Double, ratio: float) -> Double:
    """Stretch the frequency axis of (T, K) by `ratio`: above 1 a smaller head."""
    at = np.minimum(np.arange(spectra.shape[1]) / ratio, spectra.shape[1] - 1)
    low = np.minimum(at.astype(int), spectra.shape[1] - 2)
    part = at - low
    return np.ascontiguousarray(spectra[:, low] * (1 - part) + spectra[:, low + 1] * part)  # as pyworld wants it


def _studio(x: Array, rng: np.random.Generator, rooms: Sequence[Path]) -> Array:
    """The vocal chain of an electronic pop record, drawn at random."""
    x = equalise(biquad(x, "high", rng.uniform(70, 160)), rng)
    if rng.random() < 0.85:
        x = compress(x, rng.uniform(-26, -12), rng.uniform(2, 6))
    if rng.random() < 0.4:
        x = saturate(x, rng.uniform(0.7, 3.0), rng.uniform(0, 0.2))
    if rng.random() < 0.3:
        x = chorus(x, rng, rng.uniform(0.2, 0.7))
    if rng.random() < 0.4:
        x = echo(x, rng.uniform(0.12, 0.5), rng.uniform(0.2, 0.55), rng.uniform(0.1, 0.4))
    if rng.random() < 0.8:
        x = reverb(x, rng, rng.uniform(0.08, 0.5), rooms)
    return x


def sing(voice: Array, sample_rate: int, melody: Sequence[Note], seed: int, *, seconds: float | None = None,
         rooms: Sequence[Path] = (), dry: bool = False) -> Array:  # fmt: skip
    """Sing a melody with a reader's voice.

    Args:
        voice: (N,) speech, a few seconds or more; repeated when the melody has more syllables.
        sample_rate: of `voice`, in Hz.
        melody: monophonic notes in order of time; sung in the octave that suits the voice.
        seed: draws singer, manner and effects.
        seconds: length of the result; by default one second more than the melody.
        rooms: impulse response files to draw from beside synthetic rooms.
        dry: leave out the studio effects.

    Returns:
        (N,) float32 at 48 kHz, peak at most -1 dB, speech parts at about -20 dB rms.

    Raises: ParameterError if the melody is empty or no syllable is found in the voice.
    """
    if not melody:
        raise ParameterError("the melody has no notes; give at least one")
    rng = np.random.default_rng(seed)
    length = round((seconds or melody[-1].start + melody[-1].duration + 1.0) * RATE)
    found = analyse(soxr.resample(voice, sample_rate, RATE))
    parts = syllables(found)
    if not parts:
        raise ParameterError(f"no syllable found in {len(voice) / sample_rate:.1f} s of voice; give clear speech")
    formants, tuned = float(np.exp(rng.uniform(np.log(0.85), np.log(1.2)))), rng.random() < 0.25
    score = _lay(melody, parts, round(length / RATE / FRAME_S) + 1, rng)
    curve = _pitch_curve(score, rng, tuned) + _octave(melody, float(np.median(found.f0[found.f0 > 0])), formants, rng)

    at = np.clip(score.source, 0, len(found.f0) - 2)
    low, part = at.astype(int), (at % 1)[:, None]
    spectra = found.spectra[low] ** (1 - part) * found.spectra[low + 1] ** part  # in between on a logarithmic scale
    breath = found.breath[low] * (1 - part) + found.breath[low + 1] * part
    power = spectra.sum(1)
    vowels = np.median(power[score.held]) if score.held.any() else 1.0
    even = np.where(score.held, (vowels / np.maximum(power, 1e-12)) ** 0.6, 1.0)  # singing is more even than speech
    spectra *= (score.gain**2 * even * (score.source >= 0))[:, None]
    spectra = np.maximum(_move_formants(spectra, formants), 1e-16)
    breath = np.clip(_move_formants(breath, formants), 0, 1) ** rng.uniform(0.7, 1.8)
    sung = np.where(score.held | (found.f0[low] > 0), MIDDLE_A_HZ * 2 ** ((curve - 69) / 12), 0.0)

    def voice_of(cents: float) -> Array:
        drift = ndimage.gaussian_filter1d(rng.standard_normal(len(sung)), 30) * 40 if cents else 0.0
        f0 = sung * 2 ** ((cents + drift) / 1200)
        y = pyworld.synthesize(f0, spectra, breath, RATE, 1000 * FRAME_S)
        return np.pad(y, (0, max(0, length - len(y))))[:length].astype(np.float32)

    x = voice_of(0.0)
    if not dry:
        if rng.random() < 0.35:  # a second take beside the first
            late = int(rng.uniform(0.008, 0.03) * RATE)
            x[late:] += np.float32(rng.uniform(0.3, 0.8)) * voice_of(rng.uniform(-14, 14))[:-late]
        if rng.random() < 0.12:  # the same an octave below or above
            x += np.float32(rng.uniform(0.15, 0.5)) * voice_of(1200.0 * rng.choice([-1, 1]))
        x = _studio(x, rng, rooms)
    return level(x, -20 + rng.uniform(-2, 2))


def read_voices(data: Path, speaker: str, rng: np.random.Generator, seconds: float) -> Array:
    """Draw sentences of a reader from index.csv until they last `seconds`; 48 kHz mono.

    Raises: AudioFileError if the folder or the reader is missing.
    """
    try:
        with (data / "index.csv").open(newline="", encoding="utf-8") as file:
            paths = [row["path"] for row in csv.DictReader(file) if row["path"].startswith(f"voice/{speaker}/")]
        pieces: list[Array] = []
        for path in rng.permutation(paths):
            pieces.append(level(read_mono(data / str(path)), -20))
            if sum(map(len, pieces)) > seconds * RATE:
                break
    except OSError as error:
        raise AudioFileError(f"cannot read {data}: {error}; name the folder with --data") from error
    if not pieces:
        raise AudioFileError(f"no recording of {speaker} in {data / 'index.csv'}; name another --data")
    return np.concatenate(pieces)
