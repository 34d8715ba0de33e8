# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting an engine: a process of its own that lives on when the window dies, and writes what it says to a file.

Main thread. Read next: `remote.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QProcess, QProcessEnvironment

LOOPBACK = "127.0.0.1"  # where an engine that is started here listens


class Launcher:
    """Starts `rtvox engine` for one port. `log` is the file with its words; a new start begins it anew."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.log = Path(tempfile.gettempdir()) / f"rtvox-engine-{port}-{os.getpid()}.log"
        self.started, self.pid = False, 0  # of the process that this window has started

    def start(self, flags: Sequence[str] = ()) -> bool:
        """Start an engine; return whether the process could be made. It answers over OSC when it is ready."""
        process = QProcess()
        process.setProgram(sys.executable)
        process.setArguments(["-m", "rtvox", "engine", "--osc-port", str(self.port), *flags])
        process.setProcessEnvironment(QProcessEnvironment.systemEnvironment())
        process.setStandardInputFile(QProcess.nullDevice())
        process.setStandardOutputFile(str(self.log))
        process.setStandardErrorFile(str(self.log), QProcess.OpenModeFlag.Append)
        self.started, self.pid = process.startDetached()
        return self.started

    def last_words(self) -> str:
        """Return the last line that the engine wrote, or ""."""
        try:
            lines = self.log.read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def tidy(self) -> None:
        """Remove the log."""
        self.log.unlink(missing_ok=True)
