"""What networks that make sound are trained to make small: spectral distances, and what discriminators say.

In: sounds (B, N) at 48 kHz, or a discriminator's judgements. Out: tensors. Pure functions. Read next: `losses.py`, the
losses of frames; `networks/discriminators.py`.

The phase of a vocoder's pulses is its own, so distances of waveforms or phases would ask for what a log-mel does not
say. Where in time and at which pitch the sound is, the magnitudes of short and of long windows say together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from export.adversarial import ADVERSARIAL
from export.recordings.library import RATE
from export.spectra import power_spectrum

SIZES = (512, 1024, 2048, 4096)  # of windows, samples: from 11 ms, sharp in time, to 85 ms, sharp in pitch
FLOOR = 3e-3  # of magnitudes in a window of 1024, where a full-scale sine is 256: -99 dB
CORNER_HZ = 1000.0  # bins count the same below it, and ever less above, as on the mel scale

GAME = ADVERSARIAL["hinge"]
Judgements = Sequence[tuple[Tensor, list[Tensor]]]  # of each discriminator: its score and its inner layers


def spectral_losses(sound: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return two multi-resolution losses of (B, N) sounds by name, each the mean over SIZES.

    `log`: L1 distance of log-magnitudes, in nat; `convergence`: distance of magnitudes over the target's own size, per
    sound. Both with bins weighed as the mel scale is dense.
    Reference: Yamamoto et al. 2020, "Parallel WaveGAN", eq. 4-6.
    """
    distances, convergences = [], []
    for size in SIZES:
        a, b = (torch.sqrt(power_spectrum(x, size) + 1e-9) for x in (sound, target))
        weight = density(size).to(a.device)[:, None]
        floor = FLOOR * (size / 1024) ** 0.5
        distances.append((weight * (torch.log(a + floor) - torch.log(b + floor)).abs()).mean())
        convergences.append(convergence(a, b, weight))
    return {"log": torch.stack(distances).mean(), "convergence": torch.stack(convergences).mean()}


def density(size: int) -> Tensor:
    """Return (size / 2 + 1,) how much each bin of a window of `size` counts: as the mel scale is dense; mean 1."""
    weight = 1.0 / (1.0 + torch.arange(size // 2 + 1) * (RATE / size / CORNER_HZ))
    return weight / weight.mean()


def convergence(made: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return how far weighed magnitudes (B, ., .) are from others, over the others' own size, the mean over B.

    Where both are alike, as in silence, there is nothing to learn: the gradient of a norm is 0 there, not infinite.
    """
    root = weight.sqrt()
    error, whole = (torch.linalg.vector_norm(root * x, dim=(1, 2)) for x in (made - wanted, wanted))
    return (error / torch.sqrt(whole.square() + 1e-2)).mean()


def discriminator_loss(real: Judgements, made: Judgements) -> Tensor:
    """Return what discriminators lose at GAME, the mean over them."""
    return torch.stack([GAME.judge(r, m) for (r, _), (m, _) in zip(real, made, strict=True)]).mean()


def adversarial_losses(real: Judgements, made: Judgements) -> dict[str, Tensor]:
    """Return the losses that discriminators give to what made the sound, by name.

    `deceive`: of GAME; `feature`: L1 distance of the discriminators' inner layers (Larsen et al. 2016).
    """
    distances = [
        (a.detach() - b).abs().mean()
        for (_, inner), (_, other) in zip(real, made, strict=True)
        for a, b in zip(inner, other, strict=True)
    ]
    deceive = torch.stack([GAME.please(score) for score, _ in made]).mean()
    return {"deceive": deceive, "feature": torch.stack(distances).mean()}
