"""PitchTracker: pitch, voicing and loudness of a live voice, once per hop, for networks that are told them.

In: the spectrum of each hop at 48 kHz, and the samples that its `Analyzer` keeps. Out: (3,) float32, ordered as
CONDITIONS: the fundamental in Hz, how voiced it is from 0 to 1, and the loudness in dB. No look-ahead: the window ends
at the newest sample, as the mel frame's does, and its middle lies about where the mel frame's does. Runs in the
converter thread, and in `export`, which trains on the same numbers. Pure numpy, 0.1 ms per live hop on one core. Read
next: `listener.py`, the stage of the chain that runs it.
"""

from __future__ import annotations

import math

import numpy as np

from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array, FeatureSpec, Spectrum
from rtvox.stft import Analyzer

CONDITIONS = "pitch", "voicing", "loudness"  # what a network may ask to be told, and in which order it is measured
LOW_HZ, HIGH_HZ = 60.0, 1500.0  # fundamentals that are found: a bass's low B to a soprano's high F sharp
REST_HZ = 200.0  # the pitch before the first one was heard
QUIET_DB = -100.0  # the lowest loudness, in place of minus infinity

HALVING = 2  # the search runs at half the rate
CUT_HZ = 3500.0  # of the low-pass before it: enough partials for every pitch, and less breath than 24 kHz hold
TAPS = 47  # of the low-pass: 3.4 kHz from pass to stop, so that nothing folds below 18.8 kHz; 0.5 ms late
LENGTH = 960  # samples at half the rate, 40 ms, in which a period is looked for
HEARD_LEVEL = 5e-4  # -66 dB full scale: rooms hum and whistle below it, and nobody sings there

# Candidates are weighed as in Boersma 1993, but decided at once: his path finder without its way back, and without its
# state "unvoiced": voicing, told beside the pitch, says that. The constants were chosen where pyworld's harvest and
# librosa's pyin agree on readers, singers and violinists, and by what the vocoder makes of the pitch.
CANDIDATES = 7
LOWEST_PEAK = 0.15  # of the normalised square difference function, where 1 is periodic; noise has 0.2 to 0.5
OCTAVE_COST = 0.06  # per octave below HIGH_HZ: of a period and its multiples, all at 1, the shortest wins
JUMP_COST = 0.15  # per octave between frames: a voice glides, an error jumps
VOICED_FROM, VOICED_TO = 0.4, 0.8  # peaks at which voicing leaves 0 and reaches 1


