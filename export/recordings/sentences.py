"""Sentences with their sound: what a speaking network learns from.

In: recordings of one speaker and what is said in each: the column `text` of a folder's `index.csv`, or a metadata.csv
in the form of LJSpeech. Out: `<cache>/sentences/NAME.npz`: log-mel, pitch and voicing of each frame, the tokens of the
text, and for how many frames each of them sounds (`forced.py`). Those named `held-*` are never trained on. Offline;
runs in the caller's thread. Read next: `../tasks/say.py`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyworld
import soxr

from export.recordings.credits import INDEX, credit_of, read_credits, read_index, write_credits
from export.recordings.forced import align_all
from export.recordings.library import RATE, read_mono, whole_file
from export.recordings.pairs import voice_files
from export.recordings.takes import make_take, read_texts
from export.spectra import mel_of
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.phonemes import sentences
from rtvox.pitch import REST_HZ

FOLDER = "sentences"
HELD = "held-"
LATE = 700  # samples before the end of a hop, of which the live tracker tells with it: a vocoder learnt with that
F0_HZ = 60.0, 600.0  # of speech
F0_RATE = 16000  # Hz; enough for any pitch, and eight times as fast as the house's


@dataclass(frozen=True)
class SpeechRecipe:
    """Whose voice is learned; globs below the recordings' folder."""

    recordings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()  # among them, never trained on
    language: str = "en-us"  # of espeak-ng
    other: tuple[str, ...] = ()  # another speaker, as who spoke before a clone's weights: what is said is told from
    unseen: tuple[str, ...] = ()  # sentences that no take holds: the voice is measured on them, too
    longest_s: float = 12.0  # longer takes are passed over


@dataclass(frozen=True)
class Sentence:
    """A take: (T, M) log-mel, (T,) pitch in Hz and voicing 0 or 1, (L,) tokens, and the (L,) frames that each lasts."""

    name: str
    mel: Array
    pitch: Array
    voicing: Array
    tokens: np.ndarray
    durations: np.ndarray


def prepare_sentences(recipe: SpeechRecipe, folders: Sequence[Path], cache: Path) -> None:
    """Analyse and align all takes that have a text, into `cache`; does nothing if that was done before.

    Raises: ParameterError if a glob matches nothing, no take has a text, or one may not be trained on.
    """
    if any((cache / FOLDER).glob("*.npz")):
        return
    files = list(voice_files(folders, recipe.recordings))
    texts = {path: text for folder in folders for path, text in texts_of(folder).items()}
    if not any(path in texts for _, path in files):
        raise ParameterError(f"{', '.join(recipe.recordings)}: no take with a text in {', '.join(map(str, folders))}")
    held = {path for _, path in voice_files(folders, recipe.held)}
    indices = {folder: read_index(folder) for folder in folders}
    credits = {credit_of(indices[folder], path.relative_to(folder), folder) for folder, path in files if path in texts}
    write_credits(cache, read_credits(cache) | credits)
    found = list[Sentence]()
    for _, path in files:
        if path not in texts:
            continue
        try:
            tokens = list(sentences(texts[path], recipe.language))
            sound = make_take(path.stem, read_mono(path)).samples
        except ParameterError as error:
            print(f"set aside: {path.name}: {error}", file=sys.stderr)
            continue
        if len(sound) > recipe.longest_s * RATE:
            print(f"set aside: {path.name}: {len(sound) / RATE:.1f} s", file=sys.stderr)
            continue
        joined = [token for sentence in tokens for token in sentence]
        found.append(analyse((HELD if path in held else "") + path.stem, sound, np.array(joined)))
        print(f"\r{len(found)} takes", end="", file=sys.stderr)
    durations = align_all([(s.mel, s.tokens) for s in found])
    for sentence, spans in zip(found, durations, strict=True):
        if spans is not None:
            save(cache, replace(sentence, durations=spans))
        else:
            print(f"set aside: {sentence.name}: too short for its text", file=sys.stderr)


def texts_of(folder: Path) -> dict[Path, str]:
    """Return what is said in the recordings below a folder, by path: of its index, or in LJSpeech's form."""
    found = dict[Path, str]()
    if (folder / INDEX).exists():
        with (folder / INDEX).open(newline="", encoding="utf-8") as file:
            found = {folder / row["path"]: row["text"] for row in csv.DictReader(file) if row.get("text")}
    texts = read_texts(folder)
    files = {path.stem: path for place in (folder, folder / "wavs") for path in place.glob("*") if path.is_file()}
    return found | {files[name]: text for name, text in texts.items() if name in files and text}


def analyse(name: str, sound: Array, tokens: np.ndarray) -> Sentence:
    """Return a sentence whose durations are not known yet, of (N,) samples."""
    mel = mel_of(sound)
    pitch, voicing = pitch_of(sound, len(mel))
    return Sentence(name, mel, pitch, voicing, tokens, np.zeros(0, np.int64))


def pitch_of(sound: Array, frames: int) -> tuple[Array, Array]:
    """Return (T,) pitch and voicing as the live tracker would tell them, but of a method that hears the future too.

    Where nothing is voiced, the pitch goes from the last one to the next.
    """
    x = soxr.resample(sound, RATE, F0_RATE).astype(np.float64)
    f0, times = pyworld.dio(x, F0_RATE, f0_floor=F0_HZ[0], f0_ceil=F0_HZ[1])
    f0 = pyworld.stonemask(x, f0, times, F0_RATE)
    told = (np.arange(1, frames + 1) * MEL_SPEC.hop - LATE) / RATE
    voiced = f0 > 0.0
    if not voiced.any():
        return np.full(frames, REST_HZ, np.float32), np.zeros(frames, np.float32)
    pitch = np.exp(np.interp(told, times[voiced], np.log(f0[voiced])))
    return pitch.astype(np.float32), (np.interp(told, times, voiced) > 0.5).astype(np.float32)


def save(cache: Path, sentence: Sentence) -> None:
    """Write a sentence into a cache."""
    half = {name: value.astype(np.float16) for name, value in vars(sentence).items() if name in ("mel", "voicing")}
    with whole_file(cache / FOLDER / f"{sentence.name}.npz") as file:
        np.savez(file, **{name: value for name, value in (vars(sentence) | half).items() if name != "name"})


def read_sentences(cache: Path, *, held: bool = False) -> list[Sentence]:
    """Return what is to be trained on, or what is held out.

    Raises: ParameterError if nothing is prepared.
    """
    paths = [p for p in sorted((cache / FOLDER).glob("*.npz")) if p.name.startswith(HELD) == held]
    if not paths and not held:
        raise ParameterError(f"{cache / FOLDER}: no prepared sentences; run `python -m export prepare` first")
    return [Sentence(path.stem, **np.load(path)) for path in paths]
