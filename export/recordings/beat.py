"""The beat of a song that somebody recorded: its tempo, and where a bar begins.

In: the drums of a song whose tempo is steady, as software keeps it. Out: beats per minute and the place of a first
beat. Pure and offline. Read next: `duets.py`, which needs it.
"""

from __future__ import annotations

import numpy as np

from export.recordings.library import RATE
from rtvox.features import Array

BLOCK = 240  # samples, 5 ms: how exactly onsets are placed
SLOWEST, FASTEST = 80.0, 160.0  # bpm, an octave: every rhythm has one tempo within
STEADY = 0.3  # least sum, of three, of the parts of all onsets that agree on a beat, its halves and its quarters
FINE = 2**21  # length of the transform: tempi are found to 0.006 bpm, a 100th of a beat in a minute


def find_beat(drums: Array) -> tuple[float, float]:
    """Return beats per minute of drums (N,), and the sample at which a bar of four begins; 0, 0 without a steady beat.

    The tempo is that at which onsets agree best on the phase of a beat, of its halves and of its quarters. A bar begins
    at the half of a beat that holds the most low sound, usually a kick.
    """
    blocks = drums[: len(drums) // BLOCK * BLOCK].reshape(-1, BLOCK)
    onsets = np.maximum(np.diff(np.log(np.abs(blocks).max(1) + 1e-3)), 0.0)
    agreed = np.fft.rfft(onsets, FINE)
    step = 60.0 * RATE / BLOCK / FINE  # bpm
    tempi = np.arange(int(SLOWEST / step), int(FASTEST / step))
    found = np.abs(agreed[tempi * np.array([[1], [2], [4]])]).sum(0)
    best = int(tempi[np.argmax(found)])
    if found.max() <= STEADY * onsets.sum():
        return 0.0, 0.0
    half = 30.0 * RATE / (best * step)  # of a beat, in samples
    first = -np.angle(agreed[2 * best]) / (2.0 * np.pi) % 1.0 * half + BLOCK
    low = np.abs(blocks.mean(1))
    place = (np.arange(len(low)) * BLOCK - first) / half % 8.0
    kicks = [low[np.abs((place - n - 0.2 + 4.0) % 8.0 - 4.0) < 0.3].sum() for n in range(8)]
    return best * step, first + int(np.argmax(kicks)) * half
