"""Measure a shipped `timbre` on singing and speech it never heard: how it follows, and what it sounds like.

Each voice is moved to every domain by the model, frame by frame, at the octave nearest to the domain's own range, and
made sound by the vocoder beside the model file, or by librosa's Griffin-Lim where there is none. Out: figures per
domain, and a picture. Runs in the caller's thread. Read next: `timbre_measures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from export.evaluate import show_spectrograms
from export.measures import frechet_distance
from export.recipe import Recipe
from export.recordings.domains import Part, level, read_domains
from export.recordings.library import RATE, read_mono
from export.recordings.pairs import voice_files
from export.resynthesis import resynthesise, vocode_frames
from export.spectra import mel_of, pad_late
from export.tasks.timbre import middle_of
from export.timbre_measures import (
    confusion,
    embed,
    loudness_correlation,
    onset_distances_ms,
    pitch_kept,
    seconds,
    train_classifier,
)
from export.verify import Graph
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.model_file import ModelFile, load_model
from rtvox.pitch import CONDITIONS, HIGH_HZ, LOW_HZ, track

CLIPS = 6  # of each kind of voice
CLIP_S = 8.0  # the loudest such stretch of each
TRAINED = 12  # parts of each domain that the classifier is trained on, and to which distances are measured
HOP = MEL_SPEC.hop


def evaluate_timbre(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Print the figures of every domain and return those for the manifest: the worst domain's, and the first's.

    Raises: ParameterError if there is nothing to measure on, ModelFileError if the model cannot be used.
    """
    file = load_model(model)
    names = file.manifest.domains
    vocoder = _vocoder(model)
    voices = {kind: _clips(patterns, folders, recipe.seed) for kind, patterns in recipe.measured.items()}
    parts = read_domains(cache, names)
    trained = {name: _mels(parts[name]) for name in names}
    unseen = {name: _mels(parts) or trained[name] for name, parts in read_domains(cache, names, held=True).items()}
    classifier = train_classifier(trained)
    figures, made = dict[str, float](), dict[tuple[str, str], list[Array]]()
    for name in names:
        figures[f"{name}_called_right"] = _called(classifier, unseen[name], name)
        for kind, clips in voices.items():
            middle = middle_of(np.concatenate([part.frames()[1] for part in parts[name][:TRAINED]]))
            octaves = [float(np.clip(round(middle - middle_of(track(clip))), -2, 2)) for clip in clips]
            sounds = [
                convert(file, clip, vocoder, domain=float(names.index(name)), octave=octave)
                for clip, octave in zip(clips, octaves, strict=True)
            ]
            made[kind, name] = sounds
            loud = [loudness_correlation(*pair) for pair in zip(clips, sounds, strict=True)]
            kept = [pitch_kept(*pair) for pair in zip(clips, sounds, octaves, strict=True)]
            onsets = [ms for pair in zip(clips, sounds, strict=True) for ms in onset_distances_ms(*pair)]
            target = np.concatenate([embed(mel) for mel in unseen[name]])
            near, far = (np.concatenate([embed(mel_of(sound)) for sound in group]) for group in (sounds, clips))
            figures |= {
                f"{kind}_{name}_pitch_kept": sum(a for a, _ in kept) / max(1, sum(b for _, b in kept)),
                f"{kind}_{name}_loudness": float(np.mean(loud)),
                f"{kind}_{name}_onset_ms": float(np.median(onsets)) if onsets else float("inf"),
                f"{kind}_{name}_frechet_part": frechet_distance(near, target) / frechet_distance(far, target),
                f"{kind}_{name}_called": _called(classifier, [mel_of(sound) for sound in sounds], name),
            }
    figures |= _stays_quiet(file, vocoder)
    print("\n".join(f"{name:40} {value:8.3f}" for name, value in figures.items()))
    heard = {f"real {name}": mels for name, mels in unseen.items()}
    heard |= {f"{kind} {name}": [mel_of(sound) for sound in sounds] for (kind, name), sounds in made.items()}
    print(confusion(classifier, heard))
    kind = next(iter(voices))
    shown = {"voice": voices[kind][0]} | {f"as {name}": made[kind, name][0] for name in names}
    show_spectrograms(pictures / f"{recipe.name}-{kind}.png", shown)
    return summary(figures, names[0], list(voices))


def summary(figures: dict[str, float], first: str, kinds: Sequence[str]) -> dict[str, float]:
    """Return the figures of the first domain, as the manifest holds them."""
    wanted = [f"{kind}_{first}_" for kind in kinds]
    return {name: value for name, value in figures.items() if name.startswith((*wanted, "silence", "after"))}


def convert(file: ModelFile, sound: Array, vocoder: ModelFile | None, **controls: float) -> Array:
    """Return (N,) what a model makes of (N,) samples, frame by frame, made sound, and aligned with the input."""
    padded = pad_late(sound, MEL_SPEC.n_fft - HOP, HOP)
    told = dict(zip(CONDITIONS, track(padded).T, strict=True))
    defaults = {control.name: control.default for control in file.manifest.controls}
    mel = Graph(file.data, **defaults | controls).run(mel_of(padded), **{n: told[n] for n in file.manifest.conditions})
    if vocoder is None:
        return resynthesise(mel, MEL_SPEC)[: len(sound)]
    told["pitch"] = np.clip(told["pitch"] * np.float32(2.0 ** controls.get("octave", 0.0)), LOW_HZ, HIGH_HZ)
    return vocode_frames(vocoder, mel, told)[: len(sound)]


def _vocoder(model: Path) -> ModelFile | None:
    """Return the vocoder in the folder of a model, if there is one that works."""
    try:
        return load_model(model.parent / "vocoder.onnx")
    except ModelFileError:
        return None


def _clips(patterns: Sequence[str], folders: Sequence[Path], seed: int) -> list[Array]:
    files = list(voice_files(folders, patterns))
    if not files:
        raise ParameterError(f"{list(patterns)} in [measured]: no sound files; mend the recipe or give --data")
    order = np.random.default_rng(seed).permutation(len(files))[:CLIPS]
    return [_loudest(level(read_mono(files[i][1]))) for i in order]


def _loudest(sound: Array) -> Array:
    """Return the stretch of CLIP_S with the most energy."""
    size = round(CLIP_S * RATE)
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    starts = np.arange(0, max(1, len(sound) - size), RATE // 10)
    best = int(starts[np.argmax(energy[np.minimum(starts + size, len(sound))] - energy[starts])])
    return sound[best : best + size]


def _mels(parts: Sequence[Part]) -> list[Array]:
    return [part.frames()[0] for part in parts[:TRAINED]]


def _called(classifier: Pipeline, mels: Sequence[Array], name: str) -> float:
    """Return which part of the seconds of (T, M) log-mel a classifier calls by this name."""
    rows = np.concatenate([seconds(mel) for mel in mels])
    return float(np.mean(classifier.predict(rows) == name)) if len(rows) else float("nan")


def _stays_quiet(file: ModelFile, vocoder: ModelFile | None) -> dict[str, float]:
    """Return the peak in dB that silence is given, and of the second after a noise, where a stuck tone would be."""
    noise = 0.1 * np.random.default_rng(440).standard_normal(RATE).astype(np.float32)
    silence = np.zeros(RATE, np.float32)
    peaks = convert(file, silence, vocoder), convert(file, np.concatenate([noise, silence, silence]), vocoder)[-RATE:]
    silent, after = (20.0 * np.log10(float(np.abs(peak).max()) + 1e-9) for peak in peaks)
    return {"silence_peak_db": silent, "after_noise_peak_db": after}
