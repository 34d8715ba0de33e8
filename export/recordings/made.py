"""Make recordings where the real ones are thin: the bands and singers that a recipe asks for and no folder holds yet.

In: the recipe's table `[made]`, and the folders of recordings: their readers sing, and their rooms resound. Out:
`<made>/bands/STYLE-SEED/STEM.flac`, `<made>/patterns/pattern-SEED.flac`, `<made>/singing/READER-SEED.flac`, 16-bit mono
at 48 kHz, and an `index.csv` that says what they were made of. Seeded: the same recipe and readers make the same
sounds. Offline; runs in the caller's thread. Read next: `bands.py`, `patterns.py` and `singing.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from export.recipe import Made
from export.recordings.bands import SOUNDFONTS, STEMS, draw_soundfont, render_band
from export.recordings.credits import Credit, read_index, write_index
from export.recordings.library import RATE, whole_file
from export.recordings.patterns import render_pattern
from export.recordings.singing import SPEAKERS, read_voices, sing
from export.recordings.songs import STYLES, compose, generator
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

VOICE_S = 25.0  # of a reader's sentences for one song
SHORT_S = 32.0  # of a short band: more instruments per hour
PATTERN_S = 32.0
# Impulse responses that are no rooms but filters and effects.
NO_ROOMS = ("filter", "backwards", "backslap", "comb", "cosmic", "sifter", "wildecho", "ambisonic", "feedback")


def make(made: Made, folders: Sequence[Path]) -> list[Path]:
    """Render what the recipe wants and neither `folders` nor `made.folder` holds; return the folders to read from.

    Raises: MissingExtraError without fluidsynth and its soundfonts, AudioFileError without readers or a place to write,
    ParameterError if songs are so short that there is nothing to sing.
    """
    home = Path(made.folder)
    wanted = [(names, render) for names, render in _songs(made, folders) if not _held(names, folders)]
    if not wanted:
        return list(folders)
    for names, render in wanted:
        if not _held(names, [home]):
            for name, sound in zip(names, render(), strict=True):
                write_flac(home / name, sound)
            print(f"made {', '.join(names)}", file=sys.stderr)
    credit_made(home, folders)
    return list(folders) if any(folder.exists() and home.samefile(folder) for folder in folders) else [*folders, home]


def _songs(made: Made, folders: Sequence[Path]) -> Iterator[tuple[list[str], Callable[[], list[Array]]]]:
    """Yield the files of each song, below a folder, and what renders them."""
    rooms = room_files(folders)
    short = made.seed + 900  # seeds of their own, far from those of the long ones
    bands = [(made.bands_minutes, made.seconds, made.seed), (made.short_bands_minutes, SHORT_S, short)]
    for minutes, seconds, first in bands:
        for index in range(int(np.ceil(minutes * 60 / seconds))):
            seed, style = first + index, pick_style(index)
            names = [f"bands/{style}-{seed}/{stem}.flac" for stem in STEMS]
            yield names, partial(_band, seed, style, seconds, rooms)
    for seed in range(int(np.ceil(made.patterns_minutes * 60 / PATTERN_S))):
        yield [f"patterns/pattern-{seed}.flac"], partial(_pattern, seed, rooms)
    for index in range(int(np.ceil(made.singing_minutes * 60 / made.seconds))):
        seed, style, reader = made.seed + index, pick_style(index), SPEAKERS[index % len(SPEAKERS)]
        yield [f"singing/{reader}-{seed}.flac"], partial(_singer, seed, style, made.seconds, rooms, reader, folders)


def _band(seed: int, style: str, seconds: float, rooms: Sequence[Path]) -> list[Array]:
    band = render_band(seed, style, seconds, rooms)
    return [band.stems[stem] for stem in STEMS]


def _pattern(seed: int, rooms: Sequence[Path]) -> list[Array]:
    return [render_pattern(seed, PATTERN_S, rooms)]


def _singer(
    seed: int, style: str, seconds: float, rooms: Sequence[Path], reader: str, folders: Sequence[Path]
) -> list[Array]:
    """Sing the melody of the band of the same seed, so that it can be put on top."""
    data = next((folder for folder in folders if (folder / "voice" / reader).is_dir()), folders[0])
    melody = compose(seed, style, seconds).melody
    if not melody:
        raise ParameterError(
            f"song {style}-{seed} of {seconds:g} s has nothing to sing; raise seconds in [made], to 60"
        )
    voice = read_voices(data, reader, np.random.default_rng(seed), VOICE_S)
    return [sing(voice, RATE, melody, seed, seconds=seconds, rooms=rooms)]


def _held(names: Iterable[str], folders: Sequence[Path]) -> bool:
    return all(any((folder / name).exists() for folder in folders) for name in names)


def pick_style(index: int) -> str:
    """Every second band is electronic, the other styles take turns."""
    return STYLES[0] if index % 2 == 0 else STYLES[1 + index // 2 % (len(STYLES) - 1)]


def room_files(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the impulse responses in the folders' `rooms/` that are rooms."""
    files = (path for folder in folders for path in sorted((folder / "rooms").glob("*.flac")))
    return tuple(path for path in files if not any(word in path.name for word in NO_ROOMS))


def credit_made(home: Path, folders: Sequence[Path]) -> None:
    """Write the index.csv of a folder of made recordings, from what the indices of `folders` say of the ingredients."""
    ingredients = {path: credit for folder in folders for path, credit in read_index(folder).items()}
    rooms = sorted({credit for path, credit in ingredients.items() if path.startswith("rooms/")})

    def in_rooms(what: str, licence: str) -> Credit:
        for source, terms in rooms:
            what, licence = f"{what}, in rooms of {source}", f"{licence}; rooms {terms}"
        return what, licence

    rows = dict[str, Credit]()
    for path in sorted(home.glob("bands/*/*.flac")):
        style, _, seed = path.parent.name.rpartition("-")
        maker, licence = SOUNDFONTS[draw_soundfont(generator(int(seed), style, "sound"))]
        what = f"rendered by rtvox from generated MIDI with synthesizers of its own and fluidsynth with {maker}"
        rows[path.relative_to(home).as_posix()] = in_rooms(what, licence)
    for path in sorted(home.glob("patterns/*.flac")):
        rows[path.relative_to(home).as_posix()] = in_rooms("synthesised by rtvox", "CC0-1.0")
    for path in sorted(home.glob("singing/*.flac")):
        reader = path.stem.rpartition("-")[0]
        read = {credit for place, credit in ingredients.items() if place.startswith(f"voice/{reader}/")}
        source, licence = min(read, default=(reader, "your own"))  # a reader's sentences share one row's credit
        rows[path.relative_to(home).as_posix()] = in_rooms(f"sung by rtvox with the voice of {source}", licence)
    write_index(home, rows)


def write_flac(path: Path, sound: Array) -> None:
    """Write 16-bit mono FLAC at 48 kHz under a temporary name first: a reader never meets half a file.

    Raises: AudioFileError if the folder cannot be written.
    """
    try:
        with whole_file(path) as file:
            soundfile.write(file, sound, RATE, subtype="PCM_16", format="FLAC")
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"cannot write {path}: {error}; choose another folder") from error
