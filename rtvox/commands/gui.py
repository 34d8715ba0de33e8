"""Open the window; what `rtvox` alone does, too.

It finds the engine that runs on this machine, or starts one. With --connect it steers an engine elsewhere, which was
started with `rtvox engine --osc-host 0.0.0.0`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--connect", metavar="HOST:PORT", help="the engine to steer (default: 127.0.0.1:9000)")


def run(args: argparse.Namespace) -> int:
    """Open the window in a process of its own, and return its exit code when it is closed."""
    from rtvox.errors import MissingExtraError, ParameterError, RtvoxError

    if args.connect is not None:
        host, colon, port = args.connect.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise ParameterError(f"--connect {args.connect}: needs HOST:PORT, for example 192.168.1.20:9000")
    missing = [name for name in ("gui", "PyQt6", "pyqtgraph") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the window needs {' and '.join(missing)}, not installed here: in a clone of rtvox, pip install -e "
            '".[gui]"; `rtvox live` runs without a window'
        )
    command = [sys.executable, "-m", "gui", *(["--connect", args.connect] if args.connect else [])]
    code = subprocess.call(command)
    if code < 0:
        raise RtvoxError(f"the window ended by signal {-code}; is there a display? `rtvox live` runs without one")
    return code
