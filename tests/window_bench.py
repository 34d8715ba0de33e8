"""How long the window takes to open, and what it costs while nobody touches it. Run by hand, on a display:

    xvfb-run -s "-screen 0 1280x800x24" python tests/window_bench.py

An engine in this process plays the demo clip on a real clock; the window is a process of its own, as in use.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

IDLE_S = 20.0
SETTLE_S = 3.0
ROOT = Path(__file__).resolve().parent.parent


def serve() -> None:
    import numpy as np
    import soundfile

    from rtvox.engine import Engine
    from rtvox.file_device import FileDevice
    from rtvox.osc_commands import Commands
    from rtvox.osc_server import OscServer
    from rtvox.session import Session

    clip, rate = soundfile.read(ROOT / "rtvox" / "assets" / "demo.flac", dtype="float32", always_2d=True)
    device = FileDevice(np.tile(clip.mean(axis=1), 20), sample_rate=rate, clock="real")
    with Engine(device) as engine:
        session = Session(engine)
        session.load_model("isolate")
        with OscServer(Commands(session), port=0) as server:
            engine.start()
            for _ in range(3):
                command = [sys.executable, __file__, str(server.port), str(time.time())]
                subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def show(port: int, began: float) -> None:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication

    from gui import theme
    from gui.remote import RemoteEngine
    from gui.settings import Settings
    from gui.window import Window

    application = QApplication(["rtvox"])
    application.setStyle("Fusion")
    theme.apply("dark")
    window = Window(RemoteEngine("127.0.0.1", port), Settings())
    window.resize(1280, 800)
    window.show()
    while not ((handle := window.windowHandle()) and handle.isExposed()):
        application.processEvents()
    window.repaint()
    print(f"opened and painted after {time.time() - began:.2f} s", flush=True)
    used: list[float] = []
    QTimer.singleShot(round(SETTLE_S * 1000), lambda: used.append(time.process_time()))
    QTimer.singleShot(round((SETTLE_S + IDLE_S) * 1000), application.quit)
    application.exec()
    frames = int((window.board.spectra["input"].levels.max(axis=0) > 0).sum())
    print(f"{100 * (time.process_time() - used[0]) / IDLE_S:.1f} % of a core, spectrograms running ({frames} frames)")
    window.close()
    del window  # before the application


if __name__ == "__main__":
    if len(sys.argv) > 1:
        show(int(sys.argv[1]), float(sys.argv[2]))
    else:
        serve()
