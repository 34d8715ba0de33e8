"""TapTempo: a tempo from beats that somebody taps.

In: the times of taps. Out: beats per minute. No thread, no clock of its own. Read next: `session.py`, which is tapped.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

PAUSE_S = 2.0  # after which a tap begins anew: slower than 30 bpm nobody taps
TAPS = 9  # that are remembered: two bars of four beats


class TapTempo:
    """The taps of one player."""

    def __init__(self) -> None:
        self._taps: deque[float] = deque(maxlen=TAPS)

    def tap(self, now: float) -> float:
        """Return the tempo in bpm after a tap at `now` (seconds): of the median distance; 0 for the first one."""
        if self._taps and not 0.0 < now - self._taps[-1] <= PAUSE_S:
            self._taps.clear()
        self._taps.append(now)
        return 60.0 / median(b - a for a, b in pairwise(self._taps)) if len(self._taps) > 1 else 0.0
