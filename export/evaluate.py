"""Measure a network, or a shipped model file, on material it never trained on.

`isolate`: pieces of the held-out song in which somebody sings, original mix; improvement of SI-SDR over the mix itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from export.losses import si_sdr
from export.networks.isolate import Isolate
from export.recordings.library import RATE, Library, cut
from export.spectra import analyze, synthesize

PIECE_S = 5.0
ACTIVE_DB = -40.0  # a piece whose voice is quieter than this (mean square, re full scale) is not scored


def held_out_pieces(library: Library, songs: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return (P, N) mixes and voices: 5 s pieces, one after the other, of the held-out songs, where somebody sings."""
    n = int(PIECE_S * RATE)
    mixes, voices = [], []
    for song in songs:
        voice = library["voice-song"][f"stems-{song}-vocals"]
        stems = [array for name, array in library["stems"].items() if name.startswith(f"stems-{song}-")]
        for start in range(0, len(voice) - n + 1, n):
            piece = cut(voice, start, n)
            if 10 * np.log10(np.mean(piece**2) + 1e-12) > ACTIVE_DB:
                voices.append(piece)
                mixes.append(sum((cut(stem, start, n) for stem in stems), start=piece))
    return torch.from_numpy(np.stack(mixes)), torch.from_numpy(np.stack(voices))


@torch.no_grad()
def improvement(network: Isolate, pieces: tuple[Tensor, Tensor], batch: int = 8) -> float:
    """Return the median gain in SI-SDR (dB) of the estimated voice over the mix, each piece from a silent past."""
    was_training = network.training
    network.eval()
    spec, gains = network.spec, []
    late = spec.n_synthesis - spec.hop
    for mix, voice in zip(*(x.split(batch) for x in pieces), strict=True):
        length = mix.shape[1] // spec.hop * spec.hop
        mix, voice = mix[:, :length], voice[:, : length - late]
        spectrum, _ = network(analyze(mix, spec), torch.zeros(1), network.zero_state(len(mix)))
        estimate = synthesize(spectrum, spec)[:, late:]
        gains.append(si_sdr(estimate, voice) - si_sdr(mix[:, : length - late], voice))
    network.train(was_training)
    return float(torch.cat(gains).median())
