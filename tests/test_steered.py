"""`rtvox engine`, `rtvox live` and `rtvox gui` as a user runs them, and steers them over OSC."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from audio_systems import jack_server
from playing import wait_for
from steering import Ear

from rtvox.__main__ import main
from rtvox.commands import gui
from rtvox.errors import MissingExtraError, OscError, ParameterError, RtvoxError
from rtvox.osc import OscClient

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = {"JACK_DEFAULT_SERVER": "rtvox-no-such-server", "PULSE_SERVER": "unix:/nonexistent"}


class Running:
    """A command of rtvox that runs, and a client of its OSC port."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr
        self.process, self.said = process, []
        for line in process.stderr:
            self.said.append(line)
            if match := re.fullmatch(r"OSC on \S+:(\d+)\n", line):
                self.port = int(match[1])
                break
        self.ear = Ear()
        self.client = OscClient("127.0.0.1", self.port, self.ear)

    def ask(self, address: str) -> list[object]:
        self.client.call("/rtvox/get", address)
        return list(self.ear.last(address) or [])

    def end(self, timeout_s: float = 30.0) -> str:
        assert self.process.stderr
        rest = self.process.stderr.read()
        self.process.wait(timeout_s)
        return "".join(self.said) + rest


@contextlib.contextmanager
def rtvox(*arguments: object, **variables: str) -> Iterator[Running]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = [sys.executable, "-m", "rtvox", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        running = Running(process)
        yield running
        running.client.close()
    finally:
        process.kill()
        process.wait()


class TestEngineWithoutDevices:
    def test_it_waits_says_why_and_ends_when_asked(self, tmp_path: Path) -> None:
        with rtvox("engine", "--osc-port", 0, "--model", "nobody", "--presets", tmp_path, **NOWHERE) as engine:
            assert engine.ask("/rtvox/status/state") == ["stopped"]
            assert engine.ask("/rtvox/model") == ["none"]
            with pytest.raises(OscError, match="device"):
                engine.client.call("/rtvox/start")
            wait_for(lambda: "device" in str(engine.ask("/rtvox/status/error")))
            engine.client.call("/rtvox/preset/save", "it")
            assert (tmp_path / "it.toml").exists()
            engine.client.send("/rtvox/quit")
            said = engine.end()
            assert engine.process.returncode == 0
            assert "model 'nobody': not found" in said
            assert "Traceback" not in said

    @pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals_end_it(self, sent: signal.Signals, code: int) -> None:
        with rtvox("engine", "--osc-port", 0, "--model", "none", **NOWHERE) as engine:
            engine.client.call("/rtvox/get", "/rtvox/version")
            engine.process.send_signal(sent)
            assert "Traceback" not in engine.end()
            assert engine.process.returncode == code

    def test_a_port_in_use_is_named(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            command = [sys.executable, "-m", "rtvox", "engine", "--model", "none", "--osc-port", str(port)]
            done = subprocess.run(command, env=os.environ | NOWHERE, capture_output=True, text=True, check=False)
        assert done.returncode == 7
        assert re.fullmatch(rf"rtvox: error: OSC on 127.0.0.1:{port}: [^\n]+--osc-port takes another\n", done.stderr)

    def test_the_network_is_opened_with_a_warning_only(self) -> None:
        with rtvox("engine", "--osc-port", 0, "--osc-host", "0.0.0.0", "--model", "none", **NOWHERE) as engine:
            engine.client.send("/rtvox/quit")
            assert "warning: everybody on that network (--osc-allow names some only) can steer" in engine.end()
        flags = ("--osc-host", "0.0.0.0", "--osc-allow", "10.0.0.7", "--osc-allow", "192.168.0.0/16")
        with rtvox("engine", "--osc-port", 0, *flags, "--model", "none", **NOWHERE) as engine:
            engine.client.send("/rtvox/quit")
            assert "warning: everybody at 10.0.0.7, 192.168.0.0/16 can steer" in engine.end()


def test_live_over_jack_is_steered_and_keeps_its_devices(full_model_path: Path, tmp_path: Path) -> None:
    with (
        jack_server(128),
        rtvox("live", "--osc-port", 0, "--model", full_model_path, "--recordings", tmp_path / "takes") as live,
    ):
        wait_for(lambda: live.ask("/rtvox/status/state") == ["running"], 20.0)
        assert live.ask("/rtvox/model") == ["full"]
        assert live.ask("/rtvox/device/input") == ["JACK: system"]
        assert live.ask("/rtvox/devices/input")[0] == "JACK: system"
        with pytest.raises(OscError, match="'nobody': no such device"):
            live.client.call("/rtvox/device/input", "nobody")
        assert live.ask("/rtvox/status/state") == ["running"]
        live.client.call("/rtvox/device", "JACK: system", "JACK: system", 128, 0)
        assert live.ask("/rtvox/status/state") == ["running"]
        assert live.ask("/rtvox/device/output") == ["JACK: system"]
        (path,) = live.client.call("/rtvox/record", "../take.flac")
        time.sleep(1.0)
        assert live.ask("/rtvox/record") == [path]
        live.client.call("/rtvox/record", 0)
        assert Path(str(path)).parent == tmp_path / "takes"
        assert soundfile.info(str(path)).duration > 0.5
        live.client.call("/rtvox/model", "none")
        assert live.ask("/rtvox/model") == ["none"]
        live.client.send("/rtvox/quit")
        assert "callbacks" in live.end()
        assert live.process.returncode == 0


class TestWindowCommand:
    @pytest.mark.parametrize("target", ["9000", "host:", ":9000", "host:0", "host:70000", "host:x"])
    def test_a_target_that_is_none_is_named(self, target: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["gui", "--connect", target]) == ParameterError.exit_code
        assert "needs HOST:PORT" in capsys.readouterr().err

    def test_without_the_window_installed_it_says_so(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(gui, "find_spec", lambda name: None if name == "PyQt6" else object())
        assert main([]) == MissingExtraError.exit_code
        said = capsys.readouterr().err
        assert re.fullmatch(r"rtvox: error: the window needs PyQt6, [^\n]+\n", said)
        assert "rtvox live" in said

    def test_the_window_is_a_process_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        called: list[list[str]] = []
        monkeypatch.setattr(gui, "find_spec", lambda name: object())
        monkeypatch.setattr(gui.subprocess, "call", lambda command: called.append(command) or 3)
        assert main(["gui", "--connect", "10.0.0.7:9000"]) == 3
        assert main([]) == 3
        assert called[0][-4:] == ["-m", "gui", "--connect", "10.0.0.7:9000"]
        assert called[1][-2:] == ["-m", "gui"]

    def test_a_window_that_crashes_is_reported(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(gui, "find_spec", lambda name: object())
        monkeypatch.setattr(gui.subprocess, "call", lambda command: -6)
        assert main(["gui"]) == RtvoxError.exit_code
        assert "the window ended by signal 6; is there a display?" in capsys.readouterr().err
