"""Measure this machine: each stage of the data path, the whole in real time, and the delay.

The bundled clip goes through the model, paced as by a sound card, then clicks do, to hear the delay. With
--loopback a test signal goes out of the output device and comes back through the input: patch the one into the
other (a cable, or JACK), and turn down what could howl.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from rtvox.commands.options import add_model, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_model(parser)
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default: %(default)g)")
    parser.add_argument(
        "--block", type=int, default=128, metavar="N", help="samples per callback (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print everything that was measured, for a program to read")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    import numpy as np

    from rtvox.bench import measure
    from rtvox.demo import read_clip
    from rtvox.errors import ParameterError
    from rtvox.report import in_ms, table

    if args.seconds <= 0:
        raise ParameterError(f"--seconds {args.seconds:g}: needs more than 0")
    choice = choose(args.model, args.settings)
    sound = np.resize(read_clip(), round(args.seconds * choice.spec.sample_rate))
    bench = measure(choice.model, choice.settings, sound, spec=choice.spec, provider=args.provider, block=args.block)
    if args.json:
        json.dump(asdict(bench), sys.stdout, indent=1)
        print()
        return 0
    status = bench.status
    rows = [
        [stage.name, *(f"{ms:.3f} ms" for ms in times), *(f"{ms / bench.hop_ms:.1%}" for ms in times)]
        for stage in bench.stages
        for times in [(stage.p50_ms, stage.p99_ms, stage.max_ms)]
    ]
    print(f"{bench.model}, {bench.seconds:g} s in real time, blocks of {bench.block}; a hop is {bench.hop_ms:.2f} ms")
    print(table(["stage", "p50", "p99", "max", "of the hop: p50", "p99", "max"], rows))
    print(f"load {status.load:.1%}, {status.misses} misses in {status.callbacks} callbacks")
    heard = "clicks do not come out" if bench.measured_delay is None else f"heard {bench.measured_delay}"
    print(f"algorithmic delay: stated {bench.stated_delay} samples ({in_ms(bench.stated_delay)}), {heard}")
    if status.message:
        print(status.message)
    return 0
