"""Measure a vocoder by copy synthesis of recordings it never heard, beside Griffin-Lim from the same log-mel.

Each held-out clip is made again by the model, frame by frame, once more with time to wait if it leaves phases to
Griffin-Lim, by the one called `vocoder` that lies beside it (if that is another), by the live Griffin-Lim (`rtvox
convert`, in a process of its own: nothing that runs live is imported here) and by librosa's with 100 iterations, and
compared with itself. Out: a table per kind of sound, and a picture of one clip of each. Runs in the caller's thread.
Read next: `measures.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
from rtvox.griffin_lim import LOOK_AHEAD, MAX_ITERATIONS, GriffinLim
from rtvox.model_file import ModelFile, load_model
from rtvox.pitch import CONDITIONS, track

KINDS = {
    "voice": ("voice-spoken",),
    "crowd": ("voice-crowd",),
    "singing": ("voice-song", "voice-sung"),
    "scream": ("scream",),
    "violin": ("violin",),
}
SPOKEN = "voice", "crowd"  # the kinds that PESQ and STOI are made for
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

    Measured are the KINDS of which the recipe has a group. `load` of the table is the processor's time per second of
    sound, of the live Griffin-Lim with the start of its process. `folders` is what every kind of model is given; here
    what was held out lies in the cache.
    Raises: ParameterError if there is nothing to measure on, ModelFileError if a model cannot be used.
    """
    file = load_model(model)
    spec, beside = file.manifest.features, model.with_name("vocoder.onnx")
    ways: dict[str, Callable[[list[Array]], list[Array]]] = {model.stem: partial(_by, file)}
    if file.manifest.resynthesis == "griffin-lim":
        ways[f"{model.stem}, patient"] = partial(_patiently, file)
    if beside.exists():
        ways.setdefault(beside.stem, partial(_by, load_model(beside)))
    ways["live Griffin-Lim"] = partial(convert_live, model="none", resynthesis="griffin-lim")
    ways[f"librosa {LIBROSA_ITERATIONS}"] = partial(_offline, spec)
    held = read_clips(recipe.clips, cache)[1]
    figures, own = dict[str, dict[str, float]](), dict[str, dict[str, float]]()
    for kind, groups in KINDS.items():
        if not set(groups) & set(recipe.clips.groups):
            continue
        sounds = choose([clip for clip in held if clip.group in groups])
        if not sounds:
            raise ParameterError(f"{cache}: nothing held out of {', '.join(groups)}; prepare more, or mend [clips]")
        shown = {"original": sounds[0]}
        for way, copy in ways.items():
            begin = sum(os.times()[:4])
            copies = copy(sounds)
            load = (sum(os.times()[:4]) - begin) * RATE / sum(map(len, sounds))
            rows = [compare(a, b, spec, kind in SPOKEN) for a, b in zip(sounds, copies, strict=True)]
            row = {n: float(np.mean([r[n] for r in rows if n in r])) for n in _names(rows)}
            if way == model.stem:
                own[kind] = row
            figures[f"{kind}, {way}"] = row | {"load": load}
            shown[way] = copies[0]
        show_spectrograms(pictures / f"{recipe.name}-{kind}.png", shown)
    print(table(figures))
    silence = vocode(file, np.zeros(2 * RATE, np.float32))
    others = {
        f"{kind}_{name}": value
        for kind, row in own.items()
        for name, value in row.items()
        if kind != "voice" and name in ("pesq", "mel_distance", "pitch_cents")
    }
    return own.get("voice", {}) | others | {"silence_peak_db": float(20.0 * np.log10(np.abs(silence).max() + 1e-9))}


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


def vocode(file: ModelFile, sound: Array, griffin_lim: GriffinLim | None = None) -> Array:
    """Return (N,) what a vocoder makes of the log-mel and pitch of (N,) samples, frame by frame, aligned with them.

    `griffin_lim`: see `vocode_frames`.
    """
    spec = file.manifest.features
    padded = pad_late(sound, spec.n_fft + (LOOK_AHEAD[1] - 1) * spec.hop, spec.hop)
    told = dict(zip(CONDITIONS, track(padded, spec).T, strict=True)) if file.manifest.conditions else {}
    return vocode_frames(file, mel_of(padded, spec), told, griffin_lim)[: len(sound)]


def _by(file: ModelFile, sounds: Sequence[Array]) -> list[Array]:
    return [vocode(file, sound) for sound in sounds]


def _patiently(file: ModelFile, sounds: Sequence[Array]) -> list[Array]:
    """Wait and search for as long as the controls allow: 21 ms later than live."""
    spec, longest = file.manifest.features, LOOK_AHEAD[1]
    return [vocode(file, x, GriffinLim(spec, look_ahead=longest, iterations=MAX_ITERATIONS)) for x in sounds]


def _offline(spec: FeatureSpec, sounds: Sequence[Array]) -> list[Array]:
    late = spec.n_fft - spec.hop
    mels = [mel_of(pad_late(sound, late, spec.hop), spec) for sound in sounds]
    return [resynthesise(mel, spec, LIBROSA_ITERATIONS)[: len(sound)] for mel, sound in zip(mels, sounds, strict=True)]


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
