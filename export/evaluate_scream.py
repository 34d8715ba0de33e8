"""Measure a shipped `scream` on sentences and on speakers that it never trained on, beside the plain recipe.

Each voice is screamed by the model at several intensities and styles, frame by frame, resynthesised with Griffin-Lim
offline, and compared with the scream synthesised from the same voice, with ANGUS's amplitude modulation, and with the
voice itself. Out: figures, and a picture per group of voices. Runs in the caller's thread. Read next: `measures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.evaluate import show_spectrograms
from export.measures import frechet_distance, harmonic_to_noise_db, modulation_db, syllable_correlation
from export.recipe import Recipe
from export.recordings.library import RATE, read_mono
from export.recordings.pairs import voice_files
from export.recordings.screams import HOP, Voice, angus, draw_manner, look_at, scream
from export.resynthesis import resynthesise
from export.spectra import mel_of, pad_late
from export.verify import Graph
from rtvox.errors import ParameterError
from rtvox.features import Array, FeatureSpec, mfcc
from rtvox.model_file import ModelFile, load_model

VOICES = 9  # per group; with four, a Frechet distance hangs on which four
INTENSITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
STYLES = {"growl": 0.0, "scream": 1.0, "shriek": 2.0}
ACTIVE_DB = -45.0  # frames this far below the loudest are not compared


def evaluate_scream(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Print all figures of a shipped `scream`, return the worst of each kind over groups and styles, write pictures.

    `cache` is what every kind of model is given; here the recordings themselves are measured on.
    Raises: ParameterError if there is nothing to measure on, ModelFileError if the model cannot be used.
    """
    file = load_model(model)
    groups = {"sentences": recipe.pairs.sentences, "speakers": recipe.pairs.speakers}
    figures = dict[str, float]()
    for group, patterns in groups.items():
        voices = held_out_voices(folders, patterns, recipe.seed)
        if not voices:
            raise ParameterError(
                f"{group} = {list(patterns)} in [pairs]: no sound files; mend the recipe or give --data"
            )
        measured = _measure(file, voices, recipe.seed, pictures / f"{recipe.name}-{group}.png")
        figures |= {f"{group}_{name}": value for name, value in measured.items()}
    print("\n".join(f"{name:40} {value:8.2f}" for name, value in figures.items()))
    silence = convert(file, np.zeros(RATE, np.float32))
    return summary(figures) | {"silence_peak_db": float(20.0 * np.log10(np.abs(silence).max() + 1e-9))}


