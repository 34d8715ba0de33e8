"""Measure this machine: each stage of the data path, the whole in real time, and the delay.

The bundled clip goes through the model, paced as by a sound card, then clicks do, to hear the delay.

With --all, the clip goes through every model on every provider that is here, in one stream and in eight, idle and with
all cores (and the GPU) busy, and each provider's output is compared with the CPU's. One command measures a machine:
  rtvox bench --all --json --plot bench.png > bench.json

With --loopback, noise bursts go through real devices instead. Over JACK nothing needs to be patched; elsewhere they
leave the output and must come back to the input, by a cable or the monitor of a virtual output: mute what could howl.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvox.commands.options import Choice, add_devices, add_model, choose

if TYPE_CHECKING:
    from rtvox.bench import StageTime

_SPREAD = ("p50", "p95", "p99", "p99.9", "max")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_model(parser)
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print everything that was measured, for a program to read")
    parser.add_argument("--all", action="store_true", help="measure every model on every provider, see below")
    parser.add_argument(
        "--streams", default="1,8", metavar="N,N", help="with --all: how many streams at once (default: %(default)s)"
    )
    parser.add_argument(
        "--beside",
        default="nothing,cpu,gpu",
        metavar="WORK,...",
        help="with --all: the work that competes, some of nothing, cpu, gpu (default: %(default)s)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="with --all: draw how long hops take")
    parser.add_argument("--loopback", action="store_true", help="measure mic to speaker, through --input and --output")
    add_devices(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from rtvox.errors import ParameterError

    if args.seconds <= 0:
        raise ParameterError(f"--seconds {args.seconds:g}: needs more than 0")
    if args.all:
        figures = _survey(args)
    else:
        choice = choose(args.model, args.settings)
        figures = _loopback(args, choice) if args.loopback else _bench(args, choice)
    if args.json:
        json.dump(figures, sys.stdout, indent=1)
        print()
    return 0


def _bench(args: argparse.Namespace, choice: Choice) -> dict[str, Any]:
    import numpy as np

    from rtvox.bench import measure
    from rtvox.demo import read_clip
    from rtvox.report import in_ms, table

    sound = np.resize(read_clip(), round(args.seconds * choice.spec.sample_rate))
    bench = measure(choice.model, choice.settings, sound, spec=choice.spec, provider=args.provider, block=args.block)
    if not args.json:
        status = bench.status
        rows = [
            [stage.name, *(f"{ms:.3f} ms" for ms in times), *(f"{ms / bench.hop_ms:.1%}" for ms in times)]
            for stage in bench.stages
            for times in [_spread(stage)]
        ]
        print(
            f"{bench.model}, {bench.seconds:g} s in real time, blocks of {bench.block}; a hop is {bench.hop_ms:.2f} ms"
        )
        print(table(["stage", *_SPREAD, *(f"of the hop: {name}" for name in _SPREAD)], rows))
        where = f" on {status.provider}" if status.provider else ""
        print(f"load {status.load:.1%}{where}, {status.misses} misses in {status.callbacks} callbacks")
        heard = "clicks do not come out" if bench.measured_delay is None else f"heard {bench.measured_delay}"
        print(f"algorithmic delay: stated {bench.stated_delay} samples ({in_ms(bench.stated_delay)}), {heard}")
        if status.message:
            print(status.message)
    return asdict(bench)


def _survey(args: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from rtvox.demo import read_clip
    from rtvox.errors import ParameterError
    from rtvox.machine import describe_machine
    from rtvox.manifest import SAMPLE_RATE
    from rtvox.onnx_session import why_not
    from rtvox.providers import AUTO, PROVIDERS
    from rtvox.report import find_models, table
    from rtvox.survey import Run, draw_survey, survey

    try:
        streams = [int(count) for count in args.streams.split(",")]
    except ValueError:
        streams = [0]
    if min(streams) < 1:
        raise ParameterError(f"--streams {args.streams}: needs whole numbers from 1, with commas")
    beside = args.beside.split(",")
    if unknown := set(beside) - {"nothing", "cpu", "gpu"}:
        raise ParameterError(f"--beside {', '.join(sorted(unknown))}: needs some of nothing, cpu, gpu")
    providers = [
        name for name, row in PROVIDERS.items() if name == args.provider or (args.provider == AUTO and not why_not(row))
    ]
    sound = np.resize(read_clip(), round(args.seconds * SAMPLE_RATE))
    machine = describe_machine()

    def note(run: Run) -> None:
        what = f"{run.streams} at once beside {run.beside}" if run.hops else run.message
        print(f"{run.model} on {run.provider}: {what}", file=sys.stderr, flush=True)

    runs = survey(find_models()[0], providers, sound, streams=streams, beside=beside, block=args.block, progress=note)
    if args.plot:
        draw_survey(args.plot, runs, f"{machine['processor']}, {machine['cores']} cores; GPU: {machine['gpu']}")
    if not args.json:
        rows = [
            [
                *(run.model, run.provider, str(run.hop), str(run.streams), run.beside),
                *(f"{ms:.2f}" for ms in _spread(run.path)),
                f"{run.path.p99_ms / run.deadline_ms:.0%}",
                f"{run.over} of {run.hops}",
                f"{run.misses} of {run.callbacks}",
                *(f"{ms:.2f}" for ms in (run.network.p50_ms, run.network.p99_ms)),
                "" if run.parity is None else f"{run.parity:.1g}",
            ]
            for run in runs
            if run.hops
        ]
        header = ["model", "provider", "hop", "streams", "beside", *(f"{name}, ms" for name in _SPREAD)]
        header += ["p99 of the hop", "over it", "misses", "network p50, ms", "p99", "off the CPU by"]
        print("; ".join(f"{name} {fact}" for name, fact in machine.items()))
        print(table(header, rows, markdown=True))
        print(*(f"{run.model} on {run.provider}: {run.message}" for run in runs if not run.hops), sep="\n", end="")
    return {"machine": machine, "seconds": args.seconds, "block": args.block, "runs": [run.to_dict() for run in runs]}


def _spread(stage: StageTime) -> tuple[float, ...]:
    return stage.p50_ms, stage.p95_ms, stage.p99_ms, stage.p999_ms, stage.max_ms


def _loopback(args: argparse.Namespace, choice: Choice) -> dict[str, Any]:
    from rtvox.devices import SoundCard
    from rtvox.loopback import PERIOD_S, measure_loopback

    card = SoundCard(args.input, args.output, block=args.block, sample_rate=args.rate)
    bursts = max(4, round(args.seconds / PERIOD_S))
    measured = measure_loopback(
        card, choice.model, choice.settings, spec=choice.spec, provider=args.provider, bursts=bursts
    )
    if not args.json:
        stated_ms = measured.stated * 1e3 / measured.sample_rate
        verdict = "agree within one block" if measured.agrees else "do not agree within one block"
        print(f"{card.name}, {measured.sample_rate} Hz, blocks of {measured.block}")
        spread = f"{measured.bursts} bursts within {measured.spread} samples"
        print(f"mic to speaker: {measured.milliseconds:.1f} ms measured ({spread})")
        print(f"                {stated_ms:.1f} ms stated: they {verdict}")
    return asdict(measured) | {"milliseconds": measured.milliseconds, "agrees": measured.agrees}
