"""Takes made fit to learn from, as every voice cloning asks for: mono, one rate, trimmed, padded, level, listed.

In: a folder of recordings in any format of libsndfile, any rate, any channels. Out: `Take`s in memory, or a folder in
the form of LJSpeech: `wavs/NAME.wav` (16-bit mono) and `metadata.csv` (name|text|text). What cannot be used is set
aside and named. Offline; runs in the caller's thread. Read next: `own_pairs.py`.

Reference: Ito and Johnson 2017, "The LJ Speech Dataset".
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from export.recordings.effects import level
from export.recordings.library import RATE, SUFFIXES, read_mono
from rtvox.errors import AudioFileError, ParameterError
from rtvox.features import Array

STEP = RATE // 100  # samples over which loudness is judged
QUIET_DB = -45.0  # below the loudest 10 ms: silence
SILENT_DB = -70.0  # full scale: a take whose loudest 10 ms are quieter holds nothing
PAD_S = 0.1  # of silence kept or made at both ends
LEVEL_DB = -20.0  # rms
SHORTEST_S = 0.4  # of sound, after trimming
CLIPPED = 1e-3  # part of the samples at full scale from which a take is called clipped


@dataclass(frozen=True)
class Take:
    """A usable recording: (N,) at 48 kHz, at LEVEL_DB; `note` says what is not as it should be, or is empty."""

    name: str
    samples: Array
    note: str = ""


def read_takes(folder: Path) -> tuple[list[Take], dict[str, str]]:
    """Return the usable takes of a folder, sorted by name, and why others were set aside, by name.

    Raises: ParameterError if the folder is missing or holds no sound file.
    """
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise ParameterError(f"{folder}: no sound files ({', '.join(sorted(SUFFIXES))}); name a folder of takes")
    takes, aside = list[Take](), dict[str, str]()
    for path in files:
        try:
            takes.append(make_take(path.stem, read_mono(path)))
        except (AudioFileError, ParameterError) as error:
            aside[path.stem] = str(error)
    return takes, aside


def make_take(name: str, sound: Array) -> Take:
    """Trim, pad and level a sound (N,).

    Raises: ParameterError if it is silent or too short.
    """
    clipped = float(np.mean(np.abs(sound) >= 0.999)) if len(sound) else 0.0
    frames = np.resize(sound, (max(len(sound) // STEP, 1), STEP)) if len(sound) else np.zeros((1, STEP))
    loud_db = 10.0 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    if loud_db.max() < SILENT_DB:
        raise ParameterError(f"{name}: silent; record it again")
    heard = np.flatnonzero(loud_db > loud_db.max() + QUIET_DB)
    start, end = heard[0] * STEP, (heard[-1] + 1) * STEP
    if end - start < SHORTEST_S * RATE:
        raise ParameterError(f"{name}: {(end - start) / RATE:.2f} s of sound; needs {SHORTEST_S:g} s")
    pad = round(PAD_S * RATE)
    out = np.pad(sound[max(start - pad, 0) : end + pad], (max(pad - start, 0), max(end + pad - len(sound), 0)))
    fade = np.linspace(0.0, 1.0, pad // 2, dtype=np.float32)
    out = out.copy()
    out[: len(fade)] *= fade
    out[-len(fade) :] *= fade[::-1]
    note = f"clipped: {100 * clipped:.1f} % of its samples are at full scale" if clipped > CLIPPED else ""
    return Take(name, level(out, LEVEL_DB), note)


def read_texts(folder: Path) -> dict[str, str]:
    """Return what is said in each take, by name: from NAME.txt, or a metadata.csv with NAME|text in its lines."""
    texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in folder.glob("*.txt")}
    listing = folder / "metadata.csv"
    if listing.exists():
        with listing.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE) if len(row) > 1]
        texts = {row[0]: row[-1].strip() for row in rows} | texts
    return texts


def write_ljspeech(target: Path, takes: Sequence[Take], texts: Mapping[str, str], rate: int = RATE) -> None:
    """Write takes and what is said in them in the form of LJSpeech; a take without text has an empty one.

    Raises: AudioFileError if the folder cannot be written.
    """
    try:
        (target / "wavs").mkdir(parents=True, exist_ok=True)
        for take in takes:
            sound = take.samples if rate == RATE else soxr.resample(take.samples, RATE, rate)
            soundfile.write(target / "wavs" / f"{take.name}.wav", sound, rate, subtype="PCM_16")
        lines = [f"{take.name}|{texts.get(take.name, '')}|{texts.get(take.name, '')}\n" for take in takes]
        (target / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"cannot write {target}: {error}; choose another folder") from error
