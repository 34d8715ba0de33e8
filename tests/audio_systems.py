"""Sound systems for tests: a JACK server without a card, a PulseAudio server of one's own, and the skips without them.

Both are private: they listen under names of their own, and neither finds nor disturbs one that the user runs. They work
as root, without a session, without a card and without real-time rights, as in CI.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jack
import numpy as np
import pytest

from rtvox import jack_host
from rtvox.features import Array

START_S = 20.0  # a loaded CI machine
NOISE = subprocess.DEVNULL


def require(*programs: str) -> None:
    """Skip the test if one of them is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}, which is not installed (scripts/setup.sh test)")


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    """Return when the condition holds; fail the test if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} in {timeout_s:g} s")
        time.sleep(0.05)


def succeeds(*command: str) -> bool:
    """Run a program and return whether it said yes."""
    return subprocess.run(command, stdout=NOISE, stderr=NOISE, check=False).returncode == 0


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables, of this process and of the libraries in it, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def running(*command: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the background; end it when left."""
    process = subprocess.Popen(command, **{"stdout": NOISE, "stderr": NOISE, **options})  # type: ignore[call-overload]
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if need be by force."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def may_be_realtime() -> bool:
    """Return whether this process has the right to real-time scheduling."""
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, *before)
    except OSError:
        return False
    return True


class Server:
    """A sound server that a subclass has started."""

    _process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process:
            end(self._process)
            self._process = None


class JackServer(Server):
    """A jackd with the dummy driver; `start` and `stop` may be repeated, with another period or rate."""

    def __init__(self, *, sync: bool, realtime: bool) -> None:
        require("jackd")
        self.name, self._sync, self._realtime = f"rtvox-test-{os.getpid()}", sync, realtime

    def start(self, period: int = 128, rate: int = 48000) -> None:
        driver = ("-d", "dummy", "-r", str(rate), "-p", str(period))
        scheduling = "--realtime" if self._realtime else "--no-realtime"
        options = (scheduling, "--no-mlock", "--name", self.name, *(("--sync",) if self._sync else ()))
        self._process = subprocess.Popen(["jackd", *options, *driver], stdout=NOISE, stderr=NOISE)
        wait_for(lambda: bool(jack_host.rows()), "jackd")

    def set_period(self, period: int) -> None:
        with jack.Client("rtvox-period", no_start_server=True) as client:
            client.blocksize = period

    def ports(self) -> list[str]:
        """Return the names of all ports that are wired."""
        with jack.Client("rtvox-ports", no_start_server=True) as client:
            return [port.name for port in client.get_ports() if client.get_all_connections(port)]


@contextlib.contextmanager
def jack_server(
    period: int = 128, rate: int = 48000, *, sync: bool = False, realtime: bool = False
) -> Iterator[JackServer]:
    """Have a JACK server, which all JACK clients of this process and its children find.

    With sync it waits for clients that are late, which it does not by default: no sample is lost on a busy machine.
    Real-time scheduling is what musicians have, and needs rights.
    """
    server = JackServer(sync=sync, realtime=realtime)
    with environment(JACK_DEFAULT_SERVER=server.name, JACK_NO_AUDIO_RESERVATION="1"):
        try:
            server.start(period, rate)
            yield server
        finally:
            server.stop()


class PulseServer(Server):
    """A PulseAudio daemon without devices; `start` and `stop` may be repeated."""

    def __init__(self, folder: Path) -> None:
        require("pulseaudio", "pactl")
        self._folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """What makes libpulse, and so ALSA's and PortAudio's plugins, find this server and no other."""
        return {
            "HOME": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "XDG_CONFIG_HOME": str(self._folder),
            "PULSE_RUNTIME_PATH": str(self._folder),
            "PULSE_SERVER": f"unix:{self._folder}/socket",
        }

    def start(self) -> None:
        script = self._folder / "script.pa"
        script.write_text(f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._folder}/socket\n")
        options = ("--system=false", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no")
        self._process = subprocess.Popen(
            ["pulseaudio", "-n", *options, "--high-priority=no", "-F", str(script)], stdout=NOISE, stderr=NOISE
        )
        wait_for(lambda: succeeds("pactl", "info"), "PulseAudio")

    def add_null_sink(self, name: str) -> None:
        """Add an output that nobody hears, with a monitor NAME.monitor; samples stay float32."""
        arguments = (f"sink_name={name}", "format=float32le", "rate=48000", "channels=2")
        subprocess.run(["pactl", "load-module", "module-null-sink", *arguments], stdout=NOISE, check=True)


@contextlib.contextmanager
def pulse_server() -> Iterator[PulseServer]:
    """Have a PulseAudio server, which all clients of this process and its children find."""
    # A short path: a socket's may have 108 characters, and pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="rtvox-") as folder:
        server = PulseServer(Path(folder))
        with environment(**server.environment):
            try:
                server.start()
                yield server
            finally:
                server.stop()


def exact_share(recorded: Array, expected: Array, *, piece: int = 4800, tolerance: float = 1e-5) -> float:
    """Return the share of expected (N,), cut into pieces, that is found in recorded (M,) within the tolerance.

    A busy machine makes JACK skip a cycle, or PulseAudio play a silent one, now and then: what comes after is later or
    earlier, but exact. On a calm machine the share is 1.
    """
    found = []
    for at in range(0, len(expected) - piece + 1, piece):
        wanted = expected[at : at + piece]
        size = len(recorded) + piece
        spectra = np.fft.rfft(recorded, size) * np.fft.rfft(wanted, size).conj()
        where = int(np.fft.irfft(spectra, size)[: len(recorded) - piece].argmax())
        found.append(float(np.abs(recorded[where : where + piece] - wanted).max()) < tolerance)
    assert found
    return sum(found) / len(found)


class Tape:
    """A callback that plays samples (N,) and records what comes in, sample by sample."""

    def __init__(self, samples: Array) -> None:
        self._samples, self.heard, self.position = samples, np.zeros_like(samples), 0

    def __call__(self, indata: Array, outdata: Array) -> None:
        begin = min(self.position, len(self._samples))
        end = min(begin + len(indata), len(self._samples))
        self.heard[begin:end] = indata[: end - begin, 0]
        outdata[: end - begin] = self._samples[begin:end, None]
        outdata[end - begin :] = 0.0
        self.position = end

    @property
    def done(self) -> bool:
        return self.position >= len(self._samples)
