"""Listener: measure the voice on its way in, for networks that are told more of it than their frames.

In and out: the same spectrum, in the converter thread, behind the `Analyzer`. Beside it, what `PitchTracker` says of
the voice, for the newest hop and for the one that the converter's output answers. Read next: `pitch.py`, which
measures; `chain.py`, which hands it to the networks.
"""

from __future__ import annotations

import numpy as np

from rtvox.features import Spectrum
from rtvox.pitch import CONDITIONS, HIGH_HZ, LOW_HZ, QUIET_DB, REST_HZ, PitchTracker
from rtvox.stft import Analyzer


class Listener:
    """Pass spectra through untouched, and keep the measures of the voice in them. No delay.

    Attributes:
        now: (len(CONDITIONS),) of the newest hop. Like the next, one buffer, rewritten by each call.
        answered: the same of look_ahead hops before: of the frame that a network with that look-ahead gives out.
        octave: octaves by which that network moves the pitch; `answered` has it moved, within what a tracker finds.
    """

    delay = 0

    def __init__(self, analyzer: Analyzer, look_ahead: int = 0) -> None:
        """Make the buffers.

        Args:
            analyzer: the stage before this one.
            look_ahead: frames for which the converter behind this stage waits.
        """
        self._tracker = PitchTracker(analyzer)
        self._line = np.zeros((look_ahead + 1, len(CONDITIONS)), np.float32)
        self.now, self.answered = self._line[-1], np.zeros(len(CONDITIONS), np.float32)
        self.octave = 0.0
        self.reset()

    def process(self, x: Spectrum) -> Spectrum:
        """Return x, after a look at it."""
        self._line[:-1] = self._line[1:]
        self._line[-1] = self._tracker.process(x)
        self.answered[:] = self._line[0]
        self.answered[0] = min(HIGH_HZ, max(LOW_HZ, self.answered[0] * 2.0**self.octave))
        return x

    def reset(self) -> None:
        """Forget everything heard."""
        self._tracker.reset()
        self._line[:] = REST_HZ, 0.0, QUIET_DB
        self.answered[:] = self._line[0]
