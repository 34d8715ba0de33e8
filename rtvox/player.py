"""Player: the audio callback. It copies between device and timelines, counts, and covers what came too late.

In: the device's input block. Out: the device's output block. Runs in the device's audio thread: it takes no lock,
waits for nothing, calls no model and writes no log; its buffers are made once. Read next: `converter.py`, on the
timelines' other side.

One timeline, counted in samples at the device's rate: output position n is played as input position n arrives, and
answers input position n - prefill - delay. A converted sample that is not there when its position is due is never
played later.
"""

from __future__ import annotations

import _thread
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rtvox.features import Array
from rtvox.status import Counts
from rtvox.timeline import Timeline

if TYPE_CHECKING:
    from rtvox.record import Recorder

# A sample of this size is no sound, as little as NaN: 30 dB above files that count in 16-bit steps, and far from where
# a sum of squares in float32 is infinite, which would stay in meters for good.
LOUDEST = np.float32(1e6)
FADE = 128  # samples from wet to dry and back: 2.7 ms at 48 kHz, short beside a hop, long beside a click
_WET, _TO_DRY, _DRY, _TO_WET = range(4)


class Player:
    """The callback and what it shares with the converter thread.

    Single writers: `wake` is released here and acquired by the converter; `inputs`, `position` and `error` are written
    here; `outputs`, `dry_delay`, `dry_gain`, `ceiling` and `keep_dry` by the converter; `recorder` by the engine. Each
    is one number or reference that is replaced whole.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        sample_rate: int,
        max_block: int,
        prefill: int,
        delay: int,
        channel: int | None = None,
    ) -> None:
        self.counts = counts
        self.prefill = prefill
        self.dry_delay = delay
        self.dry_gain = 1.0
        self.ceiling = 1.0
        self.keep_dry = True  # cover a miss with the dry signal; else with silence
        self.recorder: Recorder | None = None
        self.position = 0  # samples played
        self.error = ""
        self.wake = _thread.allocate_lock()  # a binary semaphore: the only primitive whose release never waits
        capacity = max(sample_rate, 8 * (max_block + prefill + delay))
        self.inputs, self.outputs = Timeline(capacity), Timeline(capacity)
        self.outputs.write(0, np.zeros(prefill, np.float32))
        self._channel = channel
        self._max_block = max_block
        self._mono, self._wet, self._dry, self._cover_by = (np.zeros(max_block, np.float32) for _ in range(4))
        self._sound = np.zeros(max_block, np.bool_)
        self._state, self._faded = _WET, 0
        self._cover_delay = delay  # `dry_delay` when the wet sound was last whole: another within a cover would jump
        self._fade_in = (np.sin(np.pi / 2 * np.arange(1, FADE + 1) / (FADE + 1)) ** 2).astype(np.float32)
        self._fade_out = self._fade_in[::-1].copy()
        self._played = np.zeros(FADE + 1, np.float32)  # the newest output samples
        self._onward = np.zeros(FADE, np.float32)  # how they could have gone on

    def callback(self, indata: Array, outdata: Array) -> None:
        """Take indata (B, C_in), fill outdata (B, C_out). Any B."""
        try:
            for at in range(0, len(outdata), self._max_block):
                self._turn(indata[at : at + self._max_block], outdata[at : at + self._max_block])
        except Exception as error:  # an exception in PortAudio's thread would end the stream: silence is better
            outdata.fill(0.0)
            self.error = f"audio callback: {error!r}"
        self.counts.callbacks += 1
        if self.wake.locked():
            self.wake.release()

    def _turn(self, indata: Array, outdata: Array) -> None:
        n, position = len(indata), self.position
        mono, wet, dry = self._mono[:n], self._wet[:n], self._dry[:n]
        if self._channel is not None:
            mono[:] = indata[:, self._channel]
        else:
            np.add.reduce(indata, axis=1, out=mono)
            mono *= np.float32(1.0 / indata.shape[1])
        np.abs(mono, out=dry)
        if not np.less(dry, LOUDEST, out=self._sound[:n]).all():
            self._repair(mono, self._sound[:n])
        self.inputs.write(position, mono)
        first, last = self.outputs.read(position, wet)
        recorder = self.recorder
        if self._state == _WET:
            self._cover_delay = self.dry_delay
        whole = last - first == n and self._state == _WET
        if recorder or not whole:
            self.inputs.copy(position - self.prefill - self._cover_delay, dry)
        if not whole:
            self._cover(wet, dry, first, last)
        self._played[: max(0, FADE + 1 - n)] = self._played[min(n, FADE + 1) :]
        self._played[max(0, FADE + 1 - n) :] = wet[max(0, n - FADE - 1) :]
        if recorder:
            recorder.write(dry, wet)
        outdata[:] = wet[:, None]
        self.position = position + n

    def _repair(self, x: Array, sound: npt.NDArray[np.bool_]) -> None:
        self.counts.repaired += int(np.count_nonzero(~sound))
        x[~sound] = 0.0

    def _cover(self, wet: Array, dry: Array, first: int, last: int) -> None:
        """Turn wet (B,), valid from index first to last, into sound without a gap and without a click."""
        n = len(wet)
        if last - first < n:
            self.counts.misses += 1
            self.counts.missed_samples += n - (last - first)
        cover = self._cover_by[:n]
        np.multiply(dry, np.float32(self.dry_gain if self.keep_dry else 0.0), out=cover)
        np.clip(cover, -self.ceiling, self.ceiling, out=cover)
        at = 0
        while at < n:
            if self._state == _WET:
                if first <= at < last:
                    at = last
                else:
                    self._leave(wet, at)
            elif self._state == _TO_DRY:
                count = min(FADE - self._faded, n - at)
                faded = slice(self._faded, self._faded + count)
                here = slice(at, at + count)
                wet[here] = cover[here] + self._fade_out[faded] * (self._onward[faded] - cover[here])
                np.clip(wet[here], -self.ceiling, self.ceiling, out=wet[here])  # which may just have come down
                at = self._step(at, count, _DRY)
            elif self._state == _DRY:
                if first <= at < last:
                    self._state, self._faded = _TO_WET, 0
                else:
                    until = first if at < first < last else n
                    wet[at:until] = cover[at:until]
                    at = until
            elif not first <= at < last:
                self._leave(wet, at)
            else:
                count = min(FADE - self._faded, last - at)
                here = slice(at, at + count)
                wet[here] = cover[here] + self._fade_in[self._faded : self._faded + count] * (wet[here] - cover[here])
                at = self._step(at, count, _WET)

    def _step(self, at: int, count: int, following: int) -> int:
        self._faded += count
        if self._faded == FADE:
            self._state = following
        return at + count

    def _leave(self, wet: Array, at: int) -> None:
        """Begin to fade to dry at index `at`; no wet sample is left to fade out, so the sound goes on by itself."""
        past = np.concatenate([self._played, wet[:at]])[-FADE - 1 :]
        self._onward[:] = reflected(past, self.ceiling)
        self._state, self._faded = _TO_DRY, 0


def reflected(past: Array, ceiling: float = math.inf) -> Array:
    """Return (N,) samples that go on from (N + 1,) past ones: their point reflection about the last.

    Value, slope and curvature continue, which no other signal at hand can do. What of it is louder than the last sample
    bends towards the ceiling, or to full scale where there is none: cut off there, it would click.
    """
    onward, last = 2.0 * past[-1] - past[-2::-1], abs(float(past[-1]))
    limit = ceiling if math.isfinite(ceiling) else max(1.0, last)
    knee = min(last, limit)
    room = max(limit - knee, 1e-6)
    over = np.abs(onward) - knee
    bent = np.copysign(knee + room * np.tanh(over / room), onward)
    goes_on: Array = np.where(over > 0.0, bent, onward)
    return goes_on
