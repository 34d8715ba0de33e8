"""Speech: says texts one after the other, into the sound of the microphone.

In: texts, from any thread. Out: samples, added to each hop that comes in. Its own thread speaks into a ring
(`ring.py`), as far ahead as that is long; the converter thread reads it. Read next: `mixer.py`, where it joins the
microphone.
"""

from __future__ import annotations

import queue
import threading
import time

import numpy as np

from rtvox.errors import ParameterError, RtvoxError
from rtvox.features import Array
from rtvox.levels import SAMPLE_RATE
from rtvox.phonemes import check
from rtvox.ring import RingBuffer
from rtvox.speaker import Speaker

AHEAD_S = 0.5  # of speech that waits in the ring: what the machine may be busy with other things for
MOST_WAITING = 16  # texts that wait to be said


class Speech:
    """A speaker with a thread of its own.

    Single writers: `error` belongs to the thread, `_turn` to whoever calls `stop`, `_heard` to the converter thread.

    Attributes:
        error: why the last text was not said to its end, or empty.
    """

    def __init__(self, speaker: Speaker) -> None:
        self.speaker, self.error = speaker, ""
        self._ring = RingBuffer(round(AHEAD_S * SAMPLE_RATE))
        self._texts: queue.Queue[tuple[int, str]] = queue.Queue(MOST_WAITING)
        self._turn = self._heard = 0  # counts the stops; a text of an older turn is not said
        self._mixed = np.zeros(speaker.hop, np.float32)
        self._thread = threading.Thread(target=self._run, name="rtvox-speech", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Something is being said, or waits to be. Any thread."""
        return self._texts.unfinished_tasks > 0 or len(self._ring) > 0

    def say(self, text: str) -> None:
        """Say a text when those before it are said. Raises: ParameterError if it cannot be, or too many wait."""
        check(text)
        try:
            self._texts.put_nowait((self._turn, text))
        except queue.Full:
            raise ParameterError(f"{MOST_WAITING} texts wait to be said: let them be said first, or panic") from None

    def stop(self) -> None:
        """Be silent from the next hop on, and forget what waits."""
        self._turn += 1

    def close(self) -> None:
        """Be silent, and end the thread when it comes to it."""
        self.stop()
        self._texts.put((self._turn, ""))

    def mix(self, x: Array) -> Array:
        """Return x (hop,) with what is being said added; x itself if nothing is. Converter thread only."""
        turn = self._turn
        if turn != self._heard:
            self._heard = turn
            self._ring.skip(len(self._ring))
        if not len(self._ring):
            return x
        self._mixed[:] = 0.0
        self._ring.read(self._mixed)
        self._mixed += x
        return self._mixed

    def _run(self) -> None:
        while True:
            turn, text = self._texts.get()
            if not text:
                return
            try:
                self._say(turn, text)
            except RtvoxError as error:
                self.error = str(error)
            except Exception as error:  # our own mistake, or onnxruntime's: say so, and live on
                self.error = f"say: {error!r}"
            self._texts.task_done()

    def _say(self, turn: int, text: str) -> None:
        hop_s = self.speaker.hop / SAMPLE_RATE
        for hop in self.speaker.say(text) if turn == self._turn else ():
            while self._ring.capacity - len(self._ring) < len(hop) and turn == self._turn:
                time.sleep(hop_s)
            if turn != self._turn:
                return
            self._ring.write(hop)
