"""When does each phoneme of a known text sound? A hidden Markov model learnt from the takes themselves.

In: log-mel frames and tokens of many takes of one speaker. Out: for each take, how many frames each token lasts. One
Gaussian per phoneme over MFCCs and their slopes, started from tokens of equal length, then aligned and estimated in
turns (Viterbi training, as speech recognisers have been started since). A token lasts two frames at least. Offline;
runs in the caller's thread. Read next: `sentences.py`.

Reference: Rabiner 1989, "A tutorial on hidden Markov models and selected applications in speech recognition".
"""

from __future__ import annotations

from collections.abc import Sequence

import librosa
import numpy as np
import numpy.typing as npt

from rtvox.features import MEL_SPEC, Array, mfcc
from rtvox.phonemes import SYMBOLS

Double = npt.NDArray[np.float64]
Take = tuple[Array, np.ndarray]  # (T, M) log-mel, (L,) tokens
STEP = 2  # frames: 10.7 ms
COEFFICIENTS = 13
ROUNDS = 12
LEAST = 0.05  # of a deviation, beside that of all frames: a phoneme that is heard a few times only is not certain
FEW = 10.0  # frames of all phonemes that each phoneme's estimate begins with


class Aligner:
    """Mean and deviation of each symbol's features; see the module.

    Args:
        durations: frames that each token lasts, as `align` gave them before; None finds them.
    """

    def __init__(self, takes: Sequence[Take], durations: Sequence[np.ndarray] | None = None) -> None:
        usable = [(features(mel), tokens % len(SYMBOLS)) for mel, tokens in takes if fits(mel, tokens)]
        every = np.concatenate([frames for frames, _ in usable])
        self.scale = every.mean(0), every.std(0) + 1e-6
        usable = [((frames - self.scale[0]) / self.scale[1], symbols) for frames, symbols in usable]
        spans = [
            np.diff(np.linspace(0, len(frames), len(symbols) + 1).round().astype(int)) for frames, symbols in usable
        ]
        for _ in range(0 if durations else ROUNDS):
            self._estimate(usable, spans)
            spans = [self._path(frames, symbols) for frames, symbols in usable]
        self._estimate(usable, [frames // STEP for frames in durations] if durations else spans)

    def _estimate(self, takes: list[tuple[Double, np.ndarray]], spans: list[np.ndarray]) -> None:
        of = np.concatenate([np.repeat(symbols, span) for (_, symbols), span in zip(takes, spans, strict=True)])
        frames = np.concatenate([frames for frames, _ in takes])
        self.mean = np.zeros((len(SYMBOLS), frames.shape[1]))
        self.variance = np.ones_like(self.mean)
        for symbol in np.unique(of):
            own = frames[of == symbol]
            self.mean[symbol] = own.sum(0) / (len(own) + FEW)
            self.variance[symbol] = (((own - self.mean[symbol]) ** 2).sum(0) + FEW) / (len(own) + FEW) + LEAST

    def _path(self, frames: Double, symbols: np.ndarray) -> np.ndarray:
        """Return the (L,) steps that each symbol lasts."""
        cost = self.cost(frames, symbols)
        _, path = librosa.sequence.dtw(C=cost, step_sizes_sigma=np.array([[1, 1], [0, 1]]))
        return np.bincount(path[:, 0], minlength=len(symbols))

    def cost(self, frames: Double, symbols: np.ndarray) -> Double:
        """Return (L, T) negative log-likelihood of each frame under each symbol of a text."""
        mean, variance = self.mean[symbols], self.variance[symbols]
        near = (frames**2) @ (1.0 / variance).T - 2.0 * frames @ (mean / variance).T + (mean**2 / variance).sum(1)
        return np.ascontiguousarray((near + np.log(variance).sum(1)).T / 2.0)

    def align(self, mel: Array, tokens: np.ndarray) -> tuple[np.ndarray, Double]:
        """Return for how many frames each of (L,) tokens sounds in (T, M) log-mel, and (L,) how unlike it sounds.

        Unlikeness is the mean negative log-likelihood per frame.
        """
        frames, symbols = (features(mel) - self.scale[0]) / self.scale[1], tokens % len(SYMBOLS)
        steps = self._path(frames, symbols)
        ends = np.cumsum(steps)
        cost = self.cost(frames, symbols)
        unlike = [cost[i, end - n : end].mean() for i, (n, end) in enumerate(zip(steps, ends, strict=True))]
        spans = steps * STEP
        spans[-1] += len(mel) - spans.sum()
        return spans, np.array(unlike)


def align_all(takes: Sequence[Take]) -> list[np.ndarray | None]:
    """Return for how many frames each token of each take sounds; None where a take is too short for its text."""
    aligner = Aligner(takes)
    return [aligner.align(mel, tokens)[0] if fits(mel, tokens) else None for mel, tokens in takes]


def fits(mel: Array, tokens: np.ndarray) -> bool:
    """Tell whether a take has frames enough for its tokens."""
    return len(mel) // STEP > len(tokens)


def features(mel: Array) -> Double:
    """Return (T / STEP, 2 * COEFFICIENTS) MFCCs and their slopes of (T, M) log-mel."""
    whole = len(mel) // STEP * STEP
    frames = mel[:whole].astype(np.float64).reshape(-1, STEP, mel.shape[1]).mean(1)
    cepstra = mfcc(frames.astype(np.float32), MEL_SPEC)[:, :COEFFICIENTS].astype(np.float64)
    return np.column_stack([cepstra, np.gradient(cepstra, axis=0)])
