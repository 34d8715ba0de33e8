"""Train a network from a recipe with Lightning: progress bar, TensorBoard, resume, several processes or machines.

In: a recipe and prepared recordings. Out: `<runs>/<name>/last.ckpt`, and TensorBoard logs beside it. What is particular
to a network (its data, losses and score) is a `Training` in `tasks/`. One process per device, each with workers of its
own that draw items. Read next: `tasks/`, then `to_onnx.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from export.checkpoints import read_checkpoint
from export.networks.streaming import FrameConv
from export.recipe import Recipe

WARM_UP = 200  # steps of rising learning rate: Adam's second moments are noise before


class Training(lightning.LightningModule):
    """What all trainings share; a task adds `training_step`, `stream` and `score`.

    `collate` makes a batch of items that are not of one shape; None: they are.
    """

    collate: Callable[[Sequence[Any]], Any] | None = None

    def __init__(self, recipe: Recipe, network: nn.Module) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = network

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Any]:
        """Return endless training items, the workers and ranks their own; `frame_step` n keeps every n-th frame."""
        raise NotImplementedError

    def score(self) -> dict[str, float]:
        """Return figures on what was held out, to be logged."""
        raise NotImplementedError

    def on_validation_epoch_start(self) -> None:
        """Score (the loader of this epoch is one dummy item)."""
        for name, value in self.score().items():
            self.log(name, value, prog_bar=True, sync_dist=True)

    def validation_step(self, batch: Tensor, _: int) -> None:
        """Nothing per batch."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what the optimiser moves; a task whose discriminators learn beside the network adds them."""
        return [{"params": list(self.network.parameters())}]

    def configure_optimizers(self) -> Any:
        """AdamW, a short warm-up, then half a cosine down to zero at the recipe's last step."""
        optimizer = torch.optim.AdamW(self.parameter_groups(), self.recipe.learning_rate, weight_decay=1e-3)

        def scale(step: int) -> float:
            rise = min(1.0, (step + 1) / WARM_UP)
            return rise * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.trainer.max_steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    recipe: Recipe,
    training: Callable[[Recipe, Path], Training],
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
        training: builds the task from a recipe and its cache.
        resume: a checkpoint to go on from, with its optimiser and step count.
        weights: a checkpoint whose weights only are the start of a new run.
        frame_step: train on every n-th frame: 2 learns twice as much per hour; finish with 1.
        devices, nodes: processes per machine and machines (torch.distributed underneath, gloo on CPU).
    """
    lightning.seed_everything(recipe.seed)
    module = training(recipe, cache)
    if weights:
        module.load_state_dict(read_checkpoint(weights)["state_dict"])
        for layer in module.modules():
            if isinstance(layer, FrameConv):
                layer.settled = True  # what was learnt goes by these constants
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
    stream = module.stream(recipe.seed + drawn, trainer.global_rank, frame_step)
    ahead: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    loader = torch.utils.data.DataLoader(stream, recipe.batch, num_workers=workers, collate_fn=module.collate, **ahead)
    one_item = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(1)))
    trainer.fit(module, loader, one_item, ckpt_path=resume)
    return Path(saver.last_model_path)
