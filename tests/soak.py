"""Run the engine over JACK's dummy driver for many callbacks, and count the misses.

For docs/measurements.md: `python tests/soak.py --callbacks 30000 --model isolate`, and again with `--busy`, which keeps
another core busy meanwhile. The test suite runs a shorter one (`test_jack.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping

from audio_systems import jack_server, may_be_realtime, running

from rtvox.devices import SoundCard
from rtvox.engine import Engine, Model
from rtvox.params import parse_setting
from rtvox.status import Status


@contextlib.contextmanager
def busy_core(busy: bool) -> Iterator[None]:
    """Have another process compute all the time."""
    if busy:
        with running(sys.executable, "-c", "while True: pass"):
            yield
    else:
        yield


def soak(
    model: Model,
    callbacks: int,
    settings: Mapping[str, float] | None = None,
    *,
    period: int = 128,
    busy: bool = False,
) -> Status:
    """Return the Status after so many callbacks; 30 000 take 80 s at 128 samples.

    With real-time scheduling, as JACK is meant to run, if this user may have it.
    """
    with jack_server(period, realtime=may_be_realtime()), busy_core(busy), Engine(SoundCard(block=period)) as engine:
        engine.load(model)
        for name, value in (settings or {}).items():
            engine.set(name, value)
        engine.start()
        while (status := engine.status()).callbacks < callbacks and status.state == "running":
            time.sleep(0.1)
        return status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callbacks", type=int, default=30000)
    parser.add_argument("--period", type=int, default=128)
    parser.add_argument("--model", default="none")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--busy", action="store_true", help="keep another core busy")
    args = parser.parse_args()
    settings = dict(parse_setting(setting) for setting in args.settings)
    status = soak(args.model, args.callbacks, settings, period=args.period, busy=args.busy)
    print(
        f"{status.model}, {'another core busy' if args.busy else 'idle'}, "
        f"{'real-time' if may_be_realtime() else 'ordinary'} scheduling: {status.callbacks} callbacks, "
        f"{status.misses} misses, {status.xruns} xruns; load {status.load:.1%}, hop p50 {status.compute_p50_ms:.2f} "
        f"p99 {status.compute_p99_ms:.2f} max {status.compute_max_ms:.2f} ms; latency {status.latency.total_ms:.1f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
