"""PitchTracker: pitch, voicing and loudness of a live voice, once per hop, for networks that are told them.

In: one hop of samples at 48 kHz. Out: (3,) float32, ordered as CONDITIONS: the fundamental in Hz, how voiced it is from
0 to 1, and the loudness in dB. No look-ahead: the window ends at the newest sample, as the mel frame's does, and its
middle lies about where the mel frame's does. Runs in the converter thread, and in `export`, which trains on the same
numbers. Pure numpy, 0.1 ms per hop on one core. Read next: `chain.py`, which feeds it to `onnx_stage.py`.
"""

from __future__ import annotations

import numpy as np

from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.stft import Analyzer

CONDITIONS = "pitch", "voicing", "loudness"  # what a network may ask to be told, and in which order it is measured
LOW_HZ, HIGH_HZ = 60.0, 1500.0  # fundamentals that are found: a bass's low B to a soprano's high F sharp
REST_HZ = 200.0  # the pitch before the first one was heard
QUIET_DB = -100.0  # the lowest loudness, in place of minus infinity

HALVING = 2  # the search runs at half the rate
CUT_HZ = 3500.0  # of the low-pass before it: enough partials for every pitch, and less breath than 24 kHz hold
TAPS = 47  # of the low-pass: 3.4 kHz from pass to stop, so that nothing folds below 18.8 kHz; 0.5 ms late
N_FFT = 960  # samples at half the rate, 40 ms, in which a period is looked for; 2^6 * 15 is quick
HEARD_LEVEL = 5e-4  # -66 dB full scale: rooms hum and whistle below it, and nobody sings there

# Candidates are weighed as in Boersma 1993, but decided at once: his path finder without its way back, and without its
# state "unvoiced": voicing, which is told beside the pitch, says that. The constants were chosen on readers, singers and
# violinists, where pyworld's harvest and librosa's pyin agree, and by what the vocoder makes of the pitch.
CANDIDATES = 7
LOWEST_PEAK = 0.15  # of the normalised square difference function, where 1 is periodic; noise has 0.2 to 0.5
OCTAVE_COST = 0.06  # per octave below HIGH_HZ: of a period and its multiples, all at 1, the shortest wins
JUMP_COST = 0.15  # per octave between frames: a voice glides, an error jumps
VOICED_FROM, VOICED_TO = 0.4, 0.8  # peaks at which voicing leaves 0 and reaches 1


