"""`rtvox bench --all`: every model on every provider, alone and several at once, idle and busy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtvox import machine, provider_choice
from rtvox.__main__ import main
from rtvox.bench import StageTime
from rtvox.features import Array
from rtvox.machine import competition, describe_machine
from rtvox.model_file import read_manifest
from rtvox.providers import PROVIDERS
from rtvox.survey import parity, survey

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate provider")  # the CPU behind the CPU


@pytest.fixture
def models(full_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("rtvox.model_file.model_folders", lambda: [full_model_path.parent])
    monkeypatch.setattr("rtvox.report.model_folders", lambda: [full_model_path.parent])
    return full_model_path.parent


def test_the_spread_of_times() -> None:
    times = StageTime.of("hop", np.arange(1001.0))
    assert (times.p50_ms, times.p95_ms, times.p99_ms) == (500.0, 950.0, 990.0)
    assert (times.p999_ms, times.max_ms) == pytest.approx((999.0, 1000.0))
    assert StageTime.of("none", np.zeros(0)).max_ms == 0.0


def test_every_combination_has_a_row(models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "bench.png"
    flags = ["--provider", "cpu", "--seconds", "0.3", "--streams", "1,2", "--beside", "nothing,cpu,gpu"]
    assert main(["bench", "--all", *flags, "--json", "--plot", str(picture)]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert {"processor", "cores", "system", "gpu", "onnxruntime"} <= said["machine"].keys()
    ways = [(run["model"], run["provider"], run["streams"], run["beside"]) for run in said["runs"]]
    assert ways == [("full", "cpu", streams, beside) for beside in ("nothing", "cpu") for streams in (1, 2)]
    for run in said["runs"]:
        path, network = run["path"], run["network"]
        assert 0 < path["p50_ms"] <= path["p95_ms"] <= path["p99_ms"] <= path["p999_ms"] <= path["max_ms"]
        assert 0 < network["p50_ms"] < path["p50_ms"]
        assert run["callbacks"] == run["streams"] * 113
        assert 0 < run["hops"] <= run["streams"] * 57
        assert (run["hop"], run["parity"]) == (256, None)
        assert run["deadline_ms"] == pytest.approx(5.333, abs=1e-3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "full on cpu: 2 at once beside cpu" in printed.err


def test_it_prints_a_table_for_the_measurements(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--all", "--seconds", "0.1", "--streams", "1", "--beside", "nothing"]) == 0
    printed = capsys.readouterr().out
    assert "| full | cpu | 256 | 1 | nothing |" in printed
    assert f"processor {machine.processor()}" in printed


def test_a_provider_that_is_not_there_has_a_row_that_says_why(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_choice, "why_not", lambda row: f"no {row.title}")
    assert main(["bench", "--all", "--provider", "cuda", "--seconds", "0.1"]) == 0
    assert "full on cuda: running on the CPU: no NVIDIA GPU" in capsys.readouterr().out


def test_one_that_is_elsewhere_is_compared(full_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(PROVIDERS["cuda"], onnxruntime="CPUExecutionProvider", device="cpu", options={})
    monkeypatch.setattr(provider_choice, "PROVIDERS", {"cuda": row, "cpu": PROVIDERS["cpu"]})
    monkeypatch.setattr("rtvox.network_thread.MAY_LAG_S", 10.0)  # a busy machine is no failed provider
    monkeypatch.setattr("rtvox.network_thread.PATIENCE_S", 10.0)
    assert parity(full_model_path, "cuda", 50) == 0.0
    sound: Array = np.zeros(4800, np.float32)
    models = {full_model_path: read_manifest(full_model_path)}
    (run,) = survey(models, ["cuda"], sound, streams=[1], beside=["nothing"])
    assert (run.provider, run.parity) == ("cuda", 0.0)
    assert run.hops > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--streams", "1,x"], "--streams 1,x: needs whole numbers from 1"),
        (["--streams", "0"], "--streams 0: needs whole numbers from 1"),
        (["--beside", "disk"], "--beside disk: needs some of nothing, cpu, gpu"),
    ],
)
def test_wrong_flags_are_named(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--all", *flags]) == 2
    assert message in capsys.readouterr().err


def test_competing_work_ends_with_the_measurement() -> None:
    with competition("cpu"):
        pass
    with competition("nothing"):
        pass
    code = "from rtvox.onnx_session import burn; burn('cpu')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "\n"
        assert worker.poll() is None
        worker.kill()


def test_without_a_gpu_none_can_be_kept_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(RuntimeError, match="no GPU is here"), competition("gpu"):
        pass


def test_the_machine_is_described() -> None:
    facts = describe_machine()
    assert int(facts["cores"]) >= 1
    assert facts["processor"]
    assert machine.output_of("no-such-program") == ""
