"""Singing: on pitch, in time, never clipped, the same for the same seed - with a synthetic reader, so without data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyworld
from scipy import signal

from export.recordings import singing
from export.recordings.effects import PEAK
from export.recordings.library import RATE
from export.recordings.songs import MIDDLE_A_HZ, Note
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

MELODY = [Note(midi, 0.4 + 0.6 * k, 0.58) for k, midi in enumerate((60, 64, 67, 65, 62))]
RATE_OF_READER = 24000


def reader(seconds: float, f0_hz: float, rate: int = RATE_OF_READER) -> Array:
    """Speech-like sound: three syllables a second of a falling buzz through two moving formants, with a hiss before."""
    n = int(seconds * rate)
    time = np.arange(n) / rate
    pitch = f0_hz * (1.1 - 0.2 * (time % 1.0))
    buzz = (np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0) > 0).astype(np.float64)
    beat = time * 3 % 1.0
    voiced = np.clip(np.minimum((beat - 0.25) / 0.1, (1.0 - beat) / 0.1), 0, 1)
    rng = np.random.default_rng(1)
    sound = np.zeros(n)
    for k, formants in enumerate(((700, 1200), (350, 2200))):
        part = buzz * (np.floor(time * 3) % 2 == k)
        for centre in formants:
            radius, angle = np.exp(-np.pi * 90 / rate), 2 * np.pi * centre / rate
            sound += signal.lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], part)
    hiss = 0.01 * rng.standard_normal(n) * ((beat > 0.1) & (beat < 0.2))
    return np.asarray(sound * voiced + hiss + 1e-5 * rng.standard_normal(n), np.float32)


def sung_cents(sound: Array, note: Note) -> tuple[float, float]:
    """Distance of the sound to the note, octaves ignored, in cents, and the share of frames with a pitch."""
    x = sound.astype(np.float64)
    f0, times = pyworld.dio(x, RATE, f0_floor=60.0, f0_ceil=1000.0)
    f0 = pyworld.stonemask(x, f0, times, RATE)
    inside = f0[(times > note.start + 0.3 * note.duration) & (times < note.start + 0.9 * note.duration)]
    cents = 1200 * np.log2(np.median(inside[inside > 0]) / MIDDLE_A_HZ) - 100 * (note.midi - 69)
    return float((cents + 600) % 1200 - 600), float(np.mean(inside > 0))


@pytest.mark.parametrize(("seed", "f0_hz"), [(1, 110.0), (2, 110.0), (3, 210.0), (4, 210.0)])
def test_dry_voice_is_on_the_notes(seed: int, f0_hz: float) -> None:
    sound = singing.sing(reader(3.0, f0_hz), RATE_OF_READER, MELODY, seed, dry=True)
    for note in MELODY:
        cents, share = sung_cents(sound, note)
        assert abs(cents) < 50
        assert share > 0.8  # the vowel is held


@pytest.mark.parametrize("seed", range(6))
def test_wet_voice_never_clips_and_fills_its_length(seed: int) -> None:
    sound = singing.sing(reader(2.0, 150.0), RATE_OF_READER, MELODY, seed, seconds=4.5)
    assert sound.shape == (round(4.5 * RATE),)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert 0.1 < np.abs(sound).max() <= PEAK + 1e-4


def test_same_seed_sings_the_same_and_another_otherwise() -> None:
    voice = reader(2.0, 180.0)
    first = singing.sing(voice, RATE_OF_READER, MELODY, 7)
    assert np.array_equal(first, singing.sing(voice, RATE_OF_READER, MELODY, 7))
    assert not np.array_equal(first, singing.sing(voice, RATE_OF_READER, MELODY, 8))


def test_voice_rests_where_the_melody_rests() -> None:
    melody = [Note(60, 0.5, 0.5), Note(62, 3.0, 0.5)]
    sound = singing.sing(reader(2.0, 150.0), RATE_OF_READER, melody, 1, dry=True)
    rest, note = sound[int(1.2 * RATE) : int(2.4 * RATE)], sound[int(3.1 * RATE) : int(3.4 * RATE)]
    assert np.sqrt(np.mean(rest**2)) < 1e-3 * np.sqrt(np.mean(note**2))


def test_notes_beyond_the_end_are_cut() -> None:
    assert len(singing.sing(reader(2.0, 150.0), RATE_OF_READER, MELODY, 1, seconds=2.0, dry=True)) == 2 * RATE


def test_octave_suits_the_reader() -> None:
    rng = np.random.default_rng(0)
    low = [singing._octave(MELODY, 105.0, 1.0, rng) for _ in range(20)]
    high = [singing._octave(MELODY, 230.0, 1.0, rng) for _ in range(20)]
    assert set(low) <= {-12, -24}
    assert set(high) <= {-12, 0}
    assert np.mean(high) > np.mean(low)


def test_formants_move_up_by_the_ratio() -> None:
    bins = np.arange(1025)
    spectra = np.exp(-(((bins - 100) / 10) ** 2))[None]
    assert int(np.argmax(singing._move_formants(spectra, 1.2))) == 120
    assert int(np.argmax(singing._move_formants(spectra, 0.85))) == 85


def test_narrow_recording_gets_treble() -> None:
    narrow = signal.resample_poly(reader(2.0, 150.0, 16000), 3, 1).astype(np.float32)
    found = singing.analyse(narrow)
    khz = (found.spectra.shape[1] - 1) / 24
    level_db = 10 * np.log10(found.spectra.mean(0))
    below, above = level_db[int(5.5 * khz) : int(6.5 * khz)].mean(), level_db[int(9 * khz) : int(11 * khz)].mean()
    assert below - above < 30


def test_syllables_are_found_in_order() -> None:
    parts = singing.syllables(singing.analyse(np.asarray(signal.resample_poly(reader(3.0, 150.0), 2, 1), np.float32)))
    assert 6 <= len(parts) <= 12  # nine are spoken
    for part in parts:
        assert part.start <= part.vowel < part.coda <= part.end


def test_empty_melody_and_silent_voice_are_refused() -> None:
    with pytest.raises(ParameterError, match="no notes"):
        singing.sing(reader(1.0, 150.0), RATE_OF_READER, [], 1)
    with pytest.raises(ParameterError, match=r"no syllable found in 1\.0 s"):
        singing.sing(np.zeros(RATE_OF_READER, np.float32), RATE_OF_READER, MELODY, 1)


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"cannot read .*name the folder with --data"):
        singing.read_voices(tmp_path, "kathleen-en", np.random.default_rng(0), 5.0)
    (tmp_path / "index.csv").write_text("path,source,licence,seconds,text\n")
    with pytest.raises(AudioFileError, match="no recording of kathleen-en"):
        singing.read_voices(tmp_path, "kathleen-en", np.random.default_rng(0), 5.0)
