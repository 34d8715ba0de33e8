"""Notices: what subscribers are told: changes, levels, status, spectra, as packets.

In: a Session. Out: packets. Used by the OSC server's thread alone. Read next: `osc_server.py`, which sends them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rtvox.osc import Value, bundle, encode
from rtvox.osc_commands import Commands
from rtvox.osc_tree import METER_HZ, STATUS_HZ

_STATUS_EVERY = round(METER_HZ / STATUS_HZ)


class Notices:
    """Knows what was told already, so that only what has changed is told again."""

    def __init__(self, commands: Commands, ignored: Callable[[], int]) -> None:
        """Tell of this session; `ignored` returns how many datagrams were refused."""
        self._commands, self._ignored = commands, ignored
        self._told: dict[str, tuple[Value, ...]] = {}
        self._ticks = 0

    def begin(self) -> None:
        """Take all as told: the first subscriber has just asked for everything."""
        self._told = dict(self._commands.session.state())

    def next(self) -> list[bytes]:
        """Return what has changed, and how loud it is; now and then the status. For METER_HZ times a second."""
        session = self._commands.session
        before, self._told = self._told, dict(session.state())
        packets = [encode(address, *values) for address, values in self._told.items() if before.get(address) != values]
        packets.append(encode("/rtvox/meters", *map(float, session.engine.meters())))
        if self._ticks % _STATUS_EVERY == 0:
            status = self._commands.status(self._ignored())
            packets.append(bundle([encode(address, *values) for address, values in status]))
        self._ticks += 1
        return packets

    def spectra(self) -> list[bytes]:
        """Return the newest frames of input and output."""
        return [
            encode(f"/rtvox/spectrum/{side}", mel.astype(np.dtype(">f4")).tobytes())
            for side, mel in zip(("input", "output"), self._commands.session.engine.spectra(), strict=True)
        ]
