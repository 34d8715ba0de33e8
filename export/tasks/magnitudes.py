"""The training of `magnitudes`: recordings with their pitch, magnitudes of their spectra, and what becomes of these.

In: a recipe and prepared clips. Out: a Lightning module for `train.py`. Items are those of `vocoder`. What the network
draws is heard as it will be live: through streaming Griffin-Lim, whose phases are taken as given, so that magnitudes
are learnt that sound right where no phases fit them. Read next: `../networks/magnitudes.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.networks.magnitudes import Magnitudes
from export.recipe import Recipe
from export.sound_losses import CORNER_HZ, FLOOR, spectral_losses
from export.spectra import analyze, log_mel, log_mel_of, overlap_add
from export.tasks.vocoder import OVERLAP, SETTLE, SPEC, ClipTraining, Item
from rtvox.griffin_lim import GriffinLim

WEIGHTS = {"drawn": 0.3, "log": 1.0, "convergence": 0.5, "mel": 1.0}

LOOK_AHEAD = -1  # hops, of Griffin-Lim as it runs live


class MagnitudesTraining(ClipTraining):
    """The training step of `magnitudes`."""

    network: Magnitudes
    dense: Tensor

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, cache, Magnitudes(SPEC, **recipe.network))
        self.register_buffer("dense", _density(), persistent=False)

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(batch)
        self.log_dict(losses, prog_bar=True)
        return torch.stack([weight * losses[name] for name, weight in WEIGHTS.items()]).sum()

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return by name how far magnitudes of items (B, N) are from the true ones, and sounds from the recordings.

        `drawn`: L1 distance of logarithms of magnitudes, in nat, bins as the mel is dense; of the sounds,
        `spectral_losses` and `mel`, the L1 distance of log-mel.
        """
        samples, measures = batch
        wanted = torch.linalg.vector_norm(analyze(samples, SPEC), dim=-1)[:, OVERLAP:]
        pitch, voicing = measures[:, OVERLAP:].split(1, -1)
        spectra, _ = self.network(log_mel_of(wanted, SPEC), pitch, voicing, self.network.zero_state(len(samples)))
        size = spectra[..., 0].float()
        made = hear(size)[:, SETTLE * SPEC.hop :]
        target = samples[:, SETTLE * SPEC.hop :][:, : made.shape[1]]
        a, b = (log_mel(x, SPEC)[:, OVERLAP:] for x in (made, target))
        size, wanted = size[:, SETTLE:], wanted[:, SETTLE:]
        return spectral_losses(made, target) | {
            "drawn": (self.dense * (torch.log(size + FLOOR) - torch.log(wanted + FLOOR)).abs()).mean(),
            "mel": (a - b).abs().mean(),
        }


def hear(size: Tensor) -> Tensor:
    """Return what streaming Griffin-Lim makes of magnitudes (B, T, K), (B, (T - 2) * hop), OVERLAP hops late.

    Gradients are those of magnitudes whose phases stand still.
    """
    late = OVERLAP + LOOK_AHEAD  # hops
    with torch.no_grad():
        sound = torch.from_numpy(np.stack([_stream(frames) for frames in size.cpu().numpy()])).to(size.device)
        phases = torch.view_as_complex(analyze(sound, SPEC)[:, late:])
        phases = phases / (phases.abs() + 1e-9)
    spectra = torch.view_as_real(size[:, :-late] * phases)
    window = SPEC.analysis_window()
    drawn = overlap_add(spectra, SPEC, window / (window.reshape(-1, SPEC.hop) ** 2).sum(0).mean())
    sound = torch.nn.functional.pad(sound, (-LOOK_AHEAD * SPEC.hop, 0))[:, : drawn.shape[1]]
    return sound + drawn - drawn.detach()


def _stream(frames: np.ndarray) -> np.ndarray:
    stage = GriffinLim(SPEC, look_ahead=LOOK_AHEAD)
    return np.concatenate([stage.process(frame).copy() for frame in frames])


def _density() -> Tensor:
    weight = 1.0 / (1.0 + torch.arange(SPEC.n_bins) * (SPEC.sample_rate / SPEC.n_fft / CORNER_HZ))
    return weight / weight.mean()
