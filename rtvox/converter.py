"""Converter: everything between the two timelines, hop by hop.

In: device samples from the input timeline. Out: converted device samples on the output timeline, in order::

    edge -> input gain -> gate -> Chain (wet, dry, raw) -> dry/wet -> output gain -> limiter -> bypass -> mute -> edge

Runs in the converter thread (for a device that waits: in the device's thread, after each callback). A stage that raises, or a
hop that is too late, leaves a hole on the output timeline, which the callback covers. Read next: `engine.py`, which owns it.
"""

from __future__ import annotations

import math
from collections import deque
from time import perf_counter

import numpy as np

from rtvox.chain import Chain
from rtvox.device import Device
from rtvox.features import Array
from rtvox.levels import Limiter, Line, Meter, NoiseGate, Ramp, amplitude
from rtvox.params import PARAMS, Params
from rtvox.player import Player
from rtvox.resample import SAMPLE_RATE, Edge, edge_lag
from rtvox.stage import prefill

PRIME_HOPS = 8  # a new chain hears this much before it sounds: 2048 samples, the longest analysis window
FADE_HOPS = 8  # equal-power cross-fade between two chains, 43 ms
TIMES = 4096  # hops whose duration is kept: 22 s
_LEVELS = ("input_gain", "output_gain", "ceiling")  # in dB


