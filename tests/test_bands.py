"""Songs, synthesizer, effects and bands: right notes, aligned stems, sane levels, same seed same samples."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from export.recordings import bands, effects
from export.recordings.library import RATE
from export.recordings.songs import BPM, MIDDLE_A_HZ, SCALES, STYLES, Note, compose
from export.recordings.synth import Patch, drum_kit, oscillator, play
from rtvox.errors import MissingExtraError, ParameterError
from rtvox.features import Array

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
PLAIN = Patch("saw", 1, 0.0, 0.0, 0.002, 0.1, 0.9, 0.02, 9000.0, 0.0, 0.1, 0.7)
HAS_FLUIDSYNTH = bool(shutil.which("fluidsynth")) and all(path.exists() for path in bands.SOUNDFONTS)


def loudest_hz(x: Array) -> float:
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 2**18))
    return float(np.argmax(spectrum)) * RATE / 2**18


def rms_db(x: Array) -> float:
    return float(10 * np.log10(np.mean(x.astype(np.float64) ** 2) + 1e-20))


@pytest.fixture
def without_fluidsynth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play soundfont parts on a plain saw, so that no program is needed."""

    def stand_in(notes: Sequence[Note], program: int, n: int, soundfont: Path, drums: bool = False) -> Array:
        return play(notes, PLAIN, n, np.random.default_rng(program + drums))

    monkeypatch.setattr(bands, "fluid", stand_in)


@pytest.mark.parametrize("style", STYLES)
def test_song_keeps_its_key_its_tempo_and_its_length(style: str) -> None:
    for seed in range(12):
        song = compose(seed, style, 40.0)
        low, high = BPM[style]
        assert low <= song.bpm < high or (style == "electronic" and 170 <= song.bpm < 176)
        name, mode = song.key.split()
        scale = {(NAMES.index(name) + step) % 12 for step in SCALES[mode]}
        assert song.melody
        assert {note.midi % 12 for note in song.melody} <= scale
        assert all(note.duration > 0 and note.start >= 0 for part in song.parts for note in part.notes)
        assert {part.stem for part in song.parts} == set(bands.STEMS)
        assert max(note.start for note in song.melody) < 40.0 + 240 / song.bpm


@pytest.mark.parametrize("style", STYLES)
def test_melody_is_for_one_voice(style: str) -> None:
    for seed in range(12):
        melody = compose(seed, style, 40.0).melody
        for a, b in pairwise(melody):
            assert a.start + a.duration <= b.start + 1e-9
        assert max(n.midi for n in melody) - min(n.midi for n in melody) <= 24


def test_same_seed_writes_the_same_song_and_another_seed_another() -> None:
    assert compose(3, "pop", 30.0) == compose(3, "pop", 30.0)
    assert compose(3, "pop", 30.0) != compose(4, "pop", 30.0)
    assert compose(3, "pop", 30.0) != compose(3, "rock", 30.0)


