"""Made recordings: what a recipe wants is rendered once, where no folder holds it, and credited to its ingredients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.recipe import Made, read_recipe
from export.recordings import made
from export.recordings.bands import STEMS, Band
from export.recordings.credits import read_index
from export.recordings.library import RATE
from export.recordings.songs import STYLES, Note
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

SECONDS = 3.0
CALLS: list[tuple[object, ...]] = []


@pytest.fixture
def data(tmp_path: Path, noise: Array) -> Path:
    """Four readers and a room."""
    rows = ["path,source,licence"]
    for place in [*(f"voice/{reader}/a.wav" for reader in made.SPEAKERS), "rooms/hall.flac", "rooms/filter-low.flac"]:
        path = tmp_path / "data" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise, RATE)
        rows.append(f"{place},from/{path.parent.name},{'Apache-2.0' if 'rooms' in place else 'CC0-1.0'}")
    (tmp_path / "data" / "index.csv").write_text("\n".join(rows))
    return tmp_path / "data"


@pytest.fixture
def wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Two bands and two singers, played and sung by stand-ins that note what they were asked for."""
    CALLS.clear()

    def render_band(seed: int, style: str, seconds: float, rooms: Sequence[Path]) -> Band:
        CALLS.append(("band", seed, style, seconds, [path.name for path in rooms]))
        return Band({stem: np.full(round(seconds * RATE), 0.1, np.float32) for stem in STEMS}, [], 120.0, "C major")

    def sing(
        voice: Array, rate: int, melody: Sequence[Note], seed: int, *, seconds: float, rooms: Sequence[Path]
    ) -> Array:
        CALLS.append(("singer", seed, len(voice) > 0 and rate == RATE and len(melody) > 0, seconds, len(rooms)))
        return np.full(round(seconds * RATE), 0.1, np.float32)

    monkeypatch.setattr(made, "render_band", render_band)
    monkeypatch.setattr(made, "sing", sing)
    return Made(bands_minutes=0.1, singing_minutes=0.1, seed=5, seconds=SECONDS, folder=str(tmp_path / "made"))


def test_what_is_missing_is_rendered_once(wish: Made, data: Path) -> None:
    home = Path(wish.folder)
    assert made.make(wish, [data]) == [data, home]
    assert CALLS == [
        ("band", 5, "electronic", SECONDS, ["hall.flac"]),
        ("band", 6, "rock", SECONDS, ["hall.flac"]),
        ("singer", 5, True, SECONDS, 1),
        ("singer", 6, True, SECONDS, 1),
    ]
    files = sorted(path.relative_to(home).as_posix() for path in home.rglob("*.flac"))
    songs = ("electronic-5", "rock-6")
    assert files == sorted(
        [
            *(f"bands/{song}/{stem}.flac" for song in songs for stem in STEMS),
            "singing/kathleen-en-5.flac",
            "singing/kerstin-de-6.flac",
        ]
    )
    info = soundfile.info(home / files[0])
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (RATE, 1, SECONDS * RATE, "PCM_16")
    (home / "bands" / "rock-6" / "bass.flac").unlink()
    assert made.make(wish, [data]) == [data, home]
    assert CALLS[4:] == [("band", 6, "rock", SECONDS, ["hall.flac"])]


def test_what_another_folder_holds_is_not_rendered(wish: Made, data: Path, tmp_path: Path) -> None:
    made.make(wish, [data])
    del CALLS[:]
    assert made.make(replace(wish, folder=str(tmp_path / "other")), [data, Path(wish.folder)]) == [
        data,
        Path(wish.folder),
    ]
    assert not CALLS
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_named_twice_is_read_once(wish: Made, data: Path) -> None:
    home = Path(wish.folder)
    home.mkdir()
    assert made.make(wish, [data, home]) == [data, home]


def test_made_recordings_are_credited_to_their_ingredients(wish: Made, data: Path) -> None:
    made.make(wish, [data])
    index = read_index(Path(wish.folder))
    assert len(index) == 2 * len(STEMS) + 2
    source, licence = index["singing/kerstin-de-6.flac"]
    assert source == "sung by rtvox with the voice of from/kerstin-de, in rooms of from/rooms"
    assert licence == "CC0-1.0; rooms Apache-2.0"
    source, licence = index["bands/rock-6/bass.flac"]
    assert source.startswith(
        "rendered by rtvox from generated MIDI with synthesizers of its own and fluidsynth with the"
    )
    assert licence.startswith("MIT")
    assert len({index[f"bands/rock-6/{stem}.flac"] for stem in STEMS}) == 1


def test_the_index_names_the_soundfont_that_a_band_is_played_with(monkeypatch: pytest.MonkeyPatch) -> None:
    from export.recordings import bands
    from export.recordings.songs import generator

    def fluid(notes: object, program: int, n: int, soundfont: Path, drums: bool = False) -> Array:
        used.add(soundfont)
        return np.zeros(n, np.float32)

    monkeypatch.setattr(bands, "fluid", fluid)
    drawn = set()
    for seed in range(6):
        used = set[Path]()
        bands.render_band(seed, "jazz", 1.0)
        assert used == {bands.draw_soundfont(generator(seed, "jazz", "sound"))}
        drawn |= used
    assert drawn == set(bands.SOUNDFONTS)


def test_the_shipped_recipe_makes_bands_and_singers() -> None:
    assert read_recipe("isolate").made == Made(
        bands_minutes=60, short_bands_minutes=60, patterns_minutes=320, singing_minutes=40, seed=100
    )


def test_half_of_the_bands_are_electronic_and_all_styles_come() -> None:
    styles = [made.pick_style(index) for index in range(40)]
    assert styles.count("electronic") == 20
    assert {styles.count(style) for style in STYLES[1:]} == {5}


def test_songs_too_short_to_sing_are_named(wish: Made, data: Path) -> None:
    with pytest.raises(ParameterError, match=r"song electronic-5 of 0\.5 s has nothing to sing; raise seconds"):
        made.make(replace(wish, bands_minutes=0.0, seconds=0.5), [data])


def test_missing_readers_are_named(wish: Made, tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"cannot read .*nothing: .*; name the folder with --data"):
        made.make(replace(wish, bands_minutes=0.0), [tmp_path / "nothing"])


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AudioFileError, match=r"cannot write .*file"):
        made.write_flac(tmp_path / "file" / "x.flac", np.zeros(10, np.float32))
