"""Thread priority, processor affinity, denormals: what threads with a deadline ask of the system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rtvox import priority
from rtvox.__main__ import main
from rtvox.engine import Engine
from rtvox.errors import ParameterError
from rtvox.features import Array
from rtvox.file_device import FileDevice
from rtvox.priority import AUDIO_PRIORITY, CONTROL_PRIORITY, CONVERTER_PRIORITY, keep_to, raise_priority


def in_a_process(code: str) -> list[str]:
    """Return the words that code prints: what a thread is given stays with its process."""
    code = f"import os, threading\nimport numpy as np\nfrom rtvox.priority import *\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


class Scheduler:
    """The calls of `os` that a Linux thread makes, for a user who may, or may not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, policy: int, rank: int = 0, *, allowed: bool = True) -> None:
        self.policy, self.rank, self.allowed = policy, rank, allowed
        monkeypatch.setattr(os, "sched_getscheduler", lambda _: self.policy)
        monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(self.rank))
        monkeypatch.setattr(os, "sched_setscheduler", self.set)

    def set(self, _: int, policy: int, param: os.sched_param) -> None:
        if not self.allowed:
            raise PermissionError("not permitted")
        self.policy, self.rank = policy, param.sched_priority


def test_an_ordinary_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(monkeypatch, os.SCHED_OTHER)
    assert raise_priority(CONVERTER_PRIORITY)
    assert (scheduler.policy, scheduler.rank) == (os.SCHED_FIFO, CONVERTER_PRIORITY)


@pytest.mark.parametrize(("rank", "after"), [(CONTROL_PRIORITY, AUDIO_PRIORITY), (70, 70)])
def test_the_higher_priority_stays(rank: int, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(monkeypatch, os.SCHED_RR, rank)
    assert raise_priority(AUDIO_PRIORITY)
    assert scheduler.rank == after


@pytest.mark.parametrize("policy", [os.SCHED_IDLE, os.SCHED_BATCH])
def test_one_that_was_told_to_give_way_does(policy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(monkeypatch, policy)
    assert not raise_priority(AUDIO_PRIORITY)
    assert scheduler.policy == policy


def test_a_refusal_is_said_in_status(monkeypatch: pytest.MonkeyPatch, music: Array) -> None:
    Scheduler(monkeypatch, os.SCHED_OTHER, allowed=False)
    device = FileDevice(music[:9600], clock="real")
    with Engine(device) as engine:
        engine.start()
        device.wait()
        assert engine.status().message == priority.REFUSED
    assert "rtvox doctor" in priority.REFUSED


def test_a_process_keeps_to_its_cores() -> None:
    core = min(os.sched_getaffinity(0))
    assert in_a_process(f"keep_to([{core}])\nprint(*os.sched_getaffinity(0))") == [str(core)]


@pytest.mark.parametrize("cores", [[], [99999]])
def test_cores_that_are_not_there_are_named(cores: list[int]) -> None:
    with pytest.raises(ParameterError, match=r"cores=(99999)?: needs some of \d"):
        keep_to(cores)


def test_numpy_makes_no_denormals_in_a_thread_that_flushes_them() -> None:
    code = """
from rtvox.onnx_session import flush_denormals

def fade():
    flushed = flush_denormals()
    tiny = np.finfo(np.float32).tiny
    x = np.full(1024, 1e-30, np.float32)
    spectrum = np.fft.rfft(x) * np.complex64(1e-10)
    results = [x * np.float32(1e-10), np.fft.irfft(spectrum), np.convolve(x, x), x * x, x @ x]
    worst = any(((0 < np.abs(y)) & (np.abs(y) < tiny)).any() for y in map(np.float32, results))
    print(flushed, worst)

thread = threading.Thread(target=fade); thread.start(); thread.join()
"""
    flushed, denormals = in_a_process(code)
    assert (flushed, denormals) in (("True", "False"), ("False", "True"))


@pytest.mark.parametrize(("text", "message"), [("0,x", "--cores 0,x: needs numbers"), ("99999", "cores=99999: needs")])
@pytest.mark.parametrize("command", ["live", "engine"])
def test_the_flag_is_checked(text: str, message: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--cores", text]) == 2
    assert message in capsys.readouterr().err
