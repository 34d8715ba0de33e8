"""To sound, as evaluations hear it: frames by librosa's Griffin-Lim or by a vocoder's file, voices by the live path.

In: (T, M) log-mel, or (N,) samples of a voice. Out: (N,) samples, aligned with those they were made of. The live path
runs in a process of its own, since little that runs live is imported here; the rest in the caller's thread. Read next:
`evaluate_scream.py`, `evaluate_vocoder.py`, `evaluate_timbre.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from export.recordings.library import RATE
from export.spectra import overlap_add
from export.verify import Graph
from rtvox.errors import AudioFileError
from rtvox.features import Array, FeatureSpec, mel_filterbank
from rtvox.griffin_lim import GriffinLim
from rtvox.model_file import ModelFile


def resynthesise(mel: Array, spec: FeatureSpec, iterations: int = 32) -> Array:
    """Turn (T, M) log-mel into samples aligned with those it was made of: librosa's Griffin-Lim, 32 iterations."""
    filterbank = mel_filterbank(spec)
    wanted = np.exp(mel.T)
    magnitude = np.maximum(np.linalg.pinv(filterbank) @ wanted, 1e-6)
    normal, projected = filterbank.T @ filterbank, filterbank.T @ wanted
    for _ in range(10):  # Lee and Seung 2001: multiplicative updates never leave what is positive
        magnitude *= projected / np.maximum(normal @ magnitude, 1e-12)
    late = spec.n_fft - spec.hop
    sound = librosa.griffinlim(
        magnitude, n_iter=iterations, hop_length=spec.hop, n_fft=spec.n_fft, window=spec.analysis_window(),
        center=False, momentum=0.99, random_state=440,
    )  # fmt: skip
    return np.asarray(sound[late:], np.float32)


def vocode_frames(
    vocoder: ModelFile, mel: Array, told: Mapping[str, Array], griffin_lim: GriffinLim | None = None
) -> Array:
    """Turn (T, M) log-mel into samples aligned with those it was made of, frame by frame as they sound live.

    Args:
        told: (T,) measures by name, those that the vocoder asks for and perhaps others.
        griffin_lim: another than the default, as new, for a vocoder that leaves phases open.
    """
    spectra = Graph(vocoder.data).run(mel, **{name: told[name] for name in vocoder.manifest.conditions})
    if vocoder.manifest.resynthesis == "overlap-add":
        sound = overlap_add(torch.from_numpy(spectra)[None], vocoder.manifest.features)[0].numpy()
        return np.asarray(sound[vocoder.manifest.delay :])
    griffin_lim = griffin_lim or GriffinLim(vocoder.manifest.features)
    hops = [griffin_lim.process(frame.view(np.complex64)[:, 0]).copy() for frame in spectra]
    return np.concatenate(hops)[griffin_lim.delay :]


def convert_live(sounds: Sequence[Array], model: str | Path, **settings: object) -> list[Array]:
    """Return what `rtvox convert` makes of sounds (N,) with a model and controls by name, each aligned with its sound.

    Raises: AudioFileError if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        names = [f"{i:03}.wav" for i in range(len(sounds))]
        for name, sound in zip(names, sounds, strict=True):
            soundfile.write(source / name, sound, RATE, subtype="FLOAT")
        command = [sys.executable, "-m", "rtvox", "convert", str(source), str(target), "--model", str(model)]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AudioFileError(f"{' '.join(command)}: {done.stderr.strip()}")
        return [soundfile.read(target / name, dtype="float32")[0] for name in names]
