"""What the networks are trained to make small. Pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from export.networks.isolate import COMPRESSION, EPSILON


def mask_losses(gains: Tensor, energies: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Return two losses of (B, T, F) gains, given the (B, 3, T, F) of `spectra.band_energies` and bins per band (F,).

    The first is the mean over B of 10 log10(error / voice), in dB, soft at both ends: the reward stops at 30 dB, and a
    silent voice is measured against the mix 30 dB down. The second is the L1 distance of compressed band magnitudes,
    relative to the mix's: without it a quiet voice under loud music is lost, since the errors that count in dB are all
    in the lowest bins.
    """
    floor = 1e-3
    mix, inner, voice = energies.unbind(1)
    error = (gains.square() * mix - 2.0 * gains * inner + voice).sum((1, 2))
    reference = voice.sum((1, 2)) + floor * mix.sum((1, 2)) + 1e-4
    snr_db = 10.0 * torch.log10(error.clamp_min(0.0) / reference + floor).mean()
    distance = (_compressed(gains.square() * mix / widths) - _compressed(voice / widths)).abs().mean()
    return snr_db, distance / _compressed(mix / widths).mean()


def _compressed(power: Tensor) -> Tensor:
    return (power + EPSILON) ** (COMPRESSION / 2)


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the scale-invariant signal-to-distortion ratio of (..., N) signals in dB.

    Reference: Le Roux et al. 2019, "SDR - half-baked or well done?", eq. 4.
    """
    scale = (estimate * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True).clamp_min(1e-12)
    wanted = scale * target
    noise = (estimate - wanted).square().sum(-1).clamp_min(1e-12)
    return 10.0 * torch.log10(wanted.square().sum(-1).clamp_min(1e-12) / noise)
