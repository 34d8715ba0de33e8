"""Run the converter alone, steered over OSC: what the window starts.

For example:
  rtvox engine                                          then `rtvox gui`, or any OSC client, on port 9000
  rtvox engine --osc-host 0.0.0.0 --osc-allow 192.168.1.20

Sound starts at once if it can. If no device or no model is there, it says so and waits to be told others; docs/osc.md
lists what it understands. It ends with Ctrl-C, or with /rtvox/quit.
"""

from __future__ import annotations

import argparse
import sys
import threading
from functools import partial

from rtvox.commands.options import (
    add_cores,
    add_devices,
    add_model,
    add_osc,
    announce,
    choose,
    device_choice,
    osc_server,
    use_cores,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_model(parser)
    add_devices(parser)
    add_cores(parser)
    add_osc(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until asked to end."""
    from rtvox.chain import NO_MODEL
    from rtvox.devices import NoDevice
    from rtvox.engine import Engine
    from rtvox.errors import ModelFileError, RtvoxError
    from rtvox.session import Session

    use_cores(args)
    end, fault = threading.Event(), ""
    try:
        choice = choose(args.model, args.settings)
    except ModelFileError as error:
        choice, fault = choose(NO_MODEL, []), str(error)
        print(f"rtvox: {error}; going on without a model", file=sys.stderr, flush=True)
    with Engine(NoDevice(), choice.spec, provider=args.provider) as engine:
        session = Session(engine, device_choice(args), presets=args.presets, recordings=args.recordings)
        with osc_server(args, session, end.set) as server:
            announce(server, args)
            for step in (partial(session.load_file, choice.model, choice.settings), session.start):
                try:
                    step()
                except RtvoxError as error:
                    session.fault = str(error)
                    print(f"rtvox: {error}", file=sys.stderr, flush=True)
            session.fault = session.fault or fault
            while not end.wait(1.0):  # a wait without end would not hear Ctrl-C on Windows
                pass
    return 0
