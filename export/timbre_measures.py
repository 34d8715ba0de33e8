"""What is measured of a moved timbre: does it follow the voice, and does it sound like where it was moved to.

In: samples (N,) at 48 kHz, or prepared frames. Out: numbers. The embedding is one that needs no download: 19 MFCCs
(without the level) of the mel bands below 12 kHz, and their slopes, of frames that are no pause; beside it VGGish's,
where this machine has it. Runs in the caller's thread. Read next: `evaluate_timbre.py`.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from export.recordings.library import RATE
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array, dct_basis, mel_filterbank
from rtvox.pitch import track

HOP = MEL_SPEC.hop
SECOND = round(RATE / HOP)  # frames
PAUSE_NAT = 5.0  # of a frame's level below the loudest: 43 dB
NEAR_CENTS = 50.0
HEARD_DB = -60.0
VGGISH = "checkpoints/vggish-10086976.pth"  # its weights, below torch's hub folder
FOUND_MS = 100.0  # from an onset of the input to that of the output that is taken to be the same

Double = npt.NDArray[np.float64]


def pitch_of(sound: Array) -> Double:
    """Return the pitch every hop in Hz, 0 where unvoiced: by pYIN, not by the tracker that drives the network.

    WORLD's harvest, for one, calls 49 to 97 % of the measured singing voiced, reverberant pauses included, and finds
    pitches there that neither pYIN nor Praat does. Reference: Mauch and Dixon 2014, "pYIN".
    """
    hz, voiced, _ = librosa.pyin(
        soxr.resample(sound, RATE, RATE // 2), fmin=60.0, fmax=1500.0, sr=RATE // 2, frame_length=1536,
        hop_length=HOP // 2,
    )  # fmt: skip
    return np.where(voiced, hz, 0.0)


def pitch_kept(before: Double, after: Double, octave: float) -> tuple[int, int]:
    """Return how many frames voiced in both (T,) are within 50 cents of the moved pitch, and how many there are."""
    count = min(len(before), len(after))
    both = (before[:count] > 0.0) & (after[:count] > 0.0)
    cents = 1200.0 * (np.log2(after[:count][both] / before[:count][both]) - octave)
    return int(np.count_nonzero(np.abs(cents) <= NEAR_CENTS)), int(np.count_nonzero(both))


def loudness_correlation(heard: Array, made: Array) -> float:
    """Return the correlation of the loudness contours, in dB, where the input can be heard."""
    before, after = (track(sound)[:, 2] for sound in (heard, made))
    count = min(len(before), len(after))
    loud = before[:count] > HEARD_DB
    return float(np.corrcoef(before[:count][loud], np.maximum(after[:count][loud], HEARD_DB - 20.0))[0, 1])


def onset_distances_ms(heard: Array, made: Array) -> list[float]:
    """Return, for each onset of the input that has one nearby in the output, how far they are apart."""
    before, after = (librosa.onset.onset_detect(y=x, sr=RATE, hop_length=HOP, units="time") for x in (heard, made))
    if not len(after):
        return []
    apart = [1000.0 * float(np.abs(after - time).min()) for time in before]
    return [ms for ms in apart if ms < FOUND_MS]


def embed(mel: Array) -> Array:
    """Return (T', 38) embeddings of those of (T, M) log-mel frames that are no pause."""
    hz = np.arange(MEL_SPEC.n_bins) * RATE / MEL_SPEC.n_fft
    low = mel[:, mel_filterbank(MEL_SPEC) @ hz / np.maximum(mel_filterbank(MEL_SPEC).sum(1), 1e-9) < 12000.0]
    cepstra = (low @ dct_basis(MEL_SPEC.n_mfcc, low.shape[1]).T)[:, 1:]
    slopes = np.gradient(cepstra, axis=0)
    level = np.log(np.exp(low).mean(1))
    return np.asarray(np.concatenate([cepstra, slopes], 1)[level > level.max() - PAUSE_NAT], np.float32)


def embed_all(mels: Sequence[Array]) -> Array:
    """Return (T', 38) embeddings of several (T, M) log-mel."""
    return np.concatenate([embed(mel) for mel in mels])


def train_classifier(domains: Mapping[str, Sequence[Array]]) -> Pipeline:
    """Return a classifier of seconds, trained on real log-mel (T, M) of each domain."""
    rows = {name: np.concatenate([seconds(mel) for mel in mels]) for name, mels in domains.items()}
    labels = np.concatenate([[name] * len(row) for name, row in rows.items()])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    return classifier.fit(np.concatenate(list(rows.values())), labels)


def confusion(classifier: Pipeline, heard: Mapping[str, Sequence[Array]]) -> str:
    """Return a table: which part of the seconds of each row's log-mel (T, M) is called by each of the names."""
    names = list(classifier.classes_)
    lines = [f"{'called':16}" + "".join(f"{name:>12}" for name in names)]
    for row, mels in heard.items():
        said = classifier.predict(np.concatenate([seconds(mel) for mel in mels]))
        lines.append(f"{row:16}" + "".join(f"{np.mean(said == name):12.2f}" for name in names))
    return "\n".join(lines)


def seconds(mel: Array) -> Double:
    """Return what a classifier sees of each second that sounds in (T, M) log-mel: mean and deviation of embeddings."""
    rows = embed(mel)
    stretches = [rows[i : i + SECOND] for i in range(0, len(rows) - SECOND // 2, SECOND)]
    return np.array([[*stretch.mean(0), *stretch.std(0)] for stretch in stretches]).reshape(-1, 2 * rows.shape[1])


def vggish_distance(real: Sequence[Array], made: Sequence[Array]) -> float:
    """Return the standard Frechet audio distance, on VGGish, of sounds (N,) to real ones.

    By frechet_audio_distance (PyPI), which downloads VGGish when it is first used alone; here nothing is downloaded.
    Raises: ParameterError saying what is missing on this machine.
    Reference: Kilgour et al. 2019, "Frechet audio distance: a reference-free metric for music enhancement".
    """
    weights = Path(torch.hub.get_dir(), VGGISH)
    if not weights.is_file():
        raise ParameterError(f"{weights}: not there; pip install frechet_audio_distance, and let it score something")
    try:
        library = importlib.import_module("frechet_audio_distance")
    except ImportError as error:
        raise ParameterError(f"frechet_audio_distance: {error}; pip install frechet_audio_distance") from None
    with tempfile.TemporaryDirectory() as folder:
        for name, sounds in (("real", real), ("made", made)):
            Path(folder, name).mkdir()
            for i, sound in enumerate(sounds):
                soundfile.write(Path(folder, name, f"{i:03}.wav"), sound, RATE)
        judge = library.FrechetAudioDistance(model_name="vggish", use_pca=False, use_activation=False)
        return float(judge.score(f"{folder}/real", f"{folder}/made"))
