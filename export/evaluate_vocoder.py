"""Measure a vocoder by copy synthesis of recordings it never heard, beside Griffin-Lim from the same log-mel.

Each held-out clip is made again by the model, frame by frame, by the live Griffin-Lim (`rtvox convert`, in a process of
its own: nothing that runs live is imported here) and by librosa's with 100 iterations, and compared with itself. Out: a
table per kind of sound, and a picture of one clip of each. Runs in the caller's thread. Read next: `measures.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyworld
import soxr
import torch
from pesq import pesq
from pystoi import stoi

from export.evaluate import show_spectrograms
from export.recipe import Recipe
from export.recordings.clips import Clip, read_clips
from export.recordings.library import RATE
from export.resynthesis import convert_live, resynthesise, vocode_frames
from export.spectra import analyze, mel_of, pad_late
from rtvox.errors import ParameterError
from rtvox.features import Array, FeatureSpec, mfcc
from rtvox.model_file import ModelFile, load_model
from rtvox.pitch import CONDITIONS, track

KINDS = {
    "voice": ("voice-spoken", "voice-crowd"),
    "singing": ("voice-song", "voice-sung"),
    "scream": ("scream",),
    "violin": ("violin",),
}
SPOKEN = "voice"  # the kind that PESQ and STOI are made for
CLIPS, SECONDS = 10, 3.0  # of each kind
ACTIVE = 5.8  # nat, 50 dB: bands and bins this far below a clip's loudest are not compared
QUIETEST_DB = -45.0  # rms of a clip that is worth measuring
LIBROSA_ITERATIONS = 100
SPEECH_RATE = 16000  # Hz, of PESQ and STOI
CEPSTRA = 25  # of MCD, the zeroth left out
F0_HZ = 65.0, 1000.0  # that are looked for, in both
MCD_SCALE = 10.0 / np.log(10.0) * 2.0**0.5  # of cosine series of log-magnitude in nat, Kubichek 1993


def evaluate_vocoder(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Print the table of copy synthesis, return the model's own figures of voices and what is worst, write pictures.

    `folders` is what every kind of model is given; here what was held out lies in the cache.
    Raises: ParameterError if there is nothing to measure on, ModelFileError if the model cannot be used.
    """
    file = load_model(model)
    held = read_clips(recipe.clips, cache)[1]
    figures: dict[str, dict[str, float]] = {}
    originals = {kind: choose([clip for clip in held if clip.group in groups]) for kind, groups in KINDS.items()}
    for kind, groups in KINDS.items():
        if not originals[kind]:
            raise ParameterError(f"{cache}: nothing held out of {', '.join(groups)}; prepare more, or mend [clips]")
    every = [sound for sounds in originals.values() for sound in sounds]
    live = iter(convert_live(every, "none", resynthesis="griffin-lim"))
    for kind, sounds in originals.items():
        ways = {
            "vocoder": [vocode(file, sound) for sound in sounds],
            "live Griffin-Lim": [next(live) for _ in sounds],
            f"librosa {LIBROSA_ITERATIONS}": [_offline(sound, file.manifest.features) for sound in sounds],
        }
        for way, copies in ways.items():
            rows = [compare(a, b, file.manifest.features, kind == SPOKEN) for a, b in zip(sounds, copies, strict=True)]
            figures[f"{kind}, {way}"] = {n: float(np.mean([r[n] for r in rows if n in r])) for n in _names(rows)}
        shown = {"original": sounds[0]} | {way: copies[0] for way, copies in ways.items()}
        show_spectrograms(pictures / f"{recipe.name}-{kind}.png", shown)
    print(table(figures))
    silence = vocode(file, np.zeros(2 * RATE, np.float32))
    own = {kind: figures[f"{kind}, vocoder"] for kind in KINDS}
    others = {
        f"{kind}_{name}": value
        for kind, row in own.items()
        for name, value in row.items()
        if kind != SPOKEN and name in ("mel_distance", "pitch_cents")
    }
    return own[SPOKEN] | others | {"silence_peak_db": float(20.0 * np.log10(np.abs(silence).max() + 1e-9))}


def choose(clips: Sequence[Clip]) -> list[Array]:
    """Return up to CLIPS stretches of SECONDS that hold sound, as many of each recording."""
    length, found = round(SECONDS * RATE), list[list[Array]]()
    for clip in clips:
        whole = clip.cut(0, len(clip.measures))[0]
        pieces = [whole[i : i + length] for i in range(0, len(whole) - length + 1, length)]
        found.append([p for p in pieces if 10.0 * np.log10(np.mean(p**2) + 1e-12) > QUIETEST_DB])
    depth = max(map(len, found), default=0)
    in_turns = [pieces[i] for i in range(depth) for pieces in found if i < len(pieces)]
    return in_turns[:CLIPS]


