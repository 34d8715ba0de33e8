"""The one definition of the short-time features: windows, mel filterbank, log-mel and MFCC.

Pure numpy, shared by the live converter and by `export` (training, losses, proofs), so that a network hears live
exactly what it heard in training. In: windowed frames. Out: arrays of features. Stateless, so any thread may call it.
Read next: `stft.py`, which frames a stream.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvox.errors import ParameterError

Array = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]
Frame = npt.NDArray[Any]  # what a network takes: a Spectrum (K,), or log-mel (M,) float32; stacked, with T in front


@dataclass(frozen=True)
class FeatureSpec:
    """Sizes of the short-time analysis; a model file carries one, and the runtime builds its Analyzer from it.

    Two framings. The low-delay pair of the mask path, `n_synthesis == 2 * hop`: a long asymmetric analysis window, of
    which the newest end alone is resynthesised. The symmetric one of the mel path, `n_synthesis == n_fft`: magnitudes
    alone determine a sound only where frames overlap four times or more, all of them.

    Invariants: `n_synthesis` is 2 * hop, or n_fft and a multiple of the hop; at most n_fft (checked when built).
    """

    sample_rate: int = 48000  # Hz; the whole house runs at it, devices are resampled at the edge
    n_fft: int = 2048  # samples, 42.7 ms: 23.4 Hz per bin resolves the partials of a low male voice
    n_synthesis: int = 512  # samples, 10.7 ms: the newest end of the frame, which alone is resynthesised; or n_fft
    hop: int = 256  # samples, 5.33 ms
    n_mels: int = 80
    mel_low_hz: float = 0.0
    mel_high_hz: float = 24000.0
    floor: float = 1e-5  # mel magnitudes below it are silence: natural log -11.5
    n_mfcc: int = 20

    def __post_init__(self) -> None:
        low_delay = self.n_synthesis == 2 * self.hop <= self.n_fft
        symmetric = self.n_synthesis == self.n_fft and self.hop >= 1 and self.n_fft % self.hop == 0
        if self.hop < 1 or not (low_delay or symmetric) or self.n_fft < 2 * self.hop or self.n_fft % 2:
            raise ParameterError(
                f"FeatureSpec n_fft={self.n_fft} n_synthesis={self.n_synthesis} hop={self.hop}: "
                "needs n_synthesis == 2 * hop <= n_fft, or n_synthesis == n_fft == 2 or more hops; n_fft even"
            )
        if not 0.0 <= self.mel_low_hz < self.mel_high_hz <= self.sample_rate / 2:
            raise ParameterError(
                f"mel_low_hz={self.mel_low_hz} mel_high_hz={self.mel_high_hz}: needs 0 <= low < high <= "
                f"{self.sample_rate / 2} (half the sample rate)"
            )
        if self.floor <= 0.0 or not 1 <= self.n_mfcc <= self.n_mels:
            raise ParameterError(
                f"floor={self.floor} n_mfcc={self.n_mfcc}: needs floor > 0, 1 <= n_mfcc <= n_mels={self.n_mels}"
            )

    @property
    def n_bins(self) -> int:
        """K: bins of a one-sided spectrum."""
        return self.n_fft // 2 + 1

    def analysis_window(self) -> Array:
        """Return the (n_fft,) analysis window: a long rise and a fall of one hop, or Hann's where it is symmetric."""
        return _windows(self.n_fft, self.n_synthesis, self.hop)[0]

    def synthesis_window(self) -> Array:
        """Return the (n_synthesis,) window that makes overlap-add of the frame's newest end exact."""
        return _windows(self.n_fft, self.n_synthesis, self.hop)[1]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values, as the manifest stores them."""
        return asdict(self)


MEL_SPEC = FeatureSpec(n_fft=1024, n_synthesis=1024, hop=256, n_mels=128)
"""The live framing of the mel path: 21.3 ms, a frame every 5.33 ms, 128 mel bands from 0 to 24 kHz."""


@cache
def _windows(n_fft: int, n_synthesis: int, hop: int) -> tuple[Array, Array]:
    if n_synthesis == 2 * hop:
        # Mauler and Martin 2007, "A low delay, variable resolution, perfect reconstruction spectral analysis-synthesis
        # system for speech enhancement", eq. 9-10: analysis times synthesis is a Hann window of 2 * hop.
        rise = np.sqrt(hann(2 * (n_fft - hop)))[: n_fft - hop]
        fall = np.sqrt(hann(2 * hop))[hop:]
        analysis = np.concatenate([rise, fall])
        synthesis = hann(2 * hop) / np.maximum(analysis[-2 * hop :], 1e-12)
    else:
        # Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform", eq. 6: the synthesis
        # window whose overlap-add is nearest, in the least-squares sense, to what the frames say.
        analysis = hann(n_fft)
        synthesis = analysis / np.tile((analysis.reshape(-1, hop) ** 2).sum(axis=0), n_fft // hop)
    return _frozen(analysis), _frozen(synthesis)


@cache
def vocoder_window(spec: FeatureSpec) -> Array:
    """Return the (n_fft,) window of a vocoder's frames before overlap-add: nothing in the last hop.

    A vocoder's frame begins with the second hop of its mel's window, so its last hop is one that went out before. What
    the analysis window leaves of the others becomes whole: Griffin and Lim's least squares, over the frames there are.
    """
    newer = spec.analysis_window()[spec.hop :].astype(np.float64)
    total = (newer.reshape(-1, spec.hop) ** 2).sum(axis=0)
    return _frozen(np.concatenate([newer / np.tile(total, len(newer) // spec.hop), np.zeros(spec.hop)]))


def hann(length: int) -> npt.NDArray[np.float64]:
    """Return a periodic Hann window shifted by half a sample: strictly positive, and halves that add up to one."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2


