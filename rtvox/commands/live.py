"""Convert the microphone, live.

For example:
  rtvox live                                            default microphone, default speaker, model isolate
  rtvox live --input USB --output rtvox --block 64      devices by a part of their name; see `rtvox devices`
  rtvox live --set part=1 --record take.flac            the band without the voice; take.flac and take-dry.flac

One line shows the levels, the load (the part of a hop's time that its conversion takes), the misses (callbacks that
found no converted sound in time and played the dry one) and the latency from microphone to speaker. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

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
from rtvox.providers import CPU

if TYPE_CHECKING:
    from rtvox.engine import Engine
    from rtvox.status import Status

REFRESH_S = 0.1  # of the meter in a terminal
LOG_S = 10.0  # between its lines in a file
MAX_BAR = 24  # characters of a level meter: 2 dB each
BAR_FROM_DB = -48.0  # its left end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_model(parser)
    add_devices(parser)
    parser.add_argument(
        "--channel", type=int, metavar="N", help="the input channel to take, from 1 (default: the mean of all)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="record the output to FILE, the input to FILE-dry")
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds")
    parser.add_argument(
        "--reserve",
        type=float,
        default=0.0,
        metavar="MS",
        help="this much more latency, against misses on a jittery machine (default: 0)",
    )
    add_cores(parser)
    add_osc(parser)


def run(args: argparse.Namespace) -> int:
    """Convert until the time is up or Ctrl-C comes."""
    from rtvox.engine import Engine
    from rtvox.errors import OscError, ParameterError
    from rtvox.session import Session, open_card

    use_cores(args)
    choice, devices, end = choose(args.model, args.settings), device_choice(args), threading.Event()
    channel = None
    if args.channel is not None:
        channel = args.channel - 1
        if channel < 0:
            raise ParameterError(f"--channel {args.channel}: channels are counted from 1")
    open_device = partial(open_card, channels_in=args.channel)
    card = open_device(devices)
    with contextlib.ExitStack() as stack:
        engine = Engine(card, choice.spec, provider=args.provider, channel=channel, reserve_ms=args.reserve)
        stack.enter_context(engine)
        session = Session(engine, devices, presets=args.presets, recordings=args.recordings, open_device=open_device)
        session.load_file(choice.model, choice.settings)
        server, busy = None, ""
        try:
            server = osc_server(args, session, end.set)
        except OscError as error:
            if args.osc_port is not None:
                raise
            busy = f"rtvox: {error}; going on without OSC"  # a second one beside the first
        session.start()
        if args.record:
            engine.record(args.record)
        if server:
            announce(stack.enter_context(server), args)
        else:
            print(busy, file=sys.stderr)
        status = engine.status()
        print(f"{card.name}, {status.sample_rate} Hz, blocks of {status.block}; Ctrl-C ends it", file=sys.stderr)
        for message in filter(None, (card.message, status.message)):
            print(message, file=sys.stderr)
        try:
            show(engine, sys.stderr, args.duration, args.record, end)
        finally:
            print(f"\n{summary(engine.status())}", file=sys.stderr)
    return 0


def show(
    engine: Engine, out: TextIO, duration: float | None, record: Path | None = None, end: threading.Event | None = None
) -> None:
    """Write the meter line until the time is up or `end` is set: over itself in a terminal, now and then elsewhere.

    Faults, news of how the model runs, and an end of the recording to `record` before its time, get a line of their
    own, once.
    """
    terminal, end = out.isatty(), end or threading.Event()
    until = None if duration is None else time.monotonic() + duration
    said, next_line = {"", engine.status().message}, 0.0
    while True:
        status = engine.status()
        now = time.monotonic()
        for fault in (status.error, status.message, "" if status.recording == str(record) else status.recording):
            if fault not in said:
                said.add(fault)
                print(f"\r{fault}".ljust(_width() + 1) if terminal else fault, file=out)
        if terminal:
            print(f"\r{meter(status, _width())[: _width()]}".ljust(_width() + 1), end="", file=out, flush=True)
        elif now >= next_line:
            print(meter(status), file=out, flush=True)
            next_line = now + LOG_S
        left = REFRESH_S if until is None else min(REFRESH_S, until - now)
        if left <= 0 or end.wait(left):
            return


def meter(status: Status, width: int = 100) -> str:
    """Return the engine's status in one line; the level meters take what room the figures leave."""
    where = "" if status.provider in ("", CPU) else f" {status.provider}"
    state = f"{status.model}{where}" if status.state == "running" else status.state
    figures = (
        f"load {status.load:4.0%}  misses {status.misses}  latency {status.latency.total_ms:.1f} ms  {state}"
        f"{'  rec' if status.recording else ''}"
    )
    room = (width - len(f"in  {0:4.0f}  out  {0:4.0f} dB  {figures}")) // 2
    size = max(0, min(MAX_BAR, room))
    return (
        f"in {_bar(status.input_peak_db, size)} {status.input_peak_db:4.0f}  "
        f"out {_bar(status.output_peak_db, size)} {status.output_peak_db:4.0f} dB  {figures}"
    )


def summary(status: Status) -> str:
    """Return the counts of the whole run in one line."""
    lost = f", {status.xruns} xruns of the device" if status.xruns else ""
    lost += f", {status.fallbacks} fallbacks to the CPU" if status.fallbacks else ""
    return (
        f"{status.callbacks} callbacks, {status.misses} misses{lost}; "
        f"load {status.load:.0%}, one hop took at most {status.compute_max_ms:.1f} ms"
    )


def _bar(level_db: float, size: int) -> str:
    filled = round((level_db - BAR_FROM_DB) / -BAR_FROM_DB * size)
    return ("=" * max(0, min(size, filled))).ljust(size, ".")


def _width() -> int:
    return shutil.get_terminal_size().columns - 1  # a full line would wrap
