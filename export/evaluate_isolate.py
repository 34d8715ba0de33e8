"""Measure `isolate`, in training or as a shipped model file, on material it never trained on.

The held-out song, original mix, streamed from beginning to end, scored in 5 s pieces in which somebody
sings: SI-SDR and its gain over the mix, museval's SDR, SIR and SAR; silence; loudness; and pictures to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.evaluate import show_spectrograms
from export.losses import si_sdr
from export.networks.band_unet import BandUNet
from export.networks.isolate import Isolate
from export.recipe import Recipe
from export.recordings.library import RATE, Library, song_in_parts
from export.spectra import analyze, pad_late, synthesize
from export.verify import Graph
from rtvox.errors import ParameterError
from rtvox.features import Array
from rtvox.model_file import load_model

PIECE = 5 * RATE
MINUTE = 60 * RATE  # samples
ACTIVE_DB = -40.0  # a piece whose voice is quieter than this (mean square, re full scale) is not scored


def songs_held_out(recipe: Recipe) -> tuple[str, ...]:
    """Return the songs that a recipe keeps for measuring. Raises: ParameterError if there is none."""
    if not recipe.mix.hold_out:
        raise ParameterError("the recipe holds no song out; name one under hold_out in [mix]")
    return recipe.mix.hold_out


def held_out_song(library: Library, song: str) -> tuple[Array, Array]:
    """Return (N,) mix and voice of a held-out song, as its maker mixed it.

    Raises: ParameterError if the cache does not hold its voice.
    """
    voice, others = song_in_parts(library, "voice-song", song)
    return sum(others, start=voice.copy()), voice


def active_pieces(mix: Array, voice: Array) -> list[slice]:
    """Return the 5 s pieces, one after the other, in which somebody sings.

    Raises: ParameterError if there is none.
    """
    pieces = [slice(start, start + PIECE) for start in range(0, len(mix) - PIECE + 1, PIECE)]
    active = [piece for piece in pieces if _level_db(voice[piece]) > ACTIVE_DB]
    if not active:
        raise ParameterError(f"held-out song of {len(mix) / RATE:.1f} s: nobody sings in 5 s of it; hold out another")
    return active


@torch.no_grad()
def improvement(network: Isolate, mix: Array, voice: Array) -> float:
    """Return training's score: the median gain in SI-SDR (dB) over the active pieces of the song, streamed whole."""
    was_training = network.training
    network.eval()
    device = network.head.weight.device
    m, v = (torch.tensor(signal, device=device) for signal in (mix, voice))
    estimate = filtered(network, m, m.new_zeros(1))
    gains = [float(si_sdr(estimate[p], v[p]) - si_sdr(m[p], v[p])) for p in active_pieces(mix, voice)]
    network.train(was_training)
    return float(np.median(gains))


def filtered(network: BandUNet, sound: Tensor, *controls: Tensor) -> Tensor:
    """Return what a network makes of a sound (N,), aligned with it; a minute of spectra at a time fits into memory."""
    spec = network.spec
    late = spec.n_synthesis - spec.hop
    padded = torch.nn.functional.pad(sound, (0, late + -(len(sound) + late) % spec.hop))
    state, parts = network.zero_state(), []
    for spectrum in analyze(padded[None], spec).split(MINUTE // spec.hop, dim=1):
        part, state = network(spectrum, *controls, state)
        parts.append(part)
    return synthesize(torch.cat(parts, 1), spec)[0, late : late + len(sound)]


def stream(model: Path, mix: Array, **controls: float) -> Array:
    """Return (N,) what a shipped model file makes of (N,) samples, frame by frame, aligned with the input."""
    file = load_model(model)
    spec = file.manifest.features
    late = spec.n_synthesis - spec.hop
    padded = pad_late(mix, late, spec.hop)
    graph, parts = Graph(file.data, **controls), []
    blocks = np.array_split(np.arange(0, len(padded), spec.hop), max(1, len(padded) // (30 * RATE)))
    for block in blocks:  # half a minute of spectra at a time; each block sees the frames' past
        start, end = block[0], block[-1] + spec.hop
        past = padded[max(0, start - spec.n_fft + spec.hop) : end]
        spectra = analyze(torch.from_numpy(past)[None], spec)[0].numpy()
        parts.append(graph.run(np.ascontiguousarray(spectra[-len(block) :])))
    out = synthesize(torch.from_numpy(np.concatenate(parts))[None], spec)[0].numpy()
    return out[late : late + len(mix)]


def evaluate_isolate(
    recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path
) -> dict[str, float]:
    """Return the figures of a shipped `isolate` on the held-out songs, and write a picture per song to `pictures`.

    `folders` is what every kind of model is given; here the cache holds all that is measured on.
    Raises: ParameterError if there is no song to measure on, ModelFileError if the model cannot be used.
    """
    songs = songs_held_out(recipe)
    library = Library(cache)
    mixes, voices, estimates = list[Array](), list[Array](), list[Array]()
    for song in songs:
        mix, voice = held_out_song(library, song)
        estimate = stream(model, mix)
        pieces = active_pieces(mix, voice)
        for kept, signal in ((mixes, mix), (voices, voice), (estimates, estimate)):
            kept.extend(signal[piece] for piece in pieces)
        loudest = max(pieces, key=lambda piece: _level_db(voice[piece]))
        shown = {"mix": mix[loudest], "voice": voice[loudest], "isolated": estimate[loudest]}
        show_spectrograms(pictures / f"isolate-{song}.png", shown, loudest.start / RATE)
    m, v, e = (torch.from_numpy(np.stack(signals)) for signals in (mixes, voices, estimates))
    sdr, sir, sar = np.median([_bss_eval(*piece) for piece in zip(mixes, voices, estimates, strict=True)], axis=0)
    louder = max(_level_db(estimate) - _level_db(mix) for mix, estimate in zip(mixes, estimates, strict=True))
    silence = stream(model, np.zeros(2 * RATE, np.float32))
    return {
        "pieces": float(len(mixes)),
        "mix_si_sdr_db": float(si_sdr(m, v).median()),
        "si_sdr_db": float(si_sdr(e, v).median()),
        "si_sdr_gain_db": float((si_sdr(e, v) - si_sdr(m, v)).median()),
        "museval_sdr_db": float(sdr),
        "museval_sir_db": float(sir),
        "museval_sar_db": float(sar),
        "louder_than_mix_db": louder,
        "silence_peak": float(np.abs(silence).max()),
    }


def _bss_eval(mix: Array, voice: Array, estimate: Array) -> tuple[float, float, float]:
    import museval  # slow to import

    references = np.stack([voice, mix - voice])[..., None]
    estimates = np.stack([estimate, mix - estimate])[..., None]
    sdr, _, sir, sar = museval.evaluate(references, estimates, win=RATE, hop=RATE)
    return float(np.nanmedian(sdr[0])), float(np.nanmedian(sir[0])), float(np.nanmedian(sar[0]))


def _level_db(signal: Array) -> float:
    return float(10.0 * np.log10(np.mean(np.square(signal)) + 1e-12))