class PitchTracker:
    """Track one voice; a Stage that goes with an `Analyzer`: from its spectra (K,) to (3,) measures, without delay.

    The method is McLeod and Wyvill 2005, "A smarter way to find pitch" (normalised square difference), with the
    candidates' weights of Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound". The difference compares the newest 23 ms with as long a stretch one
    period before; so high pitches are seen at once, and low ones after a period and a half. Where nothing repeats
    itself at all, as in silence, the last pitch stays. Loudness is the A-weighted level of the mel frame, 0 dB being a
    full-scale sine at 1 kHz (IEC 61672-1:2013, annex E).
    """

    delay = 0

    def __init__(self, analyzer: Analyzer) -> None:
        """Make the buffers. Args: analyzer: whose sound is listened to, each time after it has heard a hop.

        Raises: ParameterError if its hop is odd, its frame too short, or its rate so low that no pitch fits.
        """
        spec = analyzer.spec
        if spec.hop % HALVING or spec.n_fft < spec.hop + TAPS - 1 or spec.sample_rate < 4.0 * HALVING * CUT_HZ:
            raise ParameterError(
                f"hop={spec.hop} sample_rate={spec.sample_rate} n_fft={spec.n_fft}: needs an even hop, 28 kHz or more, "
                f"and a frame of hop + {TAPS - 1} samples or more"
            )
        self._rate, self._new = spec.sample_rate / HALVING, spec.hop // HALVING
        newest = analyzer.history[-spec.hop - TAPS + 1 :]
        self._windows = np.lib.stride_tricks.sliding_window_view(newest, TAPS)[::HALVING]
        self._taps = _low_pass(spec.sample_rate)
        self._weights = np.repeat(np.sqrt(loudness_weights(spec)), 2)  # of real and imaginary parts
        self._weighted = np.zeros(2 * spec.n_bins, np.float32)
        # A lag's stretch begins at longest - lag, and so do the arrays that follow: longer lags come first.
        shortest, self._longest = int(self._rate / HIGH_HZ) - 1, int(np.ceil(self._rate / LOW_HZ)) + 1
        count, self._width = self._longest - shortest + 1, LENGTH - self._longest
        self._both = np.zeros((2, LENGTH), np.float32)  # samples, squares
        self._sound, self._stretch = self._both[0], self._both[0, -self._width :]
        self._older = self._both[0, : LENGTH - shortest]
        self._sums = np.zeros((2, LENGTH + 1))  # in float64, for differences are looked at
        self._ends, self._starts = self._sums[:, self._width : self._width + count], self._sums[:, :count]
        self._moments = np.zeros((2, count))  # sum and energy of each lag's stretch
        self._m, self._nsdf = np.zeros(count), np.zeros(count)
        self._costs = OCTAVE_COST * np.log2(self._longest - np.arange(count))
        self._paths: list[tuple[float, float]] = []  # of the last frame's candidates: octaves over 1 Hz, score
        self._out = np.zeros(len(CONDITIONS), np.float32)
        self.reset()

    def process(self, x: Spectrum) -> Array:
        """Return pitch (Hz), voicing (0 to 1) and loudness (dB) of the frame x, which the analyzer has just given.

        Valid until the next call.
        """
        np.multiply(x.view(np.float32), self._weights, out=self._weighted)
        power = float(np.dot(self._weighted, self._weighted))
        self._sound[: -self._new] = self._sound[self._new :]
        np.matmul(self._windows, self._taps, out=self._sound[-self._new :])
        self._difference()
        pitch, peak = self._decide(self._peaks())
        if pitch:
            self._out[0] = pitch
        self._out[1] = min(1.0, max(0.0, (peak - VOICED_FROM) / (VOICED_TO - VOICED_FROM)))
        self._out[2] = max(QUIET_DB, 10.0 * math.log10(power + 1e-12))
        return self._out

    def reset(self) -> None:
        """Forget everything heard; the analyzer forgets for itself."""
        self._sound[:] = 0.0
        self._paths = []
        self._out[:] = REST_HZ, 0.0, QUIET_DB

    def _difference(self) -> None:
        """Compute 2 r / m for each lag: r the covariance of the newest stretch with an older one, m their variances."""
        width, (total, energy) = self._width, self._moments
        np.multiply(self._sound, self._sound, out=self._both[1])
        np.add.accumulate(self._both, 1, out=self._sums[:, 1:])
        np.subtract(self._ends, self._starts, out=self._moments)
        mean = (self._sums.item(0, -1) - self._sums.item(0, -1 - width)) / width
        fixed = self._sums.item(1, -1) - self._sums.item(1, -1 - width) - width * (mean**2 - HEARD_LEVEL**2)
        np.multiply(total, total, out=self._m)
        self._m *= -1.0 / width
        self._m += energy
        self._m += fixed
        total *= -mean
        total += np.correlate(self._older, self._stretch)
        total *= 2.0
        np.divide(total, self._m, out=self._nsdf)

    def _peaks(self) -> list[tuple[float, float]]:
        """Return pitch in Hz and height of the best peaks, up to CANDIDATES, between the whole lags."""
        n = self._nsdf
        rises = n[1:] > n[:-1]
        at = np.flatnonzero((rises[:-1] > rises[1:]) & (n[1:-1] > LOWEST_PEAK)) + 1
        if len(at) > CANDIDATES:
            at = at[np.argpartition(n[at] - self._costs[at], -CANDIDATES)[-CANDIDATES:]]
        found = []
        for place in at.tolist():
            before, here, after = n[place - 1 : place + 2].tolist()
            shift = 0.5 * (before - after) / (before - 2.0 * here + after)  # vertex of a parabola
            found.append((self._rate / (self._longest - place - shift), here - 0.25 * (before - after) * shift))
        return found

    def _decide(self, candidates: list[tuple[float, float]]) -> tuple[float, float]:
        """Return pitch and height of the candidate with the best path so far; zeros if there is none.

        In plain numbers: seven of them are less than one call of numpy.
        """
        paths = []
        for hz, peak in candidates:
            octaves = math.log2(hz)
            ways = [score - JUMP_COST * abs(octaves - other) for other, score in self._paths]
            paths.append((octaves, min(peak, 1.0) + OCTAVE_COST * octaves + max(ways, default=0.0)))
        if not paths:
            self._paths = []
            return 0.0, 0.0
        scores = [score for _, score in paths]
        most = max(scores)
        self._paths = [(octaves, score - most) for octaves, score in paths]
        return candidates[scores.index(most)]


def track(sound: Array, spec: FeatureSpec = MEL_SPEC) -> Array:
    """Return (T, 3) measures of (N,) samples, T = N // hop, as the live tracker gives them hop by hop."""
    analyzer = Analyzer(spec)
    tracker = PitchTracker(analyzer)
    hops = sound[: len(sound) // spec.hop * spec.hop].reshape(-1, spec.hop)
    measures = np.empty((len(hops), len(CONDITIONS)), np.float32)
    for row, hop in zip(measures, hops, strict=True):
        row[:] = tracker.process(analyzer.process(hop))
    return measures


def _low_pass(rate: int) -> Array:
    """Return (TAPS,) of a Hamming-windowed sinc with unit gain at 0 Hz."""
    n = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2.0 * CUT_HZ / rate * n) * np.hamming(TAPS)
    taps /= taps.sum()
    return np.asarray(taps, np.float32)


def loudness_weights(spec: FeatureSpec) -> Array:
    """Return (K,) such that the weighted sum of a frame's squared magnitudes is 1 for a full-scale sine at 1 kHz."""
    f2 = (np.arange(spec.n_bins) * spec.sample_rate / spec.n_fft) ** 2
    a = 12194.0**2 * f2**2 / (f2 + 20.6**2) / (f2 + 12194.0**2) / np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * 1.2589
    # A sine's squared magnitudes, over the positive bins, add up to n_fft / 4 times the window's own squares.
    weights: Array = np.asarray(a**2 * 4.0 / (spec.n_fft * np.sum(spec.analysis_window() ** 2)), np.float32)
    return weights
