"""Mixer: what happens to one hop between the edges, and the swap of one model for another.

In: a hop at 48 kHz as it came from the microphone. Out: the hop to be played, in order::

    speech -> input gain -> gate -> Chain (wet, dry, raw) -> dry/wet -> output gain -> limiter -> bypass -> mute

Runs in the converter thread. Read next: `levels.py` for the parts, `converter.py` for where hops come from.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from rtvox.chain import Chain
from rtvox.features import Array
from rtvox.levels import Limiter, Line, Meter, NoiseGate, Ramp, amplitude
from rtvox.params import PARAMS, Params
from rtvox.timeline import Timeline

if TYPE_CHECKING:
    from rtvox.speech import Speech

PRIME_HOPS = 8  # a new chain hears this much before it sounds: 2048 samples, the longest analysis window
FADE_HOPS = 8  # cross-fade between two chains, 43 ms
RECENT = 32768  # samples of input and output that are kept: far more than a look at their spectra takes time
_LEVELS = ("input_gain", "output_gain", "ceiling")  # in dB


class Mixer:
    """The chain in use, the chain that is to replace it, and the controls on their way.

    Single writers: all belongs to the converter thread, except `pending`, which the loading thread sets and the
    converter thread clears, `speech`, which the session sets, and `panic_asked`, which anyone sets. Others may read
    `chain`, `incoming`, `error`, the meters, and what was last heard and said.
    """

    def __init__(self, params: Params, chain: Chain) -> None:
        self.params, self.chain, self.hop = params, chain, chain.hop
        self.pending: Chain | None = None  # waits to be faded in
        self.incoming: Chain | None = None  # is being primed or faded in
        self.retired: deque[Chain] = (
            deque()
        )  # faded out; freed by the loading thread, since freeing a session takes long
        self.panic_asked = False
        self.speech: Speech | None = None  # is added to what the microphone hears
        self.error = ""  # the last fault of a stage
        self.input_meter, self.output_meter = Meter(self.hop), Meter(self.hop)
        self.heard, self.said = Timeline(RECENT), Timeline(RECENT)
        self._before = np.zeros(2, np.int64)  # faults and fallbacks of chains that have gone
        self._incoming_hops = 0
        self._silent_hops = 0  # until the delay lines are full again, after a panic
        self._ramps = {name: Ramp(param, self.hop) for name, param in PARAMS.items()}
        # Each control at the hop's start and end, those of _LEVELS as amplitudes.
        self._moves: dict[str, tuple[float, float]] = {}
        self._steady: object | None = None  # `params.changed` when nothing moved any more: all stay as they are
        self._line, self._gate, self._limiter = Line(self.hop), NoiseGate(self.hop), Limiter(self.hop)
        self._conditioned, self._mixed = np.zeros(self.hop, np.float32), np.zeros(self.hop, np.float32)
        angle = np.pi / 2 * np.arange(1, FADE_HOPS * self.hop + 1) / (FADE_HOPS * self.hop)
        self._rise = np.sin(angle).astype(np.float32).reshape(FADE_HOPS, self.hop)
        self._fall = np.cos(angle).astype(np.float32).reshape(FADE_HOPS, self.hop)

    @property
    def longest_delay(self) -> int:
        """Samples at 48 kHz beyond the hop: of the chain in use or, if that is longer, of the one that comes in."""
        return max(chain.delay for chain in (self.chain, self.incoming) if chain)

    def reset(self) -> None:
        """Be as new, with every control where the user has it. Before the converter thread starts."""
        self.chain.settle(self.params)
        for name, ramp in self._ramps.items():
            ramp.jump(self.params[name])
        for part in (self._gate, self._limiter, self.input_meter, self.output_meter):
            part.reset()
        self.panic_asked, self._silent_hops = False, 0

    def process(self, raw: Array) -> Array:
        """Return the (hop,) output for a hop; valid until the next call. Raises whatever a stage raises."""
        if self._steady is not self.params.changed:
            self._advance()
        moves = self._moves
        x, y, line = self._conditioned, self._mixed, self._line
        if self.speech:
            raw = self.speech.mix(raw)
        x[:] = raw
        self.input_meter.process(x)
        self.heard.write(self.heard.end, x)
        line.scale(x, *moves["input_gain"])
        self._gate.process(x, self.params["gate_threshold"])
        wet, dry, untouched = self._chains(x, raw)
        y[:] = dry
        line.blend(y, wet, *moves["mix"])
        line.scale(y, *moves["output_gain"])
        start, end = moves["ceiling"]
        self._limiter.process(y, end if start == end else line.between(start, end))
        line.blend(y, untouched, *moves["bypass"])
        line.scale(y, 1.0 - moves["mute"][0], 1.0 - moves["mute"][1])
        self._panic(y)
        self.output_meter.process(y)
        self.said.write(self.said.end, y)
        return y

    def _advance(self) -> None:
        """Move every control by one hop."""
        changed = self.params.changed
        moves = {name: ramp.advance(self.params[name]) for name, ramp in self._ramps.items()}
        self._moves = moves | {name: (amplitude(moves[name][0]), amplitude(moves[name][1])) for name in _LEVELS}
        self._steady = changed if all(before == after for before, after in moves.values()) else None

    def faults(self) -> tuple[int, int]:
        """Return how many hops were not numbers, and how often a model moved to the CPU. Any thread."""
        faults, fallbacks = self._before + self.chain.faults
        return int(faults), int(fallbacks)

    def put(self, chain: Chain) -> None:
        """Make it the chain in use. Converter thread, or any while no sound runs."""
        if chain is not self.chain:
            self._before = self._before + self.chain.faults
            self.chain = chain

    def count_anew(self) -> None:
        """Let `faults` begin at zero. While no sound runs."""
        self._before = 0 - np.array(self.chain.faults)

    def end_swap(self) -> None:
        """Put the new chain in place at once: no sound runs any more."""
        self.put(self.incoming or self.pending or self.chain)
        self.incoming = self.pending = None

    def cover(self) -> tuple[float, float]:
        """Return the gain that makes the raw input as loud as the output's dry part is now, and the ceiling over it."""
        ramps = self._ramps
        gain = amplitude(ramps["input_gain"].value + ramps["output_gain"].value) * self._gate.gain
        bypass = ramps["bypass"].value
        gain = (gain + bypass * (1.0 - gain)) * (1.0 - ramps["mute"].value)
        return gain, math.inf if bypass else amplitude(ramps["ceiling"].value)

    def fail(self, error: Exception) -> None:
        """Take note that `process` raised, and clean up after it."""
        self.error = f"model {self.chain.name}: {type(error).__name__}: {error}"
        try:
            self.chain.reset()
        except Exception as second:  # a stage that cannot even be reset: the next hops will fail likewise
            self.error += f" (and at reset: {second})"

    def _chains(self, x: Array, raw: Array) -> tuple[Array, Array, Array]:
        """Return (wet, dry, raw) of the chain in use, or of two during a swap."""
        wet, dry, untouched = self.chain.process(x, raw, self.params)
        if self.incoming is None:
            if self.pending is None:
                return wet, dry, untouched
            # In this order the loading thread always sees its chain in one of the two.
            self.incoming, self._incoming_hops = self.pending, 0
            self.pending = None
        try:
            new_wet, new_dry, new_untouched = self.incoming.process(x, raw, self.params)
        except Exception as error:  # as a failed load: nothing changes
            self.error = f"model {self.incoming.name}: {type(error).__name__}: {error}"
            self.retired.append(self.incoming)
            self.incoming = None
            return wet, dry, untouched
        step = self._incoming_hops - PRIME_HOPS
        self._incoming_hops += 1
        if step < 0:
            return wet, dry, untouched
        # Equal power for what two models make of the sound; equal gain for the dry sound, which is the same in both.
        rise, fall = self._rise[step], self._fall[step]
        wet = fall * wet + rise * new_wet
        dry, untouched = dry + rise**2 * (new_dry - dry), untouched + rise**2 * (new_untouched - untouched)
        if step == FADE_HOPS - 1:
            self.retired.append(self.chain)
            self.put(self.incoming)
            self.incoming = None
        return wet, dry, untouched

    def _panic(self, y: Array) -> None:
        """Fade out within a hop, forget everything heard, fade in: what ends a howl or a stuck state."""
        if self._silent_hops:
            self._silent_hops -= 1
            self._line.scale(y, 0.0, 0.0 if self._silent_hops else 1.0)
        elif self.panic_asked:
            self._line.scale(y, 1.0, 0.0)
            for part in (self.chain, self._gate, self._limiter):
                part.reset()
            for name, ramp in self._ramps.items():
                ramp.jump(self.params[name])
            self.panic_asked, self._silent_hops = False, 1 - (-self.chain.delay // self.hop)
