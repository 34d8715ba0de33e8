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
from rtvox.manifest import RING

BLOCK = 4  # hops that share one remembered frame: 21 ms, half a window
MOMENTS = 700  # remembered: 15 s; the song held out gains as much with 20 s, half a dB less with 13
RECENT = 47  # of them are too recent: a second, within which a voice repeats itself
KEY = 120  # bands that are compared: up to 3.5 kHz
BEST = 8  # moments that are looked at
TOLD = 3  # numbers that are told of each band


class Repetition(nn.Module):
    """The memory and its search.

    Its states are a ring of remembered frames, a ring of their keys (what is compared: of zero mean and unit size), how
    alike each lag has been, and the hops that have passed since the rings began anew. A block is remembered by its last
    frame; the place where it is written is not read, as it is too recent.
    """

    lags: Tensor  # of the moments that are looked at, in blocks
    unit: Tensor  # scale that gives a key, normalised, the size 1
    middle: Tensor  # what is told of the five lowest

    states = f"{RING}moments", f"{RING}keys", "likeness", "passed"

    def __init__(self, bands: int, moments: int = MOMENTS, recent: int = RECENT) -> None:
        super().__init__()
        self.moments, self.recent = moments, recent
        self.state_shapes = [(moments, bands), (moments, KEY), (moments - recent,), (1,)]
        self.register_buffer("lags", torch.arange(recent, moments), persistent=False)
        self.register_buffer("unit", torch.full((KEY,), KEY**-0.5), persistent=False)
        self.register_buffer("middle", torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0.5, 0.5]]), persistent=False)

    def forward(self, level: Tensor, state: list[Tensor], step: int = 1) -> tuple[Tensor, list[Tensor]]:
        """Return (B, TOLD, T, F) of the BEST moments, and the next state.

        Told are per band their third lowest magnitude, and the mean of the fourth and fifth; and how alike the last of
        them is, up to 1, the same in every band.

        Args:
            level: (B, T, F) compressed magnitudes.
            state: as `states` says; all items of a batch are at the same place of the ring.
            step: hops from one frame to the next, a divisor of BLOCK.
        """
        longest = (self.recent - 2) * BLOCK // step  # what is too recent to be looked at need not be in the ring yet
        if level.shape[1] <= longest:
            return self._search(level, state, step)
        told = []
        for piece in level.split(longest, 1):
            part, state = self._search(piece, state, step)
            told.append(part)
        return torch.cat(told, 2), state

    def _search(self, level: Tensor, state: list[Tensor], step: int) -> tuple[Tensor, list[Tensor]]:
        moments, keys, likeness, passed = state
        batch, frames, bands = level.shape
        key = nn.functional.layer_norm(level[..., :KEY], (KEY,), self.unit, eps=1e-6 / KEY)
        hops = passed[0] + step * torch.arange(frames, device=level.device)[:, None]
        block = torch.floor(hops / BLOCK).long()
        rows = ((block - self.lags) % self.moments).expand(batch, -1, -1)  # of the ring, by lag
        alike = (key @ keys.transpose(1, 2)).gather(2, rows)
        likeness = scan(torch.full_like(alike, SECOND * step), alike, likeness)
        match, best = torch.topk(likeness, BEST, -1)
        first = torch.arange(batch, device=level.device)[:, None, None] * self.moments
        found = moments.flatten(0, 1).index_select(0, (rows.gather(2, best) + first).flatten())
        found = self.middle @ torch.topk(found.unflatten(0, best.shape), 5, 2, largest=False).values
        told = torch.cat([found.transpose(1, 2), match[:, None, :, -1:].expand(-1, -1, -1, bands)], 1)
        if frames > 1:  # the blocks that these frames belong to, and the last frame of each
            count = (frames + BLOCK // step - 2) // (BLOCK // step) + 1
            begun = torch.minimum(block[0] + torch.arange(count, device=level.device), block[-1])
            last = torch.clamp_max(((begun + 1) * BLOCK - 1 - hops[0].long()) // step, frames - 1)
            block, level, key = begun[:, None], level.index_select(1, last), key.index_select(1, last)
        places = block % self.moments
        moments = moments.scatter(1, places.expand(batch, -1, bands), level)
        keys = keys.scatter(1, places.expand(batch, -1, KEY), key)
        passed = torch.fmod(passed + step * frames, self.moments * BLOCK)
        return told, [moments, keys, likeness[:, -1], passed]
