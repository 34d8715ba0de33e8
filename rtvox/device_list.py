"""Which sound devices there are, and which of them a user means.

In: names, parts of names or numbers. Out: rows (`host.py`). Any thread, but one at a time. Read next: `devices.py`.
"""

from __future__ import annotations

import difflib
import re

from rtvox import jack_host, portaudio, pulse
from rtvox.errors import DeviceError
from rtvox.host import DeviceRow, Kind

# Who is asked first where several hosts have the device: low latency and shared clocks first.
PREFERENCE = ("JACK", "Core Audio", "ASIO", "Windows WASAPI", "PulseAudio", "ALSA")
ONE_CLOCK = ("JACK", "PulseAudio", "ALSA")  # hosts whose pairs run in step: a server joins them, or `find_pair` refuses


def list_devices() -> list[DeviceRow]:
    """Return all devices that are there now, the preferred hosts first; the number of a device is its place here.

    Raises: DeviceError if neither PortAudio nor a sound server is there.
    """
    found = jack_host.rows() + pulse.rows()
    try:
        # A PortAudio with a PulseAudio part of its own would list its devices twice.
        found += [row for row in portaudio.rows() if row.host != pulse.HOST]
    except DeviceError:
        if not found:
            raise
    return sorted(found, key=lambda row: PREFERENCE.index(row.host) if row.host in PREFERENCE else len(PREFERENCE))


def find_device(wanted: str | int | None, kind: Kind) -> DeviceRow:
    """Return the device that a name, a part of one, "HOST: NAME" or a number means; None means the default.

    Raises: DeviceError if there is none, naming those that come near, or more than one, naming them.
    """
    found = _matches(list_devices(), wanted, kind)
    return _choose(found, found[0].host, wanted, kind)


def find_pair(source: str | int | None, sink: str | int | None, host: str | None = None) -> tuple[DeviceRow, DeviceRow]:
    """Return an input and an output that can run in one stream: of one host, with one clock.

    Args:
        source, sink: as `find_device`.
        host: take defaults from this host only. If it is JACK, nobody else is asked: a server that is gone is looked
            for again and again, and PortAudio loses some 14 KB each time it looks around (measured with 19.6).

    Raises: DeviceError as `find_device`, and if the two do not fit together.
    """
    rows = jack_host.rows() if host == jack_host.HOST else list_devices()
    ins, outs = _matches(rows, source, "input", host), _matches(rows, sink, "output", host)
    for common in dict.fromkeys(row.host for row in ins):
        if any(row.host == common for row in outs):
            pair = _choose(ins, common, source, "input"), _choose(outs, common, sink, "output")
            _check_clocks(*pair)
            return pair
    raise DeviceError(
        f"input {ins[0].full_name} and output {outs[0].full_name}: belong to different sound systems, whose clocks "
        "drift apart; choose both from one of them, see `rtvox devices`"
    )


def clock_note(source: DeviceRow, sink: DeviceRow) -> str:
    """Return what the user should know about the clocks of a pair; often nothing."""
    if source == sink or source.host in ONE_CLOCK:
        return ""
    return (
        "input and output are two devices: if their clocks differ, the system drops or repeats a buffer now and then; "
        "the xruns count them"
    )


def _matches(rows: list[DeviceRow], wanted: str | int | None, kind: Kind, host: str | None = None) -> list[DeviceRow]:
    """Return all rows that `wanted` can mean, in order; at least one."""
    able = [row for row in rows if row.channels(kind)]
    if wanted is None:
        if found := [row for row in able if row.is_default(kind) and host in (None, row.host)]:
            return found
        raise DeviceError(f"no {kind} device is there; plug one in, start a sound server, or see `rtvox devices`")
    text = str(wanted).strip().casefold()
    if text.isdecimal():
        if int(text) < len(rows) and rows[int(text)] in able:
            return [rows[int(text)]]
        raise DeviceError(f"{kind} {wanted}: no {kind} device has that number; see `rtvox devices`")
    exact = [row for row in able if text in (row.full_name.casefold(), row.name.casefold())]
    described = [row for row in able if text == row.description.casefold()]
    part = [row for row in able if text in f"{row.full_name} {row.description}".casefold()]
    if text and (exact or described or part):
        return exact or described or part
    names = [row.name for row in able]
    near = difflib.get_close_matches(str(wanted), names, n=3, cutoff=0.4) or names[:3]
    hint = f"near it: {', '.join(near)}" if near else "there is none at all"
    raise DeviceError(f"{kind} {wanted!r}: no such device; {hint}; see `rtvox devices`")


def _choose(found: list[DeviceRow], host: str, wanted: str | int | None, kind: Kind) -> DeviceRow:
    """Return the only row of that host."""
    best = [row for row in found if row.host == host]
    if len(best) > 1:
        names = ", ".join(row.full_name for row in best[:5])
        raise DeviceError(f"{kind} {wanted!r}: means {len(best)} devices: {names}; give more of the name")
    return best[0]


def _check_clocks(source: DeviceRow, sink: DeviceRow) -> None:
    """Refuse two cards that nothing keeps in step."""
    cards = [re.search(r"\(hw:(\w+),", row.name) for row in (source, sink) if row.host == "ALSA"]
    numbers = {card[1] for card in cards if card}
    if len(numbers) > 1:
        raise DeviceError(
            f"input {source.full_name} and output {sink.full_name}: two sound cards, whose clocks drift apart; take "
            "both from one card, or let PulseAudio, PipeWire or JACK (zita-ajbridge) join them"
        )
