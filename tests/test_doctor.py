"""`rtvox doctor`: what it says of machines that are as they should be, and of those that are not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from audio_systems import jack_server, pulse_server

from rtvox import doctor, doctor_sound, doctor_system
from rtvox.__main__ import main
from rtvox.doctor import CHECKS, Finding, examine
from rtvox.doctor_sound import sound
from rtvox.doctor_system import governor, kernel, limits, power, servers
from rtvox.errors import DeviceError
from rtvox.presets import DeviceChoice

System = Callable[..., Iterable[Finding]]


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def said(findings: Iterable[Finding], level: str = "") -> str:
    return "\n".join(f"{row.about}: {row.text}" for row in findings if level in ("", row.level))


# -- the operating system, by its files --

SUPPLY = "sys/class/power_supply/A"
CPU0 = "sys/devices/system/cpu/cpu0/cpufreq"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells by files")
@pytest.mark.parametrize(
    ("check", "files", "level", "text"),
    [
        (governor, {}, "skip", "no frequency scaling"),
        (governor, {f"{CPU0}/scaling_governor": "performance"}, "good", "for performance"),
        (governor, {f"{CPU0}/scaling_governor": "powersave"}, "change", "set to powersave: it rises when"),
        (
            governor,
            {f"{CPU0}/scaling_governor": "powersave", f"{CPU0}/energy_performance_preference": "performance"},
            "good",
            "for performance",
        ),
        (kernel, {"proc/version": "Linux 6.1 SMP PREEMPT_RT"}, "good", "interrupted (PREEMPT_RT)"),
        (kernel, {"proc/version": "Linux 6.1 SMP"}, "note", "says nothing of PREEMPT"),
        (kernel, {"proc/version": "PREEMPT", "proc/cpuinfo": "flags : fpu hypervisor"}, "note", "virtual machine"),
        (limits, {"proc/sys/kernel/sched_rt_runtime_us": "500000"}, "change", "50 % of a second only"),
        (power, {}, "good", "no battery"),
        (power, {"sys/class/power_supply/A/type": "Mains", "sys/class/power_supply/A/online": "1"}, "good", "mains"),
        (
            power,
            {"sys/class/power_supply/A/type": "Mains", "sys/class/power_supply/A/online": "0"},
            "change",
            "battery",
        ),
        (power, {"sys/module/snd_hda_intel/parameters/power_save": "10"}, "change", "sleeps after 10 s"),
        (power, {"sys/class/sound/card1/usb/power/control": "auto"}, "change", "card1 on USB"),
        (servers, {"proc/7/comm": "pipewire"}, "good", "running: pipewire"),
        (servers, {"proc/7/comm": "pipewire", "proc/8/comm": "jackd"}, "note", "side by side"),
        (servers, {"proc/7/comm": "bash"}, "note", "none runs; installed: jackd"),
    ],
)
def test_linux(check: System, files: dict[str, str], level: str, text: str, tmp_path: Path) -> None:
    root = write(tmp_path, files)
    if "usb" in str(files):  # a card is a link below its USB socket
        (root / "sys/class/sound/card1/device").symlink_to(root / "sys/class/sound/card1/usb/interface")
        (root / "sys/class/sound/card1/usb/interface").mkdir()
    findings = list(check(root))
    assert text in said(findings, level)
    assert all(bool(row.remedy) == (row.level == "change") for row in findings)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
@pytest.mark.parametrize("check", [governor, limits, kernel, servers])
def test_what_does_not_apply_is_passed_over_with_a_word(
    check: System, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_system.sys, "platform", platform)
    (finding,) = check()
    assert (finding.level, finding.text) == ("skip", f"not to be seen on {platform}")


@pytest.mark.parametrize(
    ("platform", "printed", "level", "text"),
    [
        ("darwin", "Now drawing from 'AC Power'\n lowpowermode         0", "good", "mains"),
        ("darwin", "Now drawing from 'AC Power'\n lowpowermode         1", "change", "low power mode"),
        ("darwin", "Now drawing from 'Battery Power'", "change", "on battery"),
        ("win32", "GUID: 381b4222-f694-41f0-9685-ff5bb260df2e  (Ausbalanciert)", "change", "plan Ausbalanciert"),
        ("win32", "GUID: 8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c  (High performance)", "good", "plan High performance"),
        ("win32", "", "skip", "not to be seen on win32"),
    ],
)
def test_power_elsewhere(platform: str, printed: str, level: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_system.sys, "platform", platform)
    monkeypatch.setattr(doctor_system, "output_of", lambda *_: printed)
    (finding,) = power()
    assert (finding.level, text in finding.text) == (level, True)


# -- rtvox's own parts --


def test_its_own_parts_are_looked_at(full_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (full_model_path.parent / "broken.onnx").write_bytes(b"nonsense")
    monkeypatch.setattr("rtvox.report.model_folders", lambda: [full_model_path.parent])
    monkeypatch.setattr(doctor, "LISTEN_S", 0.1)
    findings = list(examine(CHECKS))
    assert "could not be looked at" not in said(findings)
    assert "onnxruntime 1." in said(findings, "good")
    assert "models can run on: " in said(findings, "good")
    assert "models: full" in said(findings, "good")
    assert "broken.onnx" in said(findings, "change")
    assert "full takes" in said(findings)
    assert "a thread that only sleeps woke up" in said(findings)
    assert {"libraries", "providers", "models", "speed", "cores", "priority", "denormals", "pauses"} == {
        row.about for row in findings
    }


def test_a_refused_priority_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "raise_priority", lambda _: False)
    findings = list(doctor.priority())
    (refused,) = (row for row in findings if row.level == "change")
    assert "rtprio 95" in refused.remedy or sys.platform != "linux"


def test_a_check_that_fails_hides_no_other() -> None:
    def broken() -> Iterable[Finding]:
        raise OSError("no such thing")

    findings = list(examine([broken, lambda: [Finding("good", "next", "is looked at")]]))
    assert said(findings) == "broken: could not be looked at (OSError: no such thing)\nnext: is looked at"


# -- the sound card --


def test_a_jack_server_as_it_should_be() -> None:
    with jack_server(128):
        findings = list(sound(DeviceChoice()))
    assert "sample rate: 48000 Hz on both sides" in said(findings, "good")
    assert "buffer: 128 samples at most, 128 asked; the device's own latency is" in said(findings, "good")
    assert "sound device: JACK: system" in said(findings, "good")
    assert "exclusive mode: JACK has no such choice" in said(findings, "skip")


def test_a_jack_server_with_another_rate_and_large_buffers() -> None:
    with jack_server(1024, 44100):
        findings = list(sound(DeviceChoice()))
    assert "opened at 44100 Hz: each change of rate adds delay" in said(findings, "change")
    assert "buffer: 1024 samples at most, 128 asked" in said(findings, "change")
    assert "JACK's period is 1024 samples, not 128" in said(findings, "note")
    assert "start JACK with -p 128" in "".join(row.remedy for row in findings)


def test_a_pulse_server_and_a_name_that_is_wrong() -> None:
    with pulse_server() as server:
        server.add_null_sink("player")
        findings = list(sound(DeviceChoice("player.monitor", "player")))
        wrong = list(sound(DeviceChoice("no-such-microphone", "player")))
    assert "sound systems: PulseAudio" in said(findings, "good")
    assert "sample rate: 48000 Hz on both sides" in said(findings, "good")
    assert "input 'no-such-microphone': no such device" in said(wrong, "change")


def test_no_device_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[object]:
        raise DeviceError("PortAudio: its library is not installed")

    for rows in (list, refuse):
        monkeypatch.setattr(doctor_sound, "list_devices", rows)
        (finding,) = sound(DeviceChoice())
        assert (finding.level, finding.text) == ("change", "there is none")


# -- the command --


def test_the_exit_code_says_whether_something_is_to_change(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, change = Finding("good", "this", "is well"), Finding("change", "that", "is not", "do something")
    monkeypatch.setattr(doctor_system, "CHECKS", ())
    monkeypatch.setattr(doctor_sound, "sound", lambda _: [])
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [good],))
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "good    this: is well\nnothing to change\n"
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [good, change],))
    assert main(["doctor"]) == 8
    assert capsys.readouterr().out == (
        "good    this: is well\nchange  that: is not\n        -> do something\n1 to change\n"
    )
    assert main(["doctor", "--json"]) == 8
    printed = json.loads(capsys.readouterr().out)
    assert printed["findings"][1] == {"level": "change", "about": "that", "text": "is not", "remedy": "do something"}
    assert printed["machine"]["processor"]
