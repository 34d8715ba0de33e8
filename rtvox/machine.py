"""What this machine is: processor, cores, system, GPUs, libraries; and work to keep it busy with, for measurements.

Plain facts, read from the system; what they mean for sound is said by `doctor.py`. Any thread; may take a second.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from rtvox import __version__
from rtvox.onnx_session import versions

Beside = Literal["nothing", "cpu", "gpu"]  # work that competes with a measurement


def describe_machine() -> dict[str, str]:
    """Return what figures of this machine should be read with, by what it is."""
    facts = {
        "processor": processor(),
        "cores": str(cores()),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "gpu": ", ".join(gpus()) or "none",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rtvox": __version__,
        **versions(),
    }
    return {name: fact for name, fact in facts.items() if fact}


def processor() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin" and (name := output_of("sysctl", "-n", "machdep.cpu.brand_string")):
        return name
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Return the names of NVIDIA GPUs, and their driver; none if there is no driver."""
    rows = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines()
    return [" driver ".join(part.strip() for part in row.split(",")) for row in rows if row.strip()]


def output_of(*command: str) -> str:
    """Return what a program prints, or nothing if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5.0, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@contextlib.contextmanager
def competition(beside: Beside) -> Iterator[None]:
    """Keep all cores busy meanwhile (cpu), or a GPU (gpu): with other processes, at ordinary priority.

    Raises: RuntimeError if there is no GPU to keep busy.
    """
    code = {"cpu": "print(flush=True)\nwhile True: pass"}.get(beside, "")
    if beside == "gpu":
        code = "from rtvox.onnx_session import burn; burn('cuda')"
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range({"nothing": 0, "cpu": cores(), "gpu": 1}[beside])
    ]
    try:
        for worker in workers:
            assert worker.stdout
            if not worker.stdout.readline():  # said when it is at work
                raise RuntimeError("no GPU is here to keep busy")
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
