"""What the operating system decides about live sound: clocks of the processor, limits, power saving, sound servers.

Linux tells by files, which a test can put elsewhere (`root`); macOS and Windows by commands. What does not apply is
passed over with a word. Read next: `doctor.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rtvox.doctor import Finding
from rtvox.machine import output_of

ROOT = Path("/")
SERVERS = ("jackd", "jackdbus", "pipewire", "pulseaudio")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _elsewhere(about: str) -> Iterator[Finding]:
    yield Finding("skip", about, f"not to be seen on {sys.platform}")


def governor(root: Path = ROOT) -> Iterator[Finding]:
    """Look whether the processor's clock waits for load before it rises."""
    if sys.platform != "linux":
        yield from _elsewhere("processor clock")
        return
    folders = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"))
    governors = {_read(folder / "scaling_governor") for folder in folders} - {""}
    wishes = {_read(folder / "energy_performance_preference") for folder in folders} - {""}
    if not governors:
        yield Finding("skip", "processor clock", "no frequency scaling is to be seen here (a virtual machine, often)")
    elif governors == {"performance"} or wishes == {"performance"}:
        yield Finding("good", "processor clock", "is set for performance")
    else:
        seen = ", ".join(sorted(governors | wishes))
        remedy = "powerprofilesctl set performance, or sudo cpupower frequency-set -g performance"
        yield Finding("change", "processor clock", f"set to {seen}: it rises when a hop is late already", remedy)


def limits(root: Path = ROOT) -> Iterator[Finding]:
    """Look how far this user may raise priorities, and lock memory."""
    if sys.platform != "linux":
        yield from _elsewhere("limits")
        return
    import resource

    rank = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    shown = "unlimited" if locked == resource.RLIM_INFINITY else f"{locked // 1024} KiB"
    who = "root may set any priority" if os.geteuid() == 0 else f"rtprio {rank}"
    yield Finding(
        "good" if rank or os.geteuid() == 0 else "note", "limits", f"{who}; memory that may be locked: {shown}"
    )
    share = _read(root / "proc/sys/kernel/sched_rt_runtime_us")
    if share.lstrip("-").isdigit() and 0 <= int(share) < 900_000:
        remedy = "sudo sysctl kernel.sched_rt_runtime_us=950000"
        yield Finding(
            "change", "limits", f"real-time threads may run {int(share) / 1e4:.0f} % of a second only", remedy
        )


def kernel(root: Path = ROOT) -> Iterator[Finding]:
    """Look whether the kernel can be interrupted, and whether another one lies below it."""
    if sys.platform != "linux":
        yield from _elsewhere("kernel")
        return
    version = _read(root / "proc/version")
    kind = next((word for word in ("PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT") if word in version), "")
    if kind:
        yield Finding("good", "kernel", f"can be interrupted ({kind})")
    else:
        yield Finding("note", "kernel", "says nothing of PREEMPT: it may hold threads up; a low-latency one does less")
    if " hypervisor" in _read(root / "proc/cpuinfo"):
        yield Finding("note", "kernel", "runs in a virtual machine: pauses of its host are pauses of the sound")


def power(root: Path = ROOT) -> Iterator[Finding]:
    """Look for mains or battery, and for sound chips and USB sockets that go to sleep."""
    if sys.platform == "linux":
        yield from _linux_power(root)
    elif sys.platform == "darwin":
        saving = "lowpowermode         1" in output_of("pmset", "-g")
        mains = "AC Power" in output_of("pmset", "-g", "batt")
        yield from _mains(mains, saving, "System Settings, Battery: low power mode off, and plug it in")
    else:
        plan = output_of("powercfg", "/getactivescheme")
        if "(" not in plan:
            yield Finding("skip", "power", f"not to be seen on {sys.platform}")
            return
        name = plan.rpartition("(")[2].rstrip(")")
        saving = "381b4222" in plan or "a1841308" in plan  # balanced, power saver: their numbers in every language
        remedy = "powercfg /setactive SCHEME_MIN (high performance)"
        yield Finding("change", "power", f"plan {name}", remedy) if saving else Finding("good", "power", f"plan {name}")


def _linux_power(root: Path) -> Iterator[Finding]:
    supplies = list(root.glob("sys/class/power_supply/*"))
    mains = {_read(folder / "online") for folder in supplies if _read(folder / "type") in ("Mains", "USB")} - {""}
    if mains:
        yield from _mains("1" in mains, False, "plug it in")
    sleep_s = _read(root / "sys/module/snd_hda_intel/parameters/power_save")
    if sleep_s not in ("", "0"):
        remedy = "echo 0 | sudo tee /sys/module/snd_hda_intel/parameters/power_save"
        yield Finding("change", "power", f"the sound chip sleeps after {sleep_s} s of silence, and wakes late", remedy)
    for card in sorted(root.glob("sys/class/sound/card[0-9]*")):
        control = (card / "device").resolve().parent / "power" / "control"
        if "usb" in str(control) and _read(control) == "auto":
            remedy = f"echo on | sudo tee {control}"
            yield Finding("change", "power", f"{card.name} on USB may be put to sleep", remedy)
    if not mains and sleep_s in ("", "0"):
        yield Finding("good", "power", "no battery, and no sound chip that goes to sleep")


def _mains(plugged: bool, saving: bool, remedy: str) -> Iterator[Finding]:
    if plugged and not saving:
        yield Finding("good", "power", "mains")
    else:
        text = "low power mode" if saving else "on battery: the processor may be kept slow"
        yield Finding("change", "power", text, remedy)


def servers(root: Path = ROOT) -> Iterator[Finding]:
    """Look which sound servers are installed, and which run."""
    if sys.platform != "linux":
        yield from _elsewhere("sound servers")
        return
    names = {_read(path) for path in root.glob("proc/[0-9]*/comm")}
    running = [name for name in SERVERS if name in names]
    installed = [name for name in SERVERS if shutil.which(name)]
    if "pipewire" in running and {"jackd", "jackdbus", "pulseaudio"} & set(running):
        text = f"{', '.join(running)} run side by side, and may want the same card"
        yield Finding("note", "sound servers", text)
    elif running:
        yield Finding("good", "sound servers", f"running: {', '.join(running)}")
    elif installed:
        yield Finding("note", "sound servers", f"none runs; installed: {', '.join(installed)}")
    else:
        remedy = "install one for virtual microphones and shared cards (Debian: pipewire-audio, or jackd2)"
        yield Finding("note", "sound servers", f"none is installed; {remedy}")


CHECKS = (governor, limits, kernel, power, servers)
