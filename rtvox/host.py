"""What the sound systems have in common: a row per device, and a running stream.

`jack_host.py`, `pulse.py` with `pulse_stream.py`, and `portaudio.py` with `portaudio_stream.py` make them;
`device_list.py` finds rows, `devices.py` opens streams and watches them. Read next: `devices.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from rtvox.device import Callback
from rtvox.features import Array

PREFERRED_RATE = 48000  # Hz, the house's own: no resampling at the edge
Kind = Literal["input", "output"]


@dataclass(frozen=True)
class DeviceRow:
    """One device, or one side of it, as its host lists it.

    Attributes:
        host: the host API or sound server: "JACK", "PulseAudio", "ALSA", "Core Audio", "Windows WASAPI" ...
        name: unique within host and kind.
        key: what the host itself calls it.
        inputs, outputs: channels; 0 if it cannot.
        sample_rate: Hz, the device's own.
        default_input, default_output: the host takes it when nobody says otherwise.
        description: a longer name for people, often empty; found by `find_device`, too.
    """

    host: str
    name: str
    key: str | int
    inputs: int
    outputs: int
    sample_rate: int
    default_input: bool = False
    default_output: bool = False
    description: str = ""

    @property
    def full_name(self) -> str:
        """Return "HOST: NAME", which names it beyond doubt."""
        return f"{self.host}: {self.name}"

    def channels(self, kind: Kind) -> int:
        """Return how many channels it has that way."""
        return self.inputs if kind == "input" else self.outputs

    def is_default(self, kind: Kind) -> bool:
        """Return whether it is its host's default that way."""
        return self.default_input if kind == "input" else self.default_output


class HostStream(Protocol):
    """A duplex stream that runs from the moment it is made, and plays silence until it has a callback.

    Single writers: `callback` belongs to the owner, all else to the stream. Each is one number or reference, replaced
    whole.

    Attributes:
        callback: who is called, see `device.Callback`.
        sample_rate: Hz.
        max_block, fixed_block: as `device.Device` says.
        calls: so far.
        xruns: buffers that were lost.
        patience_s: without a call for so long, it is dead.
        message: what the user should know; often empty.
    """

    callback: Callback
    sample_rate: int
    max_block: int
    fixed_block: bool
    calls: int
    xruns: int
    patience_s: float
    message: str

    @property
    def fault(self) -> Exception | None:
        """Why it has ended by itself, or None."""
        ...

    @property
    def latency(self) -> int:
        """Samples, input plus output."""
        ...

    def close(self) -> None:
        """End; no call is under way on return. Harmless twice. May hang if the sound system does."""
        ...


@dataclass(frozen=True)
class Request:
    """What to open: two devices of one host; sizes in samples, rate in Hz (None: 48000 if they can, else their own)."""

    source: DeviceRow
    sink: DeviceRow
    channels_in: int
    channels_out: int
    block: int
    sample_rate: int | None = None

    def __str__(self) -> str:
        sides = self.source.full_name
        return sides if self.source == self.sink else f"{sides} and {self.sink.full_name}"


def play_silence(indata: Array, outdata: Array) -> None:
    """Be the callback of a stream that nobody uses yet."""
    outdata.fill(0.0)
