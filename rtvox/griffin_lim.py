"""Streaming Griffin-Lim: sound from magnitudes alone, while they arrive.

In: a frame (K,) whose magnitude counts; its phase is only where the search starts, or is left out. Out: a hop of
samples. Runs in the converter thread; every buffer is made once. Read next: `mel.py`, which makes the frames.

The family is RTISI-LA (Zhu, Beauregard and Wyse 2007, "Real-time signal estimation from modified short-time Fourier
transform magnitude spectra"), with the momentum of fast Griffin-Lim (Perraudin, Balazs and Sondergaard 2013), and one
step further: not frames are settled one by one, but samples. What was played stays as it is; all that was not, also
under older frames, is still searched for, so that a look-ahead of 0, even of -1 or -2 frames, is worth more. Where a
hop is played before the last frame over it has come, that frame is expected to be as loud as the newest, and weighs
little: sound mostly goes on. What was played and what is still searched for meet in a short fade, part of the search: a
step there, however small, is wide-band noise, which fills quiet bands.
"""

from __future__ import annotations

import numpy as np

from rtvox.errors import ParameterError
from rtvox.features import Array, FeatureSpec, Spectrum, hann

LOOK_AHEAD = (-2, 3)  # frames; see GriffinLim
MAX_ITERATIONS = 64
MOMENTUM = 0.8  # measured on speech, song and violin: 0.7 to 0.9 are alike, 0 is 3 dB worse, 1.2 is 4 dB worse
NEWEST = 0.6  # weight of the newest frame beside older ones: no other has yet confirmed its phases
EXPECTED = 0.15  # and of the frame that is expected after it
SEAM = 32  # samples over which a hop goes on from what was expected after the one before: no step at their border
_EDGE = 5e-4  # where the weighted squares of the windows add up to less, at the newest end, they are not divided
_TINY = 1e-12  # magnitude without a phase


