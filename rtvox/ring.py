"""RingBuffer: the bridge between the audio callback and the recorder's thread.

Fixed size, one writer thread, one reader thread, no lock. What does not fit is dropped and counted, what is not there
is counted as missing: nothing grows and nothing is repeated. Read next: `record.py`, its only user.
"""

from __future__ import annotations

import numpy as np

from rtvox.errors import ParameterError
from rtvox.features import Array


class RingBuffer:
    """A first-in first-out queue of samples.

    Single writers: `written` and `dropped` belong to the writer, `taken` and `missing` to the reader. Each is one
    Python int that is replaced whole, and is published after the samples it speaks of: that is why no lock is needed.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ParameterError(f"capacity={capacity}: needs at least 1 sample")
        self._samples = np.zeros(capacity, np.float32)
        self.capacity = capacity
        self.written = 0  # samples ever stored
        self.taken = 0  # samples ever read or skipped
        self.dropped = 0  # samples refused because the ring was full
        self.missing = 0  # samples asked for that were not there

    def __len__(self) -> int:
        """Return how many samples wait (exact in either thread, but may change under the other)."""
        return self.written - self.taken

    def write(self, x: Array) -> int:
        """Store as much of x (N,) as fits and return that count; the rest is counted in `dropped`."""
        n = min(len(x), self.capacity - len(self))
        start = self.written % self.capacity
        first = min(n, self.capacity - start)
        self._samples[start : start + first] = x[:first]
        self._samples[: n - first] = x[first:n]
        self.written += n
        self.dropped += len(x) - n
        return n

    def read(self, out: Array) -> int:
        """Fill the front of out (N,) with the oldest samples and return how many; the lack is counted in `missing`."""
        n = min(len(out), len(self))
        start = self.taken % self.capacity
        first = min(n, self.capacity - start)
        out[:first] = self._samples[start : start + first]
        out[first:n] = self._samples[: n - first]
        self.taken += n
        self.missing += len(out) - n
        return n

    def skip(self, n: int) -> int:
        """Throw away up to n of the oldest samples (reader's side) and return how many."""
        n = min(n, len(self))
        self.taken += n
        return n
