"""Run the engine for long, and under abuse. For docs/measurements.md, by hand:

    python tests/soak.py count --callbacks 30000 --model isolate    # misses in so many callbacks over JACK; --busy
    python tests/soak.py faults --minutes 60 --out soak             # the fault plan, in real time over JACK
    python tests/soak.py faults --minutes 3 --device file           # the same as fast as it goes, without a server
    python tests/soak.py hours --hours 8 --out soak                 # accelerated; held to a fresh engine at the end
    python tests/soak.py report soak                                # the table and the picture of a log once more

`faults` and `hours` return 1 if anything did not hold. The test suite runs short ones (`test_jack.py`, `test_soak.py`).
Read next: `soak_faults.py`, the plan; `soak_run.py`, one run; `soak_watch.py`, the ear.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import soak_hours
from audio_systems import jack_server, may_be_realtime, running
from soak_faults import FAULTS, NEEDS_REAL_TIME, NEEDS_SERVER, Fault
from soak_report import report
from soak_run import Run
from soak_watch import Watch, WatchedCard

from rtvox.engine import Engine, Model
from rtvox.params import parse_setting
from rtvox.report import CONVERTERS, find_models
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
    """Return the Status after so many callbacks of music; 30 000 take 80 s at 128 samples.

    With real-time scheduling, as JACK is meant to run, if this user may have it.
    """
    with (
        jack_server(period, realtime=may_be_realtime()),
        busy_core(busy),
        Engine(WatchedCard(Watch(), block=period)) as engine,
    ):
        engine.load(model)
        for name, value in (settings or {}).items():
            engine.set(name, value)
        engine.start()
        while (status := engine.status()).callbacks < callbacks and status.state == "running":
            time.sleep(0.1)
        return status


def abuse(
    folder: Path,
    seconds: float,
    models: list[str],
    *,
    over_jack: bool = True,
    swap_s: float = 20.0,
    fault_s: float = 5.0,
    plan: Sequence[Fault] = FAULTS,
) -> Run:
    """Let one fault after the other happen, with models swapped all the while; return the Run, stopped.

    Args:
        folder: for log and recordings.
        seconds: after these, and once through the plan at least, the fault under way is the last.
        swap_s, fault_s: between two swaps; from a recovery to the next fault.
        plan: repeated; without a sound server, what needs one is left out.
    """
    server = jack_server(realtime=may_be_realtime()) if over_jack else contextlib.nullcontext()
    left_out = () if over_jack else (*NEEDS_SERVER, *NEEDS_REAL_TIME)
    plan, done = [fault for fault in plan if fault not in left_out], 0
    with server as jack, Run(folder, models, jack) as run:
        run.recover("sound at the beginning")
        next_swap = run.seconds + swap_s
        while run.seconds < seconds or done < len(plan):
            run.wait(min(fault_s, next_swap - run.seconds))
            if run.seconds >= next_swap:
                next_swap += swap_s
                run.swap()
            else:
                run.do(plan[done % len(plan)])
                done += 1
        run.recover("sound at the end")
        run.wait(1.0)
    return run


def _count(args: argparse.Namespace) -> int:
    settings = dict(parse_setting(setting) for setting in args.settings)
    status = soak(args.model, args.callbacks, settings, period=args.period, busy=args.busy)
    print(
        f"{status.model}, {'another core busy' if args.busy else 'idle'}, "
        f"{'real-time' if may_be_realtime() else 'ordinary'} scheduling: {status.callbacks} callbacks, "
        f"{status.misses} misses, {status.xruns} xruns; load {status.load:.1%}, hop p50 {status.compute_p50_ms:.2f} "
        f"p99 {status.compute_p99_ms:.2f} max {status.compute_max_ms:.2f} ms; latency {status.latency.total_ms:.1f} ms"
    )
    return 0


def _faults(args: argparse.Namespace) -> int:
    models = args.models or [*_shipped(), "none"]
    if len(set(models)) < 2:
        sys.exit(f"--models {' '.join(models)}: needs two or more, which take turns; none is one")
    over_jack = args.device == "jack"
    plan = [fault for fault in FAULTS if fault.__name__ in (args.only or [fault.__name__])]
    run = abuse(
        args.out, 60.0 * args.minutes, models, over_jack=over_jack, swap_s=args.swap, fault_s=args.pause, plan=plan
    )
    return report(args.out) or bool(run.failures)


def _hours(args: argparse.Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    return not soak_hours.run(args.models or _shipped(), args.hours, args.out / "hours.jsonl")


def _shipped() -> list[str]:
    return [path.stem for path, manifest in find_models()[0].items() if manifest.role in CONVERTERS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    count = commands.add_parser("count")
    count.add_argument("--callbacks", type=int, default=30000)
    count.add_argument("--period", type=int, default=128)
    count.add_argument("--model", default="none")
    count.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    count.add_argument("--busy", action="store_true", help="keep another core busy")
    count.set_defaults(run=_count)
    faults = commands.add_parser("faults")
    faults.add_argument("--minutes", type=float, default=3.0)
    faults.add_argument("--device", choices=("jack", "file"), default="jack")
    faults.add_argument("--swap", type=float, default=20.0, help="seconds between two swaps")
    faults.add_argument("--pause", type=float, default=5.0, help="seconds between a recovery and the next fault")
    faults.add_argument("--only", nargs="+", choices=[fault.__name__ for fault in FAULTS], help="default: all")
    faults.set_defaults(run=_faults)
    hours = commands.add_parser("hours")
    hours.add_argument("--hours", type=float, default=8.0, help="of sound, shared by all models")
    hours.set_defaults(run=_hours)
    for command in (faults, hours):
        command.add_argument("--out", type=Path, default=Path("runs/soak"), help="folder for the log")
        command.add_argument("--models", nargs="+", help="default: all that are shipped")
    again = commands.add_parser("report")
    again.add_argument("folder", type=Path)
    again.set_defaults(run=lambda args: report(args.folder))
    args = parser.parse_args()
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