class PitchTracker:
    """Track one voice; itself a Stage, from (hop,) samples to (3,) measures, without delay.

    The method is McLeod and Wyvill 2005, "A smarter way to find pitch" (normalised square difference, by FFT), with the
    candidates' weights of Boersma 1993, "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound". The difference compares the newest 23 ms with as long a stretch one
    period before; so high pitches are seen at once, and low ones after a period and a half. Where nothing repeats
    itself at all, as in silence, the last pitch stays. Loudness is the A-weighted level of the mel frame, 0 dB being a
    full-scale sine at 1 kHz (IEC 61672-1:2013, annex E).
    """

    delay = 0

    def __init__(self, spec: FeatureSpec = MEL_SPEC) -> None:
        """Make the buffers. Raises: ParameterError if the hop is odd or the rate is so low that no pitch fits."""
        rate = spec.sample_rate / HALVING
        if spec.hop % HALVING or rate < 4.0 * CUT_HZ:
            raise ParameterError(
                f"hop={spec.hop} sample_rate={spec.sample_rate}: needs an even hop, and 28 kHz or more"
            )
        self._rate, self._hop, self._new = rate, spec.hop, spec.hop // HALVING
        self._low, self._high = int(rate / HIGH_HZ) - 1, int(np.ceil(rate / LOW_HZ)) + 1  # lags looked at
        self._width = N_FFT - self._high
        self._analyzer = Analyzer(spec)
        self._weights = _loudness_weights(spec)
        self._power = np.zeros(spec.n_bins, np.float32)
        self._taps = _low_pass(spec.sample_rate)
        self._raw = np.zeros(TAPS - 1 + spec.hop, np.float32)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._raw, TAPS)[::HALVING]
        self._sound = np.zeros(N_FFT, np.float32)
        self._pair = np.zeros((2, N_FFT), np.float32)  # the sound, and its newest part alone
        self._spectra = np.zeros((2, N_FFT // 2 + 1), np.complex64)
        self._product = np.zeros(N_FFT // 2 + 1, np.complex64)
        self._correlation = np.zeros(N_FFT, np.float32)
        self._sums = np.zeros((2, N_FFT + 1))  # of samples and squares; in float64, for differences are looked at
        lags = np.arange(self._low, self._high + 1)
        self._ends, self._starts = N_FFT - lags, N_FFT - self._width - lags
        self._nsdf = np.zeros(len(lags), np.float32)
        self._lower, self._upper = np.zeros((2, 2, len(lags)))
        self._hz, self._scores = np.empty(0), np.empty(0)  # of the last frame's candidates
        self._out = np.zeros(len(CONDITIONS), np.float32)
        self.reset()

    def process(self, x: Array) -> Array:
        """Return pitch (Hz), voicing (0 to 1) and loudness (dB) of the frame that ends with this hop.

        Valid until the next call.
        """
        self._out[2] = self._loudness(x)
        self._take(x)
        self._difference()
        pitch, peak = self._decide(*self._peaks())
        if pitch:
            self._out[0] = pitch
        self._out[1] = min(1.0, max(0.0, (peak - VOICED_FROM) / (VOICED_TO - VOICED_FROM)))
        return self._out

    def reset(self) -> None:
        """Forget everything heard."""
        self._analyzer.reset()
        self._raw[:] = 0.0
        self._sound[:] = 0.0
        self._hz, self._scores = np.empty(0), np.empty(0)
        self._out[:] = REST_HZ, 0.0, QUIET_DB

    def _loudness(self, x: Array) -> float:
        np.abs(self._analyzer.process(x), out=self._power)
        np.square(self._power, out=self._power)
        return max(QUIET_DB, 10.0 * float(np.log10(self._power @ self._weights + 1e-12)))

    def _take(self, x: Array) -> None:
        """Add a hop at half the rate to the sound looked at."""
        self._raw[: TAPS - 1] = self._raw[self._hop :]
        self._raw[TAPS - 1 :] = x
        self._sound[: -self._new] = self._sound[self._new :]
        np.matmul(self._windows, self._taps, out=self._sound[-self._new :])
        self._pair[0] = self._sound
        self._pair[1, -self._width :] = self._pair[0, -self._width :]

    def _difference(self) -> None:
        """Compute 2 r / m for each lag: r the covariance of the newest stretch with an older one, m their variances."""
        np.fft.rfft(self._pair, out=self._spectra)  # type: ignore[arg-type]  # numpy types float64 only
        np.conjugate(self._spectra[0], out=self._product)
        self._product *= self._spectra[1]
        np.fft.irfft(self._product, N_FFT, out=self._correlation)  # type: ignore[arg-type]  # as above
        width, sums = self._width, self._sums
        np.cumsum(self._sound, out=sums[0, 1:])
        np.cumsum(np.square(self._sound, out=self._pair[0]), out=sums[1, 1:])
        np.take(sums, self._ends, axis=1, out=self._lower)
        np.take(sums, self._starts, axis=1, out=self._upper)
        self._lower -= self._upper
        mean = (sums[0, -1] - sums[0, -1 - width]) / width
        r = self._correlation[self._low : self._high + 1] - mean * self._lower[0]
        m = self._lower[1] - np.square(self._lower[0]) / width
        m += sums[1, -1] - sums[1, -1 - width] - width * mean**2 + width * HEARD_LEVEL**2
        np.divide(r, m, out=self._nsdf, casting="same_kind")
        self._nsdf *= 2.0

    def _peaks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return lags (in samples, between the whole ones) and heights of the best peaks, up to CANDIDATES."""
        n = self._nsdf
        inner = n[1:-1]
        at = np.flatnonzero((inner >= n[:-2]) & (inner > n[2:]) & (inner > LOWEST_PEAK)) + 1
        if len(at) > CANDIDATES:
            at = at[np.argpartition(n[at] - OCTAVE_COST * np.log2(at + self._low), -CANDIDATES)[-CANDIDATES:]]
        before, here, after = n[at - 1], n[at], n[at + 1]
        shift = 0.5 * (before - after) / (before - 2.0 * here + after)  # vertex of a parabola
        return at + self._low + shift, here - 0.25 * (before - after) * shift

    def _decide(self, lags: np.ndarray, peaks: np.ndarray) -> tuple[float, float]:
        """Return pitch and peak of the candidate with the best path so far; zeros if there is none."""
        hz = self._rate / lags
        scores = np.minimum(peaks, 1.0) - OCTAVE_COST * np.log2(HIGH_HZ / hz)
        if len(self._hz) and len(hz):
            scores += (self._scores - JUMP_COST * np.abs(np.log2(hz[:, None] / self._hz))).max(1)
            scores -= scores.max()
        self._hz, self._scores = hz, scores
        if not len(hz):
            return 0.0, 0.0
        best = int(scores.argmax())
        return float(hz[best]), float(peaks[best])


def track(sound: Array, spec: FeatureSpec = MEL_SPEC) -> Array:
    """Return (T, 3) measures of (N,) samples, T = N // hop, as the live tracker gives them hop by hop."""
    tracker = PitchTracker(spec)
    hops = sound[: len(sound) // spec.hop * spec.hop].reshape(-1, spec.hop)
    measures = np.empty((len(hops), len(CONDITIONS)), np.float32)
    for row, hop in zip(measures, hops, strict=True):
        row[:] = tracker.process(hop)
    return measures


def _low_pass(rate: int) -> Array:
    """Return (TAPS,) of a Hamming-windowed sinc with unit gain at 0 Hz."""
    n = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2.0 * CUT_HZ / rate * n) * np.hamming(TAPS)
    taps /= taps.sum()
    return np.asarray(taps, np.float32)


def _loudness_weights(spec: FeatureSpec) -> Array:
    """Return (K,) such that the weighted sum of a frame's squared magnitudes is 1 for a full-scale sine at 1 kHz."""
    f2 = (np.arange(spec.n_bins) * spec.sample_rate / spec.n_fft) ** 2
    a = 12194.0**2 * f2**2 / (f2 + 20.6**2) / (f2 + 12194.0**2) / np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * 1.2589
    # A sine's squared magnitudes, over the positive bins, add up to n_fft / 4 times the window's own squares.
    weights: Array = np.asarray(a**2 * 4.0 / (spec.n_fft * np.sum(spec.analysis_window() ** 2)), np.float32)
    return weights