class Converter:
    """The chain in use, its controls on their way, and the loop over hops.

    Single writers: all fields belong to the converter thread, except `pending`, which the loading thread sets and the
    converter clears, and `panic_asked`, which anyone sets. Others may read `chain`, the meters, `times` and the counts.
    """

    def __init__(self, params: Params, chain: Chain) -> None:
        self.params, self.chain = params, chain
        self.hop = chain.hop
        self.pending: Chain | None = None  # waits to be faded in
        self.retired: deque[Chain] = deque()  # faded out; freed by the loading thread, for freeing a session takes time
        self.panic_asked = False
        self.error = ""  # the last fault of a stage
        self.failed_hops = 0
        self.dropped = 0  # input samples (device rate) that were too old to be converted
        self.times = np.zeros(TIMES)  # seconds per hop, a ring
        self.hops = 0
        self.input_meter, self.output_meter = Meter(self.hop), Meter(self.hop)
        self._next: Chain | None = None  # being primed or faded in
        self._next_hops = 0
        self._panicking = False
        self._ramps = {name: Ramp(param, self.hop) for name, param in PARAMS.items()}
        self._line = Line(self.hop)
        self._gate, self._limiter = NoiseGate(self.hop), Limiter(self.hop)
        self._conditioned, self._mixed = np.zeros(self.hop, np.float32), np.zeros(self.hop, np.float32)
        angle = np.pi / 2 * np.arange(1, FADE_HOPS * self.hop + 1) / (FADE_HOPS * self.hop)
        self._rise = np.sin(angle).astype(np.float32).reshape(FADE_HOPS, self.hop)
        self._fall = np.cos(angle).astype(np.float32).reshape(FADE_HOPS, self.hop)

    def attach(self, device: Device, channel: int | None, reserve: int) -> Player:
        """Prepare for a device, and return the player whose callback it shall call. Before the converter thread starts.

        Args:
            channel: the input channel to take; None takes the mean of all.
            reserve: samples at the device's rate of prefill beyond what the arithmetic asks for.
        """
        for name, ramp in self._ramps.items():
            ramp.jump(self.params[name])
        self.chain.settle(self.params)
        self._gate.reset()
        self._limiter.reset()
        self._edge = Edge(device.sample_rate, self.hop, self.chain.delay)
        self._block = -(-self.hop * device.sample_rate // SAMPLE_RATE)  # device samples of one hop
        self.lag = self.hop
        if device.sample_rate == SAMPLE_RATE and device.fixed_block:
            self.prefill = prefill(self.hop, device.max_block)
        else:
            # As `stage.prefill`, for any pattern of blocks: the newest sample converted lags the newest one gathered by
            # at most `lag`, one hop may take a hop of time, and callbacks come at most max_block apart.
            if device.sample_rate != SAMPLE_RATE:
                self.lag = edge_lag(device.sample_rate, self.hop, self.chain.delay)
            whole = -(-self._block // device.max_block) * device.max_block
            self.prefill = self.lag + (whole if device.fixed_block else self._block + device.max_block - 1)
        self.prefill += reserve
        self._player = Player(
            sample_rate=device.sample_rate,
            max_block=device.max_block,
            prefill=self.prefill,
            delay=self._edge.delay_of(self.chain.delay),
            channel=channel,
        )
        self._chunk = np.zeros(self._block + 1, np.float32)
        self._in_position, self._out_position = 0, self.prefill
        self._sound_from = 0  # output positions before it answer input that was never converted: not played
        return self._player

    def catch_up(self) -> None:
        """Convert every hop that is complete, and pass over those that are too late."""
        player = self._player
        while True:
            late = player.position - self.prefill - self._in_position
            if late >= self._block:
                self._pass_over(late // self._block * self._block)
            want = self._edge.want()
            if player.inputs.end - self._in_position < want:
                return
            chunk = self._chunk[:want]
            player.inputs.copy(self._in_position, chunk)
            self._in_position += want
            raw = self._edge.push(chunk)
            if raw is not None:
                self._hop(raw)

    def _pass_over(self, samples: int) -> None:
        """Leave out input whose answer would come too late anyway."""
        self._in_position += samples
        self._out_position = self._in_position + self.prefill
        self._edge.reset()
        self._sound_from = self._out_position + self._player.dry_delay + self.lag
        self.dropped += samples

    def _hop(self, raw: Array) -> None:
        begin = perf_counter()
        try:
            out = self._edge.pull(self._convert(raw))
        except Exception as error:  # whatever a stage does, the sound goes on
            self._fail(error)
            out = self._edge.pull(np.zeros(self.hop, np.float32))
            self._sound_from = self._out_position + len(out) + self._player.dry_delay
        self.times[self.hops % TIMES] = perf_counter() - begin
        self.hops += 1
        old = min(max(self._sound_from - self._out_position, 0), len(out))
        if old < len(out):
            self._player.outputs.write(self._out_position + old, out[old:])
        self._out_position += len(out)

    def _fail(self, error: Exception) -> None:
        self.failed_hops += 1
        self.error = f"model {self.chain.name}: {type(error).__name__}: {error}"
        try:
            self.chain.reset()
        except Exception as second:  # a stage that cannot even be reset: keep the first error, and the sound
            self.error += f" (and at reset: {second})"

    def _convert(self, raw: Array) -> Array:
        """Return the (hop,) output for a hop at 48 kHz; valid until the next call."""
        moves = {name: ramp.advance(self.params[name]) for name, ramp in self._ramps.items()}
        gains = {name: (amplitude(moves[name][0]), amplitude(moves[name][1])) for name in _LEVELS}
        x, y, line = self._conditioned, self._mixed, self._line
        x[:] = raw
        self.input_meter.process(x)
        line.scale(x, *gains["input_gain"])
        self._gate.process(x, self.params["gate_threshold"])
        wet, dry, untouched = self._chains(x, raw)
        y[:] = dry
        line.blend(y, wet, *moves["mix"])
        line.scale(y, *gains["output_gain"])
        start, end = gains["ceiling"]
        self._limiter.process(y, end if start == end else line.between(start, end))
        line.blend(y, untouched, *moves["bypass"])
        line.scale(y, 1.0 - moves["mute"][0], 1.0 - moves["mute"][1])
        self._panic(y)
        self.output_meter.process(y)
        self._publish()
        return y

    def _chains(self, x: Array, raw: Array) -> tuple[Array, Array, Array]:
        """Return (wet, dry, raw) of the chain in use, or of two during a swap."""
        wet, dry, untouched = self.chain.process(x, raw, self.params)
        if self._next is None:
            if self.pending is None:
                return wet, dry, untouched
            self._next, self.pending, self._next_hops = self.pending, None, 0
        try:
            new_wet, new_dry, new_untouched = self._next.process(x, raw, self.params)
        except Exception as error:  # as a failed load: nothing changes
            self.error = f"model {self._next.name}: {type(error).__name__}: {error}"
            self.retired.append(self._next)
            self._next = None
            return wet, dry, untouched
        step = self._next_hops - PRIME_HOPS
        self._next_hops += 1
        if step < 0:
            return wet, dry, untouched
        # Equal power for what two models make of the sound; equal gain for the dry sound, which is the same in both.
        rise, fall = self._rise[step], self._fall[step]
        wet = fall * wet + rise * new_wet
        dry, untouched = (old + rise**2 * (new - old) for old, new in ((dry, new_dry), (untouched, new_untouched)))
        if step == FADE_HOPS - 1:
            self.retired.append(self.chain)
            self.chain, self._next = self._next, None
        return wet, dry, untouched

    def _panic(self, y: Array) -> None:
        """Fade out within a hop, forget everything heard, fade in: what ends a howl or a stuck state."""
        if self._panicking:
            self._line.scale(y, 0.0, 1.0)
            self._panicking = False
        elif self.panic_asked:
            self._line.scale(y, 1.0, 0.0)
            for part in (self.chain, self._gate, self._limiter):
                part.reset()
            self.panic_asked, self._panicking = False, True

    def _publish(self) -> None:
        """Tell the callback how the dry signal has to be, should it need it."""
        player, value = self._player, {name: ramp.value for name, ramp in self._ramps.items()}
        gain = amplitude(value["input_gain"] + value["output_gain"]) * self._gate.gain
        player.dry_gain = (gain + value["bypass"] * (1.0 - gain)) * (1.0 - value["mute"])
        player.ceiling = math.inf if value["bypass"] else amplitude(value["ceiling"])
        player.keep_dry = self.params["miss_policy"] == 0.0
        player.dry_delay = self._edge.delay_of(self.chain.delay)
