"""Pairs: screams made from a voice lie on it and measure as screams do; a user's takes are aligned, or named."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.__main__ import main
from export.measures import harmonic_to_noise_db, modulation_db, syllable_correlation
from export.recordings.align import SPEC, align, lay
from export.recordings.credits import read_credits
from export.recordings.library import FULL_SCALE, RATE, read_mono
from export.recordings.own_pairs import MATCHING, Row, prepare_own
from export.recordings.pairs import PairRecipe, make_pair, prepare_pairs, read_pairs
from export.recordings.screams import EDGES_HZ, angus, draw_manner, look_at, scream
from export.recordings.statistics import compare, statistics_of, sung_ranges
from export.recordings.takes import make_take, read_takes
from rtvox.errors import ParameterError
from rtvox.features import Array

READERS = Path(__file__).resolve().parents[2] / "shared" / "data" / "voice"
VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))


def speak(seed: int, seconds: float = 2.5, f0_hz: float = 160.0) -> Array:
    """Syllables of a hiss and a vowel each, on a pitch that falls: a voice of which all is known."""
    rng = np.random.default_rng(seed)
    out, silence = [np.zeros(RATE // 10)], np.zeros(RATE // 20)
    while sum(map(len, out)) < seconds * RATE:
        n = int(rng.uniform(0.12, 0.3) * RATE)
        pitch = f0_hz * rng.uniform(0.9, 1.2) * np.linspace(1.05, 0.95, n)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        formants = np.array(VOWELS_HZ[rng.integers(len(VOWELS_HZ))])
        vowel = np.zeros(n)
        for k in range(1, int(5000 / f0_hz)):
            peaks = np.exp(-(((k * f0_hz - formants) / 150.0) ** 2)) * (1.0, 0.5, 0.25)
            vowel += (peaks.sum() + 0.02) / k**0.3 * np.cos(k * phase + k * k)
        hiss = np.diff(rng.standard_normal(int(rng.uniform(0.04, 0.08) * RATE) + 1)) * 0.1
        out += [hiss, vowel * np.hanning(n) ** 0.3] + ([silence] if rng.random() < 0.3 else [])
    sound = np.concatenate([*out, np.zeros(RATE // 10)])
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def warp(sound: Array, seed: int) -> tuple[Array, Array]:
    """Change tempo by up to 30 % either way and insert two pauses; return where each frame of the original went."""
    rng = np.random.default_rng(seed)
    t = np.arange(len(sound) // SPEC.hop + 1) * SPEC.hop / RATE
    knots = np.arange(0.0, t[-1] + 0.5, 0.4)
    slowness = np.interp(t, knots, 1.0 / rng.uniform(0.7, 1.3, len(knots)))
    times = np.concatenate([[0.0], np.cumsum(slowness[:-1]) * SPEC.hop / RATE])
    length = int(times[-1] * RATE)
    warped = lay(sound, np.interp(np.arange(length // SPEC.hop + 1) * SPEC.hop / RATE, times, t), length)
    for _ in range(2):
        at, pause = rng.uniform(0.2, 0.8) * len(warped) / RATE, rng.uniform(0.2, 0.6)
        cut = int(at * RATE)
        warped = np.concatenate([warped[:cut], np.zeros(int(pause * RATE), np.float32), warped[cut:]])
        times = np.where(times > at, times + pause, times)
    return warped, times


@pytest.fixture(scope="module")
def voice() -> Array:
    return speak(1)


def voiced(sound: Array) -> np.ndarray:
    f0 = look_at(sound).f0
    return (f0 > 0)[np.minimum(np.arange(0, len(sound), RATE // 100) // 256, len(f0) - 1)]


@pytest.mark.parametrize("style", [0.0, 1.0, 2.0])
def test_screams_are_rough_noisy_and_in_place(voice: Array, style: float, rng: np.random.Generator) -> None:
    seen, manner, active = look_at(voice), draw_manner(style, rng), voiced(voice)
    screams = [scream(seen, manner, intensity) for intensity in (0.0, 0.3, 0.6, 1.0)]
    np.testing.assert_array_equal(screams[0], voice)
    assert all(len(s) == len(voice) and np.isfinite(s).all() and np.abs(s).max() < 1.5 for s in screams)
    ratios = [float(np.median(harmonic_to_noise_db(s)[active])) for s in screams]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 8.0
    assert -4.0 < ratios[-1] < 3.0  # of the eleven recordings: -2.6 to 2.6 dB
    assert modulation_db(screams[-1], active) > modulation_db(voice, active) + 2.0
    assert syllable_correlation(screams[-1], voice) > 0.85


def test_screams_sit_far_above_the_voice_and_growls_do_not(voice: Array, rng: np.random.Generator) -> None:
    seen = look_at(voice)
    growl, made = (statistics_of(scream(seen, draw_manner(style, rng), 1.0)) for style in (0.0, 1.0))
    assert made["centroid_hz"] > 1.2 * growl["centroid_hz"]
    assert made["band_0_500_db"] < growl["band_0_500_db"] - 3.0
    assert made["mod_60_120"] < growl["mod_60_120"]


def test_the_plain_recipe_only_modulates(voice: Array) -> None:
    plain, active = angus(look_at(voice)), voiced(voice)
    assert plain.shape == voice.shape
    assert modulation_db(plain, active) > modulation_db(voice, active) + 2.0


def test_screaming_silence_is_silence() -> None:
    silence = np.zeros(RATE, np.float32)
    seen = look_at(silence)
    assert not scream(seen, draw_manner(1.0, np.random.default_rng(1)), 1.0).any()
    assert not angus(seen).any()


@pytest.mark.parametrize("style", [None, 0.0, 1.0])
def test_random_time_maps_are_recovered(style: float | None) -> None:
    errors = []
    for seed in range(3):
        sound = speak(10 + seed, 3.0)
        rng = np.random.default_rng(seed)
        second = sound if style is None else scream(look_at(sound), draw_manner(style, rng), 1.0)
        warped, truth = warp(second, seed)
        found = align(sound, warped)
        count = min(len(truth), len(found.times))
        errors.append(np.abs(found.times[:count] - truth[:count]))
        assert np.all(np.diff(found.times) >= 0.0)
        assert found.score > MATCHING
    assert float(np.median(np.concatenate(errors))) <= 0.020


@pytest.mark.skipif(not READERS.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("take", ["kathleen-en/arctic_a0018_1592748134", "kerstin-de/de_rhasspy-0007"])
def test_time_maps_of_real_readers_are_recovered(take: str, rng: np.random.Generator) -> None:
    sound = read_mono(READERS / f"{take}.opus")
    shrieked, truth = warp(scream(look_at(sound), draw_manner(2.0, rng), 1.0), 7)
    found = align(sound, shrieked)
    count = min(len(truth), len(found.times))
    assert float(np.median(np.abs(found.times[:count] - truth[:count]))) <= 0.020
    assert found.score > MATCHING


def test_a_take_laid_on_another_moves_with_it(voice: Array) -> None:
    warped, truth = warp(voice, 5)
    laid = lay(warped, truth, len(voice))
    assert laid.shape == voice.shape
    assert syllable_correlation(laid, voice) > 0.9
    unmoved = lay(voice, np.arange(len(voice) // SPEC.hop + 1) * SPEC.hop / RATE, len(voice))
    np.testing.assert_allclose(unmoved[4096:-4096], voice[4096:-4096], atol=1e-3)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two lines, clean and screamed later and slower; the second pair's files are of other rates and kinds."""
    clean, screamed = tmp_path / "clean", tmp_path / "screamed"
    for i, (name, rate) in enumerate((("one.wav", RATE), ("two.flac", 96000))):
        sound = speak(20 + i)
        scream_ = scream(look_at(sound), draw_manner(1.0, np.random.default_rng(i)), 1.0)
        for folder, take in ((clean, sound), (screamed, warp(scream_, i)[0])):
            folder.mkdir(exist_ok=True)
            stereo = np.stack([np.repeat(take, rate // RATE)] * 2, 1)
            soundfile.write(folder / name, stereo, rate)
    sound, rate = soundfile.read(screamed / "two.flac")
    soundfile.write(screamed / "two.mp3", sound[::2], RATE)
    (screamed / "two.flac").unlink()
    return clean, screamed


def results(rows: list[Row]) -> dict[str, str]:
    return {row.clean or row.screamed: row.result for row in rows}


def test_own_takes_become_pairs_with_a_report(folders: tuple[Path, Path], tmp_path: Path) -> None:
    cache, report = tmp_path / "cache", tmp_path / "report"
    command = ["prepare", "scream", "--clean", str(folders[0]), "--screamed", str(folders[1]), "--style", "0"]
    assert main([*command, "--cache", str(cache), "--report", str(report)]) == 0
    pairs = read_pairs(cache)
    assert list(pairs) == ["own-one", "own-two"]
    for pair in pairs.values():
        assert pair.clean.shape == pair.screamed.shape
        assert pair.intensity.tolist() == [1.0]
        assert pair.style.tolist() == [0.0]
        clean, screamed = (s / np.float32(FULL_SCALE) for s in (pair.clean, pair.screamed))
        assert syllable_correlation(screamed, clean) > 0.7
    with (report / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["clean"], row["result"]) for row in rows] == [("one", "used"), ("two", "used")]
    assert all(float(row["score"]) > MATCHING for row in rows)
    assert (report / "one.png").stat().st_size > 5000
    assert ("clean", "your own") in read_credits(cache)


def test_takes_that_do_not_match_are_set_aside_and_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean, screamed = folders
    soundfile.write(screamed / "one.wav", speak(99), RATE)
    found = results(prepare_own(clean, screamed, tmp_path / "cache", tmp_path / "report"))
    assert found == {"one": "set aside: does not match", "two": "used"}
    assert list(read_pairs(tmp_path / "cache")) == ["own-two"]


BAD: list[tuple[Callable[[Path], None], str]] = [
    (lambda path: soundfile.write(path, speak(3)[: RATE // 5], RATE), r"0\.\d\d s of sound; needs 0\.4 s"),
    (lambda path: soundfile.write(path, np.zeros(RATE), RATE), "silent"),
    (lambda path: path.write_bytes(b"no sound"), "cannot be read as sound"),
]


@pytest.mark.parametrize(("write", "message"), BAD)
def test_takes_that_cannot_be_used_are_named(
    folders: tuple[Path, Path], tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(folders[1] / "one.wav")
    rows = prepare_own(*folders, tmp_path / "cache", tmp_path / "report")
    aside = [row.result for row in rows if row.screamed == "one"]
    assert len(aside) == 1
    assert re.search(message, aside[0])
    assert results(rows)["two"] == "used"


def test_folders_of_unequal_count_pair_by_name_and_name_the_rest(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean, screamed = folders
    soundfile.write(clean / "three.wav", speak(30), RATE)
    found = results(prepare_own(clean, screamed, tmp_path / "cache", tmp_path / "report"))
    assert found["three"] == "set aside: no screamed take of this name"
    assert found["one"] == found["two"] == "used"
    (screamed / "one.wav").rename(screamed / "four.wav")
    (screamed / "two.mp3").rename(screamed / "five.mp3")
    with pytest.raises(ParameterError, match=r"no pair can be used; .*report\.csv says why"):
        prepare_own(clean, screamed, tmp_path / "cache", tmp_path / "report")


def test_other_names_pair_in_their_order(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean, screamed = folders
    (screamed / "one.wav").rename(screamed / "take 1.wav")
    (screamed / "two.mp3").rename(screamed / "take 2.mp3")
    assert set(results(prepare_own(clean, screamed, tmp_path / "cache", tmp_path / "report")).values()) == {"used"}


def test_a_clipped_take_is_used_and_said_to_be(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean, screamed = folders
    sound, _ = soundfile.read(screamed / "one.wav")
    soundfile.write(screamed / "one.wav", np.clip(sound * 10.0, -1.0, 1.0), RATE)
    rows = prepare_own(clean, screamed, tmp_path / "cache", tmp_path / "report")
    assert "one clipped: " in results(rows)["one"]


def test_own_takes_need_both_folders(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "scream", "--clean", str(folders[0])]) == 2
    assert "--clean and --screamed belong together" in capsys.readouterr().err
    with pytest.raises(ParameterError, match="style=3: needs 0"):
        prepare_own(*folders, folders[0], folders[0], style=3.0)
    with pytest.raises(ParameterError, match="no sound files"):
        read_takes(folders[0] / "nowhere")


def test_a_take_is_trimmed_padded_and_levelled(voice: Array) -> None:
    quiet = 0.01 * np.concatenate([np.zeros(RATE, np.float32), voice, np.zeros(2 * RATE, np.float32)])
    take = make_take("line", quiet)
    assert abs(len(take.samples) - len(voice)) < 0.15 * RATE
    assert 0.02 < float(np.sqrt(np.mean(take.samples**2))) < 0.2
    assert take.samples[0] == take.samples[-1] == 0.0


def test_takes_are_listed_as_ljspeech(folders: tuple[Path, Path], tmp_path: Path) -> None:
    clean = folders[0]
    (clean / "one.txt").write_text("The first line.\n")
    soundfile.write(clean / "none.wav", np.zeros(RATE), RATE)
    target = tmp_path / "listed"
    assert main(["takes", str(clean), str(target), "--rate", "22050"]) == 0
    assert (target / "metadata.csv").read_text() == "one|The first line.|The first line.\ntwo||\n"
    info = soundfile.info(target / "wavs" / "two.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")


def test_synthesised_pairs_leave_out_what_is_held_out(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "voice" / "anna"
    folder.mkdir(parents=True)
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", speak(40 + i, 1.2), RATE)
    recipe = PairRecipe({"voice/anna/*": 1.0}, stretch_s=2.0, named=1.0, sentences=("voice/anna/3.*",))
    prepare_pairs(recipe, [tmp_path / "data"], tmp_path / "cache", 440)
    pairs = read_pairs(tmp_path / "cache")
    assert sum(len(pair.ends) for pair in pairs.values()) == 3
    for pair in pairs.values():
        assert pair.clean.shape == pair.screamed.shape
        assert pair.ends[-1] == len(pair.clean)
        assert len(pair.of_frames(pair.style, 256)) == len(pair.clean) // 256
        assert np.all((pair.intensity > 0.0) & (pair.intensity <= 1.0) & np.isin(pair.style, (0.0, 1.0, 2.0)))
    before = {path: path.read_bytes() for path in (tmp_path / "cache" / "pairs").iterdir()}
    for path in before:
        path.unlink()
    prepare_pairs(recipe, [tmp_path / "data"], tmp_path / "cache", 440)
    assert before == {path: path.read_bytes() for path in (tmp_path / "cache" / "pairs").iterdir()}
    with pytest.raises(ParameterError, match=r"voice/ben/\*: no sound files"):
        prepare_pairs(PairRecipe({"voice/ben/*": 1.0}), [tmp_path / "data"], tmp_path / "cache", 440)
    with pytest.raises(ParameterError, match="no prepared pairs"):
        read_pairs(tmp_path)


def test_made_screams_are_laid_beside_sung_ones(tmp_path: Path) -> None:
    columns = ["clip", "seconds", *statistics_of(speak(1, 1.2))]
    assert len([name for name in columns if name.startswith("band_")]) == len(EDGES_HZ) - 1
    rows = [[f"Singer{i}_DeathGrowl", "3", *[str(i)] * (len(columns) - 2)] for i in (1, 2)]
    (tmp_path / "scream-statistics.csv").write_text("\n".join(",".join(row) for row in (columns, *rows)) + "\n")
    assert sung_ranges([tmp_path])["growl"]["hnr_db"] == (1.0, 2.0)
    assert sung_ranges([tmp_path / "nowhere"]) == {}
    pair = make_pair([(speak(2, 1.2), speak(2, 1.2), 1.0, 0.0), (speak(3, 1.2), speak(3, 1.2), 0.5, 1.0)])
    table = compare({"anna": pair}, [tmp_path], tmp_path / "statistics.csv").splitlines()
    assert table[0] == "family,column,made,sung_low,sung_high"
    assert {line.split(",")[0] for line in table[1:]} == {"growl"}  # the other utterance is no full scream
    assert table[1].startswith("growl,hnr_db,")
    assert table[1].endswith(",1,2")
    assert (tmp_path / "statistics.csv").read_text().splitlines() == table
