"""The two ends of the mel path: `LogMel`, spectrum to log-mel, and `MelInverse`, log-mel back to a spectrum.

In and out: one frame per call, in the converter thread. Between the two stands the network. The inverse gives a
spectrum whose phase is the input's own, so that plain synthesis ("input-phase") can follow as well as Griffin-Lim,
which may use that phase or not. Read next: `griffin_lim.py`.
"""

from __future__ import annotations

import numpy as np

from rtvox.features import Array, FeatureSpec, Spectrum, log_mel_of_spectrum, mel_filterbank

LOUDEST = 10.0  # natural log; a full-scale sine reaches 2, and the exponential of a network gone wild nothing above it
UPDATES = 4  # of the inverse from scratch: mel within 0.1 dB
FINE_UPDATES = 1  # of the inverse from the input's own spectrum


class LogMel:
    """Turn spectra (K,) into log-mel (M,). No delay.

    Attributes:
        heard: (K,) complex64, the input spectrum that the network's next output answers: look_ahead frames old. One
            buffer, rewritten by each call.
    """

    delay = 0

    def __init__(self, spec: FeatureSpec, look_ahead: int = 0) -> None:
        """Make the buffers. Args: look_ahead: frames for which the network behind this stage waits."""
        self._spec = spec
        self._line = np.zeros((look_ahead + 1, spec.n_bins), np.complex64)
        self.heard = self._line[0]

    def process(self, x: Spectrum) -> Array:
        """Return the log-mel of this frame."""
        self._line[:-1] = self._line[1:]
        self._line[-1] = x
        mel: Array = log_mel_of_spectrum(x[None], self._spec)[0]
        return mel

    def reset(self) -> None:
        """Forget the frames heard."""
        self._line[:] = 0.0


class MelInverse:
    """Turn log-mel (M,) into a spectrum (K,) that has it. No delay.

    Magnitudes are never negative and never iterate to a negative: from a first guess, each update multiplies every bin
    by what its bands lack (Richardson 1972 and Lucy 1974; the same as Lee and Seung's 2001 update for the divergence).
    The first guess is the smooth spectrum that the transposed filterbank gives. With `use_input` it is the input's own
    spectrum, whose fine structure then stays (partials between wide bands); right where the network keeps the pitch.

    Attributes:
        use_input: start from the magnitude of `heard`.
    """

    delay = 0

    def __init__(self, spec: FeatureSpec, heard: Spectrum, *, use_input: bool = False) -> None:
        """Make the buffers. Args: heard: (K,) complex64, `LogMel.heard`: whose phase the result takes."""
        self.use_input = use_input
        self._heard = heard
        self._floor = np.float32(spec.floor * 1.0001)  # above what rounding makes of it
        self._bank = mel_filterbank(spec)
        covered = self._bank.sum(axis=0)
        self._deaf = covered == 0.0  # bins in no band, as 0 Hz: they follow what the nearest bin lacks
        heard_bins = np.flatnonzero(~self._deaf)
        nearest = heard_bins[np.abs(np.arange(spec.n_bins)[:, None] - heard_bins).argmin(axis=1)]
        self._spread = np.ascontiguousarray((self._bank / np.where(self._deaf, 1.0, covered)).T[nearest])  # (K, M)
        reach = self._bank.sum(axis=1)
        self._inverse_reach = (1.0 / np.where(reach > 0.0, reach, 1.0)).astype(np.float32)
        self._sounds = np.zeros(spec.n_mels, bool)
        self._mel, self._lack = np.zeros(spec.n_mels, np.float32), np.zeros(spec.n_mels, np.float32)
        self._magnitude, self._factor = np.zeros(spec.n_bins, np.float32), np.zeros(spec.n_bins, np.float32)
        self._size = np.zeros(spec.n_bins, np.float32)
        self._out = np.zeros(spec.n_bins, np.complex64)

    def process(self, x: Array) -> Spectrum:
        """Return (K,) complex64 with the phase of `heard`; valid until the next call."""
        magnitude = self._magnitude
        np.minimum(x, np.float32(LOUDEST), out=self._mel)
        np.exp(self._mel, out=self._mel)
        np.greater(self._mel, self._floor, out=self._sounds)  # the floor stands for silence, and becomes it
        self._mel *= self._sounds
        np.abs(self._heard, out=self._size)
        if self.use_input:
            np.add(self._size, self._floor, out=magnitude)
        else:
            np.multiply(self._mel, self._inverse_reach, out=self._lack)
            np.matmul(self._spread, self._lack, out=magnitude)
            magnitude[self._deaf] = 0.0
        for _ in range(FINE_UPDATES if self.use_input else UPDATES):
            np.matmul(self._bank, magnitude, out=self._lack)
            self._lack += np.float32(1e-12)
            np.divide(self._mel, self._lack, out=self._lack)
            np.matmul(self._spread, self._lack, out=self._factor)
            magnitude *= self._factor
        # magnitude * heard / |heard|, and 1 for the phase of nothing
        np.copyto(self._out, self._heard)
        self._out += np.float32(1e-12)
        self._size += np.float32(1e-12)
        np.divide(magnitude, self._size, out=magnitude)
        self._out *= magnitude
        return self._out

    def reset(self) -> None:
        """Do nothing: each frame stands for itself."""