class GriffinLim:
    """Turn a stream of magnitudes into sound: (K,) complex64 in, (hop,) samples out.

    With a look-ahead of 0 a hop is played when the last frame that covers it has come: n_fft samples after it was
    said, counting the hop that is gathered first. Each of the next three frames is a hop later and better by 2 to 1
    dB; -1 and -2 play a hop before its last, or its last two frames have come, for 2 and 8 dB.

    Attributes:
        delay: n_fft - hop + look_ahead * hop samples.
        iterations: rounds of analysis and synthesis per frame; may be changed at any time.
        use_phase: start each frame from the phase that comes with it, not from what the frames before it say; nothing
            is expected then.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        look_ahead: int = -1,
        iterations: int = 10,
        use_phase: bool = False,
        momentum: float = MOMENTUM,
        seed: int = 440,
    ) -> None:
        """Make the buffers.

        Args:
            spec: symmetric, with frames that overlap four times or more.
            look_ahead: frames to wait for, -2 to 3.
            seed: of the phases from which a sound starts after silence.

        Raises: ParameterError.
        """
        hop, n_fft = spec.hop, spec.n_fft
        low, high = LOOK_AHEAD
        if not spec.n_synthesis == n_fft >= 4 * hop:
            raise ParameterError(
                f"n_fft={n_fft} n_synthesis={spec.n_synthesis} hop={hop}: Griffin-Lim needs n_synthesis == n_fft, 4 or "
                "more hops"
            )
        if not (low <= look_ahead <= high and 0 <= iterations <= MAX_ITERATIONS and 0.0 <= momentum < 2.0):
            raise ParameterError(
                f"look_ahead={look_ahead} iterations={iterations} momentum={momentum}: needs look_ahead {low} to "
                f"{high}, iterations 0 to {MAX_ITERATIONS}, momentum 0 to below 2"
            )
        self.delay = n_fft - hop + look_ahead * hop
        self.iterations, self.use_phase = iterations, use_phase
        self._hop = hop
        expects = int(look_ahead < 0)
        # Frames whose phases are still searched for: those that wait, one or two older ones, and the one expected.
        active = max(2, look_ahead + 2) + expects
        self._newest = active - 1 - expects
        # The samples under them. Those before `played` were put out.
        self._played = (self._newest - look_ahead) * hop
        span = (active - 1) * hop + n_fft
        self._signal = np.zeros(span, np.float32)
        self._settled = np.zeros(span, np.float32)  # what older frames add
        self._overlapping = np.lib.stride_tricks.sliding_window_view(self._signal, n_fft)[::hop]
        self._window = spec.analysis_window()
        weights = np.ones(active, np.float32)
        weights[self._newest :] = (NEWEST, EXPECTED)[: 1 + expects]
        self._weighted = weights[:, None] * self._window  # of synthesis
        self._older = (weights[:-1] / weights[1:])[:, None]  # what a frame's weight becomes
        self._normalise = [_normaliser(self._window, self._weighted[:n], span, hop) for n in (active, self._newest + 1)]
        seam = min(SEAM, hop)
        self._leave, self._before_seam = hann(2 * seam)[seam:].astype(np.float32), np.zeros(seam, np.float32)
        self._seam = self._signal[self._played : self._played + seam]
        for normalise in self._normalise:
            normalise[self._played : self._played + seam] *= 1.0 - self._leave
        self._frames = np.zeros((active, n_fft), np.float32)
        self._sum = np.zeros(span, np.float32)
        self._places = [(self._sum[i * hop : i * hop + n_fft], frame) for i, frame in enumerate(self._frames)]
        self._goal = np.zeros((active, spec.n_bins), np.float32)  # magnitudes
        self._spectra = np.zeros((active, spec.n_bins), np.complex64)
        self._before = np.zeros_like(self._spectra)  # of the round before, times the momentum
        self._aim = np.zeros_like(self._spectra)
        self._scale = np.zeros_like(self._goal)
        self._momentum = np.float32(momentum)
        turns = np.random.default_rng(seed).random(spec.n_bins)
        self._any_phase = (_TINY * np.exp(2j * np.pi * turns)).astype(np.complex64)
        self._out = np.zeros(hop, np.float32)

    def process(self, x: Spectrum) -> Array:
        """Take the newest frame and return the hop that is due; valid until the next call."""
        hop, spectra = self._hop, self._spectra
        self._shift()
        newest = self._newest
        self._goal[newest:] = np.abs(x, out=self._goal[newest])  # and as loud again, where a frame is expected
        if self.use_phase:
            np.fft.irfft(x, len(self._window), out=self._frames[newest])
            self._frames[newest] *= self._weighted[newest]
        self._overlap_add()
        for turn in range(self.iterations):
            np.multiply(self._overlapping, self._window, out=self._frames)
            np.fft.rfft(self._frames, out=spectra)  # type: ignore[arg-type]  # numpy types float64 only
            aim = spectra
            if turn and not self.use_phase:  # momentum would run away from a start that is near the goal
                aim = np.multiply(spectra, 1.0 + self._momentum, out=self._aim)
                aim -= self._before
            np.multiply(spectra, self._momentum, out=self._before)
            aim += self._any_phase
            np.abs(aim, out=self._scale)
            np.divide(self._goal, self._scale, out=self._scale)
            aim *= self._scale
            np.fft.irfft(aim, len(self._window), out=self._frames)  # type: ignore[arg-type]
            self._frames *= self._weighted
            self._overlap_add()
        self._out[:] = self._signal[self._played : self._played + hop]
        return self._out

    def reset(self) -> None:
        """Forget everything heard."""
        for buffer in (self._signal, self._settled, self._frames, self._goal, self._out):
            buffer[:] = 0.0

    def _shift(self) -> None:
        """Settle the oldest frame, and let everything grow older by a hop."""
        hop = self._hop
        self._settled[: len(self._window)] += self._frames[0]
        for samples in (self._settled, self._signal):
            samples[:-hop] = samples[hop:]
        self._settled[-hop:] = 0.0
        np.multiply(self._seam, self._leave, out=self._before_seam)
        np.multiply(self._frames[1:], self._older, out=self._frames[:-1])
        self._frames[-1] = 0.0
        self._goal[:-1] = self._goal[1:]

    def _overlap_add(self) -> None:
        """Renew the samples that were not played from the frames: Griffin and Lim's least-squares estimate."""
        played, known = self._played, self.use_phase
        self._sum[:] = self._settled
        for place, frame in self._places[: self._newest + 1] if known else self._places:
            place += frame
        np.multiply(self._sum[played:], self._normalise[known][played:], out=self._signal[played:])
        self._seam += self._before_seam


def _normaliser(window: Array, weighted: Array, span: int, hop: int) -> Array:
    """Return (span,): 1 / the sum of squared windows, of the active frames and all before them, for each sample."""
    n_fft = len(window)
    older = n_fft // hop
    total = np.zeros(older * hop + span)
    for i, synthesis in enumerate([*[window] * older, *weighted]):
        total[i * hop : i * hop + n_fft] += (window * synthesis).astype(np.float64)
    normalise: Array = (1.0 / np.maximum(total[older * hop :], _EDGE)).astype(np.float32)
    return normalise
