"""Repetition: what the music of this moment was like each time it came before, which a voice on top of it was not.

In: compressed magnitudes of bands, frame by frame. Out: per band a low and a middle one of the magnitudes that the best
matching moments of the last 15 s had, and how well they match. A loop comes back after a fixed time: for each lag, how
alike now and then have been over the last second tells which lags those are. Nothing in it is learnt. Runs in whichever
thread calls it. Read next: `isolate.py`.

Sources: Rafii and Pardo 2012, "Music/voice separation using the similarity matrix" (a median over the most similar
moments is the music), and 2013, "Online REPET-SIM for real-time speech enhancement"; Foote and Uchihashi 2001, "The
beat spectrum" (similarity by lag).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.networks.streaming import SECOND, scan

BLOCK = 4  # hops that share one remembered frame: 21 ms, half a window
MOMENTS = 700  # remembered: 15 s; the song held out gains as much with 20 s, half a dB less with 13
RECENT = 47  # of them are too recent: a second, within which a voice repeats itself
KEY = 120  # bands that are compared: up to 3.5 kHz
BEST = 8  # moments that are looked at
TOLD = 3  # numbers that are told of each band


class Repetition(nn.Module):
    """The memory and its search.

    Its states are a ring of remembered frames, one over the size of each one's key, how alike each lag has been, and
    the hops that have passed since the ring began anew. A block is remembered by its last frame.
    """

    states = "moments", "sizes", "likeness", "passed"

    def __init__(self, bands: int, moments: int = MOMENTS, recent: int = RECENT) -> None:
        super().__init__()
        self.moments, self.recent = moments, recent
        self.state_shapes = [(moments, bands), (moments,), (moments - recent,), (1,)]

    def forward(self, level: Tensor, state: list[Tensor], step: int = 1) -> tuple[Tensor, list[Tensor]]:
        """Return (B, TOLD, T, F) of the BEST moments, and the next state.

        Told are per band their third lowest magnitude, and the mean of the fourth and fifth; and how alike the last of
        them is, up to 1, the same in every band.

        Args:
            level: (B, T, F) compressed magnitudes.
            state: as `states` says; all items of a batch are at the same place of the ring.
            step: hops from one frame to the next, a divisor of BLOCK.
        """
        told = []
        # What is too recent to be looked at need not be in the ring yet.
        for piece in level.split((self.recent - 2) * BLOCK // step, 1):
            part, state = self._search(piece, state, step)
            told.append(part)
        return torch.cat(told, 2), state

    def _search(self, level: Tensor, state: list[Tensor], step: int) -> tuple[Tensor, list[Tensor]]:
        moments, sizes, likeness, passed = state
        batch, frames, bands = level.shape
        key = level[..., :KEY] - level[..., :KEY].mean(-1, keepdim=True)
        size = torch.rsqrt(key.square().sum(-1) + 1e-6)
        wanted = nn.functional.pad(key * size[..., None], (0, bands - KEY))
        alike = (wanted @ moments.transpose(1, 2)) * sizes[:, None]
        hops = passed[0].round().long() + step * torch.arange(frames, device=level.device)
        block = hops // BLOCK
        lags = torch.arange(self.recent, self.moments, device=level.device)
        rows = ((block[:, None] - lags) % self.moments).expand(batch, -1, -1)  # of the ring, by lag
        alike = alike.gather(2, rows)
        rate = torch.full_like(alike, SECOND * step)
        likeness = scan(rate.transpose(0, 1), alike.transpose(0, 1), likeness).transpose(0, 1)
        match, best = torch.topk(likeness, BEST, -1)
        first = torch.arange(batch, device=level.device)[:, None, None] * self.moments
        found = moments.flatten(0, 1).index_select(0, (rows.gather(2, best) + first).flatten())
        found = found.unflatten(0, best.shape).sort(2).values
        told = [found[:, :, 2], found[:, :, 3:5].mean(2), match[..., -1:].expand_as(level)]
        # The blocks that these frames belong to, and the last frame of each.
        count = (frames + BLOCK // step - 2) // (BLOCK // step) + 1
        begun = torch.minimum(block[0] + torch.arange(count, device=level.device), block[-1])
        last = torch.clamp_max(((begun + 1) * BLOCK - 1 - hops[0]) // step, frames - 1)
        places = (begun % self.moments).expand(batch, -1)
        moments = moments.scatter(1, places[..., None].expand(-1, -1, bands), level.index_select(1, last))
        sizes = sizes.scatter(1, places, size.index_select(1, last))
        passed = ((hops[-1] + step) % (self.moments * BLOCK)).to(passed.dtype).expand_as(passed)
        return torch.stack(told, 1), [moments, sizes, likeness[:, -1], passed]
