"""What `rtvox doctor` finds of the sound card: rate, buffers, clocks, losses, and who else may use it.

In: the devices that are meant. They are opened, and play silence for a second. Main thread. Read next: `doctor.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from rtvox import jack_host, pulse
from rtvox.device_list import list_devices
from rtvox.devices import SoundCard
from rtvox.doctor import Finding, Level
from rtvox.errors import DeviceError, RtvoxError
from rtvox.features import Array
from rtvox.host import PREFERRED_RATE, play_silence
from rtvox.presets import DeviceChoice

LISTEN_S = 1.0
LARGE_BLOCK = 512  # samples: from there on, blocks and not rtvox make most of the latency

_RATE_REMEDY = {
    jack_host.HOST: "start JACK with -r 48000; PipeWire: pw-metadata -n settings 0 clock.force-rate 48000",
    pulse.HOST: "default-sample-rate = 48000 in ~/.config/pulse/daemon.conf; PipeWire: pw-metadata -n settings 0 "
    "clock.force-rate 48000",
    "Core Audio": "Audio MIDI Setup: 48000 Hz for both devices",
    "Windows WASAPI": "Sound settings, device properties: 48000 Hz for both devices",
}
_BLOCK_REMEDY = {
    jack_host.HOST: "start JACK with -p 128; PipeWire: pw-metadata -n settings 0 clock.force-quantum 128",
}
_EXCLUSIVE: dict[str, tuple[Level, str, str]] = {
    "ALSA": ("note", "exclusive mode", "rtvox has the card for itself; other programs wait, or hold it"),
    "Windows WASAPI": (
        "note",
        "exclusive mode",
        "off: other programs share the card, and its mixer adds some 10 ms; ASIO does not (set SD_ENABLE_ASIO=1)",
    ),
}


def sound(choice: DeviceChoice) -> Iterator[Finding]:
    """Open the devices, play silence for a second, and look at rate, buffers, clocks and losses."""
    try:
        hosts = list(dict.fromkeys(row.host for row in list_devices()))
    except DeviceError:  # not even PortAudio, which `doctor.libraries` has said
        hosts = []
    if not hosts:
        text, remedy = "there is none", "plug one in, or start a sound server (PipeWire, PulseAudio, JACK)"
        yield Finding("change", "sound device", text, remedy)
        return
    yield Finding("good", "sound systems", ", ".join(hosts))
    try:
        card = SoundCard(choice.input, choice.output, choice.block, choice.rate or None)
    except RtvoxError as error:
        yield Finding("change", "sound device", str(error), "name others with --input and --output")
        return
    yield from _of_card(card, choice)


def _of_card(card: SoundCard, choice: DeviceChoice) -> Iterator[Finding]:
    lost: list[Exception] = []
    blocks: set[int] = set()

    def listen(indata: Array, outdata: Array) -> None:
        blocks.add(len(outdata))
        play_silence(indata, outdata)

    try:
        card.start(listen, lost.append)
        time.sleep(LISTEN_S)
        latency_ms, xruns = 1e3 * card.latency / card.sample_rate, card.xruns
    finally:
        card.stop()
    source, sink = card.rows
    yield Finding("good", "sound device", card.name)
    if lost or not blocks:
        reason = str(lost[0]) if lost else "it does not ask for sound"
        yield Finding("change", "sound device", reason, "plug it in again, restart the sound server, or name another")
    rates = {source.sample_rate, sink.sample_rate, card.sample_rate}
    if rates == {PREFERRED_RATE}:
        yield Finding("good", "sample rate", f"{PREFERRED_RATE} Hz on both sides")
    else:
        seen = f"input {source.sample_rate} Hz, output {sink.sample_rate} Hz, opened at {card.sample_rate} Hz"
        cost = "each change of rate adds delay (1.6 ms in rtvox) and work"
        yield Finding("change", "sample rate", f"{seen}: {cost}", _RATE_REMEDY.get(source.host, "set both to 48000 Hz"))
    block = f"{card.max_block} samples at most, {choice.block} asked"
    if card.max_block >= LARGE_BLOCK:
        yield Finding("change", "buffer", block, _BLOCK_REMEDY.get(source.host, "--block 128, or another device"))
    else:
        yield Finding("good", "buffer", f"{block}; the device's own latency is {latency_ms:.1f} ms in and out")
    if xruns:
        yield Finding("change", "lost buffers", f"{xruns} in {LISTEN_S:g} s of silence", "--block 256, or see pauses")
    else:
        yield Finding("good", "lost buffers", f"none in {LISTEN_S:g} s of silence")
    if card.message:  # of its block size, and of two clocks
        yield Finding("note", "sound device", card.message)
    yield Finding(*_EXCLUSIVE.get(source.host, ("skip", "exclusive mode", f"{source.host} has no such choice")))
