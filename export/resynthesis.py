"""From log-mel frames to sound, offline, as evaluations hear it: by librosa's Griffin-Lim, or by a vocoder's file.

In: (T, M) log-mel. Out: (N,) samples, aligned with those it was made of. Runs in the caller's thread. Read next:
`evaluate_scream.py`, `evaluate_vocoder.py`, `evaluate_timbre.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import librosa
import numpy as np
import torch

from export.spectra import overlap_add
from export.verify import Graph
from rtvox.features import Array, FeatureSpec, mel_filterbank
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


def vocode_frames(vocoder: ModelFile, mel: Array, told: Mapping[str, Array]) -> Array:
    """Turn (T, M) log-mel into samples aligned with those it was made of, frame by frame in onnxruntime.

    Args:
        told: (T,) measures by name, those that the vocoder asks for and perhaps others.
    """
    spectra = Graph(vocoder.data).run(mel, **{name: told[name] for name in vocoder.manifest.conditions})
    sound = overlap_add(torch.from_numpy(spectra)[None], vocoder.manifest.features)[0].numpy()
    return np.asarray(sound[vocoder.manifest.delay :])
