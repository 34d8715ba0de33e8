"""Spectra of whole stretches at once: the torch twin of the streaming Analyzer and Synthesizer, and band energies.

Window pair and sizes come from `rtvox.features`; `tests/test_networks.py` holds the twin to the numpy one within 1e-5.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rtvox.features import MEL_SPEC, Array, FeatureSpec, mel_filterbank, vocoder_window


def analyze(samples: Tensor, spec: FeatureSpec, step: int = 1) -> Tensor:
    """Turn (B, N) samples, N a multiple of hop, into (B, T, K, 2) spectra; frame t ends with hop t; silence before.

    `step` keeps every n-th frame only.
    """
    window = torch.tensor(spec.analysis_window(), device=samples.device)
    padded = torch.nn.functional.pad(samples, (spec.n_fft - spec.hop, 0))
    return torch.view_as_real(torch.fft.rfft(padded.unfold(1, spec.n_fft, spec.hop * step) * window))


def log_mel(samples: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn (B, N) samples, N a multiple of hop, into (B, T, M) log-mel frames; frame t ends with hop t."""
    return log_mel_of(torch.linalg.vector_norm(analyze(samples, spec), dim=-1), spec)


def log_mel_of(magnitude: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn (B, T, K) magnitudes into (B, T, M) log-mel frames."""
    filterbank = torch.tensor(mel_filterbank(spec), device=magnitude.device)
    return torch.log(torch.clamp_min(magnitude @ filterbank.T, spec.floor))


def mel_of(sound: Array, spec: FeatureSpec = MEL_SPEC) -> Array:
    """Return (T, M) log-mel of the whole hops of (N,) samples, as arrays."""
    whole = np.ascontiguousarray(sound[: len(sound) // spec.hop * spec.hop])
    return np.asarray(log_mel(torch.from_numpy(whole)[None], spec)[0].numpy())


def pad_late(sound: Array, late: int, hop: int) -> Array:
    """Return (N,) samples with silence behind them: what comes out `late` samples later is whole, in whole hops."""
    return np.pad(sound, (0, late + -(len(sound) + late) % hop))


def power_spectrum(sound: Tensor, size: int) -> Tensor:
    """Return |STFT|^2, (B, K, T), of (B, N) samples: Hann windows of `size`, a quarter apart, none at the rims."""
    window = torch.hann_window(size, device=sound.device)
    spectrum = torch.stft(sound, size, size // 4, window=window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1)


def synthesize(spectrum: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn (B, T, K, 2) spectra into (B, T * hop) samples, late by one hop as the streaming Synthesizer is."""
    frames = torch.fft.irfft(torch.view_as_complex(spectrum), spec.n_fft)[..., -spec.n_synthesis :]
    frames = frames * torch.tensor(spec.synthesis_window(), device=frames.device)
    old, new = frames[..., : spec.hop], frames[..., spec.hop :]
    return (old + torch.nn.functional.pad(new, (0, 0, 1, 0))[:, :-1]).flatten(1)


def overlap_add(spectrum: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn (B, T, K, 2) spectra of role vocoder into (B, T * hop) samples, as the runtime does: no delay of its own."""
    frames = torch.fft.irfft(torch.view_as_complex(spectrum), spec.n_fft)
    frames = frames * torch.tensor(vocoder_window(spec), device=frames.device)
    count = frames.shape[1]
    parts = frames.unflatten(-1, (spec.n_fft // spec.hop, spec.hop)).unbind(2)
    sums = [torch.nn.functional.pad(part, (0, 0, i, 0))[:, :count] for i, part in enumerate(parts)]
    return torch.stack(sums).sum(0).flatten(1)
