"""PulseAudio, and PipeWire in its place: their devices, how ALSA's plugin gets at one of them, and when one has gone.

In: nothing, or names of devices. Out: rows, and answers of the `pactl` command, which only this file runs. PortAudio
opens the devices (`portaudio.py`), as ALSA's device "pulse". Read next: `virtual.py`, which makes devices.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rtvox.errors import DeviceError
from rtvox.host import DeviceRow, Kind, Request

HOST = "PulseAudio"
PLUGIN = "pulse"  # ALSA's name for all of the server
TIMEOUT_S = 5.0  # a server that is starting answers within one or two
_CHOICE: dict[Kind, str] = {"input": "PULSE_SOURCE", "output": "PULSE_SINK"}  # read by libpulse when a stream is opened


def pactl(*arguments: str) -> str:
    """Run pactl and return what it prints. Raises: DeviceError if it is missing, refuses, or does not answer."""
    what = " ".join(arguments[:2])
    try:
        done = subprocess.run(
            ["pactl", *arguments], env=_language(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
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


def _names(request: Request) -> dict[Kind, str]:
    """Return the sides of a request that are the server's devices."""
    sides: dict[Kind, DeviceRow] = {"input": request.source, "output": request.sink}
    return {kind: row.key for kind, row in sides.items() if isinstance(row.key, str)}


@contextlib.contextmanager
def chosen(request: Request) -> Iterator[None]:
    """Make ALSA's device "pulse" stand for the request's devices, while a stream is opened."""
    wanted = {_CHOICE[kind]: name for kind, name in _names(request).items()}
    before = {variable: os.environ.get(variable) for variable in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def follow(request: Request, on_gone: Callable[[str], None]) -> Callable[[], None]:
    """Call on_gone(name) when the server loses one of the devices; return what ends that.

    Without it nobody would know: the server quietly moves the stream to another device, which may howl.
    A thread of its own listens to `pactl subscribe`.
    """
    names = _names(request)
    if not names:
        return lambda: None
    listener = subprocess.Popen(
        ["pactl", "subscribe"], env=_language(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    ended = threading.Event()

    def listen() -> None:
        assert listener.stdout is not None
        for line in listener.stdout:
            if b"'remove' on s" not in line or ended.is_set():  # sink or source, also their streams
                continue
            there = {(kind, row.name) for row in rows() for kind in _CHOICE if row.channels(kind)}
            gone = [name for kind, name in names.items() if (kind, name) not in there]
            if gone and not ended.is_set():
                on_gone(gone[0])
                return

    def stop() -> None:
        ended.set()
        listener.kill()
        listener.wait()

    threading.Thread(target=listen, name="rtvox-pulse", daemon=True).start()
    return stop


def _language() -> dict[str, str]:
    """Return an environment in which pactl speaks as this file expects: English, with decimal points."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}
