"""Train a network from a recipe with Lightning: progress bar, TensorBoard, resume, several processes or machines.

In: a recipe and prepared recordings. Out: `<runs>/<name>/last.ckpt`, and TensorBoard logs beside it. Each step draws
mixes as band energies, runs the network over the whole stretch from a silent past, and makes the losses small.
Validation filters and resynthesises pieces of the held-out song and logs the median gain in SI-SDR. One process per
device, each with workers of its own that draw mixes. Read next: `to_onnx.py`.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from export.checkpoints import read_checkpoint
from export.evaluate import held_out_song, improvement
from export.losses import mask_losses
from export.networks.isolate import Isolate
from export.recipe import Recipe
from export.recordings.library import Library
from export.recordings.mixes import Mixer, MixStream
from export.spectra import band_energies
from rtvox.features import FeatureSpec

SPEC = FeatureSpec()
WARM_UP = 200  # steps of rising learning rate: Adam's second moments are noise before


class IsolateTraining(lightning.LightningModule):
    """The training step of `isolate`."""

    widths: Tensor  # bins per band

    def __init__(self, recipe: Recipe, library: Library) -> None:
        super().__init__()
        self.recipe, self.library = recipe, library
        self.network = Isolate(SPEC, **recipe.network)
        self.register_buffer("widths", torch.tensor(np.diff(self.network.edges), dtype=torch.float32), persistent=False)

    def training_step(self, energies: Tensor, _: int) -> Tensor:
        """Return the loss of one batch of (B, 3, T, F) band energies."""
        power = energies[:, 0] / self.widths
        gains = self.network.gains(power, self.network.zero_state(len(power)))[0]
        snr, distance = mask_losses(gains.float(), energies, self.widths)
        self.log_dict({"snr_db": snr, "distance": distance}, prog_bar=True)
        return 0.1 * snr + distance

    def on_validation_epoch_start(self) -> None:
        """Score the held-out song (the loader of this epoch is one dummy item)."""
        if not self.recipe.mix.hold_out:
            return
        scores = [improvement(self.network, *held_out_song(self.library, song)) for song in self.recipe.mix.hold_out]
        self.log("si_sdr_gain_db", float(np.mean(scores)), prog_bar=True, sync_dist=True)

    def validation_step(self, batch: Tensor, _: int) -> None:
        """Nothing per batch."""

    def configure_optimizers(self) -> Any:
        """AdamW, a short warm-up, then half a cosine down to zero at the recipe's last step."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.recipe.learning_rate, weight_decay=1e-3)

        def scale(step: int) -> float:
            rise = min(1.0, (step + 1) / WARM_UP)
            return rise * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.trainer.max_steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    recipe: Recipe,
    cache: Path,
    runs: Path,
    *,
    steps: int | None = None,
    resume: Path | None = None,
    weights: Path | None = None,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    frame_step: int = 1,
    precision: str = "bf16-mixed",
    workers: int = 1,
    validate_every: int = 250,
) -> Path:
    """Train and return the path of the last checkpoint, `<runs>/<name>/last.ckpt`; older runs there are kept.

    Args:
        resume: a checkpoint to go on from, with its optimiser and step count.
        weights: a checkpoint whose weights only are the start of a new run.
        frame_step: train on every n-th frame: 2 learns twice as much per hour; finish with 1.
        devices, nodes: processes per machine and machines (torch.distributed underneath, gloo on CPU).
    """
    lightning.seed_everything(recipe.seed)
    library = Library(cache)
    module = IsolateTraining(recipe, library)
    if weights:
        module.load_state_dict(read_checkpoint(weights)["state_dict"])
    folder = runs / recipe.name
    saver = ModelCheckpoint(folder, save_last=True, every_n_train_steps=100, save_top_k=0)
    trainer = lightning.Trainer(
        max_steps=steps or recipe.steps,
        devices=devices,
        num_nodes=nodes,
        accelerator=accelerator,
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=1.0,
        callbacks=[saver, TQDMProgressBar(refresh_rate=10)],
        logger=TensorBoardLogger(str(runs), recipe.name),
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )
    drawn = read_checkpoint(resume)["global_step"] if resume else 0
    view = partial(band_energies, spec=SPEC, edges=module.network.edges, step=frame_step)
    stream = MixStream(Mixer(library, recipe.mix), view, recipe.seed + drawn, trainer.global_rank)
    ahead: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    loader = torch.utils.data.DataLoader(stream, recipe.batch, num_workers=workers, **ahead)
    one_item = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(1)))
    trainer.fit(module, loader, one_item, ckpt_path=resume)
    return Path(saver.last_model_path)
