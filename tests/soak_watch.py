"""What a soak plays, and what it watches: music without end into a device, and every sample that comes back.

In: a device's callback. Out: the same callback, fed with music instead of what the device heard, its output looked at.
Read next: `soak_faults.py`, what goes wrong meanwhile; `soak.py`, the run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from playing import roughness

from rtvox.device import Callback, OnLost
from rtvox.devices import SoundCard
from rtvox.features import Array
from rtvox.file_device import FileDevice, convert_array
from rtvox.levels import SAMPLE_RATE, amplitude
from rtvox.params import PARAMS
from rtvox.timeline import Timeline

LOOP_S = 10.0  # then the music begins anew, without a seam
MARGIN = 2.0  # over what a model makes of the music offline: two models at equal power add 3 dB
FULL_SCALE = 1.000001  # after rounding
CEILING = amplitude(PARAMS["ceiling"].default) * FULL_SCALE


@cache
def music(rate: int) -> Array:
    """Return LOOP_S (N,) of a chord of 19 partials, vibrato, a swell every two seconds, a rest at the end; -6 dB."""
    t = np.arange(round(LOOP_S * rate)) / rate
    sway = 0.01 / (2 * np.pi * 5.5) * (1.0 - np.cos(2 * np.pi * 5.5 * t))  # the integral of a vibrato of 5.5 Hz
    x = np.zeros(len(t))
    for f0 in (147.0, 220.0, 330.0):
        for k in range(1, 20):
            x += np.sin(2 * np.pi * f0 * k * (t + sway)) / k**1.2
    x *= np.abs(np.sin(np.pi * t / 2.0)) ** 0.5 * (t < 0.9 * LOOP_S)
    x *= np.clip(20.0 * (0.9 * LOOP_S - t), 0.0, 1.0)
    loop: Array = (0.5 * x / np.abs(x).max()).astype(np.float32)
    return loop


@dataclass(frozen=True)
class Bounds:
    """What sound may be: its peak, its largest second difference (a click has more) at 48 kHz, the ceiling."""

    peak: float = np.inf
    roughness: float = np.inf
    ceiling: float = CEILING


@cache
def bounds(model: str) -> Bounds:
    """Return twice what a model makes of the music, or the music itself (which covers misses) if that is more."""
    x = music(SAMPLE_RATE)
    y = convert_array(np.tile(x, 2), SAMPLE_RATE, model)
    return Bounds(*(MARGIN * max(measure(x), measure(y)) for measure in (lambda z: np.abs(z).max(), roughness)))


class Watch:
    """Feeds music to a callback and looks at each block of its output; runs in the audio thread, some 20 us a block.

    Single writers: the counts and `heard` belong to the audio thread, all else to the driver; `peak` to both, since a
    lost maximum is none: the driver takes it once a second.

    Attributes:
        not_numbers, above_ceiling, bursts, clicks: samples that are not finite, above the limiter's ceiling, louder or
            rougher than `allowed`.
        disturbance: what the callback hears instead of music, if not None.
    """

    def __init__(self) -> None:
        self.not_numbers = self.above_ceiling = self.bursts = self.clicks = self.blocks = 0
        self.peak = 0.0
        self.allowed = Bounds()
        self.disturbance: float | None = None
        self.position, self.rate, self.heard = 0, SAMPLE_RATE, Timeline(SAMPLE_RATE)

    def wrap(self, callback: Callback, rate: int, max_block: int) -> Callback:
        """Return the callback for a device that starts now."""
        loop = music(rate)
        tape = np.concatenate([loop, loop[:max_block]])[:, None]
        heard = Timeline(rate)
        self.position, self.rate, self.heard = 0, rate, heard
        line = np.zeros(max_block + 2, np.float32)  # two samples of the block before, and the newest block

        def watched(indata: Array, outdata: Array) -> None:
            n, at = len(outdata), self.position % len(loop)
            fed = tape[at : at + n] if self.disturbance is None else np.full((n, 1), self.disturbance, np.float32)
            callback(fed, outdata)
            line[2 : n + 2] = outdata[:, 0]
            self._look(line[: n + 2], rate)
            heard.write(self.position, line[2 : n + 2])
            line[:2] = line[n : n + 2]
            self.position += n

        return watched

    def _look(self, line: Array, rate: int) -> None:
        level = np.abs(line[2:])
        peak, allowed = float(level.max()), self.allowed
        self.blocks += 1
        if not np.isfinite(peak):
            self.not_numbers += int(np.count_nonzero(~np.isfinite(level)))
            return
        self.peak = max(self.peak, peak)
        if peak > allowed.ceiling:
            self.above_ceiling += int(np.count_nonzero(level > allowed.ceiling))
        if peak > allowed.peak:
            self.bursts += int(np.count_nonzero(level > allowed.peak))
        steps = np.abs(line[2:] - 2.0 * line[1:-1] + line[:-2])
        bound = allowed.roughness * (SAMPLE_RATE / rate) ** 2
        if steps.max() > bound:
            self.clicks += int(np.count_nonzero(steps > bound))

    def take_peak(self) -> float:
        """Return the largest sample since the last call."""
        peak, self.peak = self.peak, 0.0
        return peak

    def delay_error(self, delay: int, n: int = 4096) -> float:
        """Return how far the newest n samples are from the music `delay` samples before them."""
        end = self.heard.end
        out = np.zeros(n, np.float32)
        self.heard.copy(end - n, out)
        played = np.take(music(self.rate), np.arange(end - n - delay, end - delay), mode="wrap")
        return float(np.abs(out - played).max())


class WatchedCard(SoundCard):
    """A SoundCard under watch."""

    def __init__(self, watch: Watch, *arguments: Any, **options: Any) -> None:
        self._on_watch = watch
        super().__init__(*arguments, **options)

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Start, fed with music."""
        super().start(callback, on_lost)  # it may come back at another rate, which is known only now
        assert self.stream
        self.stream.callback = self._on_watch.wrap(callback, self.sample_rate, self.max_block)


class WatchedFile(FileDevice):
    """A FileDevice under watch that plays until it is stopped, as fast as it can, and keeps nothing of it."""

    def __init__(self, watch: Watch, block: int = 128) -> None:
        self._on_watch = watch
        super().__init__(np.zeros(block, np.float32), block=block, tail=sys.maxsize // 2)

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Start, fed with music."""
        super().start(self._on_watch.wrap(callback, self.sample_rate, self.max_block), on_lost)

    def _write(self, block: Array) -> None:
        pass


def memory_mib() -> tuple[float, float]:
    """Return this process's resident memory, and the part that is its own: no libraries, no sound server's."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {words[0]: int(words[1]) / 1024.0 for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
    return sizes["VmRSS:"], sizes["RssAnon:"]
