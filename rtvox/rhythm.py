"""Rhythm: when a new stream begins to flow, and how many samples come at once.

A host whose period is longer than the block calls several times in a row and then pauses; the engine has to know, for
its prefill covers such a burst. Written by the stream's audio thread, read by the thread that opens the stream.
Read next: `pulse_stream.py`, `portaudio_stream.py`, its users.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

LOOK_S = 0.5  # of calls, to see whether they come, and in what bursts
STEADY = 0.8  # so much of that time must be filled with sound; the rest is for bursts
USUAL = 90  # percentile: the longest burst is a hiccup of the machine, no property of the device


class Rhythm:
    """Takes note of calls until `settle` has returned."""

    def __init__(self, block: int) -> None:
        self._block = block
        self._apart_s = 0.0  # calls that come closer than this belong together
        self._bursts = [0]  # samples; the last one may still grow
        self._last_s = 0.0
        self._looking = True

    def beat(self, samples: int) -> None:
        """Take note of one call."""
        if self._looking:
            now = time.perf_counter()
            if now - self._last_s > self._apart_s:
                self._bursts.append(0)
            self._bursts[-1] += samples
            self._last_s = now

    def settle(self, sample_rate: int, limit_s: float, calm: Callable[[], bool]) -> int:
        """Return the usual burst in samples, whole blocks, once sound flows; 0 if it does not in limit_s seconds.

        Args:
            calm: called after each look; False if it does not count. May raise what makes waiting useless.
        """
        self._apart_s = self._block / sample_rate / 2
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            before = len(self._bursts)
            time.sleep(LOOK_S)
            bursts = self._bursts[before:-1]
            if calm() and sum(bursts) >= STEADY * LOOK_S * sample_rate:
                self._looking = False
                return self._block * round(float(np.percentile(bursts, USUAL)) / self._block)
        return 0
