"""Levels: ramps, gain, noise gate, limiter, delay line and meter.

In and out: hops of float32 samples at 48 kHz, changed in place. Everything runs in the converter thread; nothing adds
delay except `Delay`, whose job it is. Read next: `chain.py`, which aligns dry with wet, and `converter.py`, which puts
all of them in order.
"""

from __future__ import annotations

import math

import numpy as np

from rtvox.features import Array
from rtvox.params import GATE_OFF_DB, Param

SAMPLE_RATE = 48000
SILENCE_DB = -120.0  # what a meter shows for digital silence; 24-bit noise is at -144 dB, a good microphone's at -90


def amplitude(db: float) -> float:
    """Return the factor that changes a level by db."""
    return math.exp(db * (math.log(10.0) / 20.0))


def decibels(value: float) -> float:
    """Return the level of an amplitude, never below SILENCE_DB."""
    return max(SILENCE_DB, 20.0 * math.log10(value)) if value > 0.0 else SILENCE_DB


def peak_of(x: Array) -> float:
    """Return the largest magnitude of x (N,); NaN if one is in it."""
    return max(float(np.maximum.reduce(x)), -float(np.minimum.reduce(x)))


class Ramp:
    """A control that moves to its target in a straight line of `smoothing_ms`, never in a step.

    `advance` is called once per hop and returns the value at the hop's start and at its end.
    """

    def __init__(self, param: Param, hop: int) -> None:
        self._hops = max(1, round(param.smoothing_ms * SAMPLE_RATE / 1000.0 / hop))
        self.value = param.default
        self._target = param.default
        self._step = 0.0
        self._left = 0

    def jump(self, value: float) -> None:
        """Be at value at once: before sound starts."""
        self.value = self._target = value
        self._left = 0

    def advance(self, target: float) -> tuple[float, float]:
        """Take one hop's step towards target; return the values before and after."""
        if target != self._target:
            self._target, self._left = target, self._hops
            self._step = (target - self.value) / self._hops
        before = self.value
        if self._left:
            self._left -= 1
            self.value = self.value + self._step if self._left else self._target
        return before, self.value


class Line:
    """Straight lines over one hop: the shape of every change of gain."""

    def __init__(self, hop: int) -> None:
        self._rise = (np.arange(1, hop + 1) / hop).astype(np.float32)
        self._line = np.zeros(hop, np.float32)

    def between(self, start: float, end: float) -> Array:
        """Return (hop,) samples from just after `start` to `end`; valid until the next call."""
        np.multiply(self._rise, end - start, out=self._line)
        self._line += np.float32(start)
        self._line[-1] = end  # exact, whatever the rounding
        return self._line

    def scale(self, x: Array, start: float, end: float) -> None:
        """Multiply x (hop,) in place by that line; a steady 1 leaves every bit as it is."""
        if start != end:
            x *= self.between(start, end)
        elif end != 1.0:
            x *= np.float32(end)

    def blend(self, x: Array, other: Array, start: float, end: float) -> None:
        """Fade x (hop,) in place towards other: weight 0 is x, 1 is other, both bit for bit."""
        if start != end:
            weight = self.between(start, end)
            x += weight * (other - x)
        elif end == 1.0:
            x[:] = other
        elif end != 0.0:
            x += np.float32(end) * (other - x)


class NoiseGate:
    """Mute the input while it stays below a threshold; a closed gate gives exact zeros.

    It opens on the first hop with a peak at the threshold, from that hop's first sample on, so that no onset is cut;
    it closes only after HOLD_MS below a threshold that is HYSTERESIS_DB lower, over RELEASE_MS. That is why it does
    not chatter.
    """

    HYSTERESIS_DB = 6.0
    HOLD_MS = 120.0  # longer than the closure of a plosive (50-100 ms)
    RELEASE_MS = 60.0
    ATTACK = 64  # samples, 1.3 ms

    def __init__(self, hop: int) -> None:
        self._line = Line(hop)
        self._attack = np.ones(hop, np.float32)
        n = min(self.ATTACK, hop)
        self._attack[:n] = np.arange(1, n + 1) / n
        self._hold_hops = math.ceil(self.HOLD_MS * SAMPLE_RATE / 1000.0 / hop)
        self._fall = hop * 1000.0 / SAMPLE_RATE / self.RELEASE_MS  # of gain, per hop
        self.reset()

    def reset(self) -> None:
        """Open the gate, ready to close."""
        self.gain = 1.0
        self._left = self._hold_hops  # hops until it closes; 0 when it is closing or closed

    def process(self, x: Array, threshold_db: float) -> None:
        """Gate x (hop,) in place."""
        threshold = amplitude(threshold_db)
        peak = peak_of(x) if threshold_db > GATE_OFF_DB else math.inf  # off: nothing is below it
        if peak >= threshold:
            self._left = self._hold_hops
        elif self._left:
            above = peak >= threshold * amplitude(-self.HYSTERESIS_DB)
            self._left = self._hold_hops if above else self._left - 1
        before = self.gain
        if self._left:
            self.gain = 1.0
            if before < 1.0:
                x *= np.float32(before) + np.float32(1.0 - before) * self._attack
        else:
            self.gain = max(0.0, before - self._fall)
            if before == 0.0:
                x.fill(0.0)
            else:
                self._line.scale(x, before, self.gain)


