"""The Device protocol: what the engine asks of a sound card or a file. Two kinds: `devices.SoundCard`, `FileDevice`.

In: the engine's callback. Out: calls of it, from whatever thread the device has. Read next: `file_device.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtvox.features import Array

# (B, C_in) samples in, (B, C_out) samples to fill; at the device's rate, B <= max_block. Never raises, never blocks.
Callback = Callable[[Array, Array], None]
# Called once, from any thread, when a running device has gone. It only takes note: the engine stops and reopens later.
OnLost = Callable[[Exception], None]


class Device(Protocol):
    """A source and a sink of sound with one clock.

    `sample_rate`, `max_block`, `fixed_block`, `realtime` and the channels are final before `start` is called (a
    device that is started again may have changed them in between); `latency` and `xruns` may change while it runs.

    Attributes:
        sample_rate: Hz.
        max_block: the most samples in one call.
        fixed_block: every call has exactly max_block samples; saves latency.
        realtime: the world does not wait. If False, the engine converts inside the callback and is never late.
        channels_in, channels_out: C_in and C_out.
        latency: samples at sample_rate, input plus output, as the host reports them.
        xruns: buffers that the host lost, so far.
    """

    sample_rate: int
    max_block: int
    fixed_block: bool
    realtime: bool
    channels_in: int
    channels_out: int

    @property
    def latency(self) -> int:
        """Samples at sample_rate, input plus output."""
        ...

    @property
    def xruns(self) -> int:
        """Buffers that the host lost."""
        ...

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Begin to call; raise DeviceError when that cannot be."""
        ...

    def stop(self) -> None:
        """End, and return when no call is under way; harmless when not started."""
        ...
