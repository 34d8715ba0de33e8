"""Timeline: samples by their absolute position; the bridge between the audio callback and the converter thread.

In: samples and the position of the first. Out: the samples of any recent position, and which of them are there. Whoever
reads asks for the position that is due now, so samples that come too late are passed over, nothing is replayed, and the
delay cannot grow. Read next: `player.py`, which reads and writes one of them each.
"""

from __future__ import annotations

import numpy as np

from rtvox.features import Array


class Timeline:
    """The last `capacity` samples of a stream.

    Single writer: `span` and the samples belong to the one thread that calls `write`. `span` is one tuple, replaced
    whole and only after the samples it speaks of: that is why no lock is needed. What lies before position 0 is
    silence.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._samples = np.zeros(capacity, np.float32)
        self.span = (0, 0)  # positions from (included) and to (excluded) which every sample was written

    @property
    def end(self) -> int:
        """The position after the newest sample."""
        return self.span[1]

    def write(self, position: int, x: Array) -> None:
        """Store x (N,), N <= capacity, from position on; a hole before it makes all that is older unreadable."""
        n, at = len(x), position % self.capacity
        first = min(n, self.capacity - at)
        self._samples[at : at + first] = x[:first]
        if first < n:
            self._samples[: n - first] = x[first:]
        start, end = self.span
        self.span = (start if position == end else position, position + n)

    def copy(self, position: int, out: Array) -> None:
        """Fill out (N,) from position on, whatever is there: the caller knows that it is not newer than `end`."""
        n, at = len(out), position % self.capacity
        first = min(n, self.capacity - at)
        out[:first] = self._samples[at : at + first]
        if first < n:
            out[first:] = self._samples[: n - first]

    def read(self, position: int, out: Array) -> tuple[int, int]:
        """Fill out (N,) from position on, and return the range of its indices that was there; the rest is undefined."""
        start, end = self.span
        first = min(max(start - position, 0), len(out))
        last = min(max(end - position, first), len(out))
        if last > first:
            self.copy(position + first, out[first:last])
        return first, last