class Limiter:
    """Keep every sample within the ceiling, without delay; what is not a number becomes silence.

    The gain that each sample needs is held in decibels and let go at RELEASE_DB_PER_S. Within a hop it also leans back
    ATTACK_DB ahead of a peak, for the hop is there as a whole; only a peak in a hop's first samples meets a quick step.
    """

    RELEASE_DB_PER_S = 80.0
    ATTACK_DB = 0.25  # per sample: 12 dB in a millisecond
    LOUDEST = np.float32(1000.0)  # 60 dB over full scale; what is above is clipped, and not remembered for longer

    def __init__(self, hop: int) -> None:
        self._release = np.arange(1, hop + 1) * (self.RELEASE_DB_PER_S / SAMPLE_RATE)
        self._attack = np.arange(hop) * self.ATTACK_DB
        self.repaired = 0  # samples that were NaN or infinite
        self.reset()

    def reset(self) -> None:
        """Forget the loud past."""
        self.reduction_db = 0.0

    def process(self, x: Array, ceiling: float | Array) -> None:
        """Limit x (hop,) in place to [-ceiling, ceiling] (amplitude, one number or one per sample)."""
        peak = peak_of(x)
        if not math.isfinite(peak):
            finite = np.isfinite(x)
            self.repaired += int(np.count_nonzero(~finite))
            x[~finite] = 0.0
            peak = peak_of(x)
        if self.reduction_db == 0.0 and peak <= (ceiling if isinstance(ceiling, float) else float(ceiling.min())):
            return
        over = np.minimum(np.abs(x), self.LOUDEST) / ceiling
        need = 20.0 * np.log10(np.maximum(over, 1.0, dtype=np.float64))
        need = np.maximum.accumulate(need + self._release)
        need = np.maximum(need, self.reduction_db) - self._release
        self.reduction_db = max(0.0, float(need[-1]))
        need = np.maximum.accumulate((need - self._attack)[::-1])[::-1] + self._attack
        x *= np.power(10.0, np.maximum(need, 0.0) / -20.0, dtype=np.float64).astype(np.float32)
        np.clip(x, -ceiling, ceiling, out=x)


class Delay:
    """Delay hops by a fixed number of samples: the dry way beside a wet one."""

    def __init__(self, delay: int, hop: int) -> None:
        self.delay = delay
        self._hop = hop
        self._line = np.zeros(delay + hop, np.float32)

    def process(self, x: Array) -> Array:
        """Return x (hop,) of `delay` samples ago; valid until the next call."""
        self._line[: self.delay] = self._line[self._hop :]
        self._line[self.delay :] = x
        return self._line[: self._hop]

    def reset(self) -> None:
        """Forget the samples on their way."""
        self._line[:] = 0.0


class Meter:
    """Peak and mean level of a stream, made to be looked at now and then from another thread.

    The converter thread writes, anyone reads: two floats, each replaced whole. The peak falls by PEAK_FALL_DB_PER_S, so
    that one between two looks is seen; the mean is over MEAN_MS.
    """

    PEAK_FALL_DB_PER_S = 24.0  # close to the 20 dB in 1.7 s of IEC 60268-10, and quick enough for a stage
    MEAN_MS = 300.0  # the VU meter's integration time, IEC 60268-17

    def __init__(self, hop: int) -> None:
        seconds = hop / SAMPLE_RATE
        self._fall = amplitude(-self.PEAK_FALL_DB_PER_S * seconds)
        self._weight = 1.0 - math.exp(-seconds * 1000.0 / self.MEAN_MS)
        self.peak = 0.0
        self._power = 0.0

    def process(self, x: Array) -> None:
        """Look at x (hop,)."""
        self.peak = max(peak_of(x), self.peak * self._fall)
        self._power += self._weight * (float(np.dot(x, x)) / len(x) - self._power)

    @property
    def peak_db(self) -> float:
        """Peak level."""
        return decibels(self.peak)

    @property
    def rms_db(self) -> float:
        """Mean level."""
        return decibels(math.sqrt(max(self._power, 0.0)))

    def reset(self) -> None:
        """Fall to silence."""
        self.peak = self._power = 0.0
