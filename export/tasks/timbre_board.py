"""What TensorBoard shows of a training of `timbre`: pictures before and after, latents in a plane, and sounds.

In: a logger and the network, while it is scored. Out: images, an embedding and audio in its log. Runs in the training's
thread, seldom. Read next: `timbre.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from export.networks.timbre import UNIT, Timbre
from export.recordings.library import RATE
from export.resynthesis import resynthesise
from rtvox.features import MEL_SPEC, Array

FRAMES = 750  # of a picture or a sound, 4 s
POINTS = 200  # of each domain in the plane of latents


@torch.no_grad()
def show(logger: Any, network: Timbre, held: list[list[tuple[Array, Array]]], step: int) -> None:
    """Show for each held-out domain: as it is, rebuilt, and as the first domain; the latents of all."""
    board, latents, names = logger.experiment, list[Tensor](), list[str]()
    device = next(network.parameters()).device
    for i, parts in enumerate(held):
        if not parts:
            continue
        name = network.domains[i]
        mel, told = (torch.from_numpy(x[None, :FRAMES]).to(device) for x in parts[0])
        again, mean, _, _ = network.translate(mel, told, torch.tensor([i], device=device))
        first = network.generate(mean, told, torch.tensor([0], device=device))
        sheet = torch.cat([mel[0], again[0], first[0]], 1).T.flip(0)
        title = f"{name}: as {network.domains[0]}, rebuilt, heard"
        board.add_image(title, (sheet[None] / UNIT / 3.0 + 1.0).clamp(0, 1), step)
        board.add_audio(f"{name} as {network.domains[0]}", _sound(first), step, RATE)
        board.add_audio(f"{name} rebuilt", _sound(again), step, RATE)
        loud = mean[0][told[0, :, 2] > told[0, :, 2].max() - 30.0]
        latents.append(loud[torch.linspace(0, len(loud) - 1, POINTS).long()].cpu())
        names += [name] * POINTS
    if latents:
        board.add_embedding(torch.cat(latents), names, global_step=step, tag="latent")


def _sound(mel: Tensor) -> Tensor:
    sound = torch.from_numpy(resynthesise(mel[0].float().cpu().numpy(), MEL_SPEC, 8))
    return sound / sound.abs().max().clamp_min(1.0)