def test_unknown_style_is_named_with_the_way_out() -> None:
    with pytest.raises(ParameterError, match=r"'polka' is unknown; choose one of electronic, rock"):
        compose(0, "polka", 10.0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.usefixtures("without_fluidsynth")
def test_stems_are_aligned_loud_enough_and_never_clip(style: str) -> None:
    band = bands.render_band(11, style, 8.0)
    again = bands.render_band(11, style, 8.0)
    assert set(band.stems) == set(bands.STEMS)
    assert band.melody == compose(11, style, 8.0).melody
    for stem, sound in band.stems.items():
        assert sound.dtype == np.float32
        assert sound.shape == (8 * RATE,)
        assert np.array_equal(sound, again.stems[stem])
    total = np.sum(list(band.stems.values()), axis=0)
    assert np.abs(total).max() <= effects.PEAK + 1e-4
    assert -32 < rms_db(total) < -10
    assert rms_db(band.stems["other"]) > -40


@pytest.mark.usefixtures("without_fluidsynth")
def test_drums_sound_where_they_are_written() -> None:
    song = next(s for s in (compose(seed, "electronic", 8.0) for seed in range(50)) if s.parts[0].notes)
    first = min(note.start for note in song.parts[0].notes)
    sound = bands._machine(song.parts[0].notes, 8 * RATE, np.random.default_rng(0))
    onset = int(np.argmax(np.abs(sound) > 1e-3))
    assert abs(onset - first * RATE) < 0.003 * RATE


@pytest.mark.parametrize("midi", [36, 57, 69, 84])
def test_synthesizer_plays_in_tune(midi: int) -> None:
    sound = play([Note(midi, 0.1, 1.0)], PLAIN, 2 * RATE, np.random.default_rng(0))
    expected = MIDDLE_A_HZ * 2 ** ((midi - 69) / 12)
    assert not sound[: RATE // 10].any()
    assert abs(1200 * np.log2(loudest_hz(sound[RATE // 5 : RATE]) / expected)) < 10


def test_saw_has_few_aliases() -> None:
    freq = 3137.0
    spectrum = np.abs(np.fft.rfft(oscillator("saw", freq, 0.0, RATE) * np.blackman(RATE)))
    below = np.arange(len(spectrum)) < freq - 20  # a true saw has nothing below its first harmonic
    assert 20 * np.log10(spectrum[below][20:].max() / spectrum.max()) < -35


def test_every_drum_of_the_machine_sounds_and_stays_below_full_scale() -> None:
    for seed in range(5):
        kit = drum_kit(np.random.default_rng(seed))
        assert set(bands.MACHINE.values()) == set(kit)
        for sound in kit.values():
            assert 0.01 < np.abs(sound).max() < 2.0
            assert np.isfinite(sound).all()


@pytest.mark.parametrize(
    ("kind", "at_hz", "expected_db"),
    [("low", 4000, -24.1), ("high", 250, -24.1), ("bell", 1000, 6.0), ("lowshelf", 50, 6.0), ("highshelf", 16000, 6.0)],
)
def test_filters_have_their_textbook_gain(kind: str, at_hz: float, expected_db: float) -> None:
    tone = np.sin(2 * np.pi * at_hz * np.arange(RATE) / RATE).astype(np.float32)
    gain_db = rms_db(effects.biquad(tone, kind, 1000.0, 6.0)[RATE // 2 :]) - rms_db(tone[RATE // 2 :])
    assert gain_db == pytest.approx(expected_db, abs=0.6)


def test_compressor_narrows_the_range_and_leaves_quiet_sound_alone() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE).astype(np.float32)
    tone[:RATE] *= 0.05
    pressed = effects.compress(tone, -12.0, 4.0)
    assert rms_db(pressed[: RATE // 2]) == pytest.approx(rms_db(tone[: RATE // 2]), abs=0.2)
    assert rms_db(tone[-RATE // 2 :]) - rms_db(pressed[-RATE // 2 :]) > 5


def test_saturation_bends_without_direct_current_or_change_of_level() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE).astype(np.float32) * 0.3
    bent = effects.saturate(tone, 8.0, 0.3)
    assert rms_db(bent) == pytest.approx(rms_db(tone), abs=0.3)
    assert abs(float(bent[RATE:].mean())) < 1e-3
    steady = bent[RATE:]
    assert np.abs(steady).max() / np.sqrt(np.mean(steady**2)) < 1.35  # crest: of a sine 1.41, of a square 1


def test_effects_keep_length_type_and_the_callers_array(rng: np.random.Generator) -> None:
    x = rng.standard_normal(RATE).astype(np.float32) * 0.1
    before = x.copy()
    for y in (
        effects.equalise(x, rng),
        effects.saturate(x, 5.0, 0.1),
        effects.echo(x, 0.2, 0.5, 0.4),
        effects.chorus(x, rng),
        effects.reverb(x, rng, 0.4),
        effects.compress(x, -20.0, 4.0),
        effects.level(x, -20.0),
    ):
        assert y.shape == x.shape
        assert y.dtype == np.float32
        assert np.isfinite(y).all()
    assert np.array_equal(x, before)


def test_level_reaches_its_aim_or_stops_below_full_scale(rng: np.random.Generator) -> None:
    noise = rng.standard_normal(RATE).astype(np.float32)
    assert rms_db(effects.level(noise, -20.0)) == pytest.approx(-20.0, abs=0.1)
    assert np.abs(effects.level(noise, 0.0)).max() == pytest.approx(effects.PEAK, abs=1e-4)
    assert not effects.level(np.zeros(RATE, np.float32), -20.0).any()


def test_missing_soundfont_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"none\.sf2; install the Debian packages fluidsynth"):
        bands.fluid([Note(60, 0.0, 0.5)], 0, RATE, tmp_path / "none.sf2")


@pytest.mark.skipif(not HAS_FLUIDSYNTH, reason="needs the Debian packages fluidsynth and the two soundfonts")
@pytest.mark.parametrize("soundfont", bands.SOUNDFONTS, ids=lambda path: path.stem)
def test_fluidsynth_plays_in_tune_and_in_time(soundfont: Path) -> None:
    church_organ = 19
    sound = bands.fluid([Note(69, 0.5, 1.0)], church_organ, 2 * RATE, soundfont)
    assert sound.shape == (2 * RATE,)
    assert np.abs(sound[: RATE // 2 - 480]).max() < 1e-3
    assert rms_db(sound[int(0.7 * RATE) : int(1.4 * RATE)]) > -60
    hz = loudest_hz(sound[int(0.7 * RATE) : int(1.4 * RATE)])
    cents = 1200 * np.log2(hz / MIDDLE_A_HZ)
    assert abs((cents + 600) % 1200 - 600) < 20  # an organ's loudest partial may be an octave
    assert np.array_equal(sound, bands.fluid([Note(69, 0.5, 1.0)], church_organ, 2 * RATE, soundfont))
