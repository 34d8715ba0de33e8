"""Virtual microphone: what rtvox plays, a DAW or a call can choose as a microphone named "rtvox".

In: nothing but the wish. Out: two modules of PulseAudio, or of PipeWire in its place: an output `rtvox-output` for
rtvox to play into, and a microphone `rtvox` that hears it. They last until they are removed or the sound server ends.
Everything goes through the `pactl` command, which only this file runs. Main thread. Read next: `devices.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Literal

from rtvox.errors import DeviceError
from rtvox.host import DeviceRow

HOST = "PulseAudio"
MICROPHONE = "rtvox"
OUTPUT = "rtvox-output"
TIMEOUT_S = 5.0  # a server that is starting answers within one or two

_MODULES = (
    (
        "module-null-sink",
        f"sink_name={OUTPUT} sink_properties=device.description={OUTPUT} rate=48000 channels=2",
    ),
    (
        "module-remap-source",
        f"master={OUTPUT}.monitor source_name={MICROPHONE} source_properties=device.description={MICROPHONE}",
    ),
)


def create_virtual_mic() -> str:
    """Make the microphone, unless it is there, and return what to do with it.

    Raises: DeviceError if `pactl` is missing or no server answers; half-made parts are removed.
    """
    loaded = {name for _, name in _our_modules()}
    if len(loaded) < len(_MODULES):
        remove_virtual_mic()
        try:
            for name, arguments in _MODULES:
                _pactl("load-module", name, *arguments.split())
        except DeviceError:
            remove_virtual_mic()
            raise
    return f'now play into it with --output {OUTPUT}, and choose the microphone "{MICROPHONE}" in the other program'


def remove_virtual_mic() -> bool:
    """Remove the microphone; return whether there was one. Raises: DeviceError as `create_virtual_mic`."""
    modules = _our_modules()
    for number, _ in reversed(modules):  # the microphone before the output that it hears
        _pactl("unload-module", str(number))
    return bool(modules)


def rows() -> list[DeviceRow]:
    """Return the sound server's inputs and outputs; nothing where there is no server, or no `pactl`."""
    try:
        default = {kind: _pactl(f"get-default-{kind}").strip() for kind in ("source", "sink")}
        return [_row(item, "input", default["source"]) for item in _listed("sources")] + [
            _row(item, "output", default["sink"]) for item in _listed("sinks")
        ]
    except DeviceError:
        return []


def _row(item: dict[str, Any], kind: Literal["input", "output"], default: str) -> DeviceRow:
    _form, channels, rate = item["sample_specification"].split()  # as in "s16le 2ch 44100Hz"
    count, name = int(channels.removesuffix("ch")), item["name"]
    return DeviceRow(
        host=HOST,
        name=name,
        key=name,
        inputs=count if kind == "input" else 0,
        outputs=count if kind == "output" else 0,
        sample_rate=int(rate.removesuffix("Hz")),
        default_input=kind == "input" and name == default,
        default_output=kind == "output" and name == default,
        description=item["description"],
    )


def _listed(what: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(_pactl("--format=json", "list", what))
    except json.JSONDecodeError as error:
        raise DeviceError(f"pactl --format=json list {what}: {error}; needs pactl 16 or newer") from None
    return found


def _our_modules() -> list[tuple[int, str]]:
    """Return number and name of each of our modules, in the order they were loaded."""
    lines = (line.split("\t") for line in _pactl("list", "short", "modules").splitlines())
    ours = {(name, arguments.split()[0]) for name, arguments in _MODULES}
    return [(int(row[0]), row[1]) for row in lines if len(row) > 2 and (row[1], row[2].split(" ")[0]) in ours]


def _pactl(*arguments: str) -> str:
    """Run pactl and return what it prints."""
    what = " ".join(arguments[:2])
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}  # decimal points and messages that can be read
    try:
        done = subprocess.run(
            ["pactl", *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise DeviceError(
            "pactl: not found; install it (Debian: pulseaudio-utils), or wire the sound in JACK, BlackHole or VB-Cable"
        ) from None
    except subprocess.TimeoutExpired:
        raise DeviceError(f"pactl {what}: no answer in {TIMEOUT_S:g} s; restart PulseAudio or PipeWire") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        hint = "" if "refused" not in reason.lower() else "; no PulseAudio or PipeWire runs for this user: start one"
        raise DeviceError(f"pactl {what}: {reason}{hint}")
    return done.stdout
