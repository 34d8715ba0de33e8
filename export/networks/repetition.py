"""Repetition: what the music of this moment was like each time it came before, which a voice on top of it was not.

In: compressed magnitudes of bands, frame by frame. Out: per band a low and a middle one of the magnitudes that the best
matching moments of the last 20 s had, and how well they match. A loop comes back after a fixed time: for each lag, how
alike now and then have been over the last second tells which lags those are. Nothing in it is learnt. Runs in whichever
thread calls it. Read next: `isolate.py`.

Sources: Rafii and Pardo 2012, "Music/voice separation using the similarity matrix" (a median over the most similar
moments is the music), and 2013, "Online REPET-SIM for real-time speech enhancement"; Foote and Uchihashi 2001, "The
beat spectrum" (similarity by lag).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.networks.streaming import scan

BLOCK = 4  # hops that share one remembered frame: 21 ms, half a window
MOMENTS = 940  # remembered: 20 s; 40 s found no more in the song held out
RECENT = 47  # of them are too recent: a second, within which a voice repeats itself
RATE = 1 / 200  # per hop, of the likeness of each lag: of the last second
KEY = 120  # bands that are compared: up to 3 kHz
BEST = 8  # moments that are looked at
TOLD = 3  # numbers that are told of each band


class Repetition(nn.Module):
    """The memory and its search.

    Its states are the remembered frames, one over the size of each one's key, how alike each lag has been, and the hops
    of the present block that have passed.
    """

    states = "moments", "sizes", "likeness", "passed"

    def __init__(self, bands: int, moments: int = MOMENTS, recent: int = RECENT) -> None:
        super().__init__()
        self.moments, self.lags = moments, moments - recent
        self.state_shapes = [(moments, bands), (moments,), (self.lags,), (1,)]

    def forward(self, level: Tensor, state: list[Tensor], step: int = 1) -> tuple[Tensor, list[Tensor]]:
        """Return (B, TOLD, T, F) of the BEST moments: per band their third lowest magnitude, and the mean of the fourth
        and fifth; and how alike the last of them is, up to 1, the same in every band. And the next state.

        Args:
            level: (B, T, F) compressed magnitudes.
            state: as `states` says; all items of a batch are at the same place of a block.
            step: hops from one frame to the next, a divisor of BLOCK.
        """
        moments, sizes, likeness, passed = state
        batch, frames, block = *level.shape[:2], BLOCK // step
        blocks = (frames + block - 1) // block  # that may end within these frames
        turn = (passed[0] / step).round().long() + torch.arange(frames, device=level.device)
        ended = torch.clamp_max(torch.arange(1, blocks + 1, device=level.device) * block - 1 - turn[0], frames - 1)
        key = level[..., :KEY] - level[..., :KEY].mean(-1, keepdim=True)
        size = torch.rsqrt(key.square().sum(-1) + 1e-6)
        moments = torch.cat([moments, level.index_select(1, ended)], 1)
        sizes = torch.cat([sizes, size.index_select(1, ended)], 1)
        wanted = nn.functional.pad(key * size[..., None], (0, level.shape[-1] - KEY))
        alike = (wanted @ moments.transpose(1, 2)) * sizes[:, None]
        begin = turn // block  # of the row that lies furthest back for each frame
        rows = (begin[:, None] + torch.arange(self.lags, device=level.device)).expand(batch, -1, -1)
        alike = alike.gather(2, rows)
        rate = torch.full_like(alike, RATE * step)
        likeness = scan(rate.transpose(0, 1), alike.transpose(0, 1), likeness).transpose(0, 1)
        match, best = torch.topk(likeness, BEST, -1)
        best = best + begin[:, None]
        first = torch.arange(batch, device=level.device)[:, None, None] * moments.shape[1]
        found = moments.flatten(0, 1).index_select(0, (best + first).flatten()).unflatten(0, best.shape)
        found = found.sort(2).values
        end = turn[-1] + 1
        kept = end // block + torch.arange(self.moments, device=level.device)
        after = [moments.index_select(1, kept), sizes.index_select(1, kept), likeness[:, -1]]
        passed = (end % block * step).to(passed.dtype).expand_as(passed)
        told = [found[:, :, 2], found[:, :, 3:5].mean(2), match[..., -1:].expand_as(level)]
        return torch.stack(told, 1), [*after, passed]
