"""What is good on this machine for live sound, what to change, and how: a Finding per line of `rtvox doctor`.

Here are the checks of rtvox's own parts and threads; `doctor_system.py` has those of the operating system,
`doctor_sound.py` that of the sound card. They look, and change nothing. Main thread; some seconds.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import numpy as np

from rtvox import portaudio
from rtvox.chain import Chain, build_chain
from rtvox.errors import RtvoxError
from rtvox.host import PREFERRED_RATE
from rtvox.machine import cores
from rtvox.model_file import read_manifest
from rtvox.network_thread import DUE
from rtvox.onnx_session import flush_denormals, versions, why_not
from rtvox.priority import CONVERTER_PRIORITY, raise_priority
from rtvox.providers import CPU, PROVIDERS
from rtvox.report import find_models

T = TypeVar("T")
Level = Literal["good", "change", "note", "skip"]

HOP_MS = 1e3 * 256 / PREFERRED_RATE
PAUSE_GOOD_MS, PAUSE_BAD_MS = 1.0, HOP_MS / 2  # of a thread that only sleeps; a late hop is covered, but heard
LISTEN_S = 1.0
_OPTIONAL = {"matplotlib": ("pictures", "plot"), "PyQt6": ("the window", "gui"), "mido": ("MIDI", "midi")}


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        level: "change" is what hurts; a note is worth knowing; "skip" does not apply here.
        about: a word or two.
        text: what was seen.
        remedy: what to do; empty unless there is something to change.
    """

    level: Level
    about: str
    text: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield what each check finds; one that cannot look says so."""
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # what cannot be looked at must not hide the rest
            name = getattr(check, "__name__", "sound").replace("<lambda>", "sound")
            yield Finding("note", name, f"could not be looked at ({type(error).__name__}: {error})")


def libraries() -> Iterator[Finding]:
    """Look for the libraries that rtvox stands on."""
    found = [f"Python {sys.version.split()[0]}", f"numpy {np.__version__}", f"onnxruntime {versions()['onnxruntime']}"]
    try:
        with portaudio.session() as sounddevice:
            found.append(sounddevice.get_portaudio_version()[1].partition(",")[0])
    except RtvoxError as error:
        yield Finding("change", "libraries", str(error), "install PortAudio, or use JACK or PulseAudio alone")
    yield Finding("good", "libraries", ", ".join(found))
    for module, (purpose, extra) in _OPTIONAL.items():
        if not importlib.util.find_spec(module):
            yield Finding("note", "libraries", f"{module} is not installed: no {purpose}; pip install 'rtvox[{extra}]'")


def providers() -> Iterator[Finding]:
    """Look where models can run."""
    able = [row for row in PROVIDERS.values() if not why_not(row)]
    yield Finding("good", "providers", f"models can run on: {', '.join(row.name for row in able)}")
    reasons = {row.name: why_not(row) for row in PROVIDERS.values() if row not in able and not row.half}
    if reasons:
        yield Finding("note", "providers", "; ".join(f"not {name}: {reason}" for name, reason in reasons.items()))


def models() -> Iterator[Finding]:
    """Look for models."""
    usable, faults = find_models()
    if usable:
        yield Finding("good", "models", ", ".join(path.stem for path in usable))
    else:
        yield Finding("change", "models", "none is there", "name a folder of .onnx files with --models-dir")
    for fault in faults:
        yield Finding("change", "models", str(fault), "export it again, or take the file away")


def speed() -> Iterator[Finding]:
    """Convert some hops with each model, and hold the time against the deadline."""
    for path in find_models()[0]:
        spec = read_manifest(path).features
        chain = build_chain(str(path), spec, CPU)
        chain.warm_up()
        hop_ms = 1e3 * spec.hop / spec.sample_rate
        times = _in_thread(partial(_convert, chain))
        p99 = float(np.percentile(times, 99))
        text = f"{path.stem} takes {np.median(times):.2f} ms of {hop_ms:.2f} ms a hop on the CPU (p99 {p99:.2f})"
        if p99 <= DUE * hop_ms:
            yield Finding("good", "speed", text)
        else:
            yield Finding("change", "speed", text, "close other programs, or use another model or a GPU")


def _convert(chain: Chain, hops: int = 200) -> list[float]:
    """Return how many ms each hop takes a thread with the converter's priority."""
    raise_priority(CONVERTER_PRIORITY)
    hop, times = np.zeros(chain.hop, np.float32), []
    for _ in range(hops):
        begin = time.perf_counter()
        chain.process(hop, hop, None)
        times.append(1e3 * (time.perf_counter() - begin))
    return times


def priority() -> Iterator[Finding]:
    """Ask for real-time priority, as the converter thread will."""
    count = cores()
    if count > 1:
        yield Finding("good", "cores", f"{count} may be used")
    else:
        yield Finding("note", "cores", "one alone may be used: sound system and converter take turns on it")
    got = _in_thread(lambda: [raise_priority(CONVERTER_PRIORITY), flush_denormals()])
    if got[0]:
        yield Finding("good", "priority", "threads with a deadline get real-time priority")
    else:
        yield Finding("change", "priority", "real-time priority is refused", _PRIORITY_REMEDY.get(sys.platform, ""))
    if got[1]:
        yield Finding("good", "denormals", "are taken as zero in the converter thread")
    else:
        yield Finding("note", "denormals", "cannot be flushed here: fading sound may cost more time")


_PRIORITY_REMEDY = {
    "linux": "sudo usermod -aG audio $USER, then write '@audio - rtprio 95' and '@audio - memlock unlimited' into "
    "/etc/security/limits.d/audio.conf, and log in again",
    "darwin": "start rtvox from a terminal of your own, not over ssh",
    "win32": "start the service 'Multimedia Class Scheduler'",
}


def pauses() -> Iterator[Finding]:
    """Let a thread with real-time priority sleep a millisecond at a time, and see how late it wakes."""

    def sleep() -> list[float]:
        raise_priority(CONVERTER_PRIORITY)
        late, end = 0.0, time.perf_counter() + LISTEN_S
        while (begin := time.perf_counter()) < end:
            time.sleep(1e-3)
            late = max(late, time.perf_counter() - begin - 1e-3)
        return [1e3 * late]

    (worst,) = _in_thread(sleep)
    text = f"a thread that only sleeps woke up to {worst:.2f} ms late in {LISTEN_S:g} s"
    if worst <= PAUSE_GOOD_MS:
        yield Finding("good", "pauses", text)
    elif worst <= PAUSE_BAD_MS:
        yield Finding("note", "pauses", text)
    else:
        remedy = "close other programs, see the lines on priority and power, or give rtvox --reserve 10"
        yield Finding("change", "pauses", f"{text}: half a hop or more", remedy)


def _in_thread(job: Callable[[], list[T]]) -> list[T]:
    """Return what job returns in a thread of its own, which keeps what it has been given."""
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.extend(job()), name="rtvox-doctor")
    thread.start()
    thread.join()
    return answers


CHECKS: tuple[Check, ...] = (libraries, providers, models, speed, priority, pauses)
