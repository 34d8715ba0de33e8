"""Measure `accompany`, in training or as a shipped model file, on songs it never trained on.

The held-out song's voice, streamed from beginning to end: Frechet distance of the log-mel of what is made to that of
the real accompaniment, as a part of the voice's own; how the level follows the voice; peaks; silence; whether the
tempo and the key that are set can be found in what is made, beside another tempo and no key; and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from export.evaluate import show_spectrograms
from export.evaluate_isolate import filtered, songs_held_out, stream
from export.measures import frechet_distance
from export.networks.accompany import MODES, Accompany
from export.recipe import Recipe
from export.recordings.library import RATE, Library, song_in_parts
from export.recordings.songs import SCALES
from export.spectra import mel_of, power_spectrum
from rtvox.features import MEL_SPEC, Array

HOP = MEL_SPEC.hop
SUNG_DB = -45.0  # level of a second in which somebody sings
PAUSE_S = 4  # seconds without voice before music should have followed
AT_REST = {control.name: control.default for control in Accompany.controls} | {"voice": 0.0}
LED = AT_REST | {"tempo": 120.0, "key": 22.0}  # A minor
OTHER_TEMPO = 97.0  # bpm: what a beat is compared with
HEARD_NAT = 9.0  # below the loudest frame: 78 dB; quieter ones say nothing of a balance


def held_out_duet(library: Library, song: str) -> tuple[Array, Array]:
    """Return (N,) voice and music of a held-out song.

    Raises: ParameterError if the cache does not hold its voice.
    """
    voice, others = song_in_parts(library, "vocals", song)
    return voice, sum(others, start=np.zeros_like(voice))


@torch.no_grad()
def accompany(network: Accompany, voice: Array) -> Array:
    """Return the music (N,) alone that a network makes of a voice, aligned with it, with all controls at rest."""
    was_training = network.training
    network.eval()
    heard = torch.tensor(voice, device=network.head.weight.device)
    made = filtered(network, heard, *(heard.new_tensor([value]) for value in AT_REST.values()))
    network.train(was_training)
    return np.asarray(made.cpu().numpy())


def log_mel_distance(sound: Array, music: Array, voice: Array) -> float:
    """Return the Frechet distance of log-mel frames of a sound to those of music, where somebody sings and music plays.

    All are (N,), aligned.
    """
    sung = np.repeat(seconds_db(voice) > SUNG_DB, RATE // HOP)
    frames, real = (mel_of(x) for x in (sound, music))
    count = min(len(sung), len(frames))
    level = real[:count].max(1)
    both = sung[:count] & (level > level.max() - HEARD_NAT)
    return frechet_distance(frames[:count][both], real[:count][both])


def seconds_db(sound: Array) -> Array:
    """Return the level of each whole second of (N,) samples, in dB full scale."""
    rows = sound[: len(sound) // RATE * RATE].reshape(-1, RATE)
    return np.asarray(10.0 * np.log10(np.square(rows).mean(1) + 1e-12), np.float32)


def beat_strength(sound: Array, tempo: float) -> float:
    """Return how alike onsets (N,) are a beat later, from -1 to 1: a correlation, less that between beats.

    Onsets are rises of the log-mel; between beats is three eighths of one, where no usual rhythm repeats.
    """
    onsets = np.maximum(np.diff(mel_of(sound), axis=0), 0.0).mean(1)
    onsets = onsets - np.convolve(onsets, np.ones(RATE // HOP) / (RATE // HOP), "same")

    def alike(beats: float) -> float:
        lag = round(beats * 60.0 / tempo * RATE / HOP)
        return float(np.corrcoef(onsets[lag:], onsets[:-lag])[0, 1])

    return alike(1.0) - alike(0.375)


def in_key(sound: Array, key: float) -> float:
    """Return what part of the power (N,) from 130 to 2000 Hz is within 35 cents of a tone of a key; of noise 0.41."""
    power = np.asarray(power_spectrum(torch.from_numpy(sound)[None], 32768)[0].mean(1))
    hz = np.arange(len(power)) * RATE / 32768
    kept = (hz > 130.0) & (hz < 2000.0)
    power, tone = power[kept], 12.0 * np.log2(hz[kept] / 440.0) + 9.0  # from C
    mode, tonic = divmod(round(key) - 1, 12)
    scale = (np.array(SCALES[MODES[mode]]) + tonic)[:, None]
    near = np.abs((tone - scale + 6.0) % 12.0 - 6.0).min(0) < 0.35
    return float(power[near].sum() / power.sum())


def evaluate_accompany(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Return the figures of a shipped `accompany` on the held-out songs, and write a picture per song to `pictures`.

    `folders` is what every kind of model is given; here the cache holds all that is measured on.
    Raises: ParameterError if there is no song to measure on, ModelFileError if the model cannot be used.
    """
    songs = songs_held_out(recipe)
    library, rows = Library(cache), list[dict[str, float]]()
    for song in songs:
        voice, music = held_out_duet(library, song)
        made = stream(model, voice, **AT_REST)
        loud, heard = seconds_db(made), seconds_db(voice) > SUNG_DB
        paused = np.convolve(heard, np.ones(PAUSE_S + 1), "full")[: len(heard)] == 0.0
        led = stream(model, voice, **LED)
        far = log_mel_distance(voice, music, voice)
        rows.append(
            {
                "distance_part": log_mel_distance(made, music, voice) / far,
                "distance_part_led": log_mel_distance(led, music, voice) / far,
                "sung_db": float(np.median(loud[heard])),
                "real_db": float(np.median(seconds_db(music)[heard])),
                "peak": float(np.abs(made + voice).max()),
                "beat": beat_strength(led, LED["tempo"]),
                "beat_elsewhere": beat_strength(led, OTHER_TEMPO),
                "in_key": in_key(led, LED["key"]),
                "in_key_unset": in_key(made, LED["key"]),
                "silence_peak": float(np.abs(stream(model, np.zeros(2 * RATE, np.float32), voice=1.0)).max()),
            }
        )
        if paused.any():
            rows[-1]["paused_db"] = float(np.median(loud[paused]))
        first = int(np.argmax(np.convolve(heard, np.ones(8), "valid"))) * RATE
        shown = {"voice": voice, "made": made, "led": led, "real": music}
        show_spectrograms(
            pictures / f"accompany-{song}.png", {n: x[first : first + 8 * RATE] for n, x in shown.items()}, first / RATE
        )
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
