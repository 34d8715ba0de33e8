"""Streaming short-time Fourier analysis and synthesis on the window pair of a FeatureSpec.

`Analyzer`: one hop of samples in, the spectrum of the newest n_fft samples out. `Synthesizer`: a spectrum in, one hop
of samples out, by overlap-add of the newest n_synthesis samples of the frame. One after the other they give the input
back, n_synthesis - hop samples late; with the hop that is gathered first, the algorithmic delay is n_synthesis.
Runs in the converter thread; every buffer is made once. The transform itself is numpy's pocketfft in float32: ONNX has
no inverse STFT, so it stays out of the graphs. Read next: `onnx_stage.py`, which sits between the two.
"""

from __future__ import annotations

import numpy as np

from rtvox.features import Array, FeatureSpec, Spectrum, vocoder_window


class Analyzer:
    """Frame a stream: (hop,) samples in, (K,) spectrum of the newest windowed n_fft samples out. No delay.

    Attributes:
        spec: the framing.
        history: (n_fft,) the newest samples as they came in. One buffer, rewritten by each call.
    """

    delay = 0

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self.history = np.zeros(spec.n_fft, np.float32)
        self._window = spec.analysis_window()
        self._frame = np.zeros(spec.n_fft, np.float32)
        self._spectrum = np.zeros(spec.n_bins, np.complex64)

    def process(self, x: Array) -> Spectrum:
        """Return the complex64 spectrum of the frame that ends with this hop; valid until the next call."""
        hop = self.spec.hop
        self.history[:-hop] = self.history[hop:]
        self.history[-hop:] = x
        np.multiply(self.history, self._window, out=self._frame)
        np.fft.rfft(self._frame, out=self._spectrum)  # type: ignore[arg-type]  # numpy types float64 only
        return self._spectrum

    def reset(self) -> None:
        """Forget the samples heard."""
        self.history[:] = 0.0


class Synthesizer:
    """Overlap-add a stream of spectra: (K,) in, (hop,) samples out, n_synthesis - hop samples late (`delay`).

    A vocoder's frames begin with the hop that is due and reach ahead of it: no `delay`; its look-ahead says which hop.
    """

    def __init__(self, spec: FeatureSpec, *, vocoder: bool = False) -> None:
        self._hop, size = spec.hop, spec.n_fft if vocoder else spec.n_synthesis
        self.delay = 0 if vocoder else size - spec.hop
        self._frame = np.zeros(spec.n_fft, np.float32)
        self._newest = self._frame[-size:]
        self._window = vocoder_window(spec) if vocoder else spec.synthesis_window()
        self._sum = np.zeros(size, np.float32)
        self._out = np.zeros(spec.hop, np.float32)

    def process(self, x: Spectrum) -> Array:
        """Return the hop that this frame completes; valid until the next call."""
        np.fft.irfft(x, len(self._frame), out=self._frame)  # type: ignore[arg-type]  # as above
        self._newest *= self._window
        self._sum += self._newest
        self._out[:] = self._sum[: self._hop]
        self._sum[: -self._hop] = self._sum[self._hop :]
        self._sum[-self._hop :] = 0.0
        return self._out

    def reset(self) -> None:
        """Forget the frames that wait for their successors."""
        self._sum[:] = 0.0