def _frozen(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, np.float32)
    array.flags.writeable = False
    return array


def mel_from_hz(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Map frequency in Hz to mel (Slaney's Auditory Toolbox scale: linear to 1 kHz, then logarithmic)."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * 27.0 / np.log(6.4))


def hz_from_mel(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Invert `mel_from_hz`."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


@cache
def mel_filterbank(spec: FeatureSpec) -> Array:
    """Return the (M, K) triangular mel filterbank with Slaney's area normalisation, as librosa's default.

    Reference: M. Slaney, Auditory Toolbox, technical report 1998-010, 1998; held to `librosa.filters.mel` by a test.
    """
    edges = hz_from_mel(np.linspace(mel_from_hz(spec.mel_low_hz), mel_from_hz(spec.mel_high_hz), spec.n_mels + 2))
    bins_hz = np.arange(spec.n_bins) * spec.sample_rate / spec.n_fft
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    return _frozen(np.maximum(0.0, triangles) * 2.0 / (high - low))


@cache
def dct_basis(n_mfcc: int, n_mels: int) -> Array:
    """Return the (n_mfcc, M) orthonormal DCT-II matrix that turns log-mel into MFCCs."""
    phase = np.pi / n_mels * (np.arange(n_mels) + 0.5) * np.arange(n_mfcc)[:, None]
    basis = np.sqrt(2.0 / n_mels) * np.cos(phase)
    basis[0] /= np.sqrt(2.0)
    return _frozen(basis)


def log_mel(frames: Array, spec: FeatureSpec) -> Array:
    """Turn windowed frames into log-mel energies.

    Args:
        frames: (T, n_fft) float32, samples in [-1, 1], already multiplied by `spec.analysis_window()`.
        spec: the feature definition shared with training.

    Returns:
        (T, M) float32, natural log of mel magnitude, never below log(spec.floor).

    Streaming: stateless; each row depends on its own frame only.
    Delay: none (frames end at the newest sample; overlap-add books its hop in the synthesizer).
    Raises: ParameterError if frames.shape[1] != spec.n_fft.

    >>> SPEC = FeatureSpec()
    >>> log_mel(np.zeros((2, SPEC.n_fft), np.float32), SPEC).shape == (2, SPEC.n_mels)
    True
    """
    if frames.ndim != 2 or frames.shape[1] != spec.n_fft:
        raise ParameterError(f"frames.shape={frames.shape}: needs (T, {spec.n_fft}), one windowed frame per row")
    return log_mel_of_spectrum(np.fft.rfft(frames).astype(np.complex64), spec)


def log_mel_of_spectrum(spectrum: Spectrum, spec: FeatureSpec) -> Array:
    """Turn (T, K) spectra of windowed frames into (T, M) log-mel; otherwise as `log_mel`."""
    mel = np.abs(spectrum) @ mel_filterbank(spec).T
    return np.log(np.maximum(mel, spec.floor)).astype(np.float32)


def mfcc(log_mel_frames: Array, spec: FeatureSpec) -> Array:
    """Turn (T, M) log-mel into (T, n_mfcc) mel-frequency cepstral coefficients (orthonormal DCT-II). Stateless."""
    return log_mel_frames @ dct_basis(spec.n_mfcc, spec.n_mels).T
