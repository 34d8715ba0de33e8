"""The OSC addresses of rtvox: what the engine understands, and what it sends. Data only.

In: PARAMS. Out: rows, from which come the server's dispatch (`osc_commands.py`), its OSCQuery description
(`osc_query.py`), docs/osc.md and the example patches (`examples.py`). Type letters are OSC's own: i, f, s, b; where
a number is expected, i, f, d, h, T and F are all taken. A letter in brackets may be left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rtvox.params import PARAMS, Param

ROOT = "/rtvox"
PORT = 9000  # UDP and TCP, and OSCQuery's HTTP: what TouchOSC and most patches have as their first guess
METER_HZ = 30.0
STATUS_HZ = 5.0


@dataclass(frozen=True)
class Address:
    """One address, in or out.

    Attributes:
        path: the whole address.
        types: what follows it, for people and for OSCQuery.
        doc: one line.
        waits: an asynchronous command; it answers /rtvox/done or /rtvox/fail when it is over.
    """

    path: str
    types: str
    doc: str
    waits: bool = False


COMMANDS: tuple[Address, ...] = (
    Address("/rtvox/model", "s", 'Load a model by name, cross-faded while sound runs; "none" is no model.', True),
    Address("/rtvox/bypass", "[f]", "The same as /rtvox/param/bypass; without a value, the other way round."),
    Address("/rtvox/start", "", "Open the devices and convert.", True),
    Address("/rtvox/stop", "", "End the sound and close the devices.", True),
    Address(
        "/rtvox/panic",
        "",
        "Silence within a hop (5.3 ms), then a safe state: muted, all that was heard forgotten, gains above 0 dB back "
        "at 0 dB. /rtvox/param/mute 0 goes on.",
    ),
    Address(
        "/rtvox/record",
        "s|f",
        "Record to a file of this name in the recordings folder (.wav or .flac; .wav if nothing is said), dry sound "
        "beside it in NAME-dry; 1 takes the date and time as name, 0 ends the recording.",
        True,
    ),
    Address(
        "/rtvox/say",
        "s[s]",
        "Say this text, in the voice of this name (a model of role speaker; by default the last one, or the first), as "
        "if into the microphone, when those before it are said. /rtvox/panic ends it.",
        True,
    ),
    Address(
        "/rtvox/tap",
        "",
        "A beat, tapped: two or more set the tempo of a model that has one (the control `tempo`); its bar begins with "
        "the second. After a pause of 2 s they count anew.",
    ),
    Address("/rtvox/preset/load", "s", "Take model, controls and (if it has them) devices from a preset.", True),
    Address(
        "/rtvox/preset/save", "s[f]", "Save model and controls under this name; with 1 after it, devices too.", True
    ),
    Address("/rtvox/preset/delete", "s", "Remove a preset.", True),
    Address(
        "/rtvox/device",
        "ss[i][i]",
        "Choose input, output, block (samples) and rate (Hz, 0 for the devices' own) in one go. If they do not "
        "work, the ones in use stay.",
        True,
    ),
    Address("/rtvox/device/input", "s", 'Choose the input, by a name or a part of one; "" is the default.', True),
    Address("/rtvox/device/output", "s", 'Choose the output; "" is the default.', True),
    Address("/rtvox/device/block", "i", "Choose the samples per callback.", True),
    Address("/rtvox/device/rate", "i", "Choose the rate in Hz; 0 is the devices' own.", True),
    Address("/rtvox/notify", "i[i]", "Subscribe: 1 all but spectra, 2 all, 0 nothing; a port after it receives them."),
    Address(
        "/rtvox/get",
        "[s]",
        "Ask for one address of the list below (say /rtvox/models), for all that starts with it and a slash, or, "
        "without an argument, for everything but lists of devices.",
        True,
    ),
    Address("/rtvox/sync", "[i]", "Answered by /rtvox/synced when all commands before it are done.", True),
    Address("/rtvox/quit", "", "Stop and end the engine.", True),
)

ANSWERS: tuple[Address, ...] = (
    Address("/rtvox/done", "s...", "The asynchronous command of this address was done; what follows is its result."),
    Address("/rtvox/fail", "ss", "The command of this address failed, and why. Nothing has changed."),
    Address("/rtvox/synced", "[i]", "The answer to /rtvox/sync, with its number."),
)

# Sent to subscribers when they change, and to whoever asks.
STATE: tuple[Address, ...] = (
    Address("/rtvox/version", "s", "rtvox's version."),
    Address("/rtvox/model", "s", 'The model in use, or "none".'),
    Address("/rtvox/controls", "s...", "The names of the model's own controls: /rtvox/param/NAME each."),
    Address("/rtvox/record", "s", "The file that is being recorded, or why recording ended early, or empty."),
    Address("/rtvox/device/input", "s", "The input in use, as /rtvox/devices/input lists it; empty: none is open."),
    Address("/rtvox/device/output", "s", "The output in use."),
    Address("/rtvox/device/block", "i", "Samples per callback."),
    Address("/rtvox/device/rate", "i", "The devices' rate in Hz."),
    Address("/rtvox/models", "s...", "The names of all models."),
    Address("/rtvox/voices", "s...", "The names of all voices that /rtvox/say can speak with."),
    Address("/rtvox/presets", "s...", "The names of all presets."),
)

# Sent once per model or device, when asked for (with /rtvox/get), models also on subscribing.
LISTS: tuple[Address, ...] = (
    Address("/rtvox/models/info", "sssfs", "Of one model: name, title, role, delay in ms, licences of its data."),
    Address(
        "/rtvox/models/control",
        "sssffffs",
        "Of one control of a model: model, control, unit, low, high, default, smoothing in ms, what it does.",
    ),
    Address("/rtvox/devices/input", "s...", 'The names of all inputs, as "HOST: NAME", the default first.'),
    Address("/rtvox/devices/output", "s...", "The names of all outputs, the default first."),
    Address(
        "/rtvox/devices/info",
        "ssiiis",
        "Of one device: name, host, input channels, output channels, rate in Hz, description.",
    ),
)

# Each status value has an address of its own; all of them come in one bundle.
STATUS: tuple[Address, ...] = (
    Address("/rtvox/status/state", "s", '"running", "stopped" or "device lost".'),
    Address("/rtvox/status/latency", "f", "Microphone to speaker, ms: the sum of the next five."),
    Address("/rtvox/status/latency/device", "f", "What the host reports, input plus output, ms."),
    Address("/rtvox/status/latency/prefill", "f", "Reserve for scheduling; computing is hidden in it, ms."),
    Address("/rtvox/status/latency/framing", "f", "The hop that is gathered, and overlap-add, ms."),
    Address("/rtvox/status/latency/look_ahead", "f", "Of the network, ms."),
    Address("/rtvox/status/latency/edge", "f", "Resampling to and from the devices' rate, ms."),
    Address("/rtvox/status/load", "f", "Mean part of a hop's time that its conversion takes; 1 is all of it."),
    Address("/rtvox/status/compute/p50", "f", "Time that one hop takes, median of the last 22 s, ms."),
    Address("/rtvox/status/compute/p99", "f", "The same, 99th percentile, ms."),
    Address("/rtvox/status/compute/max", "f", "The same, longest, ms."),
    Address("/rtvox/status/callbacks", "i", "Audio callbacks since start."),
    Address("/rtvox/status/misses", "i", "Callbacks that found no converted sound in time."),
    Address("/rtvox/status/xruns", "i", "Blocks that the host lost."),
    Address(
        "/rtvox/status/provider", "s", "Where the model runs: cpu, cuda ... (README.md lists them); empty: nowhere."
    ),
    Address("/rtvox/status/fallbacks", "i", "How often the CPU took over from a provider that failed."),
    Address("/rtvox/status/recorded", "f", "Seconds recorded so far; 0 when not recording."),
    Address("/rtvox/status/message", "s", "What to know about how the model and the devices run, or empty."),
    Address("/rtvox/status/error", "s", "The last fault, or empty."),
    Address("/rtvox/status/osc/ignored", "i", "Datagrams that were malformed, too long or not allowed."),
)

STREAMS: tuple[Address, ...] = (
    Address("/rtvox/meters", "ffff", "Input peak, input rms, output peak, output rms in dB of full scale, at 30 Hz."),
    Address(
        "/rtvox/spectrum/input",
        "b",
        "The newest frame of the input at 30 Hz: natural log-mel, big-endian float32, 80 bands over 0 to 24 kHz "
        "(-11.5 is silence, about 3 the loudest).",
    ),
    Address("/rtvox/spectrum/output", "b", "The same of the output."),
)


def param_addresses(params: Iterable[Param] = PARAMS.values()) -> tuple[Address, ...]:
    """Return one address per control; as a command without a value it is answered with the value."""
    return tuple(Address(f"{ROOT}/param/{param.name}", "[f]", _describe(param)) for param in params)


def _describe(param: Param) -> str:
    return f"{param.doc} Range {param.range_text()}, default {param.default:g}."