def summary(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the worst figure of each kind, as the manifest holds them, of those at full intensity."""

    def of(part: str) -> dict[str, float]:
        return {name: value for name, value in figures.items() if part in name}

    rough = of("_modulation_as_")
    return {
        "hnr_voice_db": min(of("_hnr_voice_db").values()),
        "hnr_db": max(of("_hnr_as_").values()),
        "modulation_from_target_db": max(abs(v - figures[n.replace("_as_", "_target_")]) for n, v in rough.items()),
        "syllable_correlation": min(of("_syllables_as_").values()),
        "frechet_part": max(of("_frechet_as_").values()),
        "reconstruction_db": max(of("_reconstruction_db").values()),
    }


def held_out_voices(folders: Sequence[Path], patterns: Sequence[str], seed: int) -> list[Voice]:
    """Draw up to VOICES analysed takes of the files that match, as many of each pattern."""
    rng, voices = np.random.default_rng(seed), list[Voice]()
    for pattern in patterns:
        files = list(voice_files(folders, [pattern]))
        for i in rng.permutation(len(files))[: -(-VOICES // len(patterns))]:
            voice = look_at(read_mono(files[i][1]))
            if np.count_nonzero(voice.f0) > 50:
                voices.append(voice)
    return voices[:VOICES]


def convert(file: ModelFile, sound: Array, **controls: float) -> Array:
    """Return (N,) what a model makes of (N,) samples, frame by frame, resynthesised and aligned with the input."""
    spec = file.manifest.features
    return resynthesise(Graph(file.data, **_defaults(file) | controls).run(_frames(sound, spec)), spec)[: len(sound)]


def _defaults(file: ModelFile) -> dict[str, float]:
    return {control.name: control.default for control in file.manifest.controls}


def _frames(sound: Array, spec: FeatureSpec) -> Array:
    """Log-mel (T, M) of (N,) samples, with as many frames after its end as still overlap it."""
    return mel_of(pad_late(sound, spec.n_fft - spec.hop, spec.hop), spec)


def _measure(file: ModelFile, voices: Sequence[Voice], seed: int, picture: Path) -> dict[str, float]:
    """Return the figures of one group of voices."""
    spec = file.manifest.features
    rng = np.random.default_rng(seed)
    sounds: dict[str, list[Array]] = {}

    def add(name: str, sound: Array) -> None:
        sounds.setdefault(name, []).append(sound)

    for voice in voices:
        clean = voice.samples
        add("voice", clean)
        add("angus", angus(voice))
        add("mel_of_voice", resynthesise(_frames(clean, spec), spec)[: len(clean)])
        for intensity in INTENSITIES:
            add(f"at_{intensity:g}", convert(file, clean, intensity=intensity, style=1.0))
        for named, style in STYLES.items():
            add(f"target_{named}", scream(voice, draw_manner(style, rng), 1.0))
            add(f"as_{named}", sounds["at_1"][-1] if style == 1.0 else convert(file, clean, intensity=1.0, style=style))
    active = [_voiced(voice) for voice in voices]

    def harmonic(name: str) -> float:
        frames = [harmonic_to_noise_db(s)[: len(a)][a] for s, a in zip(sounds[name], active, strict=True)]
        return float(np.median(np.concatenate(frames)))

    def rough(name: str) -> float:
        return float(np.mean([modulation_db(s, a) for s, a in zip(sounds[name], active, strict=True)]))

    def syllables(name: str) -> float:
        pairs = zip(sounds[name], sounds["voice"], strict=True)
        return float(np.mean([syllable_correlation(sound, clean) for sound, clean in pairs]))

    def cepstra(name: str) -> Array:
        frames = [_frames(sound, spec) for sound in sounds[name]]
        kept = [f[f.max(1) > f.max() + ACTIVE_DB / 20.0 * np.log(10.0)] for f in frames]
        return mfcc(np.concatenate(kept), spec)

    figures = {"hnr_voice_db": harmonic("voice"), "hnr_angus_db": harmonic("angus")}
    figures |= {f"hnr_{name}_db": harmonic(name) for name in sounds if name.startswith(("at_", "as_", "target_"))}
    figures |= {f"modulation_{name}_db": rough(name) for name in sounds if not name.startswith("at_") or name == "at_0"}
    figures |= {f"syllables_{name}": syllables(name) for name in sounds if name.startswith(("as_", "angus", "target"))}
    far = {style: frechet_distance(cepstra("voice"), cepstra(f"target_{style}")) for style in STYLES}
    for named, distance in far.items():
        figures[f"frechet_as_{named}"] = frechet_distance(cepstra(f"as_{named}"), cepstra(f"target_{named}")) / distance
        figures[f"frechet_angus_{named}"] = frechet_distance(cepstra("angus"), cepstra(f"target_{named}")) / distance
    figures["reconstruction_db"] = float(
        np.mean([_log_distance_db(a, b, spec) for a, b in zip(sounds["at_0"], sounds["voice"], strict=True)])
    )
    shown = ("voice", "at_0", "at_0.5", "as_growl", "as_scream", "as_shriek", "target_scream", "angus")
    show_spectrograms(picture, {name: sounds[name][0] for name in shown})
    return figures


def _voiced(voice: Voice) -> np.ndarray:
    """Say of each 10 ms whether the voice is voiced there."""
    frames = np.arange(0, len(voice.samples), RATE // 100) // HOP
    flags: np.ndarray = (voice.f0 > 0)[np.minimum(frames, len(voice.f0) - 1)]
    return flags


def _log_distance_db(sound: Array, other: Array, spec: FeatureSpec) -> float:
    """Return the root mean square difference of two sounds' mel bands in dB, where either can be heard."""
    a, b = (_frames(s, spec) for s in (sound, other))
    heard = np.maximum(a, b) > max(a.max(), b.max()) - 7.0
    return float(20.0 / np.log(10.0) * np.sqrt(np.mean((a - b)[heard] ** 2)))
