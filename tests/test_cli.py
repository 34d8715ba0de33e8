"""The command line: help, one-line errors with their exit codes, and each command that needs no sound card."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvox import demo
from rtvox.__main__ import COMMANDS, main
from rtvox.bench import measure_delay
from rtvox.commands.live import meter, summary
from rtvox.features import FeatureSpec
from rtvox.status import Latency, Status

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rtvox", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run a command that must fail; return its exit code and its one line."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    assert re.fullmatch(r"rtvox: error: [^\n]+\n", printed.err), printed.err
    return code, printed.err


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of one second for the demo clip."""
    path = tmp_path / "clip.flac"
    noise = np.random.default_rng(440).uniform(-0.3, 0.3, 48000)
    soundfile.write(path, noise, 48000)
    monkeypatch.setattr(demo, "CLIP", path)
    return path


@pytest.fixture
def models(full_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one model, named full, and nothing else to be found."""
    monkeypatch.chdir(full_model_path.parent)
    monkeypatch.setattr("rtvox.model_file.__file__", str(full_model_path.parent / "nowhere" / "rtvox" / "x.py"))
    monkeypatch.setenv("RTVOX_MODELS", str(full_model_path.parent))
    return full_model_path.parent


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command} " in text
    assert "exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_all_its_flags(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert len(text.split("\n\n")) >= 3
    flags = re.findall(r"^  (-[^\n]*?)(?:  +(\S.*))?\n(.*)", text, re.MULTILINE)
    assert all(beside or below.startswith("      ") for _, beside, below in flags), flags


def test_it_runs_as_a_module_and_knows_its_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"rtvox \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sing"], 2, "invalid choice: 'sing'"),
        (["convert", "in.wav"], 2, "OUT"),
        (["live", "--block", "many"], 2, "invalid int value: 'many'"),
        (["models", "--models-dir", "no/such"], 2, "--models-dir no/such: needs a folder"),
        (["convert", "no.wav", "out.wav"], 5, "no.wav: no such file"),
        (["convert", "full.onnx", "out.wav"], 5, "full.onnx: cannot be read as sound"),
        (["convert", "in.wav", "out.wav", "--model", "nobody"], 3, "'nobody'"),
        (["convert", "in.wav", "out.wav", "--model", "in.wav.onnx"], 3, "in.wav.onnx"),
        (["convert", "in.wav", "out.wav", "--set", "depth"], 2, "needs NAME=VALUE"),
        (["convert", "in.wav", "out.wav", "--set", "depth=2"], 2, "depth=2: needs 0 to 1"),
        (["convert", "in.wav", "out.wav", "--set", "dept=1"], 2, "did you mean depth"),
        (["convert", "in.wav", "out.wav", "--set", "mix=nan"], 2, "mix=nan: needs 0 to 1"),
        (["convert", "in.wav", "in.wav"], 5, "would be overwritten"),
        (["bench", "--seconds", "0"], 2, "--seconds 0"),
        (["bench", "--block", "0"], 2, "block=0"),
    ],
)
def test_errors_are_one_line_with_their_code(
    models: Path, clip: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    soundfile.write("in.wav", np.zeros(480), 48000)
    if arguments[0] in ("convert", "bench") and "--model" not in arguments:
        arguments = [*arguments, "--model", "full"] if len(arguments) > 2 else arguments
    before = Path("in.wav").read_bytes()
    got, line = failure(capsys, *arguments)
    assert message in line
    assert got == code
    assert not Path("out.wav").exists()
    assert Path("in.wav").read_bytes() == before


def test_models_lists_good_and_bad_files(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert re.search(r"^full .* 10\.7 ms .* depth 0 to 1", capsys.readouterr().out, re.MULTILINE)
    data = (models / "full.onnx").read_bytes()
    (models / "short.onnx").write_bytes(data[:-100])
    (models / "changed.onnx").write_bytes(data.replace(b"smooth", b"smoath", 1))
    (models / "text.onnx").write_text("this is no model")
    assert main(["models", "--verify"]) == 3
    printed = capsys.readouterr()
    assert "full.onnx: golden output reproduced" in printed.out
    for name in ("short", "changed", "text"):
        assert re.search(rf"^rtvox: error: .*{name}\.onnx: .+$", printed.err, re.MULTILINE), name
    assert printed.err.count("\n") == 3


def test_models_in_markdown_are_a_table(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| `full` |")


def test_no_model_is_said(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "full.onnx").unlink()
    assert main(["models"]) == 0
    assert "no model found" in capsys.readouterr().err


def test_convert_goes_on_after_a_bad_file(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.wav", "c.wav"):
        soundfile.write(models / name, np.full(4800, 0.1), 48000)
    (models / "b.wav").write_text("no sound")
    assert main(["convert", "a.wav", "b.wav", "c.wav", "done", "--model", "full"]) == 5
    printed = capsys.readouterr()
    assert sorted(path.name for path in (models / "done").iterdir()) == ["a.wav", "c.wav"]
    assert printed.out.count("\n") == 2
    assert "b.wav: cannot be read as sound" in printed.err
    assert "1 of 3 files could not be converted" in printed.err


def test_bench_json_states_and_hears_the_same_delay(
    models: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--model", "full", "--seconds", "0.5", "--json"]) == 0
    bench = json.loads(capsys.readouterr().out)
    assert bench["measured_delay"] == bench["stated_delay"] == 512
    assert [stage["name"] for stage in bench["stages"]] == ["Analyzer", "OnnxStage tiny", "Synthesizer", "hop"]
    assert all(0 < stage["p50_ms"] <= stage["p99_ms"] <= stage["max_ms"] for stage in bench["stages"])
    assert main(["bench", "--model", "none", "--seconds", "0.5"]) == 0
    assert "stated 512 samples (10.7 ms), heard 512" in capsys.readouterr().out


def test_a_delay_that_cannot_be_heard_is_not_made_up(models: Path) -> None:
    assert measure_delay("none", {"mute": 1.0}, spec=FeatureSpec()) is None


def test_demo_prints_a_row_per_model_and_writes_sound_and_picture(
    models: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--seconds", "0.5", "--out", "heard"]) == 0
    assert re.search(r"^full +10\.7 ms +[\d.]+% +[\d.]+% +\d+$", capsys.readouterr().out, re.MULTILINE)
    written = {path.name for path in (models / "heard").iterdir()}
    assert written == {"original.wav", "full.wav", "full-depth=1.wav", "spectrograms.png"}
    original, converted = (soundfile.read(models / "heard" / name)[0] for name in ("original.wav", "full.wav"))
    assert len(original) == len(converted) == 24000
    assert np.corrcoef(original, converted)[0, 1] > 0.5  # a smoother's output, aligned with its input


def test_demo_without_matplotlib_says_what_to_install(
    models: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--fast", "--seconds", "0.2", "--out", "heard"]) == 0
    assert "pip install 'rtvox[plot]'" in capsys.readouterr().err
    assert (models / "heard" / "full.wav").exists()


def test_demo_needs_a_model_and_a_place(models: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "file").touch()
    code, line = failure(capsys, "demo", "--fast", "--seconds", "0.1", "--out", "file/demo")
    assert code == 5
    assert "cannot be written" in line
    (models / "full.onnx").unlink()
    assert failure(capsys, "demo")[0] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_cleanly(models: Path, sent: signal.Signals, code: int) -> None:
    soundfile.write(models / "long.wav", np.zeros(48000 * 600), 48000)
    process = subprocess.Popen(
        [sys.executable, "-m", "rtvox", "convert", "long.wav", "out.wav", "--model", "full"],
        cwd=models,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(models.glob(".out.wav.*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(sent)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in printed
    assert not list(models.glob("*out.wav*"))


def test_a_reader_that_leaves_is_no_error(models: Path) -> None:
    command = f"{sys.executable} -m rtvox --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


STATUS = Status(
    state="running",
    model="isolate",
    provider="cuda",
    sample_rate=48000,
    block=128,
    latency=Latency(device=256, prefill=128, framing=512),
    compute_p50_ms=1.0,
    compute_p95_ms=1.5,
    compute_p99_ms=2.0,
    compute_p999_ms=2.5,
    compute_max_ms=3.0,
    load=0.21,
    callbacks=30000,
    misses=2,
    missed_samples=200,
    dropped=0,
    failed_hops=0,
    fallbacks=1,
    xruns=1,
    input_peak_db=-12.0,
    input_rms_db=-20.0,
    output_peak_db=-120.0,
    output_rms_db=-120.0,
    recording="take.wav",
    recorded_s=1.5,
    message="",
    error="",
)


def test_the_meter_is_one_line_with_every_figure() -> None:
    line = meter(STATUS, 100)
    assert re.match(r"in =+\.+  -12  out \.+ -120 dB  ", line)
    for figure in ("load  21%", "misses 2", "latency 18.7 ms", "isolate cuda", "rec"):
        assert figure in line
    assert len(meter(STATUS, 79)) in (78, 79)
    assert "device lost" in meter(replace(STATUS, state="device lost"))
    assert "30000 callbacks, 2 misses, 1 xruns of the device, 1 fallbacks to the CPU" in summary(STATUS)
