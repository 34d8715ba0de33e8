"""PulseAudio, and PipeWire in its place: their devices, by the `pactl` command, which only this file runs.

In: nothing. Out: rows. Any thread. Read next: `pulse_stream.py`, which opens them; `virtual.py`, which makes two.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from rtvox.errors import DeviceError
from rtvox.host import DeviceRow

HOST = "PulseAudio"
TIMEOUT_S = 5.0  # a server that is starting answers within one or two


def pactl(*arguments: str) -> str:
    """Run pactl and return what it prints. Raises: DeviceError if it is missing, refuses, or does not answer."""
    what = " ".join(arguments[:2])
    english = {**os.environ, "LC_ALL": "C.UTF-8"}  # and decimal points
    try:
        done = subprocess.run(
            ["pactl", *arguments], env=english, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise DeviceError(
            "pactl: not found; install it (Debian: pulseaudio-utils), or wire the sound in JACK, BlackHole or VB-Cable"
        ) from None
    except subprocess.TimeoutExpired:
        raise DeviceError(f"pactl {what}: no answer in {TIMEOUT_S:g} s; restart PulseAudio or PipeWire") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        hint = "; no PulseAudio or PipeWire runs for this user: start one" if "refused" in reason.lower() else ""
        raise DeviceError(f"pactl {what}: {reason}{hint}")
    return done.stdout


def rows() -> list[DeviceRow]:
    """Return the server's inputs and outputs; nothing where there is no server, or no pactl."""
    try:
        return [
            _row(item, kind, default)
            for kind, word in (("input", "source"), ("output", "sink"))
            for default in (pactl(f"get-default-{word}").strip(),)
            for item in _listed(f"{word}s")
        ]
    except DeviceError:
        return []


def _row(item: dict[str, Any], kind: str, default: str) -> DeviceRow:
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
        found: list[dict[str, Any]] = json.loads(pactl("--format=json", "list", what))
    except json.JSONDecodeError as error:
        raise DeviceError(f"pactl --format=json list {what}: {error}; needs pactl 16 or newer") from None
    return found
