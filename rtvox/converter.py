"""Converter: from the input timeline through the Mixer to the output timeline, hop by hop.

In: device samples as the callback stored them. Out: converted device samples, each at the position when it is to be
played. Runs in the converter thread (for a device that waits: in the device's thread, after each callback). A stage
that raises, or a hop that is too late, leaves a hole on the output timeline, which the callback covers.
Read next: `mixer.py`, for what happens to a hop; `engine.py`, which owns it.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from rtvox.device import Device
from rtvox.errors import ParameterError
from rtvox.features import Array, hann
from rtvox.mixer import Mixer
from rtvox.onnx_session import flush_denormals
from rtvox.player import FADE, Player, reflected
from rtvox.priority import CONVERTER_PRIORITY, REFUSED, raise_priority
from rtvox.resample import SAMPLE_RATE, Edge, edge_lag
from rtvox.stage import prefill
from rtvox.status import Counts

TIMES = 4096  # hops whose duration is kept: 22 s
WAKE_TIMEOUT_S = 0.1  # how long the thread may sleep past the end of the sound


class Converter:
    """The loop over hops for one run on one device: built before the sound starts, used up when it ends.

    Single writer: the converter thread, except `active`, which the engine clears. Others may read `times` and `hops`.

    Attributes:
        player: the callback's side; the two share the timelines.
        prefill: samples at the device's rate, from the time a sample is gathered until it is played.
        message: what the user should know about the thread's priority, or empty.
        lag: the part of it that gathering a hop and the resamplers need; the rest is reserve.
    """

    def __init__(self, mixer: Mixer, device: Device, counts: Counts, *, channel: int | None, reserve: int) -> None:
        """Prepare everything for a device that is about to start.

        Args:
            channel: the input channel to take; None takes the mean of all.
            reserve: samples at the device's rate of prefill beyond what the arithmetic asks for.

        Raises: ParameterError if the device has no such channel.
        """
        if channel is not None and not 0 <= channel < device.channels_in:
            raise ParameterError(f"channel={channel}: needs 0 to {device.channels_in - 1}, the inputs of the device")
        mixer.reset()
        rate, hop = device.sample_rate, mixer.hop
        self._mixer, self._counts = mixer, counts
        self._edge = Edge(rate, hop, mixer.chain.delay)
        self._block = -(-hop * rate // SAMPLE_RATE)  # device samples that make a hop
        self._settling = 0 if rate == SAMPLE_RATE else edge_lag(rate, hop, mixer.chain.delay)
        self.lag = self._settling or hop
        self.prefill = reserve + self._prefill(device)
        self.player = Player(
            counts,
            sample_rate=rate,
            max_block=device.max_block,
            prefill=self.prefill,
            delay=self._edge.delay_of(mixer.chain.delay),
            channel=channel,
        )
        self.active = True
        self.message = ""
        self.times = np.zeros(TIMES)  # seconds per hop, a ring
        self.hops = 0
        self._chunk = np.zeros(self._block + 1, np.float32)
        self._in_position, self._out_position = 0, self.prefill
        self._sound_from = 0  # output positions before it answer input that was never converted: not played
        self._raw = np.zeros(hop, np.float32)  # the hop before
        self._onward: Array | None = None  # how it could have gone on, until the first hop after a gap
        seam = min(FADE, hop - 1)
        self._leave = hann(2 * seam)[seam:].astype(np.float32)

    def _prefill(self, device: Device) -> int:
        if device.fixed_block and not self._settling:
            return prefill(self._mixer.hop, device.max_block)
        # As `stage.prefill`, for any pattern of blocks and resampling: the newest sample converted is at most `lag`
        # behind the newest one gathered, a hop may take a hop's time, and callbacks come at most max_block apart.
        if device.fixed_block:
            return self.lag - (-self._block // device.max_block) * device.max_block
        return self.lag + self._block + device.max_block - 1

    def run(self) -> None:
        """Convert whenever the callback has brought something, until `active` is false: the converter thread."""
        flush_denormals()
        self.message = "" if raise_priority(CONVERTER_PRIORITY) else REFUSED
        while self.active:
            if self.player.wake.acquire(timeout=WAKE_TIMEOUT_S):
                try:
                    self.catch_up()
                except Exception as error:  # our own mistake: say so, and live on
                    self._mixer.error = f"converter: {error!r}"

    def callback_and_convert(self, indata: Array, outdata: Array) -> None:
        """Be the callback of a device that waits: never late."""
        self.player.callback(indata, outdata)
        self.catch_up()

    def catch_up(self) -> None:
        """Convert every hop that is complete, and pass over those that are too late."""
        player = self.player
        while True:
            late = player.position - self.prefill - self._in_position
            if late >= self._block:
                self._pass_over(late // self._block * self._block)
            want = self._edge.want()
            if player.inputs.end - self._in_position < want:
                return
            begin = perf_counter()
            chunk = self._chunk[:want]
            player.inputs.copy(self._in_position, chunk)
            self._in_position += want
            raw = self._edge.push(chunk)
            if raw is not None:
                if self._onward is not None:
                    # A step would be within the frames of the next hops, and heard as often as a network remembers it.
                    raw[: len(self._leave)] += self._leave * (self._onward - raw[: len(self._leave)])
                    self._onward = None
                self._raw = raw
                self._hop(raw)
                self.times[self.hops % TIMES] = perf_counter() - begin
                self.hops += 1

    def _pass_over(self, samples: int) -> None:
        """Leave out input whose answer would come too late anyway."""
        self._in_position += samples
        self._out_position = self._in_position + self.prefill
        self._edge.reset()
        self._onward = reflected(self._raw[-len(self._leave) - 1 :])
        self._sound_from = self._out_position + self._filling()
        self._counts.dropped += samples

    def _filling(self) -> int:
        """Return how many samples it takes until nothing from before a gap is heard, of no chain that sounds."""
        return self._edge.delay_of(self._mixer.longest_delay) + self._settling

    def _hop(self, raw: Array) -> None:
        player = self.player
        try:
            out = self._edge.pull(self._mixer.process(raw))
        except Exception as error:  # whatever a stage does, the sound goes on
            self._counts.failed_hops += 1
            self._mixer.fail(error)
            out = self._edge.pull(np.zeros_like(raw))
            self._sound_from = self._out_position + len(out) + self._filling()
        player.dry_gain, player.ceiling = self._mixer.cover()
        if self._settling:  # between the samples that were limited there may be higher ones
            np.clip(out, -player.ceiling, player.ceiling, out=out)
        old = min(max(self._sound_from - self._out_position, 0), len(out))
        if old < len(out):
            player.outputs.write(self._out_position + old, out[old:])
        self._out_position += len(out)
        player.keep_dry = self._mixer.params["miss_policy"] == 0.0
        player.dry_delay = self._edge.delay_of(self._mixer.chain.delay)
