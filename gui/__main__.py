# SPDX-License-Identifier: GPL-3.0-or-later
"""The window's process: `rtvox`, `rtvox gui`, or `python -m gui`.

In: arguments. Out: an exit code: 0 when the window is closed, 2 wrong usage, 7 no such host. Main thread.
Read next: `window.py`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from PyQt6.QtWidgets import QApplication

from gui import theme
from gui.launch import LOOPBACK, Launcher
from gui.remote import RemoteEngine
from gui.settings import Settings
from gui.window import Window
from rtvox.osc import PORT, OscError


def main(argv: Sequence[str] | None = None) -> int:
    """Open a window and return when it is closed."""
    parser = argparse.ArgumentParser(prog="rtvox gui", description="Open the window of an rtvox engine.")
    parser.add_argument(
        "--connect",
        metavar="HOST:PORT",
        default=f"127.0.0.1:{PORT}",
        help="the engine to steer (default: %(default)s); started if it is on this machine and not there yet",
    )
    args = parser.parse_args(argv)
    host, _, port = args.connect.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        parser.error(f"--connect {args.connect}: needs HOST:PORT, for example 127.0.0.1:{PORT}")
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # Ctrl-C in the terminal ends it: Qt's loop would not let Python see it
    application = QApplication([sys.argv[0]])
    application.setApplicationName("rtvox")
    application.setStyle("Fusion")
    settings = Settings()
    theme.apply(settings.theme)
    try:
        engine = RemoteEngine(LOOPBACK if host == "localhost" else host.strip("[]"), int(port))
    except OscError as error:
        print(f"rtvox: error: {error}", file=sys.stderr)
        return error.exit_code
    window = Window(engine, settings, Launcher(int(port)) if engine.host == LOOPBACK else None)
    window.show()
    code = application.exec()
    del window  # before the application, or Qt crashes on its way out
    return code


if __name__ == "__main__":
    sys.exit(main())
