"""Domains to move a timbre between: folders of recordings, each of one instrument or kind of voice.

In: for each domain, globs of recordings, and perhaps notes from which more phrases are made (`phrases.py`). Out:
`<cache>/domains/NAME/PART.npz`: log-mel in steps of a decibel, and what the pitch tracker tells of each frame, at
one loudness for all; a minute takes about 1 MB. Parts named `held-*` are never trained on. Seeded. Offline.
Read next: `../tasks/timbre.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from export.recordings.credits import credit_of, read_credits, read_index, write_credits
from export.recordings.library import RATE, read_mono, whole_file
from export.recordings.pairs import voice_files
from export.recordings.phrases import Sample, look_at_note, play
from export.spectra import mel_of
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.pitch import track

FOLDER = "domains"
HELD = "held-"
STEP = 0.11  # nat: a decibel, the grain of the stored log-mel
LOUDNESS_DB = -20.0  # A-weighted, of a domain's louder half: distances to microphones are no timbre
PART_S = 60.0  # recordings are strung together to about this length


@dataclass(frozen=True)
class Domain:
    """Where the recordings of one domain are; globs below the recordings' folder."""

    recordings: tuple[str, ...] = ()
    minutes: float = 1e9  # of them, drawn at random
    held: tuple[str, ...] = ()  # among them, never trained on
    shifts: tuple[float, ...] = ()  # semitones at which all of them are heard again, faster or slower
    notes: tuple[str, ...] = ()  # single notes, from which phrases are made
    voices: tuple[str, ...] = ()  # that those phrases follow
    made_minutes: float = 0.0


@dataclass(frozen=True)
class Part:
    """Some stretch of a domain: (T, M) log-mel in steps of STEP above the floor, and (T, 3) as `pitch.CONDITIONS`."""

    mel: npt.NDArray[np.uint8]
    told: npt.NDArray[np.float16]

    def frames(self) -> tuple[Array, Array]:
        """Return (T, M) log-mel and (T, 3) measures as float32."""
        floor = np.float32(np.log(MEL_SPEC.floor))
        return self.mel * np.float32(STEP) + floor, self.told.astype(np.float32)


