"""Measure a shipped `timbre` on singing and speech it never heard: how it follows, and what it sounds like.

Each voice is moved to every domain by the live path, as the model's manifest has it made sound, at the octave nearest
to the domain's own range. Out: figures per domain, and pictures. Runs in the caller's thread; the live path in
processes of its own. Read next: `timbre_measures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from export.evaluate import show_spectrograms
from export.measures import frechet_distance
from export.networks.timbre import NAT
from export.recipe import Recipe
from export.recordings.domains import Domain, Part, level, read_domains
from export.recordings.library import RATE, read_mono
from export.recordings.pairs import voice_files
from export.resynthesis import convert_live
from export.spectra import mel_of
from export.tasks.timbre import middle_of
from export.timbre_measures import (
    confusion,
    embed_all,
    loudness_correlation,
    onset_distances_ms,
    pitch_kept,
    pitch_of,
    seconds,
    train_classifier,
    vggish_distance,
)
from export.verify import Graph
from rtvox.errors import ParameterError
from rtvox.features import Array
from rtvox.model_file import ModelFile, load_model
from rtvox.pitch import track

CLIPS = 4  # of each kind of voice
CLIP_S = 8.0  # the loudest such stretch of each
TRAINED = 12  # parts of each domain that the classifier is trained on, and to which distances are measured
ROUND_TRIP = 2500  # frames of each domain, 13 s


def evaluate_timbre(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Print the figures of every domain and return those for the manifest: the first domain's.

    Raises: ParameterError if there is nothing to measure on, ModelFileError if the model cannot be used.
    """
    file = load_model(model)
    names = file.manifest.domains
    voices = {kind: _clips(patterns, folders, recipe.seed) for kind, patterns in recipe.measured.items()}
    heard = {kind: [pitch_of(clip) for clip in clips] for kind, clips in voices.items()}
    parts, held = read_domains(cache, names), read_domains(cache, names, held=True)
    unseen = {name: held[name] or parts[name] for name in names}
    classifier = train_classifier({name: _mels(parts[name]) for name in names})
    table = {f"real {name}": _mels(unseen[name]) for name in names}
    figures, made = dict[str, float](), dict[tuple[str, str], list[Array]]()
    for i, name in enumerate(names):
        target, trained = embed_all(_mels(unseen[name])), embed_all(_mels(parts[name]))
        middle = middle_of(np.concatenate([part.frames()[1] for part in parts[name][:TRAINED]]))
        figures[f"{name}_called_right"] = called(classifier, _mels(unseen[name]), name)
        trip = round_trip(file, name, names[0 if i else 1], unseen[name][0])
        figures |= {f"{name}_{what}": value for what, value in trip.items()}
        for kind, clips in voices.items():
            octaves = [round(np.clip(middle - middle_of(track(clip)), -2, 2)) for clip in clips]
            sounds = made[kind, name] = move(model, clips, name, octaves)
            pairs = list(zip(clips, sounds, strict=True))
            kept = [pitch_kept(a, pitch_of(b), o) for a, b, o in zip(heard[kind], sounds, octaves, strict=True)]
            onsets = [ms for pair in pairs for ms in onset_distances_ms(*pair)]
            mels = table[f"{kind} as {name}"] = [mel_of(sound) for sound in sounds]
            voice = frechet_distance(embed_all([mel_of(clip) for clip in clips]), target)
            figures |= {
                f"{kind}_{name}_pitch_kept": sum(a for a, _ in kept) / max(1, sum(b for _, b in kept)),
                f"{kind}_{name}_loudness": float(np.mean([loudness_correlation(*pair) for pair in pairs])),
                f"{kind}_{name}_onset_ms": float(np.median(onsets)) if onsets else float("inf"),
                f"{kind}_{name}_frechet_part": frechet_distance(embed_all(mels), target) / voice,
                f"{kind}_{name}_frechet_part_of_real": frechet_distance(trained, target) / voice,
                f"{kind}_{name}_called": called(classifier, mels, name),
            }
    figures |= _vggish(recipe.domains[names[0]], [x for kind in voices for x in made[kind, names[0]]], folders)
    figures |= _stays_quiet(model)
    print("\n".join(f"{name:40} {value:8.3f}" for name, value in figures.items()))
    print(confusion(classifier, table))
    for kind, clips in voices.items():
        shown = {kind: clips[0]} | {f"as {name}": made[kind, name][0] for name in names}
        show_spectrograms(pictures / f"{recipe.name}-{kind}.png", shown)
    return summary(figures, names[0], list(voices))


def summary(figures: dict[str, float], first: str, kinds: Sequence[str]) -> dict[str, float]:
    """Return the figures of the first domain, as the manifest holds them."""
    wanted = [f"{first}_", *(f"{kind}_{first}_" for kind in kinds), "silence", "after", "fad"]
    return {name: value for name, value in figures.items() if name.startswith(tuple(wanted))}