def vocode(file: ModelFile, sound: Array) -> Array:
    """Return (N,) what a vocoder makes of the log-mel and pitch of (N,) samples, frame by frame, aligned with them."""
    spec = file.manifest.features
    padded = pad_late(sound, spec.n_fft - spec.hop, spec.hop)
    told = dict(zip(CONDITIONS, track(padded, spec).T, strict=True))
    return vocode_frames(file, mel_of(padded, spec), told)[: len(sound)]


def _offline(sound: Array, spec: FeatureSpec) -> Array:
    mel = mel_of(pad_late(sound, spec.n_fft - spec.hop, spec.hop), spec)
    return resynthesise(mel, spec, LIBROSA_ITERATIONS)[: len(sound)]


def _names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    return list({name: None for row in rows for name in row})


def compare(sound: Array, copy: Array, spec: FeatureSpec, spoken: bool) -> dict[str, float]:
    """Return how far a copy (N,) is from a sound (N,); a figure for which there is nothing to compare is left out.

    `lsd_db`: root mean square over bins of the distance of log spectra, mean over frames; `mel_distance`: mean L1 of
    log-mel, nat; `mcd_db`: mel-cepstral distance; `pesq` wide-band and `stoi`, of speech; `pitch_cents`: median error
    where both are voiced; `voicing_error`: part of the frames that only one of them has voiced.
    """
    frames = min(len(sound), len(copy)) // spec.hop * spec.hop
    sound, copy = sound[:frames], copy[:frames]
    mels = [mel_of(x, spec) for x in (sound, copy)]
    active = mels[0].max(1) > mels[0].max() - ACTIVE
    a, b = (mel[active] for mel in mels)
    spectra = [_log_spectrum(x, spec)[active] for x in (sound, copy)]
    heard = np.maximum(*spectra) > max(s.max() for s in spectra) - 20.0 * ACTIVE / np.log(10.0)
    squares = np.where(heard, (spectra[0] - spectra[1]) ** 2, 0.0).sum(1) / np.maximum(heard.sum(1), 1)
    cepstra = [mfcc(mel, replace(spec, n_mfcc=CEPSTRA))[:, 1:] * (2.0 / spec.n_mels) ** 0.5 for mel in (a, b)]
    out = {
        "lsd_db": float(np.sqrt(squares).mean()),
        "mel_distance": float(np.abs(a - b).mean()),
        "mcd_db": float(MCD_SCALE * np.sqrt(((cepstra[0] - cepstra[1]) ** 2).sum(1)).mean()),
    }
    if spoken:
        low = [soxr.resample(x, RATE, SPEECH_RATE) for x in (sound, copy)]
        out |= {"pesq": float(pesq(SPEECH_RATE, *low, "wb")), "stoi": float(stoi(*low, SPEECH_RATE))}
    f0, other = (_f0(x) for x in (sound, copy))
    both = (f0 > 0) & (other > 0)
    cents = 1200.0 * np.abs(np.log2(other[both] / f0[both]))
    if len(cents):
        out["pitch_cents"] = float(np.median(cents))
    out["voicing_error"] = float(np.mean((f0 > 0) != (other > 0)))
    return out


def _log_spectrum(sound: Array, spec: FeatureSpec) -> np.ndarray:
    power = analyze(torch.from_numpy(np.ascontiguousarray(sound))[None], spec)[0].square().sum(-1)
    return 10.0 * torch.log10(power + 1e-9).numpy()


def _f0(sound: Array) -> np.ndarray:
    """Return the pitch every 5 ms in Hz, 0 where unvoiced: not the tracker that drives the vocoder, so a fair judge."""
    x = sound.astype(np.float64)
    f0, times = pyworld.dio(x, RATE, f0_floor=F0_HZ[0], f0_ceil=F0_HZ[1])
    return pyworld.stonemask(x, f0, times, RATE)


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return rows of figures as a Markdown table."""
    columns = _names(figures.values())
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in figures.items():
        lines.append(f"| {name} | {' | '.join(f'{row[c]:.3g}' if c in row else '' for c in columns)} |")
    return "\n".join(lines)