def to_part(sound: Array) -> Part:
    """Analyse (N,) samples."""
    sound = sound[: len(sound) // MEL_SPEC.hop * MEL_SPEC.hop]
    steps = np.round((mel_of(sound) - np.log(MEL_SPEC.floor)) / STEP)
    return Part(np.clip(steps, 0, 255).astype(np.uint8), track(sound).astype(np.float16))


def level(sound: Array) -> Array:
    """Return (N,) samples at the loudness of all domains."""
    loudness = track(sound[: len(sound) // MEL_SPEC.hop * MEL_SPEC.hop])[:, 2]
    if not len(loudness):
        return sound
    loud = float(np.percentile(loudness, 75))
    return sound * np.float32(10.0 ** ((LOUDNESS_DB - loud) / 20.0)) if loud > -70.0 else sound


def prepare_domains(domains: Mapping[str, Domain], folders: Sequence[Path], cache: Path, seed: int) -> None:
    """Analyse all domains into `cache`; parts that are there already are kept.

    Raises: ParameterError if a glob matches no file or one that may not be trained on, AudioFileError naming a bad
    file.
    """
    for name, domain in domains.items():
        if not domain.recordings and not domain.notes:
            raise ParameterError(f"domain {name}: needs recordings or notes; add globs to the recipe")
        rng = np.random.default_rng([seed, *name.encode()])
        target = cache / FOLDER / name
        if domain.recordings:
            files = _files(domain.recordings, folders, cache)
            held = {path for _, path in voice_files(folders, domain.held)}
            files = [files[i] for i in rng.permutation(len(files))]
            trained, kept = [p for p in files if p not in held], [p for p in files if p in held]
            if domain.shifts:
                moved = " and ".join(f"{shift:+g}" for shift in domain.shifts)
                _credit_made(f"{name}: recordings heard again at {moved} semitones, by speed", files, folders, cache)
            _write(target, "part", _strung(trained, domain.minutes), domain.shifts)
            _write(target, HELD + "part", _strung(kept, domain.minutes), ())
        if domain.made_minutes:
            singles = _files(domain.notes, folders, cache)
            how = "rendered from single notes: cross-faded, pitch-warped, following voices"
            _credit_made(f"{name}: phrases {how}", singles, folders, cache)
            notes = [look_at_note(read_mono(path)) for path in singles]
            voices = _files(domain.voices, folders, cache)
            voices = [voices[i] for i in rng.permutation(len(voices))]
            good = [note for note in notes if note]
            if not good:
                raise ParameterError(f"domain {name}: no note of {list(domain.notes)} has a steady pitch")
            _write(target, "made", _made(good, voices, domain.made_minutes, rng), ())


def read_domains(cache: Path, names: Sequence[str], *, held: bool = False) -> dict[str, list[Part]]:
    """Return the parts of each domain, those held out or all others.

    Raises: ParameterError if a domain was not prepared.
    """
    found = {}
    for name in names:
        paths = [p for p in sorted((cache / FOLDER / name).glob("*.npz")) if p.name.startswith(HELD) == held]
        if not paths and not held:
            raise ParameterError(f"{cache / FOLDER / name}: not prepared; run `python -m export prepare` first")
        parts = []
        for path in paths:
            with np.load(path) as file:
                parts.append(Part(file["mel"], file["told"]))
        found[name] = parts
    return found


def _files(patterns: Sequence[str], folders: Sequence[Path], cache: Path) -> list[Path]:
    """Return the files that match, once they are credited."""
    found = list(voice_files(folders, patterns))
    for pattern in patterns:
        if not any(True for _ in voice_files(folders, [pattern])):
            places = ", ".join(map(str, folders))
            raise ParameterError(f"{pattern}: no sound files in {places}; mend the recipe or give --data")
    indices = {folder: read_index(folder) for folder in folders}
    credits = {credit_of(indices[folder], path.relative_to(folder), folder) for folder, path in found}
    write_credits(cache, read_credits(cache) | credits)
    return [path for _, path in found]


def _credit_made(what: str, files: Sequence[Path], folders: Sequence[Path], cache: Path) -> None:
    """State in the manifest what was made of files, under their licences."""
    indices = {folder: read_index(folder) for folder in folders}
    from_ = {
        credit_of(index, path.relative_to(folder), folder)[1]
        for folder, index in indices.items()
        for path in files
        if path.is_relative_to(folder)
    }
    write_credits(cache, read_credits(cache) | {(what, " and ".join(sorted(from_)))})


def _strung(paths: Sequence[Path], minutes: float) -> Iterator[Array]:
    """Yield recordings one after the other, in parts of about PART_S, until there are enough."""
    taken, parts, seconds = 0.0, list[Array](), 0.0
    for path in paths:
        if taken >= minutes * 60.0:
            break
        sound = level(read_mono(path))
        parts.append(sound)
        seconds += len(sound) / RATE
        taken += len(sound) / RATE
        if seconds >= PART_S:
            yield np.concatenate(parts)
            parts, seconds = [], 0.0
    if parts:
        yield np.concatenate(parts)


def _made(notes: Sequence[Sample], voices: Sequence[Path], minutes: float, rng: np.random.Generator) -> Iterator[Array]:
    for voice in _strung(voices, minutes):
        yield level(play(notes, track(voice), rng))


def _write(target: Path, name: str, sounds: Iterator[Array], shifts: Sequence[float]) -> None:
    """Write parts, each also at other speeds; those that are there already cost their decoding only."""
    for i, sound in enumerate(sounds):
        for shift in (0.0, *shifts):
            path = target / f"{name}-{i:03}{f'-{shift:+g}' if shift else ''}.npz"
            if path.exists():
                continue
            moved = soxr.resample(sound, RATE * 2.0 ** (shift / 12.0), RATE) if shift else sound
            part = to_part(np.asarray(moved, np.float32))
            with whole_file(path) as file:
                np.savez_compressed(file, mel=part.mel, told=part.told)
            print(f"{path}: {len(moved) / RATE:.0f} s", file=sys.stderr)