def move(model: Path, clips: Sequence[Array], domain: str, octaves: Sequence[int]) -> list[Array]:
    """Return what the live path makes of each clip (N,) in a domain, moved by octaves of its own.

    Raises: AudioFileError if it fails.
    """
    made = dict[int, Array]()
    for octave in set(octaves):
        chosen = [i for i, own in enumerate(octaves) if own == octave]
        sounds = convert_live([clips[i] for i in chosen], model, domain=domain, octave=octave)
        made |= dict(zip(chosen, sounds, strict=True))
    return [made[i] for i in range(len(clips))]


def round_trip(file: ModelFile, own: str, other: str, part: Part) -> dict[str, float]:
    """Return how far frames of a domain are from themselves, rebuilt and by way of another domain; at their own pitch.

    `rebuilt_db` and `cycle_db`: mean distance of log-mel. `latent`: of the latents of what was made to those of what it
    was made from, as a part of how far the latter are from each other; 1 would be chance.
    """
    mel, told = (x[:ROUND_TRIP] for x in part.frames())
    again, latents = _through(file, mel, told, own)
    there, _ = _through(file, mel, told, other)
    back, heard = _through(file, there, told, own)
    return {
        "rebuilt_db": float(np.abs(again - mel).mean()) / NAT,
        "cycle_db": float(np.abs(back - mel).mean()) / NAT,
        "latent": float(np.sqrt(np.mean((heard - latents) ** 2) / (2.0 * latents.var(0).mean()))),
    }


def _through(file: ModelFile, mel: Array, told: Array, domain: str) -> tuple[Array, Array]:
    """Return (T, M) log-mel of a domain and (T, L) latents of what it was made from."""
    defaults = {control.name: control.default for control in file.manifest.controls}
    graph = Graph(file.data, **defaults | {"domain": float(file.manifest.domains.index(domain))})
    made, latents = list[Array](), list[Array]()
    for t in range(len(mel)):
        conditions = {name: told[t : t + 1, i] for i, name in enumerate(file.manifest.conditions)}
        made.append(graph.run(mel[t : t + 1], **conditions))
        latents.append(graph.state("held"))
    return np.concatenate(made), np.concatenate(latents)


def called(classifier: Pipeline, mels: Sequence[Array], name: str) -> float:
    """Return which part of the seconds of (T, M) log-mel a classifier calls by this name."""
    rows = np.concatenate([seconds(mel) for mel in mels])
    return float(np.mean(classifier.predict(rows) == name)) if len(rows) else float("nan")


def _vggish(domain: Domain, made: Sequence[Array], folders: Sequence[Path]) -> dict[str, float]:
    """Return the standard Frechet audio distance to unseen recordings of a domain, if it can be had."""
    most = round(CLIPS * CLIP_S * RATE)
    real = [level(read_mono(path))[:most] for _, path in voice_files(folders, domain.held)]
    try:
        return {"fad_vggish": vggish_distance(real, made)}
    except ParameterError as error:
        print(f"Frechet audio distance on VGGish not measured: {error}")
        return {}


def _clips(patterns: Sequence[str], folders: Sequence[Path], seed: int) -> list[Array]:
    files = list(voice_files(folders, patterns))
    if not files:
        raise ParameterError(f"{list(patterns)} in [measured]: no sound files; mend the recipe or give --data")
    order = np.random.default_rng(seed).permutation(len(files))[:CLIPS]
    return [level(_loudest(read_mono(files[i][1]))) for i in order]


def _loudest(sound: Array) -> Array:
    """Return the stretch of CLIP_S with the most energy."""
    size = round(CLIP_S * RATE)
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    starts = np.arange(0, max(1, len(sound) - size), RATE // 10)
    best = int(starts[np.argmax(energy[np.minimum(starts + size, len(sound))] - energy[starts])])
    return sound[best : best + size]


def _mels(parts: Sequence[Part]) -> list[Array]:
    return [part.frames()[0] for part in parts[:TRAINED]]


def _stays_quiet(model: Path) -> dict[str, float]:
    """Return the peak in dB that silence is given, and of the second after a noise, where a stuck tone would be."""
    noise = 0.1 * np.random.default_rng(440).standard_normal(RATE).astype(np.float32)
    silence = np.zeros(RATE, np.float32)
    silent, after = convert_live([silence, np.concatenate([noise, silence, silence])], model)
    found = {"silence_peak_db": silent, "after_noise_peak_db": after[-RATE:]}
    return {name: 20.0 * float(np.log10(np.abs(sound).max() + 1e-9)) for name, sound in found.items()}
