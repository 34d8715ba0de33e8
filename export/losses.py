"""What the networks are trained to make small. Pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from export.networks.band_unet import COMPRESSION, EPSILON
from export.networks.vae import kl_divergence

SYLLABLE = 17  # frames, 90 ms: slower differences are no roughness
FLUTTER = 0.85  # part of the variance of `MagnitudeNoise` that is faster


def mask_losses(gains: Tensor, energies: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Return two losses of (B, T, F) gains, given the (B, 3, T, F) of `Isolate.energies` and bins per band (F,).

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


def scream_losses(
    mel: Tensor, target: Tensor, mean: Tensor, deviation: Tensor, noise: Tensor, latent: Tensor, dct: Tensor
) -> dict[str, Tensor]:
    """Return the losses of `scream` by name, given (B, T, M) log-mel in nat and the latent's (B, T, 2 L).

    `mel`: distance of the mean from the target, over what can be heard; `mfcc`: that of their cepstra; `deviation`: the
    negative log-likelihood of what flutters in the target around the mean, faster than a syllable (slower differences
    are another scream's, not this one's roughness); `rough`: the modulation spectra of the drawn frames against the
    target's; `kl`: the latent's divergence from the unit Gaussian.
    """
    loudness = torch.log(torch.exp(mel).mean(-1, keepdim=True))
    # By what is known before the target is: a target that weighs itself counts most where it is louder than expected.
    louder = torch.maximum(mel, mean.detach()) - loudness
    weight = torch.clamp(1.0 + louder / 7.0, 0.05, 1.0) * torch.clamp((loudness + 11.5) / 3.0, 0.05, 1.0)
    error = target - mean
    distance = (weight * torch.nn.functional.smooth_l1_loss(mean, target, reduction="none")).mean()
    cepstral = (weight.mean(-1, keepdim=True) * (error @ dct.T).abs()).mean()
    flutter = error.detach() - _smooth(error.detach())
    spread = deviation + 0.05
    unlikely = (weight * (torch.log(spread) + flutter.square() / (2.0 * FLUTTER * spread.square()))).mean()
    drawn, wanted = _modulation(mean.detach() + deviation * noise), _modulation(target)
    rough = (torch.log(drawn + 1e-3) - torch.log(wanted + 1e-3)).abs().mean()
    centre, spread = latent.chunk(2, -1)
    kl = kl_divergence(centre, spread) * centre.shape[-1]
    return {"mel": distance, "mfcc": cepstral, "deviation": unlikely, "rough": rough, "kl": kl}


def _smooth(frames: Tensor) -> Tensor:
    """Average (B, T, M) over SYLLABLE frames around each."""
    rows = frames.transpose(1, 2)
    return torch.nn.functional.avg_pool1d(rows, SYLLABLE, 1, SYLLABLE // 2, count_include_pad=False).transpose(1, 2)


def _modulation(frames: Tensor, length: int = 48, width: int = 8) -> Tensor:
    """Return the power (M / width, hz) of modulation from 25 to 93 Hz in groups of `width` bands of (B, T, M)."""
    b, t, m = frames.shape
    bands = frames[:, : t // length * length].reshape(b, -1, length, m // width, width).mean(-1)
    window = torch.hann_window(length, device=frames.device)[:, None]
    power = torch.fft.rfft((bands - bands.mean(2, keepdim=True)) * window, dim=2).abs().square()
    return power[:, :, length * 25 // 187 :].mean((0, 1)).T / length
